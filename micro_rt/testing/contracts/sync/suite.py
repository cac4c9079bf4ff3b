"""What the tests of sync share."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

from micro_rt.kit.ids import new_id
from micro_rt.sync.base import Claim, Grant, SyncEngine
from micro_rt.sync.sync import Sync
from micro_rt.testing.contracts.processes import OtherEngine, another_process
from micro_rt.testing.contracts.suite import Contract, eventually

__all__ = ["OtherSync", "SyncSuite", "fresh"]


class OtherSync(OtherEngine):
    """How another process makes an engine that shares locks with those of ``make``."""


class SyncSuite(Contract):
    """What a backend says about itself."""

    timeout = 120.0
    ttl: ClassVar[float] = 1.0
    """Seconds, of the claims of tests that let them expire."""
    expires: ClassVar[float] = 30.0
    """Seconds after which a claim that nobody renews is free at the latest, however busy the machine is."""
    settle: ClassVar[float] = 30.0
    """Seconds within which a change must be seen, however busy the machine is; not waited for if it is seen earlier."""
    waiters: int = 200
    """How many tasks wait for one lock at once."""
    workers: ClassVar[int] = 4
    """How many engines take turns."""
    turns: int = 25
    """How often each of them holds the lock."""

    async def make(self) -> SyncEngine:
        """Returns an engine, unopened."""
        raise NotImplementedError

    def other_process(self) -> OtherSync | None:
        """Returns how another process makes the engine; None if only this process can see it."""
        return None

    def cut_off(self) -> AbstractAsyncContextManager[None] | None:
        """Returns what keeps the engines of ``make`` from being answered while it is entered.

        Returns:
            None, unless overridden, if nothing can: such an engine is memory of this process.
        """
        return None

    async def drop(self, engine: SyncEngine, name: str) -> bool:
        """Takes a lock away from whoever has it, as an operator can: deletes the key or the row of the lock, without the engine.

        Args:
            engine: an open engine.
            name: of the lock.

        Returns:
            Whether it did: nobody but the engine can reach the locks if it did not.
        """
        return False

    @asynccontextmanager
    async def sync(self) -> AsyncGenerator[Sync]:
        """Opens an engine."""
        async with Sync.over(await self.make()) as sync:
            yield sync

    @asynccontextmanager
    async def engine(self) -> AsyncGenerator[SyncEngine]:
        """Opens an engine, without what renews its claims."""
        engine = await self.make()
        await engine.open()
        try:
            yield engine
        finally:
            await engine.close()

    def claim(self, engine: SyncEngine, name: str, *, seats: int = 1, value: bytes = b"", ttl: float = 0.0) -> Claim:
        """Makes a claim that nobody renews."""
        return engine.claim(name, seats=seats, ttl=ttl or self.ttl, value=value, id=new_id())

    async def granted(self, claim: Claim) -> Grant:
        """Waits until a claim is granted, which nobody renews meanwhile."""

        async def ask() -> Grant | None:
            await claim.changed(0.05)
            return await claim.acquire()

        grant = await claim.acquire()
        if grant is None:
            grant = await eventually(ask, within=self.expires)
        assert grant is not None
        return grant

    def another_process(self, other: OtherSync) -> AbstractAsyncContextManager[Callable[[str], Awaitable[str]]]:
        """Starts another process that runs lines of Python, in which ``sync`` is its ``Sync``."""
        return another_process(Sync, "sync", other)


def fresh(name: str = "lock") -> str:
    """Returns a name of a lock that no other test uses."""
    return f"{name} {new_id(12)}"
