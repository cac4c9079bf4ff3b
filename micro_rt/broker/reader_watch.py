"""Notices that nobody reads a subscription any more: the task that read has ended, and no other has taken over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["ReaderWatch"]


class ReaderWatch:
    """Watches the task that reads a subscription.

    Args:
        session: seconds after the end of the task until ``gone`` is called, unless the subscription is used meanwhile.
        gone: called when nobody reads any more.
    """

    def __init__(self, session: float, gone: Callable[[], None]) -> None:
        self._session = session
        self._gone = gone
        self._task: asyncio.Task[object] | None = None
        self._uses = 0
        self._timer: asyncio.TimerHandle | None = None

    def used(self) -> None:
        """Notes that the current task uses the subscription."""
        self._uses += 1
        task = asyncio.current_task()
        if task is not self._task and task is not None:
            self._task = task
            task.add_done_callback(self._ended)

    def end(self) -> None:
        """Watches no more."""
        self._task = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _ended(self, task: asyncio.Task[object]) -> None:
        if task is self._task:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = task.get_loop().call_later(self._session, self._check, self._uses)

    def _check(self, uses: int) -> None:
        self._timer = None
        if uses == self._uses:
            self._gone()
