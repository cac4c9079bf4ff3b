"""Notices that every task that has used a subscription has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from micro_rt.kit.ordered import OrderedSet

__all__ = ["ReaderWatch"]


class ReaderWatch:
    """Watches the tasks that use a subscription.

    Args:
        session: seconds from the end of the last of them until ``gone`` is called, unless another task uses the subscription meanwhile.
        gone: called when no task uses it any more.
    """

    def __init__(self, session: float, gone: Callable[[], None]) -> None:
        self._session = session
        self._gone = gone
        self._tasks: OrderedSet[asyncio.Task[object]] = OrderedSet()
        """The tasks that have used it and have not ended."""
        self._timer: asyncio.TimerHandle | None = None
        self._over = False

    def used(self) -> None:
        """Notes that the current task uses the subscription; does nothing outside of a task."""
        try:
            task = asyncio.current_task()
        except RuntimeError:  # Not in an event loop.
            return
        if task is None or task in self._tasks or self._over:
            return
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        self._stop_timer()

    def end(self) -> None:
        """Stops watching."""
        self._over = True
        self._stop_timer()

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not self._tasks and not self._over:
            self._timer = task.get_loop().call_later(self._session, self._gone)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
