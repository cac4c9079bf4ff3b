"""What the locks on PostgreSQL and CockroachDB have in common: an engine, and its claims.

- No lock depends on a connection or a session: a pool may be recycled, a pooler may be in between, and a server may be started again.
- A claim takes a seat in one statement, which is its own transaction: the row is free, or is as it was when it was seen to be overdue.
  ``sync_statements`` has the statements, ``sync_watch`` says when a row is overdue.
- A statement that was cut off may have been done, or may still be. The row has the id of the claim, so what has become of it is
  looked up.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import asyncpg

from micro_rt.backends.postgresql.address import PostgreSQLAddress
from micro_rt.backends.postgresql.pool import NO_LIMIT, Connection, Pool
from micro_rt.backends.postgresql.sync_statements import SyncStatements
from micro_rt.backends.postgresql.sync_sweeper import SyncSweeper
from micro_rt.backends.postgresql.sync_watch import LOOK, Lock, Sightings, Watch
from micro_rt.errors import Error, FailedPrecondition
from micro_rt.kit.chance import pick
from micro_rt.kit.clock import Clock, boot_clock, monotonic
from micro_rt.kit.tasks import TaskSet
from micro_rt.sync.base import MAX_VALUE, Capabilities, Claim, Grant, Holder, Observed, SyncEngine

__all__ = ["SqlSync"]

TRIES = 5
"""How often a claim asks for another seat because somebody was faster, until it waits."""
NOBODY = (-1, -1)
"""The token and the beat of no row."""


class SqlSync(SyncEngine):
    """Keeps locks in the tables of a database.

    Args:
        address: of the database.
        sql: the statements.
        clock: what rows are watched with; the boot clock if not given.
    """

    min_ttl = 10.0
    """Seconds, of the shortest ttl: a request may take long on a server that is busy or is being exchanged."""
    margin = 1.0
    """Seconds by which clocks may run apart."""

    def __init__(self, address: PostgreSQLAddress, sql: SyncStatements, clock: Clock | None) -> None:
        self.address = address
        self.timeout = address.timeout
        self.sql = sql
        self.pool = Pool(address, part="sync")
        self.tasks: TaskSet[None] = TaskSet()
        used = clock or boot_clock()
        # The time of day does not matter: where the system has no boot clock, a clock that stands still in suspend is the better one.
        now = monotonic if used.jumps else used.now
        machine = "" if used.jumps else used.epoch
        self.sightings = Sightings(now, machine)
        self.watch = Watch(self.pool, self.sightings, lambda: self.margin, self.hears, self.freed)
        self.sweeper = SyncSweeper(self.pool, Sightings(now, machine), lambda: self.margin, self.name)
        self._opened = False

    @property
    def capabilities(self) -> Capabilities:
        """Locks of 10 s and more, granted in no order."""
        return Capabilities(min_ttl=self.min_ttl, margin=self.margin, fair=False, shared=True, durable=True)

    @property
    def name(self) -> str:
        """What it is, and where."""
        return f"sync {self.address.place}"

    @property
    def problem(self) -> str:
        """Why the last statement was not answered; empty if it was."""
        return self.pool.problem

    async def open(self) -> None:
        """Connects, and makes missing tables."""
        await self.pool.open()
        try:
            await self.migrate()
        except BaseException:
            await self.pool.close()
            raise
        self.watch.start(self.sql)
        self.sweeper.start(self.sql)
        self._opened = True

    async def close(self) -> None:
        """Disconnects."""
        self._opened = False
        await self.watch.stop()
        await self.sweeper.stop()
        await self.tasks.end()
        await self.pool.close()

    def claim(self, name: str, *, seats: int, ttl: float, value: bytes, id: str) -> Claim:
        """Makes a claim."""
        self.check_open()
        return _SqlClaim(self, (name.encode(), seats), ttl, value, id)

    async def observe(self, name: str) -> Observed:
        """Returns who has a lock, unless its row has not changed for long."""
        self.check_open()
        lock, rings = (name.encode(), 1), self.watch.rings
        rows = await self.pool.rows(self.sql.observe, lock[0], repeat=True, timeout=NO_LIMIT)
        self.sightings.note(lock, rows, self.margin)
        token = self.sightings.holder(lock)
        if not token:
            return Observed(None, (0, rings))
        return Observed(Holder(bytes(rows[0]["value"])[:MAX_VALUE], rows[0]["epoch"], token), (token, rings))

    async def changed(self, name: str, position: Any, seconds: float) -> None:
        """Waits until a lock has another holder, or none, or its holder has died."""
        self.check_open()
        self.listen()
        lock, (token, rings) = (name.encode(), 1), position
        await self.watch.changed(lock, lambda: self.sightings.holder(lock) != token, seconds, rings)

    async def checked_epoch(self) -> None:
        """Begins a new history if the tables are of another one.

        Raises:
            FailedPrecondition: the row that says which is gone.
        """
        if not await self.pool.rows(self.sql.epoch, repeat=True, timeout=NO_LIMIT):
            await self.begin_history()
            if not await self.pool.rows(self.sql.epoch, repeat=True, timeout=NO_LIMIT):
                raise FailedPrecondition(f"{self.name}: the row of the table sync_state is gone: open it again")

    def check_open(self) -> None:
        """Returns if it is open.

        Raises:
            FailedPrecondition: it is not.
        """
        if not self._opened:
            raise FailedPrecondition(f"{self.name} is not open", may_have_run=False)

    @abstractmethod
    async def migrate(self) -> None:
        """Makes missing tables, and brings tables of an earlier version to the present one."""

    async def begin_history(self) -> None:
        """Begins a new history if the tables are of another one."""

    def hears(self) -> bool:
        """Whether notifications arrive."""
        return False

    def listen(self) -> None:
        """Begins to listen to notifications, if there are any."""

    def freed(self) -> None:
        """Says that this process has released a seat."""
        self.watch.ring()


class _SqlClaim(Claim):
    """A claim.

    Args:
        engine: open.
        lock: that it is for.
        ttl: seconds.
        value: what observers see.
        id: of the claim.
    """

    def __init__(self, engine: SqlSync, lock: Lock, ttl: float, value: bytes, id: str) -> None:
        self._engine = engine
        self._lock = lock
        self._ttl = ttl
        self._value = value
        self._id = id
        self._grant: Grant | None = None
        self._gone = ""
        """Why it has its seat no more."""
        self._given_up = False
        self._released = False
        self._unsure = False
        """Whether a request was cut off, and nobody has looked since at what became of it."""
        self._stray = False
        """Whether one was cut off that may still arrive."""
        self._rings = 0

    async def acquire(self) -> Grant | None:
        self._engine.check_open()
        self._rings = self._engine.watch.rings
        if self._gone or self._given_up:
            return None
        if self._grant is not None or self._unsure:
            await self._find()
            if self._gone or self._grant is not None:
                return None if self._gone else self._grant
        # Of one seat, what was seen last will do. Of several, a look tells which are free.
        looked = False
        for _ in range(TRIES):
            if looked or self._lock[1] == 1:
                if self._engine.sightings.available(self._lock):
                    await self._take()
                elif looked:
                    break
            if self._grant is None:
                await self._look()
                looked = True
            if self._grant is not None:
                break
        return self._grant

    async def changed(self, seconds: float) -> None:
        self._engine.check_open()
        if self._grant is None and not self._gone and not self._given_up:
            self._engine.listen()
            sightings = self._engine.sightings
            await self._engine.watch.changed(self._lock, lambda: sightings.available(self._lock), seconds, self._rings)

    async def renew(self) -> bool:
        self._engine.check_open()
        if self._unsure and not self._given_up:
            await self._find()
        if self._gone or self._given_up:
            return False
        if self._grant is not None and not await self._rows(
            self._engine.sql.renew, self._id, self._grant.token, repeat=True
        ):
            self._gone = "its row was deleted, or belongs to another claim"
        return not self._gone

    async def lost(self) -> str:
        while not self._gone:
            if self._grant is None:
                await asyncio.sleep(LOOK)
            else:
                await self._engine.watch.lost(self._id, self._grant.token)
                self._gone = self._gone or "its row was deleted, or belongs to another claim"
        return self._gone

    async def release(self) -> bool:
        self._given_up = True
        if self._released:
            return False
        self._engine.check_open()
        if self._grant is None and not self._stray:
            await self._tell()
            self._released = True
            return False
        try:
            held = bool(await self._rows(self._engine.sql.release, self._id))
        finally:
            if self._stray:
                self._engine.watch.stray(self._id, self._ttl)
        self._released = True
        if held:
            self._engine.freed()
        return held and not self._gone

    async def _tell(self) -> None:
        """Tells other processes of this machine since when the lock was seen as it is: this one may end."""
        sightings = self._engine.sightings
        untold = sightings.untold(self._lock)
        if untold is not None:
            seat, seen = untold
            args = (*self._lock, seat, seen.token, seen.beat, sightings.machine, seen.since)
            with contextlib.suppress(Error):
                await self._rows(self._engine.sql.remember, *args, repeat=True)
                sightings.told(self._lock, seat, seen)

    async def _take(self) -> None:
        """Asks for a seat that is free or overdue."""
        engine, (name, seats) = self._engine, self._lock
        overdue = engine.sightings.overdue(self._lock)
        free = engine.sightings.free(self._lock)
        seat = pick(free) if free else pick(list(overdue)) if overdue else 0
        token, beat = overdue[seat][:2] if seat in overdue else NOBODY
        args = (name, seats, seat, self._id, self._value, self._ttl, token, beat)

        async def take(connection: Connection) -> Sequence[asyncpg.Record]:
            try:
                return await connection.fetch(engine.sql.take, *args)
            except (
                asyncpg.UniqueViolationError
            ):  # An earlier request of this claim has arrived meanwhile, and has a seat.
                return ()

        unsure, self._unsure = self._unsure, True
        stray, self._stray = self._stray, True
        try:
            rows = await engine.pool.run(take, timeout=NO_LIMIT)
        except Error as error:
            if not error.may_have_run:
                self._unsure, self._stray = unsure, stray
            raise
        self._unsure, self._stray = False, stray
        if rows:
            self._grant = Grant(rows[0]["epoch"], rows[0]["token"])

    async def _look(self) -> None:
        """Looks at who has the lock, which may be this claim."""
        engine, (name, seats) = self._engine, self._lock
        self._rings = engine.watch.rings
        rows = await self._rows(engine.sql.look[1], name, seats, repeat=True)
        engine.sightings.note(self._lock, rows, engine.margin)
        if any(row["holder"] == self._id for row in rows):
            await self._find()
        elif engine.sightings.free(self._lock):
            await engine.checked_epoch()

    async def _find(self) -> None:
        """Looks up what this claim has."""
        rows = await self._rows(self._engine.sql.find, self._id, repeat=True)
        self._unsure = False
        found = Grant(rows[0]["epoch"], rows[0]["token"]) if rows else None
        if self._grant is None:
            self._grant = found
        elif found != self._grant:
            self._gone = "its row was deleted, or belongs to another claim"

    async def _rows(self, sql: str, *args: object, repeat: bool = False) -> list[asyncpg.Record]:
        return await self._engine.pool.rows(sql, *args, repeat=repeat, timeout=NO_LIMIT)
