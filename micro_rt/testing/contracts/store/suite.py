"""What the tests of stores share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from micro_rt.kit.ids import new_id
from micro_rt.store.base import Change, ChangeKind, StoreEngine
from micro_rt.store.store import Store
from micro_rt.store.watch import StoreWatch
from micro_rt.testing.contracts.processes import OtherEngine, another_process
from micro_rt.testing.contracts.suite import Contract

__all__ = ["OtherStore", "StoreSuite"]


class OtherStore(OtherEngine):
    """How another process makes a store that shares records with those of ``make``."""


class StoreSuite(Contract):
    """What a backend says about itself."""

    settle: ClassVar[float] = 20.0
    """Seconds within which a change must be seen, however busy the machine is; not waited for if it is seen earlier."""
    ttl: ClassVar[float] = 1.0
    """Seconds that records live in tests that let them expire."""
    many: int = 2000
    """How many records the tests of many records write."""
    writers: ClassVar[int] = 8
    """How many tasks write at once."""
    increments: int = 25
    """How often each of them increments the same record."""
    large: ClassVar[int] = 5 << 20
    """Bytes of a large value, of which several do not fit into what is read at once."""

    async def make(self) -> StoreEngine:
        """Returns an engine, unopened."""
        raise NotImplementedError

    def other_process(self) -> OtherStore | None:
        """Returns how another process makes the store; None if only this process can see it."""
        return None

    def cut_off(self) -> AbstractAsyncContextManager[None] | None:
        """Returns what keeps the stores of ``make`` from being answered, or from writing, while it is entered.

        Returns:
            None, unless overridden, if nothing can: such a store is memory of this process.
        """
        return None

    @asynccontextmanager
    async def store(self) -> AsyncGenerator[Store]:
        """Opens a store."""
        async with Store.over(await self.make()) as store:
            yield store

    def another_process(self, other: OtherStore) -> AbstractAsyncContextManager[Callable[[str], Awaitable[str]]]:
        """Starts another process that runs lines of Python, in which ``store`` is its ``Store``."""
        return another_process(Store, "store", other)


def prefix() -> str:
    """Returns a prefix that no other test uses."""
    return f"{new_id(12)}/"


async def until(watch: StoreWatch, key: str, version: int, within: float) -> dict[str, Change]:
    """Takes changes until a key has at least a version.

    Returns:
        The last change of each key that came.
    """
    last: dict[str, Change] = {}
    async with asyncio.timeout(within):
        async for change in watch:
            last[change.key] = change
            if change.key == key and change.version >= version:
                break
    return last


async def until_synced(watch: StoreWatch, within: float) -> list[Change]:
    """Takes changes up to SYNCED, and returns those before it."""
    found: list[Change] = []
    async with asyncio.timeout(within):
        async for change in watch:
            if change.kind is ChangeKind.SYNCED:
                break
            found.append(change)
    return found


async def next_change(watch: StoreWatch, within: float) -> Change:
    """Takes the next change."""
    async with asyncio.timeout(within):
        return await anext(watch)
