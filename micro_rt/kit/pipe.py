"""A bounded queue with an end: messages in one direction, within one event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from copy import copy
from typing import Generic, TypeAlias, TypeVar

from micro_rt.errors import Error

__all__ = ["Pipe"]

ItemT = TypeVar("ItemT")

Reason: TypeAlias = BaseException | Callable[[], BaseException]
"""Why a pipe has ended: an exception, or what makes one for each who asks, so that an end that nobody asks for costs none."""


class Pipe(Generic[ItemT]):
    """Items in order, from one writer to one reader.

    Args:
        window: how many items may wait to be read before the writer waits too.
    """

    __slots__ = ("_end", "_items", "_reader", "_window", "_writer")

    def __init__(self, window: int) -> None:
        self._window = window
        self._items: deque[ItemT] = deque()
        self._end: Reason | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more can be put in."""
        return self._end is not None

    async def put(self, item: ItemT) -> None:
        """Puts an item in, waiting for room; raises the reason if the pipe has ended."""
        while self._end is None and len(self._items) >= self._window:
            self._writer = asyncio.get_running_loop().create_future()
            await self._writer
        if self._end is not None:
            raise _own(self._end)
        self._items.append(item)
        _wake(self._reader)

    async def get(self) -> ItemT:
        """Takes the next item, waiting for it; raises the reason once the pipe has ended and is empty."""
        while not self._items:
            if self._end is not None:
                raise _own(self._end)
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        _wake(self._writer)
        return self._items.popleft()

    async def more(self) -> bool:
        """Waits until there is an item, or the pipe has ended; returns whether there is one."""
        while not self._items:
            if self._end is not None:
                return False
            self._reader = asyncio.get_running_loop().create_future()
            await self._reader
        return True

    def end(self, reason: Reason) -> None:
        """Ends the pipe after the items that are in it; does nothing if it has ended."""
        if self._end is None:
            self._end = reason
            _wake(self._reader)
            _wake(self._writer)

    def stop(self, reason: Reason) -> None:
        """Ends the pipe at once and throws away what is in it."""
        self._items.clear()
        self._end = reason
        _wake(self._reader)
        _wake(self._writer)


def _own(reason: Reason) -> BaseException:
    """What one of those who are told the reason gets: it adds a traceback, and may change more."""
    if not isinstance(reason, BaseException):
        return reason()
    return copy(reason).with_traceback(reason.__traceback__) if isinstance(reason, Error) else reason


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
