"""Locks, leaders and semaphores, as users see them.

- A claim is made, waits and is granted here, whatever the engine. What was granted is kept in held.py, and its block in guard.py.
- What fails or is cancelled while it waits leaves nothing behind: its claim is given up, behind the caller if need be.
- After it has waited, a claim is renewed once more before it counts: its time may have passed meanwhile.
- A deadline of the call or event that the task handles bounds the waiting too.
"""

from __future__ import annotations

import asyncio
import math
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from micro_rt.errors import DeadlineExceeded, Error, Unavailable
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.bounds import bounded, deadline_in
from micro_rt.kit.clock import boot_clock, loop_time, monotonic
from micro_rt.kit.ids import new_id
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger
from micro_rt.sync.base import MAX_VALUE, TIMEOUT, TTL, Capabilities, Claim, Grant, Holder, LockTimeout, SyncEngine
from micro_rt.sync.checks import checked_name, checked_seats, checked_timeout, checked_ttl, checked_value
from micro_rt.sync.guard import Guard
from micro_rt.sync.held import LEADER, Lease, Lock, Permit, Term
from micro_rt.sync.lag import LagWatch
from micro_rt.sync.queues import Queues, Turn
from micro_rt.text import printable

__all__ = ["Leader", "Sync"]

T = TypeVar("T")

_BACKOFF = (0.05, 1.0)
"""Seconds until an engine that cannot be reached is asked again: at first, and at most."""
_VAIN = (0.001, 0.1)
"""Seconds until a claim that was woken and not granted waits again: at first, and at most."""
_LOOKS = 10
"""After so many wake-ups for nothing, it is renewed, which tells whether it lives."""
_OBSERVE = 5.0
"""Seconds after which an observer looks also if the engine has not told it to."""

