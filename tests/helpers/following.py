"""A reader of a source of configuration that does what the config does: it reads after each report, and keeps what it saw."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator

from micro_rt.config.base import Source, Tree
from micro_rt.errors import Error
from tests.helpers.waiting import eventually

__all__ = ["Follower", "followed"]


class Follower:
    """Does with a source what the config does: reads it after each report; reports that come while it reads count as one."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.trees: list[Tree] = []
        self.errors: list[str] = []
        self.reports = 0
        """The reports so far; each is counted before it is read for."""
        self._reported = asyncio.Event()
        watch = source.watch()
        assert watch is not None
        self._watching = asyncio.create_task(self._watch(watch))
        self._reading = asyncio.create_task(self._read())

    async def _watch(self, watch: AsyncIterator[None]) -> None:
        async for _ in watch:
            self.reports += 1
            self._reported.set()

    async def _read(self) -> None:
        while True:
            await self._reported.wait()
            self._reported.clear()
            try:
                tree = (await self.source.read()).tree
            except Error as error:
                self.errors.append(error.message)
            else:
                if self.trees[-1:] != [tree]:
                    self.trees.append(tree)

    async def end_reading(self) -> None:
        """Reads no more: what is reported while the source closes cannot be read."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        if not self._reading.cancelled():
            self._reading.result()

    async def end(self) -> None:
        """Waits for the end of the watch, which closing the source brings."""
        await self._watching

    async def sees(self, tree: Tree) -> None:
        await eventually(lambda: self.trees[-1:], lambda: f"a save is missed; errors: {self.errors}", equals=[tree])

    async def fails(self, times: int) -> None:
        """Waits until reading has failed so often."""
        await eventually(lambda: len(self.errors) >= times, "no read fails")


@contextlib.asynccontextmanager
async def followed(source: Source) -> AsyncGenerator[Follower]:
    """Opens a source, and follows it."""
    await source.open()
    follower = Follower(source)
    try:
        yield follower
    finally:
        try:
            await follower.end_reading()
        finally:
            await source.close()
            await follower.end()
