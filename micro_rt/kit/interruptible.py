"""Waits of a task that others can end with an error, without cancelling the task.

An interruption cancels the task, and is taken back as soon as the cancellation has ended the wait. A cancellation that
comes from elsewhere at the same time goes on.
"""

from __future__ import annotations

import asyncio
from copy import copy
from types import TracebackType
from typing import Any

from micro_rt.errors import EndOfStream, Error

__all__ = ["Interruptible"]


class Interruptible:
    """The waits of one direction of a call, one at a time: ``with waits: await …``."""

    __slots__ = ("_cancelling", "_ended", "_error", "_interrupted", "_task")

    def __init__(self) -> None:
        self._ended = False
        self._interrupted = False
        self._error: BaseException | None = None
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0

    def __enter__(self) -> None:
        if self._ended:
            raise self._reason()
        task = asyncio.current_task()
        if task is not None:
            self._task = task
            self._cancelling = task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if not self._interrupted or task is None:
            return
        self._interrupted = False
        if task.uncancel() <= self._cancelling and isinstance(value, asyncio.CancelledError):
            raise self._reason() from None

    def fail(self, error: BaseException) -> None:
        """Ends the present wait, if there is one, and every later one, with an error."""
        if not self._ended:
            self._error = error
            self.end()

    def end(self) -> None:
        """Does the same with ``EndOfStream``, because the server has ended the call."""
        if not self._ended:
            self._ended = True
            if self._task is not None:
                self._interrupted = True
                self._task.cancel()

    def _reason(self) -> BaseException:
        if self._error is None:
            return EndOfStream("the server has ended the call")
        # Each wait gets an error of its own.
        return copy(self._error) if isinstance(self._error, Error) else self._error