_log = logger("micro_rt.sync")


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads."""

    value: bytes
    """What the leader has said of itself, such as its address."""
    term: int
    """The number of its term."""
    epoch: int
    """Grows when the engine has lost its data, and terms start again."""


class Sync:
    """Locks that report their loss, leaders and semaphores.

        async with service.sync.lock("invoice-run", ttl=15, timeout=30) as lock:
            ...

    Args:
        opened: returns the engine, and opens it first if it is not open yet.
        who: what operators see as the holder of a lock, before the process and the host.
        ready: returns the engine if it is open, else None.
    """

    def __init__(
        self,
        opened: Callable[[], Awaitable[SyncEngine]],
        who: str = "",
        *,
        ready: Callable[[], SyncEngine | None] = lambda: None,
    ) -> None:
        self._opened = opened
        self._ready = ready
        place = f"process {os.getpid()} on {socket.gethostname()}"
        self._who = (f"{who}, {place}" if who else place).encode(errors="replace")[:MAX_VALUE]
        self._queues = Queues()
        self._tasks: TaskSet[Any] = TaskSet()
        self._leases: OrderedSet[Lease] = OrderedSet()
        self._lag = LagWatch()
        clock = boot_clock()
        self._now = monotonic if clock.jumps else clock.now

    @classmethod
    @asynccontextmanager
    async def over(cls, engine: SyncEngine) -> AsyncGenerator[Sync]:
        """Opens an engine, gives its locks, and closes the engine afterwards; for programs without a service.

        Args:
            engine: unopened.
        """

        async def opened() -> SyncEngine:
            return engine

        await engine.open()
        try:
            sync = cls(opened, ready=lambda: engine)
            try:
                yield sync
            finally:
                await sync.close()
        finally:
            await engine.close()

    async def close(self, seconds: float = 1.0) -> None:
        """Ends what is still held, and waits until it is released, for that many seconds at most."""
        for lease in list(self._leases):
            lease.lose("its service or its Sync was closed")
        await self._tasks.wait(seconds)
        await self._tasks.end(seconds)

    async def capabilities(self) -> Capabilities:
        """Returns what the engine can do where engines differ."""
        return (await self._open(loop_time() + TIMEOUT)).capabilities

    def lock(self, name: str, *, ttl: float = TTL, timeout: float | None = None) -> AbstractAsyncContextManager[Lock]:
        """Waits for a lock, holds it for a block, and releases it: ``async with service.sync.lock("invoice-run") as lock: …``.

        The block is cancelled, and ends with ``LockLost``, if the lock is lost. Code that does not await calls ``lock.check()``.

        Args:
            name: of the lock: at most 256 bytes of UTF-8.
            ttl: seconds after which the lock is free if this process dies; it is renewed until then.
            timeout: seconds to wait; 0 to try once; None for as long as it takes.

        Raises:
            LockTimeout: it was not to be had in time.
            LockLost: it was lost in the block.
            Unavailable: the engine cannot be reached.
            InvalidArgument: the name or the ttl cannot be.
        """
        checked_name(name)
        seconds = checked_timeout(timeout)
        what = f"lock {name!r}"
        return Guard(
            lambda: self._acquire(name, what, 1, ttl, seconds, self._who), lambda lease: Lock(name, lease), TIMEOUT
        )

    async def try_lock(self, name: str, *, ttl: float = TTL) -> Lock | None:
        """Returns a lock without waiting for it, or None if somebody else holds it.

        No block guards it: read ``lock.token`` or call ``lock.check()`` before each step, and ``await lock.release()`` at the end.

        Args:
            name: of the lock.
            ttl: seconds after which the lock is free if this process dies.

        Raises:
            Unavailable: the engine cannot be reached.
            DeadlineExceeded: the engine has not answered.
        """
        checked_name(name)
        try:
            return Lock(name, await self._acquire(name, f"lock {name!r}", 1, ttl, 0.0, self._who))
        except LockTimeout:
            return None

    def leader(
        self, name: str, *, ttl: float = TTL, timeout: float | None = None, value: bytes = b""
    ) -> AbstractAsyncContextManager[Term]:
        """Waits until this process leads, and leads for a block: ``async with service.sync.leader("scheduler") as term: …``.

        The block is cancelled, and ends with ``LockLost``, if the term ends against its will. A leader has a name of its own:
        a lock of the same name is another thing.

        Args:
            name: of what is led.
            ttl: seconds after which another process leads if this one dies.
            timeout: seconds to wait; 0 to try once; None for as long as it takes.
            value: what observers see, such as an address; at most 4,096 bytes.

        Raises:
            LockTimeout: it did not lead in time.
            LockLost: the term ended in the block.
            Unavailable: the engine cannot be reached.
        """
        checked_name(name)
        seconds, said = checked_timeout(timeout), checked_value(value)
        what = f"leadership of {name!r}"
        return Guard(
            lambda: self._acquire(_led(name), what, 1, ttl, seconds, said), lambda lease: Term(name, lease), TIMEOUT
        )

    def semaphore(
        self, name: str, limit: int, *, ttl: float = TTL, timeout: float | None = None
    ) -> AbstractAsyncContextManager[Permit]:
        """Waits for one of several permits, and has it for a block: ``async with service.sync.semaphore("uploads", 3): …``.

        All who use the name pass the same limit: permits of another limit are other permits.

        Args:
            name: of the semaphore.
            limit: how many permits there are.
            ttl: seconds after which the permit is free if this process dies.
            timeout: seconds to wait; 0 to try once; None for as long as it takes.

        Raises:
            LockTimeout: none was to be had in time.
            LockLost: the permit was lost in the block.
            Unavailable: the engine cannot be reached.
        """
        checked_name(name)
        seats, seconds = checked_seats(limit), checked_timeout(timeout)
        what = f"permit of {name!r}"
        return Guard(
            lambda: self._acquire(f"{seats} of {name}", what, seats, ttl, seconds, self._who),
            lambda lease: Permit(name, lease),
            TIMEOUT,
        )

    async def observe(self, name: str) -> AsyncGenerator[Leader | None]:
        """Yields who leads now, then each change; None while nobody does. What changes twice meanwhile is seen once.

        A server that cannot be reached does not end it.

        Args:
            name: of what is led.
        """
        led = _led(checked_name(name))
        backoff = Backoff(*_BACKOFF)
        first, seen = True, None
        while True:
            try:
                engine = await self._open(loop_time() + TIMEOUT)
                observed = await bounded(engine.name, engine.observe(led), loop_time() + engine.timeout)
            except (Unavailable, DeadlineExceeded) as error:
                if backoff.failures == 0:
                    _log.warning("observing the leader of %r: %s", name, printable(error.message))
                await asyncio.sleep(backoff.failed())
                continue
            backoff.succeeded()
            if first or observed.holder != seen:
                first, seen = False, observed.holder
                yield _leader(seen)
            try:
                await bounded(engine.name, engine.changed(led, observed.position, _OBSERVE), loop_time() + 2 * _OBSERVE)
            except (Unavailable, DeadlineExceeded):
                await asyncio.sleep(backoff.failed())

    async def _open(self, deadline: float) -> SyncEngine:
        if (engine := self._ready()) is not None:
            return engine
        return await _persistently("the sync engine", self._opened, deadline)

    async def _acquire(
        self, name: str, what: str, seats: int, ttl: float, timeout: float | None, value: bytes
    ) -> Lease:
        begun = loop_time()
        patient = math.inf if timeout is None else timeout
        deadline = deadline_in(None, patient, begun)
        engine = await self._open(max(deadline, begun + TIMEOUT) if timeout == 0 else min(deadline, begun + TIMEOUT))
        ttl = checked_ttl(ttl, engine)
        turn = Turn(self._queues, None, None) if engine.capabilities.fair else self._queues.join((name, seats), seats)
        try:
            if not turn.come:
                try:
                    async with asyncio.timeout_at(deadline if math.isfinite(deadline) else None):
                        await turn.wait()
                except TimeoutError:
                    raise self._late(what, timeout) from None
            while True:
                claim = engine.claim(name, seats=seats, ttl=ttl, value=value, id=new_id())
                try:
                    lease = await self._contend(engine, claim, what, ttl, deadline, timeout, turn)
                except LockTimeout:
                    raise
                except DeadlineExceeded as error:
                    if timeout == 0 or loop_time() < deadline:
                        raise
                    raise self._late(what, timeout, error.message) from error
                if lease is not None:
                    return lease
        except BaseException:
            turn.leave()
            raise

    async def _contend(
        self,
        engine: SyncEngine,
        claim: Claim,
        what: str,
        ttl: float,
        deadline: float,
        timeout: float | None,
        turn: Turn,
    ) -> Lease | None:
        """Waits until a claim is granted; None if it has died meanwhile."""
        margin = ttl / 10 + engine.capabilities.margin
        try:
            granted = await self._granted(engine, claim, what, ttl, deadline, timeout)
            if granted is not None and granted[1] + ttl - margin > self._now():
                grant, sent = granted
                return self._leased(what, claim, grant, sent, ttl, margin, turn)
        except BaseException:
            self._tasks.start(self._give_up(claim, what, ttl), name=f"micro-rt gives up {what}")
            raise
        self._tasks.start(self._give_up(claim, what, ttl), name=f"micro-rt gives up {what}")
        return None

    def _leased(
        self, what: str, claim: Claim, grant: Grant, sent: float, ttl: float, margin: float, turn: Turn
    ) -> Lease:
        """Returns what keeps a claim that was granted."""

        def ended() -> None:
            self._leases.discard(lease)
            self._lag.leave(what)
            turn.leave()

        self._lag.enter(what, ttl / 6)
        lease = Lease(
            what, claim, grant, ttl=ttl, margin=margin, sent=sent, now=self._now, tasks=self._tasks, ended=ended
        )
        self._leases.add(lease)
        return lease

    async def _granted(
        self, engine: SyncEngine, claim: Claim, what: str, ttl: float, deadline: float, timeout: float | None
    ) -> tuple[Grant, float] | None:
        """Returns a grant, and when the request was sent from which it counts; None if the claim has died."""
        asked = self._now()
        until = max(deadline, loop_time() + engine.timeout) if timeout == 0 else deadline
        grant, tries = await self._ask(engine, claim.acquire, until)
        if grant is not None and tries == 1:
            return grant, asked
        renewed = asked
        vain = Backoff(*_VAIN)
        while True:
            if grant is None:
                if timeout == 0 or loop_time() >= deadline:
                    raise self._late(what, timeout)
                beat = max(0.0, renewed + ttl / 3 - self._now())
                wait = min(beat, deadline - loop_time())
                began = loop_time()
                await self._wait(engine, claim, wait, until)
                if timeout != 0 and loop_time() >= deadline:
                    raise self._late(what, timeout)
                if self._now() < renewed + ttl / 3:
                    grant, _ = await self._ask(engine, claim.acquire, until)
                    if grant is None and loop_time() - began > _VAIN[1]:
                        vain.succeeded()
                        continue
                    if grant is None:  # It was woken for nothing, again and again perhaps: its claim may be gone.
                        await asyncio.sleep(vain.failed())
                        if vain.failures % _LOOKS:
                            continue
            # Its time may have passed while it waited, or nobody knows which of several requests was granted.
            renewed = self._now()
            alive, _ = await self._ask(engine, claim.renew, until)
            if not alive:
                return None
            if grant is not None:
                return grant, renewed
            grant, _ = await self._ask(engine, claim.acquire, until)

    async def _ask(self, engine: SyncEngine, request: Callable[[], Awaitable[T]], until: float) -> tuple[T, int]:
        """Asks the engine until it answers, for as long as it may not answer; returns the answer and how often it was asked."""
        tries = 0

        async def once() -> T:
            nonlocal tries
            tries += 1
            return await request()

        return await _persistently(engine.name, once, min(until, loop_time() + engine.timeout)), tries

    async def _wait(self, engine: SyncEngine, claim: Claim, seconds: float, until: float) -> None:
        try:
            await bounded(engine.name, claim.changed(seconds), loop_time() + seconds + engine.timeout)
        except (Unavailable, DeadlineExceeded):
            await asyncio.sleep(min(_BACKOFF[1], seconds))

    async def _give_up(self, claim: Claim, what: str, ttl: float) -> None:
        """Has the engine forget a claim that nobody waits for any more, until its ttl has passed."""
        until = loop_time() + ttl
        try:
            await _persistently(what, claim.release, until)
        except Error as error:
            _log.info("a claim of %s was not given up, and ends with its ttl: %s", what, printable(error.message))

    def _late(self, what: str, timeout: float | None, why: str = "others hold it") -> LockTimeout:
        waited = "now" if timeout == 0 else "in time" if timeout is None else f"within {timeout:g} s"
        return LockTimeout(f"{what} was not to be had {waited}: {why}", id="micro.lock_timeout", may_have_run=False)


async def _persistently(name: str, work: Callable[[], Awaitable[T]], deadline: float) -> T:
    """Asks again until the deadline while the engine cannot be reached."""
    backoff = Backoff(*_BACKOFF)
    reason: Unavailable | None = None
    while True:
        try:
            return await bounded(name, work(), deadline)
        except Unavailable as error:
            pause = backoff.failed()
            if loop_time() + pause >= deadline:
                raise
            reason = error
        except DeadlineExceeded as late:
            if reason is None:
                raise
            raise reason from late  # It says more than that the last try took too long.
        await asyncio.sleep(pause)


def _led(name: str) -> str:
    return f"{LEADER}{name}"


def _leader(holder: Holder | None) -> Leader | None:
    return None if holder is None else Leader(holder.value, holder.token, holder.epoch)
