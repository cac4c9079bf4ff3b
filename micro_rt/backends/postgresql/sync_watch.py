"""What a process sees of locks, and one look at the tables for all of its claims that wait, hold or observe.

The rules that it keeps, and why:

- A seat is free for another claim when its row, token and beat, has been seen unchanged for the ttl of its holder and the margin, on
  the boot clock of this process. No clock of a server or of another machine matters, and no ttl of the one who waits.
- The time counts from when the answer was here: the row was as seen then or later, and its holder had renewed it before.
- What was seen belongs to the engine: a process that tries once a minute learns from its tries that a holder has died. Who gives up
  notes in the row when it was seen, on the boot clock of the machine: a process that ends after its try tells the next one there.
- All who wait for a lock, and all who hold one, share their looks: one statement each, for any number of them.
- A holder whose row is not there any more, or is somebody else's, is told so. Who was granted after the look began is left out of it.
- A request that was cut off may still arrive. Its claim was given up, so what it has taken is given back.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import asyncpg

from micro_rt.backends.postgresql.pool import Pool
from micro_rt.backends.postgresql.sync_statements import HOLDERS, LOCKS, SyncStatements
from micro_rt.errors import Error
from micro_rt.kit.backoff import Backoff
from micro_rt.kit.chance import spread
from micro_rt.kit.clock import loop_time
from micro_rt.kit.tasks import TaskSet, wait_for_event
from micro_rt.logs import logger, sparsely

__all__ = ["LOOK", "Lock", "Sighting", "Sightings", "Watch"]

LOOK = 0.5
"""Seconds after which those who hold look at their rows, and those who wait where they hear of nothing."""
HEARD = 1.0
"""Seconds after which those who wait look, if notifications arrive."""
APART = 0.01
"""Seconds between two looks, however many notifications arrive."""
ANSWER = 2.0
"""Seconds that the answer to a look may take: a connection that is dead must not be in use for long."""
MOST = 20_000
"""Seats that are remembered: twice as many as one lock may have."""
_LONGEST = 86400.0
"""Seconds of the longest ttl; a row that says otherwise is not one of ours."""
_BACKOFF = (0.1, 2.0)

_log = logger("micro_rt.sync")

T = TypeVar("T")
Lock: TypeAlias = tuple[bytes, int]
"""The name of a lock, and how many seats it has."""


class Sighting(NamedTuple):
    """A seat that somebody has."""

    token: int
    beat: int
    since: float
    """When it was seen first, on the boot clock."""
    due: float
    """When it is free, unless it changes before."""
    told: bool
    """Whether the row tells the other processes of this machine when it was seen."""


class Sightings:
    """What was seen of the seats that somebody has; of the locks that were seen last, if they are too many.

    Args:
        now: the boot clock.
        machine: names the machine, and its start, whose processes all read this clock alike; empty if it is not known.
    """

    def __init__(self, now: Callable[[], float], machine: str = "") -> None:
        self.machine = machine
        self._now = now
        self._locks: OrderedDict[Lock, dict[int, Sighting]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def note(self, lock: Lock, rows: Iterable[Mapping[str, Any] | asyncpg.Record], margin: float) -> None:
        """Notes the rows of a lock, as an answer has just said.

        Args:
            lock: that they are of.
            rows: all of its rows.
            margin: seconds, beside the ttl of each, in which they must not change.
        """
        before = self._forget(lock)
        now = self._now()
        seen: dict[int, Sighting] = {}
        for row in rows:
            seat, token, beat = row["seat"], row["token"], row["beat"]
            if row["holder"] is None or not 0 <= seat < lock[1]:
                continue
            known = before.get(seat)
            if known is None or known[:2] != (token, beat):
                since, told = now, bool(self.machine) and row["seen_by"] == self.machine
                if told and row["seen_at"] is not None and 0.0 <= row["seen_at"] <= now:
                    since = row["seen_at"]
                known = Sighting(token, beat, since, since + _ttl(row["ttl"]) + margin, told)
            seen[seat] = known
        if seen:
            self._locks[lock] = seen
            self._count += len(seen)
        while self._count > MOST and len(self._locks) > 1:
            self._forget(next(iter(self._locks)))

    def free(self, lock: Lock) -> Sequence[int]:
        """Returns the seats that nobody was seen to have."""
        seen = self._locks.get(lock, {})
        return [seat for seat in range(lock[1]) if seat not in seen]

    def overdue(self, lock: Lock) -> Mapping[int, Sighting]:
        """Returns the seats whose holders have died, as far as can be told."""
        now = self._now()
        return {seat: seen for seat, seen in self._locks.get(lock, {}).items() if seen.due <= now}

    def available(self, lock: Lock) -> bool:
        """Whether a claim of a lock may be granted."""
        seen = self._locks.get(lock, {})
        return len(seen) < lock[1] or bool(self.overdue(lock))

    def holder(self, lock: Lock) -> int:
        """Returns the token of whoever has a lock with one seat; 0 if nobody has, or the holder has died."""
        seen = self._locks.get(lock, {}).get(0)
        return seen.token if seen is not None and seen.due > self._now() else 0

    def untold(self, lock: Lock) -> tuple[int, Sighting] | None:
        """Returns the seat that was seen unchanged for the longest time, if its row does not say so."""
        seen = self._locks.get(lock)
        if not seen or not self.machine:
            return None
        seat, first = min(seen.items(), key=lambda each: each[1].due)
        return None if first.told else (seat, first)

    def told(self, lock: Lock, seat: int, told: Sighting) -> None:
        """Notes that the row of a seat says when it was seen."""
        seen = self._locks.get(lock, {})
        if seen.get(seat) == told:
            seen[seat] = told._replace(told=True)

    def wait(self, lock: Lock) -> float:
        """Returns the seconds until the next seat of a lock is overdue; infinite if none will be."""
        now = self._now()
        return min((seen.due - now for seen in self._locks.get(lock, {}).values() if seen.due > now), default=math.inf)

    def _forget(self, lock: Lock) -> dict[int, Sighting]:
        seen = self._locks.pop(lock, {})
        self._count -= len(seen)
        return seen


class _Wait(NamedTuple):
    lock: Lock
    ready: Callable[[], bool]
    woken: asyncio.Future[None]


class Watch:
    """Looks at the tables for all who wait, hold or observe.

    Args:
        pool: the connections.
        sightings: where it notes what it sees.
        margin: returns the seconds beside a ttl in which a row must not change.
        hears: returns whether notifications arrive.
        freed: called when it has given back a seat.
    """

    def __init__(
        self,
        pool: Pool,
        sightings: Sightings,
        margin: Callable[[], float],
        hears: Callable[[], bool],
        freed: Callable[[], None],
    ) -> None:
        self.rings = 0
        """How often something may have changed."""
        self._pool = pool
        self._sightings = sightings
        self._margin = margin
        self._hears = hears
        self._freed = freed
        self._tasks: TaskSet[None] = TaskSet()
        self._poked = asyncio.Event()
        self._waits: set[_Wait] = set()
        self._holds: dict[str, tuple[int, asyncio.Future[None]]] = {}
        self._strays: dict[str, float] = {}
        self._next_locks = self._next_holders = 0.0
        self._until = math.inf
        """When it looks again, if nobody wakes it."""

    def start(self, sql: SyncStatements) -> None:
        """Begins to look."""
        self._poked = asyncio.Event()
        self._next_locks = self._next_holders = 0.0
        self._tasks.start(self._run(sql), name="sync watch")

    async def stop(self) -> None:
        """Ends looking; who waits is woken."""
        await self._tasks.end()
        self._strays.clear()
        for wait in list(self._waits):
            _wake(wait.woken)

    def ring(self) -> None:
        """Has those who wait look now."""
        self.rings += 1
        if self._waits:
            self._next_locks = 0.0
            self._poked.set()

    async def changed(self, lock: Lock, ready: Callable[[], bool], seconds: float, rings: int) -> None:
        """Waits until a look at a lock makes a condition true.

        Args:
            lock: to look at.
            ready: the condition.
            seconds: to wait at most.
            rings: how often it had rung when the lock was looked at last.
        """
        wait = _Wait(lock, ready, asyncio.get_running_loop().create_future())
        if rings != self.rings:
            self._next_locks = 0.0
        elif not self._waits:
            self._next_locks = loop_time() + self._pause()
        self._waits.add(wait)
        self._poked.set()
        try:
            await asyncio.wait((wait.woken,), timeout=seconds)
        finally:
            self._waits.discard(wait)

    async def lost(self, id: str, token: int) -> None:
        """Waits until a claim does not have its seat any more."""
        gone = asyncio.get_running_loop().create_future()
        now = loop_time()
        if not self._holds and self._next_holders < now:
            self._next_holders = now + spread(LOOK, 0.2)
        if self._until > self._next_holders:
            self._poked.set()
        self._holds[id] = (token, gone)
        try:
            await gone
        finally:
            self._holds.pop(id, None)

    def stray(self, id: str, seconds: float) -> None:
        """Gives back, for that many seconds, what a claim takes that was given up."""
        self._strays[id] = loop_time() + seconds
        self._next_holders = 0.0
        self._poked.set()

    def _pause(self) -> float:
        return spread(HEARD if self._hears() else LOOK, 0.2)

    async def _run(self, sql: SyncStatements) -> None:
        backoff = Backoff(*_BACKOFF)
        while True:
            self._poked.clear()
            try:
                await self._look(sql)
            except Error as error:
                _log.debug("looking at the locks failed: %s", error, extra=sparsely("sync watch"))
                await asyncio.sleep(backoff.failed())
            else:
                backoff.succeeded()
                await asyncio.sleep(APART)
            await self._sleep()

    async def _sleep(self) -> None:
        now, seconds = loop_time(), math.inf
        if self._waits:
            seconds = min(self._next_locks - now, *(self._sightings.wait(wait.lock) for wait in self._waits))
        if self._holds or self._strays:
            seconds = min(seconds, self._next_holders - now)
        self._until = now + seconds
        if seconds == math.inf:
            await self._poked.wait()
        else:
            await wait_for_event(self._poked, seconds)

    async def _look(self, sql: SyncStatements) -> None:
        if self._waits and loop_time() >= self._next_locks:
            self._next_locks = loop_time() + self._pause()
            await self._look_at_locks(sql, list({wait.lock: None for wait in self._waits}))
        for wait in list(self._waits):
            if wait.ready():
                _wake(wait.woken)
        if (self._holds or self._strays) and loop_time() >= self._next_holders:
            self._next_holders = loop_time() + spread(LOOK, 0.2)
            await self._look_at_holders(sql)

    async def _look_at_locks(self, sql: SyncStatements, locks: Sequence[Lock]) -> None:
        for some in _chunks(locks, LOCKS[-1]):
            padded = _padded(some, LOCKS)
            rows = await self._rows(sql.look[len(padded)], *(part for lock in padded for part in lock))
            found: dict[Lock, list[asyncpg.Record]] = {lock: [] for lock in some}
            for row in rows:
                found[bytes(row["name"]), row["seats"]].append(row)
            for lock, its in found.items():
                self._sightings.note(lock, its, self._margin())

    async def _look_at_holders(self, sql: SyncStatements) -> None:
        now = loop_time()
        self._strays = {id: until for id, until in self._strays.items() if until > now}
        holds = dict(self._holds)
        found: dict[str, int] = {}
        for some in _chunks([*holds, *self._strays], HOLDERS[-1]):
            padded = _padded(some, HOLDERS)
            found.update({row["holder"]: row["token"] for row in await self._rows(sql.holders[len(padded)], *padded)})
        for id, (token, gone) in holds.items():
            if found.get(id) != token:
                _wake(gone)
        for id in [id for id in self._strays if id in found]:
            await self._rows(sql.release, id)
            self._freed()

    async def _rows(self, sql: str, *args: object) -> list[asyncpg.Record]:
        return await self._pool.rows(sql, *args, repeat=True, timeout=min(ANSWER, self._pool.address.timeout))


def _ttl(seconds: float) -> float:
    """Returns the ttl of a row, whatever somebody has written there."""
    return seconds if 0.0 <= seconds <= _LONGEST else _LONGEST


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _chunks(items: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _padded(items: Sequence[T], sizes: Sequence[int]) -> Sequence[T]:
    """Returns items, the last one repeated, so that there is a statement for their number."""
    size = next(size for size in sizes if size >= len(items))
    return [*items, *[items[-1]] * (size - len(items))]
