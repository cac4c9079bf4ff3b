"""The watches of one source: each is told of every change, and several changes that it has not taken yet count as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from micro_rt.kit.ordered import WeakOrderedSet

__all__ = ["Reports"]


class Reports:
    """Watches of a source that is open; a watch that is dropped is forgotten."""

    def __init__(self) -> None:
        self._watches = WeakOrderedSet[_Watch]()

    def watch(self) -> AsyncIterator[None]:
        """Returns a watch, which begins at once."""
        watch = _Watch()
        self._watches.add(watch)
        return watch

    def changed(self) -> None:
        """Reports a change."""
        for watch in self._watches:
            watch.event.set()

    def end(self) -> None:
        """Ends every watch."""
        for watch in self._watches:
            watch.ended = True
            watch.event.set()
        self._watches = WeakOrderedSet[_Watch]()


class _Watch(AsyncIterator[None]):
    def __init__(self) -> None:
        self.event = asyncio.Event()
        self.ended = False

    async def __anext__(self) -> None:
        await self.event.wait()
        if self.ended:
            raise StopAsyncIteration
        self.event.clear()
