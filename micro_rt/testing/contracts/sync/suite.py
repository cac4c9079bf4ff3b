"""What the tests of sync share."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from micro_rt.kit.ids import new_id
from micro_rt.sync.base import Claim, Grant, SyncEngine
from micro_rt.sync.sync import Sync
from micro_rt.testing.contracts.suite import Contract, eventually

__all__ = ["OtherSync", "SyncSuite", "fresh"]

_SCRIPT = """
import asyncio, importlib, sys
from micro_rt.sync.sync import Sync
module, _, name = sys.argv[1].partition(":")
make = getattr(importlib.import_module(module), name)
async def main():
    async with Sync.over(make(sys.argv[2])) as sync:
        print("ready", flush=True)
        for line in iter(sys.stdin.readline, ""):
            exec(compile("async def step(sync):\\n " + line.strip().replace("; ", "\\n "), "step", "exec"), globals())
            print(repr(await step(sync)), flush=True)
            await asyncio.to_thread(lambda: None)
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class OtherSync:
    """How another process makes an engine that shares locks with those of ``make``."""

    factory: str
    """The class, or a function: ``"micro_rt.backends.local.sync:LocalSync"``."""
    address: str
    """Its only argument."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    """What is set in the other process besides the environment of this one."""


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

    @asynccontextmanager
    async def another_process(self, other: OtherSync) -> AsyncGenerator[Callable[[str], Any]]:
        """Starts another process, and gives a function that has it run a line of Python, in which ``sync`` is its ``Sync``."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SCRIPT, other.factory, other.address),
            env={**os.environ, **other.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        stdin, stdout = process.stdin, process.stdout

        async def run(line: str) -> str:
            stdin.write(line.encode() + b"\n")
            return (await stdout.readline()).decode().strip()

        try:
            assert (await stdout.readline()).strip() == b"ready"
            yield run
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()


def fresh(name: str = "lock") -> str:
    """Returns a name of a lock that no other test uses."""
    return f"{name} {new_id(12)}"
