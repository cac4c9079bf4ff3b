"""Store ``cockroachdb://``: records in a table of CockroachDB.

- Versions come from a counter in a row that each transaction locks first. So one transaction commits after the other, and what is
  written at the same time in this process shares a transaction: one is under way, and takes with it all that came meanwhile.
- A transaction that lost against another (40001) is done again, all of it.
- There are no notifications: watches look twice a second.
- The counter, once locked, has seen every earlier transaction. So what the transaction reads then is the latest, and it decides here
  which writes conflict.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from copy import copy
from functools import partial
from typing import Any, NamedTuple

import asyncpg

from micro_rt.backends.postgresql.address import parse_postgresql_address
from micro_rt.backends.postgresql.cockroach_statements import CockroachStatements
from micro_rt.backends.postgresql.engine import SCHEMA, SqlStore, cut, padded
from micro_rt.backends.postgresql.pool import NO_LIMIT, Connection, transaction
from micro_rt.backends.postgresql.rows import fence_args, fence_of, metadata_text
from micro_rt.backends.postgresql.statements import GET_SIZES, range_of
from micro_rt.backends.postgresql.tables import make_again, newer, version_of
from micro_rt.errors import Error, FailedPrecondition, Unavailable
from micro_rt.kit.ids import new_id
from micro_rt.store.base import KEEP, Capabilities, Changes, Cursor, VersionConflict, Write
from micro_rt.store.fences import refused

__all__ = ["CockroachStore"]

MAX_VALUE = 8 << 20
"""A command of CockroachDB has 64 MiB at most, and its documentation asks for much less."""
AT_ONCE = 256
"""Writes of one transaction."""
BYTES = 8 << 20
"""Bytes of values of one transaction, or one value."""
LONGEST = 60.0
"""Seconds that a transaction may take."""
POLL = 0.5
"""Seconds after which a watch looks."""

_OLDEST = 1
"""The version that tables have when they are made, until they have all columns."""


class _Waiting(NamedTuple):
    """Writes that wait for a transaction."""

    writes: Sequence[Write]
    done: asyncio.Future[Sequence[int | Error]]


class CockroachStore(SqlStore):
    """Keeps records in CockroachDB.

    Args:
        address: ``"cockroachdb://user:password@host:26257/database?option=value"``; docs/postgresql.md has the options.

    Raises:
        ValueError: the address is not one.
    """

    def __init__(self, address: str) -> None:
        parsed = parse_postgresql_address(address, "cockroachdb")
        self._sql = CockroachStatements.of(parsed.schema)
        super().__init__(parsed, self._sql.reading, ("n",))
        self._waiting: deque[_Waiting] = deque()
        self._writing = False

    @property
    def capabilities(self) -> Capabilities:
        """Values of 8 MiB; a watch sees a write in 1 s."""
        return Capabilities(max_value=MAX_VALUE, watch_delay=1.0, watch_interval=POLL, shared=True, fences=True)

    async def close(self) -> None:
        """Ends every watch and disconnects."""
        await super().close()
        self._fail(self._waiting, FailedPrecondition(f"{self.name} is not open", may_have_run=False))
        self._waiting.clear()

    async def apply(self, writes: Sequence[Write]) -> Sequence[int | Error]:
        """Makes writes and deletions, in one transaction with all others that wait."""
        waiting = _Waiting(writes, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if not self._writing:
            self._writing = True
            self.tasks.start(self._write_all(), name="store writes")
        try:
            return await waiting.done
        finally:
            if waiting in self._waiting:
                self._waiting.remove(waiting)

    async def end(self) -> Cursor:
        """Returns the place of the last version."""
        (row,) = await self.pool.rows(self._sql.state, repeat=True, timeout=NO_LIMIT)
        return Cursor(row["epoch"], (row["top"],))

    async def changes(self, prefix: str, cursor: Cursor, *, limit: int, max_bytes: int) -> Changes | None:
        """Returns what changed since."""
        if len(cursor.position) != 1:
            return None
        first, end = range_of(prefix)
        rows = await self.pool.rows(
            self._sql.changes, *cursor.position, first, end, limit + 1, max_bytes, repeat=True, timeout=NO_LIMIT
        )
        state = rows[0]
        if state["epoch"] != cursor.epoch or not state["low"] <= cursor.position[0] <= state["top"]:
            return None
        found = [row for row in rows if row["k"] is not None]
        entries, more = cut(found, limit, self._position)
        if more:
            return Changes(entries, Cursor(cursor.epoch, entries[-1].position), more=True)
        return Changes(entries, Cursor(cursor.epoch, (state["top"],)), more=False)

    async def migrate(self) -> None:
        """Makes missing tables and columns. Several processes may execute every statement at once."""
        version = await version_of(self.pool, self._sql.version)
        if version is None:
            for statement in self._sql.tables:
                await self.pool.run(partial(make_again, statement))
            await self.pool.rows(self._sql.set_version, _OLDEST, new_id(), repeat=True)
            version = await version_of(self.pool, self._sql.version)
        if version is not None and version < SCHEMA:
            # Also after they were made: an earlier version of micro-rt may have made them at the same time.
            for statement in self._sql.upgrade:
                await self.pool.run(partial(make_again, statement))
            await self.pool.rows(self._sql.raise_version, SCHEMA, repeat=True)
            version = await version_of(self.pool, self._sql.version)
        if version is None or version > SCHEMA:
            raise newer(self.name, self.address.schema, version or 0, SCHEMA)

    async def expire(self, most: int) -> int:
        """Turns records whose time has passed into marks."""
        expired = await self.pool.rows(self._sql.expired, most, repeat=True)
        if not expired:
            return 0

        async def expire(connection: Connection) -> None:
            top = await connection.fetchval(self._sql.count, len(expired))
            first = top - len(expired) + 1
            await connection.executemany(
                self._sql.expire, [(row["k"], row["n"], first + number) for number, row in enumerate(expired)]
            )

        await self.pool.run(lambda connection: transaction(connection, expire))
        return len(expired)

    async def forget(self, seconds: float, most: int) -> int:
        """Drops old marks."""
        old = await self.pool.rows(self._sql.old, seconds, most, repeat=True)
        if not old:
            return 0

        async def forget(connection: Connection) -> None:
            await connection.fetch(self._sql.raise_floor, max(row["n"] for row in old))
            await connection.executemany(self._sql.forget, [(row["k"], row["n"]) for row in old])

        await self.pool.run(lambda connection: transaction(connection, forget))
        return len(old)

    async def _write_all(self) -> None:
        """Makes transactions until nothing waits any more."""
        try:
            while batch := self._next_batch():
                writes = [write for waiting in batch for write in waiting.writes]
                try:
                    # Some of the callers may wait longer than the address says. Each bounds its own call.
                    outcomes = await self.pool.run(
                        partial(transaction, work=partial(self._write, writes)), timeout=LONGEST
                    )
                except asyncio.CancelledError:
                    self._fail(batch, Unavailable(f"{self.name} was closed meanwhile", unanswered=True))
                    raise
                except Error as error:
                    self._fail(batch, error)
                    continue
                self.changed()
                for waiting in batch:
                    mine, outcomes = outcomes[: len(waiting.writes)], outcomes[len(waiting.writes) :]
                    if not waiting.done.done():
                        waiting.done.set_result(mine)
        finally:
            self._writing = False

    def _fail(self, batch: Iterable[_Waiting], error: Error) -> None:
        for waiting in batch:
            if not waiting.done.done():
                waiting.done.set_exception(copy(error))

    def _next_batch(self) -> list[_Waiting]:
        """Takes what is made in one transaction: not too much, and no key twice."""
        batch: list[_Waiting] = []
        keys: set[str] = set()
        count = size = 0
        while self._waiting:
            waiting = self._waiting[0]
            count += len(waiting.writes)
            size += sum(len(write.value or b"") for write in waiting.writes)
            if batch and (count > AT_ONCE or size > BYTES or any(write.key in keys for write in waiting.writes)):
                break
            keys.update(write.key for write in waiting.writes)
            batch.append(self._waiting.popleft())
        return batch

    async def _write(self, writes: Sequence[Write], connection: Connection) -> list[int | Error]:
        """Makes writes in a transaction, and returns their outcomes."""
        top = await connection.fetchval(self._sql.count, len(writes))
        if top is None:
            raise FailedPrecondition(f"{self.name}: the counter of the versions is gone; open the store again")
        version = top - len(writes)
        known = await self._look(connection, writes)
        outcomes: list[int | Error] = []
        rows: list[tuple[object, ...]] = []
        fenced: list[tuple[object, ...]] = []
        for write in writes:
            version += 1
            row = known.get(write.key)
            current = int(row["n"]) if row is not None and row["live"] else 0
            if row is not None and row["w"] == write.id:
                outcomes.append(int(row["n"]))
            elif row is not None and write.fence is not None and (stale := refused(write, fence_of(row))) is not None:
                outcomes.append(stale)
            elif write.if_version is not None and write.if_version != current:
                outcomes.append(VersionConflict.of_key(write.key, write.if_version, current))
            elif write.value is None and not current:
                outcomes.append(0)
            else:
                outcomes.append(version)
                args = self._row(write, version, row if current else None)
                if write.fence is None:
                    rows.append(args)
                else:
                    fenced.append((*args, *fence_args(write.fence)))
        if rows:
            await connection.executemany(self._sql.write, rows)
        if fenced:
            await connection.executemany(self._sql.fenced_write, fenced)
        return outcomes

    def _row(self, write: Write, version: int, row: Any) -> tuple[object, ...]:
        """Returns the arguments of the statement that writes; ``row`` is what there is now."""
        key = write.key.encode()
        if write.value is None:
            return key, version, 1, b"", "{}", None, None, write.id
        kept = row["m"] if row is not None else "{}"
        metadata = kept if write.metadata is KEEP else metadata_text(write.metadata)
        if write.ttl is KEEP:
            return key, version, 0, write.value, metadata, None, row["expires"] if row is not None else None, write.id
        return key, version, 0, write.value, metadata, write.ttl, None, write.id

    async def _look(self, connection: Connection, writes: Sequence[Write]) -> dict[str, asyncpg.Record]:
        known: dict[str, asyncpg.Record] = {}
        for start in range(0, len(writes), GET_SIZES[-1]):
            keys = padded([write.key.encode() for write in writes[start : start + GET_SIZES[-1]]])
            for row in await connection.fetch(self._sql.look[len(keys)], *keys):
                known[bytes(row["k"]).decode()] = row
        return known
