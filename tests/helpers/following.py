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
    """Does with a source what the config does: reads it after each report."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.trees: list[Tree] = []
        self.errors: list[str] = []
        self.reports = 0
        self.tasks = [asyncio.create_task(each(_watch(source))) for each in (self._follow, self._count)]

    async def _count(self, watch: AsyncIterator[None]) -> None:
        async for _ in watch:
            self.reports += 1

    async def _follow(self, watch: AsyncIterator[None]) -> None:
        async for _ in watch:
            try:
                tree = (await self.source.read()).tree
            except Error as error:
                self.errors.append(error.message)
            else:
                if self.trees[-1:] != [tree]:
                    self.trees.append(tree)

    async def sees(self, tree: Tree) -> None:
        await eventually(lambda: self.trees[-1:], lambda: f"a save is missed; errors: {self.errors}", equals=[tree])

    async def fails(self, times: int) -> None:
        """Waits until reading has failed so often."""
        await eventually(lambda: len(self.errors) >= times, "no read fails")

    async def looks(self, times: int) -> None:
        """Waits until so many changes were reported, whatever became of the reads."""
        await eventually(lambda: self.reports >= times, "a change is not reported")


@contextlib.asynccontextmanager
async def followed(source: Source) -> AsyncGenerator[Follower]:
    """Opens a source, and follows it."""
    await source.open()
    follower = Follower(source)
    try:
        yield follower
    finally:
        await source.close()
        await asyncio.gather(*follower.tasks)


def _watch(source: Source) -> AsyncIterator[None]:
    watch = source.watch()
    assert watch is not None
    return watch
