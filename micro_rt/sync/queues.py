"""Who of this process is next, where the engine knows no order.

Without it, each hand-over would wake every waiter, and all but one would ask the engine for nothing.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Hashable

__all__ = ["Queues", "Turn"]


class Turn:
    """One claim's turn, or its place in the queue."""

    __slots__ = ("_key", "_queues", "_waiter")

    def __init__(self, queues: Queues, key: Hashable, waiter: asyncio.Future[None] | None) -> None:
        self._queues = queues
        self._key = key
        self._waiter = waiter

    @property
    def come(self) -> bool:
        """Whether it is its turn."""
        return self._waiter is None or self._waiter.done()

    async def wait(self) -> None:
        """Waits until it is its turn."""
        if self._waiter is not None:
            await asyncio.wait((self._waiter,))

    def leave(self) -> None:
        """Lets the next one have its turn, or leaves the queue. A second call does nothing."""
        key, self._key = self._key, None
        if key is not None:
            self._queues.left(key, self._waiter)


class _Queue:
    __slots__ = ("active", "seats", "waiters")

    def __init__(self, seats: int) -> None:
        self.seats = seats
        self.active = 0
        self.waiters: deque[asyncio.Future[None]] = deque()


class Queues:
    """The queues of all locks of one event loop. As many claims of a lock have their turn at once as it has seats."""

    def __init__(self) -> None:
        self._queues: dict[Hashable, _Queue] = {}

    def __len__(self) -> int:
        return len(self._queues)

    def join(self, key: Hashable, seats: int) -> Turn:
        """Returns a turn, or a place at the end of the queue.

        Args:
            key: of the lock.
            seats: how many have their turn at once.
        """
        queue = self._queues.setdefault(key, _Queue(seats))
        if queue.active < queue.seats:
            queue.active += 1
            return Turn(self, key, None)
        waiter = asyncio.get_running_loop().create_future()
        queue.waiters.append(waiter)
        return Turn(self, key, waiter)

    def left(self, key: Hashable, waiter: asyncio.Future[None] | None) -> None:
        """Counts out a turn, or a place in the queue."""
        queue = self._queues[key]
        if waiter is not None and not waiter.done():
            queue.waiters.remove(waiter)
            return
        if queue.waiters:
            queue.waiters.popleft().set_result(None)
            return
        queue.active -= 1
        if not queue.active:
            del self._queues[key]
