"""Store ``postgresql://``: records in a table of PostgreSQL 13 or newer.

- Each write is one statement that commits itself, so it holds no lock while this process waits for something.
- A statement that did not write says nothing about why. What the row is then is looked up, which tells a conflict from a write that
  was made before.
- ``statements`` says how versions and the places of changes are made, and why.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from copy import copy
from functools import partial

from micro_rt.backends.postgresql.address import parse_postgresql_address
from micro_rt.backends.postgresql.engine import SCHEMA, SqlStore, cut
from micro_rt.backends.postgresql.horizon import Horizon
from micro_rt.backends.postgresql.notices import Listener, Notifier
from micro_rt.backends.postgresql.pool import NO_LIMIT, Connection, transaction
from micro_rt.backends.postgresql.rows import fence_args, fence_of, metadata_text
from micro_rt.backends.postgresql.statements import LATEST, PostgreSQLStatements, range_of
from micro_rt.backends.postgresql.tables import (
    has_timeline,
    lock_schema,
    make_tables,
    newer,
    upgrade_tables,
    version_of,
)
from micro_rt.errors import Aborted, Error, Unavailable
from micro_rt.kit.ids import new_id
from micro_rt.store.base import KEEP, Capabilities, Changes, Cursor, VersionConflict, Write
from micro_rt.store.fences import refused

__all__ = ["PostgreSQLStore"]

MAX_VALUE = 64 << 20
TRIES = 8
"""How often a write is made again because the row has changed between the write and the look at it."""
PATIENCE = 1.0
"""Seconds to wait for a table that is to be changed."""
NOTIFIED = (0.1, 5.0)
"""Seconds after which a watch has normally seen a write, and after which it looks by itself, if notifications arrive."""
POLLED = (1.0, 0.5)
"""The same, if they do not."""


class PostgreSQLStore(SqlStore):
    """Keeps records in PostgreSQL.

    Args:
        address: ``"postgresql://user:password@host:5432/database?option=value"``; docs/postgresql.md has the options.

    Raises:
        ValueError: the address is not one.
    """

    def __init__(self, address: str) -> None:
        parsed = parse_postgresql_address(address)
        self._sql = PostgreSQLStatements.of(parsed.schema, timeline=False)
        super().__init__(parsed, self._sql.reading, ("x", "n"))
        # A name of at most 63 bytes, for every schema.
        self.channel = f"micro_rt_store_{zlib.crc32(parsed.schema.encode()):08x}"
        self._notifier = Notifier(self.pool, self.channel, self.tasks)
        self._horizon = Horizon(self.pool, self.name, self._ring, self.tasks)
        self.listener = None if parsed.pgbouncer == "transaction" else Listener(self.pool, self.channel, self._ring)

    @property
    def capabilities(self) -> Capabilities:
        """Values of 64 MiB; a watch sees a write in 0.1 s, or 1 s without notifications."""
        hears = self.listener is not None and self.listener.hears
        delay, interval = NOTIFIED if hears else POLLED
        return Capabilities(max_value=MAX_VALUE, watch_delay=delay, watch_interval=interval, shared=True, fences=True)

    @property
    def problem(self) -> str:
        """Why the last statement was not answered, or what holds back the watches; empty if all is well."""
        return super().problem or self._horizon.problem

    async def close(self) -> None:
        """Ends every watch and disconnects."""
        self._notifier.close()
        self._horizon.close()
        if self.listener is not None:
            await self.listener.stop()
        await super().close()

    async def apply(self, writes: Sequence[Write]) -> Sequence[int | Error]:
        """Makes writes and deletions: a single one in one statement, several in one transaction for each kind."""
        if len(writes) == 1:
            sql, args = self._statement(writes[0])
            rows = await self.pool.rows(sql, *args, timeout=NO_LIMIT)
            outcomes = [rows[0]["n"] if rows else await self._outcome(writes[0])]
        else:
            outcomes = await self._apply_many(writes)
        self.changed()
        return outcomes

    async def end(self) -> Cursor:
        """Returns the place in front of the oldest transaction that is open."""
        while True:
            (row,) = await self.pool.rows(self._sql.state, repeat=True, timeout=NO_LIMIT)
            if row["valid"]:
                return Cursor(row["epoch"], (row["horizon"] - 1, LATEST))
            await self._renew()

    async def changes(self, prefix: str, cursor: Cursor, *, limit: int, max_bytes: int) -> Changes | None:
        """Returns what changed since, up to the oldest transaction that is open."""
        if len(cursor.position) != 2:
            return None
        first, end = range_of(prefix)
        rows = await self.pool.rows(
            self._sql.changes, *cursor.position, first, end, limit + 1, max_bytes, repeat=True, timeout=NO_LIMIT
        )
        state = rows[0]
        if not state["valid"]:
            await self._renew()
            return None
        floor = (state["floor_x"], state["floor_n"])
        if state["epoch"] != cursor.epoch or cursor.position < floor or cursor.position[0] >= state["top"]:
            return None
        self._horizon.seen(state["horizon"], hidden=state["hidden"])
        found = [row for row in rows if row["k"] is not None]
        entries, more = cut(found, limit, self._position)
        if more:
            return Changes(entries, Cursor(cursor.epoch, entries[-1].position), more=True)
        last = max(cursor.position, (state["horizon"] - 1, LATEST))
        return Changes(entries, Cursor(cursor.epoch, last), more=False)

    async def migrate(self) -> None:
        """Makes missing tables, or brings them to the present version. One process does it, and the others wait for it."""
        timeline = await self.pool.run(partial(has_timeline, name=self.name, part="store"))
        self._sql = PostgreSQLStatements.of(self.address.schema, timeline=timeline)
        version = await version_of(self.pool, self._sql.version)
        if version is None:
            await self.pool.run(lambda connection: transaction(connection, self._make_tables))
            version = await version_of(self.pool, self._sql.version)
        if version is not None and version < SCHEMA:
            await self.pool.run(lambda connection: transaction(connection, self._upgrade_tables))
            version = await version_of(self.pool, self._sql.version)
        if version is None or version > SCHEMA:
            raise newer(self.name, self.address.schema, version or 0, SCHEMA)
        (state,) = await self.pool.rows(self._sql.state, repeat=True)
        if not state["valid"]:
            await self._renew()

    async def expire(self, most: int) -> int:
        """Turns records whose time has passed into marks."""
        return len(await self.pool.rows(self._sql.sweep, most))

    async def forget(self, seconds: float, most: int) -> int:
        """Drops old marks."""
        return int((await self.pool.rows(self._sql.forget, seconds, most))[0][0])

    def changed(self) -> None:
        """Says that this process has changed something."""
        super().changed()
        self._notifier.notify()

    def first_watch(self) -> None:
        """Begins to listen."""
        super().first_watch()
        if self.listener is not None:
            self.listener.start()

    def _ring(self) -> None:
        self.wakeups.ring()

    def _statement(self, write: Write) -> tuple[str, tuple[object, ...]]:
        sql, key = self._sql, write.key.encode()
        fence: tuple[object, ...] = () if write.fence is None else fence_args(write.fence)
        if write.value is None:
            return sql.fenced_delete if fence else sql.delete, (key, write.id, write.if_version, *fence)
        keeps = write.ttl is KEEP
        metadata = None if write.metadata is KEEP else metadata_text(write.metadata)
        args = (key, write.value, metadata, None if keeps else write.ttl, keeps, write.id)
        if write.if_version is None:
            return sql.fenced_put if fence else sql.put, (*args, *fence)
        if not write.if_version:
            return sql.fenced_create if fence else sql.create, (*args, *fence)
        return sql.fenced_replace if fence else sql.replace, (*args, write.if_version, *fence)

    async def _apply_many(self, writes: Sequence[Write]) -> list[int | Error]:
        groups: dict[str, list[tuple[Write, tuple[object, ...]]]] = {}
        # All lock rows in the same order.
        for write in sorted(writes, key=lambda write: write.key):
            sql, args = self._statement(write)
            groups.setdefault(sql, []).append((write, args))
        outcomes: dict[str, int | Error] = {}
        for sql, group in groups.items():
            try:
                rows = await self.pool.many(sql, [args for _, args in group], timeout=NO_LIMIT)
            except Error as error:
                if len(groups) == 1:
                    raise
                outcomes.update((write.key, copy(error)) for write, _ in group)
                continue
            made = {row["k"]: row["n"] for row in rows}
            for write, _ in group:
                version = made.get(write.key.encode())
                outcomes[write.key] = await self._outcome(write) if version is None else version
        return [outcomes[write.key] for write in writes]

    async def _outcome(self, write: Write) -> int | Error:
        """Returns what became of a write whose statement has changed no row."""
        sql, args = self._statement(write)
        for _ in range(TRIES):
            found = await self.pool.rows(self._sql.reading.last, write.key.encode(), repeat=True, timeout=NO_LIMIT)
            if found and found[0]["w"] == write.id:
                return int(found[0]["n"])
            if found and write.fence is not None and (stale := refused(write, fence_of(found[0]))) is not None:
                return stale
            current = int(found[0]["n"]) if found and found[0]["live"] else 0
            if write.if_version is not None and current != write.if_version:
                return VersionConflict.of_key(write.key, write.if_version, current)
            if write.if_version is None and write.value is None and not current:
                return 0
            if write.if_version is None and write.value is not None:
                break
            # The row has changed between the two statements.
            if rows := await self.pool.rows(sql, *args, timeout=NO_LIMIT):
                return int(rows[0]["n"])
        if write.if_version is None and write.value is not None:
            return Unavailable(
                f"{self.name}: record {write.key!r} was written before, and then written again", unanswered=True
            )
        return Aborted(f"{self.name}: record {write.key!r} changes too often", may_have_run=False)

    async def _make_tables(self, connection: Connection) -> None:
        if await make_tables(connection, self.address, self.name, self._sql.tables, "version"):
            await connection.fetch(self._sql.set_version, SCHEMA, new_id())

    async def _upgrade_tables(self, connection: Connection) -> None:
        await lock_schema(connection, self.address)
        if await connection.fetchval(self._sql.version) >= SCHEMA:
            return  # Another process was faster.
        await upgrade_tables(connection, self.address, self.name, self._sql.upgrade, PATIENCE)
        await connection.fetch(self._sql.raise_version, SCHEMA)

    async def _renew(self) -> None:
        """Begins a new history: the tables come out of a dump, so the numbers of transactions in them are those of another server."""

        async def renew(connection: Connection) -> None:
            await lock_schema(connection, self.address)
            if await connection.fetchval(f"SELECT valid FROM ({self._sql.state}) AS state"):  # noqa: S608 - our own statement
                return  # Another process was faster.
            begin, *others = self._sql.renew
            await connection.fetch(begin, new_id())
            for statement in others:
                await connection.fetch(statement)

        await self.pool.run(lambda connection: transaction(connection, renew))
