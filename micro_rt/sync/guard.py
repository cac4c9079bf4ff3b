"""A block that is left when what it holds is lost: ``async with service.sync.lock("invoice-run") as lock: …``.

The rules that it keeps, and why:

- When the lock is lost, the task of the block is cancelled, and the block ends with ``LockLost``. It is cancelled before another
  claim can be granted. Its ``finally`` blocks have the margin of the engine to end.
- A cancellation from outside stays a cancellation, also if the lock is lost at the same moment: the counting of
  ``Task.uncancel`` tells them apart, as in ``asyncio.timeout``.
- A block that ends without noticing that the lock was lost ends with ``LockLost`` all the same: its work was not protected to its end.
  Another error that leaves the block stays that error.
- Leaving the block releases the lock. An engine that does not answer then is logged, and does not keep the block: the lock ends with its
  ttl.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeVar

from micro_rt.sync.held import Held, Lease

__all__ = ["Guard"]

HeldT = TypeVar("HeldT", bound=Held)


class Guard(Generic[HeldT]):
    """What ``Sync.lock``, ``leader`` and ``semaphore`` return: acquires on entry, releases on exit. It is entered once.

    Args:
        acquire: waits for a seat.
        wrap: makes what the block gets.
        patience: seconds that leaving the block waits for the engine to confirm the release.
    """

    def __init__(
        self, acquire: Callable[[], Awaitable[Lease]], wrap: Callable[[Lease], HeldT], patience: float
    ) -> None:
        self._acquire: Callable[[], Awaitable[Lease]] | None = acquire
        self._wrap = wrap
        self._patience = patience
        self._lease: Lease | None = None
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._interrupted = False

    async def __aenter__(self) -> HeldT:
        acquire, self._acquire = self._acquire, None
        if acquire is None:
            raise RuntimeError("it was entered already: call lock(), leader() or semaphore() for each block")
        lease = self._lease = await acquire()
        task = self._task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a lock is held by a task, and none runs here")
        self._cancelling = task.cancelling()
        lease.on_loss = self._interrupt
        return self._wrap(lease)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        lease, task = self._lease, self._task
        if lease is None or task is None:  # __aexit__ without __aenter__
            raise RuntimeError("it was not entered")
        lease.on_loss = None
        if self._interrupted:
            outside = task.uncancel() > self._cancelling
            if isinstance(error, asyncio.CancelledError):
                if outside:
                    return
                raise lease.error() from error
        if lease.reason and not lease.released:
            if error is None:
                raise lease.error()
            return
        lease.give_up()  # A lease whose deadline has passed becomes a lost one here.
        await lease.told(self._patience)
        if lease.reason and not lease.released and error is None:
            raise lease.error()

    def _interrupt(self) -> None:
        if self._task is not None and self._task is not asyncio.current_task():
            self._interrupted = True
            self._task.cancel()
