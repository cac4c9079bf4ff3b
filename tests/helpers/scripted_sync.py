"""An engine of locks that answers as a test says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from micro_rt.errors import Unavailable
from micro_rt.kit.tasks import wait_for_event
from micro_rt.sync.base import Capabilities, Claim, Grant, Observed, SyncEngine

__all__ = ["ScriptedClaim", "ScriptedSync"]


class ScriptedSync(SyncEngine):
    """Grants every claim, unless the test says otherwise."""

    def __init__(self, *, margin: float = 0.0, fair: bool = False) -> None:
        self.claims: list[ScriptedClaim] = []
        self.margin = margin
        self.fair = fair
        self.free = asyncio.Event()
        """Claims are granted while it is set."""
        self.free.set()
        self.failing = 0
        """How many of the next requests to acquire fail."""
        self.dead = False
        """Whether claims are gone when they are renewed."""
        self.silent = False
        """Whether renewals are not answered."""
        self.slow_release: asyncio.Event | None = None
        """What a release waits for."""
        self.gone: asyncio.Event = asyncio.Event()
        """Set to report that what is held is lost."""
        self.late = 0.0
        """Seconds by which the next answer to ``acquire`` is late."""
        self.late_renewal = 0.0
        """Seconds by which the answer to ``renew`` is late."""
        self.restless = False
        """Whether those who wait are woken at once, for nothing."""
        self.cleanup = 0.0
        """Seconds that a renewal needs to end, also if it is cancelled."""
        self.tokens = 0

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(min_ttl=0.1, margin=self.margin, fair=self.fair, shared=False, durable=True)

    @property
    def name(self) -> str:
        return "sync scripted:"

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        pass

    def claim(self, name: str, *, seats: int, ttl: float, value: bytes, id: str) -> Claim:
        claim = ScriptedClaim(self, name)
        self.claims.append(claim)
        return claim

    async def observe(self, name: str) -> Observed:
        raise NotImplementedError

    async def changed(self, name: str, position: Any, seconds: float) -> None:
        raise NotImplementedError


class ScriptedClaim(Claim):
    def __init__(self, engine: ScriptedSync, name: str) -> None:
        self.name = name
        self.asked = 0
        self.renewed = 0
        self.released = 0
        self.freed = False
        self.grant: Grant | None = None
        self._engine = engine
        self._in = ""

    async def acquire(self) -> Grant | None:
        self.asked += 1
        with self._alone("acquire"):
            await asyncio.sleep(0)
        if self._engine.failing:
            self._engine.failing -= 1
            raise Unavailable("the answer was lost")
        if self.grant is None and self._engine.free.is_set():
            self._engine.tokens += 1
            self.grant = Grant(1, self._engine.tokens)
        late, self._engine.late = self._engine.late, 0.0
        await asyncio.sleep(late)
        return self.grant

    async def changed(self, seconds: float) -> None:
        if not self._engine.restless:
            await wait_for_event(self._engine.free, min(seconds, 0.05))

    async def renew(self) -> bool:
        self.renewed += 1
        with self._alone("renew"):
            try:
                await asyncio.sleep(self._engine.late_renewal)
                if self._engine.silent:
                    await asyncio.Event().wait()
            finally:
                await asyncio.sleep(self._engine.cleanup)
        return not self._engine.dead

    async def lost(self) -> str:
        await self._engine.gone.wait()
        return "somebody deleted it"

    async def release(self) -> bool:
        self.released += 1
        with self._alone("release"):
            await asyncio.sleep(0)
            if self._engine.slow_release is not None:
                await self._engine.slow_release.wait()
        self.freed = True
        return self.grant is not None

    @contextmanager
    def _alone(self, what: str) -> Iterator[None]:
        assert not self._in, f"{what} while {self._in} goes on"
        self._in = what
        try:
            yield
        finally:
            self._in = ""
