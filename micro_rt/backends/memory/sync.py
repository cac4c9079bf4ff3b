"""Sync ``memory:``: locks among the tasks of one event loop; for tests, and for programs of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.clock import Clock, boot_clock, wall_time_us
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared
from micro_rt.kit.tasks import wait_for_event
from micro_rt.sync.base import Capabilities, Claim, Grant, Holder, Observed, SyncEngine

__all__ = ["MemorySync"]


class MemorySync(SyncEngine):
    """Keeps locks in the memory of this process, as long as anything with this address is open.

    Args:
        address: ``"memory:"``, or ``"memory:NAME"`` for a place of its own; each event loop has its own of either.
        clock: what the ttl is measured with.
    """

    def __init__(self, address: str = "memory:", *, clock: Clock | None = None) -> None:
        name, _, query = address.removeprefix("memory:").partition("?")
        if not address.startswith("memory:") or name.startswith("//") or query or "#" in address:
            raise ValueError("the address is not memory: or memory:NAME, which take no parameters")
        self._address = address
        used = clock or boot_clock()
        self._shared = Shared(("sync", address), lambda: _Locks(used.now))
        self._locks: _Locks | None = None

    @property
    def capabilities(self) -> Capabilities:
        """Locks of 0.1 s and more, granted in order; no other process sees them."""
        return Capabilities(min_ttl=0.1, margin=0.0, fair=True, shared=False, durable=False)

    @property
    def name(self) -> str:
        """The address."""
        return f"sync {without_secrets(self._address)}"

    async def open(self) -> None:
        """Joins the others with this address in this event loop."""
        self._locks = await self._shared.acquire()

    async def close(self) -> None:
        """Leaves; the last one to leave drops the locks."""
        if self._locks is not None:
            self._locks = None
            await self._shared.release()

    def claim(self, name: str, *, seats: int, ttl: float, value: bytes, id: str) -> Claim:
        """Makes a claim."""
        return _MemoryClaim(self._opened(), name, seats, ttl, value)

    async def observe(self, name: str) -> Observed:
        """Returns who has a lock."""
        locks = self._opened()
        return Observed(locks.holder(name), locks.changes.get(name, 0))

    async def changed(self, name: str, position: Any, seconds: float) -> None:
        """Waits until the lock may have another holder."""
        locks = self._opened()
        if locks.changes.get(name, 0) == position:
            await locks.wait(name, seconds)

    def drop(self, name: str) -> None:
        """Takes a lock away from whoever has it, as an operator of a server can; for tests."""
        self._opened().drop(name)

    def _opened(self) -> _Locks:
        if self._locks is None:
            raise FailedPrecondition(f"{self.name} is not open")
        return self._locks


class _MemoryClaim(Claim):
    def __init__(self, locks: _Locks, name: str, seats: int, ttl: float, value: bytes) -> None:
        self.name = name
        self.seats = seats
        self.ttl = ttl
        self.value = value
        self.token = 0
        """Above 0 once it was granted."""
        self.until = 0.0
        self.gone = ""
        """Why the claim has ended; empty until it ends."""
        self.woken = asyncio.Event()
        """Set when it was granted, or is gone."""
        self._locks = locks
        self._queued = False

    async def acquire(self) -> Grant | None:
        if not self._queued and not self.gone:
            self._queued = True
            self._locks.enqueue(self)
        if self.gone or not self.token:
            return None
        return Grant(self._locks.epoch, self.token)

    async def changed(self, seconds: float) -> None:
        if not self.token and not self.gone:
            await wait_for_event(self.woken, seconds)

    async def renew(self) -> bool:
        self._locks.expire(self.name)
        if self.gone or not self._queued:
            return False
        self._locks.renewed(self)
        return True

    async def lost(self) -> str:
        while not self.gone:
            await self._locks.wait(self.name, 60.0)
        return self.gone

    async def release(self) -> bool:
        held = bool(self.token) and not self.gone
        self._locks.leave(self, "it was released")
        return held


class _Locks:
    """The locks of one address in one event loop."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.epoch = wall_time_us()
        self.changes: dict[str, int] = {}
        """By lock that has claims, a number that grows with each change of its holders, and that no other lock ever had."""
        self._changes = 0
        self._now = now
        self._token = 0
        self._claims: dict[str, list[_MemoryClaim]] = {}
        """By lock, in the order of their arrival; those that hold it come first."""
        self._waiters: dict[str, set[asyncio.Future[None]]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def open(self) -> None:
        """Does nothing: there is nothing to connect to."""

    async def close(self) -> None:
        """Stops waiting for claims to expire."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def holder(self, name: str) -> Holder | None:
        """Returns who has a lock."""
        self.expire(name)
        for claim in self._claims.get(name, ()):
            if claim.token:
                return Holder(claim.value, self.epoch, claim.token)
        return None

    def enqueue(self, claim: _MemoryClaim) -> None:
        """Adds a claim."""
        self.expire(claim.name)
        claim.until = self._now() + claim.ttl
        self._claims.setdefault(claim.name, []).append(claim)
        self._grant(claim.name)
        self._arm(claim.name)

    def renewed(self, claim: _MemoryClaim) -> None:
        """Has a claim last another ttl."""
        claim.until = self._now() + claim.ttl
        self._arm(claim.name)

    def leave(self, claim: _MemoryClaim, why: str) -> None:
        """Takes a claim out, and grants its seat to the next one."""
        claims = self._claims.get(claim.name, [])
        if claim in claims:
            claims.remove(claim)
            claim.gone = why
            claim.woken.set()
            if not claims:
                del self._claims[claim.name]
            if claim.token:
                self._grant(claim.name)
                self._ring(claim.name)
        claim.gone = claim.gone or why

    def drop(self, name: str) -> None:
        """Takes a lock away from its holder."""
        for claim in [claim for claim in self._claims.get(name, ()) if claim.token]:
            self.leave(claim, "it was taken away")

    def expire(self, name: str) -> None:
        """Takes out the claims whose time has passed."""
        now = self._now()
        for claim in [claim for claim in self._claims.get(name, ()) if claim.until <= now]:
            self.leave(claim, "its ttl has passed")

    async def wait(self, name: str, seconds: float) -> None:
        """Waits until the holders of a lock have changed."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(name, set()).add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=seconds)
        finally:
            waiters = self._waiters.get(name, set())
            waiters.discard(waiter)
            if not waiters:
                self._waiters.pop(name, None)

    def _grant(self, name: str) -> None:
        """Gives the seats that are free to those who came first."""
        claims = self._claims.get(name, [])
        for place, claim in enumerate(claims):
            if place >= claim.seats:
                return
            if not claim.token:
                self._token += 1
                claim.token = self._token
                claim.woken.set()
                self._ring(name)

    def _ring(self, name: str) -> None:
        self._changes += 1
        if name in self._claims:
            self.changes[name] = self._changes
        else:
            self.changes.pop(name, None)
        for waiter in list(self._waiters.get(name, ())):
            if not waiter.done():
                waiter.set_result(None)

    def _arm(self, name: str) -> None:
        """Looks again when the next claim expires, and once a minute: the boot clock goes on where the loop's stands still."""
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()
        if claims := self._claims.get(name):
            wait = max(0.0, min(claim.until for claim in claims) - self._now())
            self._timers[name] = asyncio.get_running_loop().call_later(min(wait, 60.0), self._look, name)

    def _look(self, name: str) -> None:
        self._timers.pop(name, None)
        self.expire(name)
        self._arm(name)
