"""Sync ``postgresql://`` and ``cockroachdb://``: locks in a table, as rows that their holders renew.

- The epoch names the history of the database: another one begins when the tables come out of a dump or a standby takes over. It is
  checked by each statement that grants, so a server that is exchanged behind an open engine is noticed as well.
- Releases notify other processes on PostgreSQL. Whoever hears of nothing looks twice a second.
"""

from __future__ import annotations

import zlib
from functools import partial

from micro_rt.backends.postgresql.address import parse_postgresql_address
from micro_rt.backends.postgresql.notices import Listener, Notifier
from micro_rt.backends.postgresql.pool import Connection, transaction
from micro_rt.backends.postgresql.sync_engine import SqlSync
from micro_rt.backends.postgresql.sync_statements import SyncStatements
from micro_rt.backends.postgresql.tables import (
    has_timeline,
    lock_schema,
    make_again,
    make_tables,
    newer,
    version_of,
)
from micro_rt.kit.clock import Clock, wall_time_us

__all__ = ["CockroachSync", "PostgreSQLSync"]

SCHEMA = 1
"""The version of the tables."""


class PostgreSQLSync(SqlSync):
    """Keeps locks in PostgreSQL 13 or newer.

    Args:
        address: ``"postgresql://user:password@host:5432/database?option=value"``; docs/postgresql.md has the options.
        clock: what rows are watched with; the boot clock if not given.

    Raises:
        ValueError: the address is not one.
    """

    def __init__(self, address: str, *, clock: Clock | None = None) -> None:
        parsed = parse_postgresql_address(address)
        self.listener: Listener | None = None
        super().__init__(parsed, SyncStatements.postgresql(parsed.schema, timeline=False), clock)
        # A name of at most 63 bytes, for every schema.
        self.channel = f"micro_rt_sync_{zlib.crc32(parsed.schema.encode()):08x}"
        self._notifier = Notifier(self.pool, self.channel, self.tasks)
        if parsed.pgbouncer != "transaction":
            self.listener = Listener(self.pool, self.channel, self.watch.ring)

    async def close(self) -> None:
        """Disconnects."""
        self._notifier.close()
        if self.listener is not None:
            await self.listener.stop()
        await super().close()

    async def migrate(self) -> None:
        """Makes missing tables. One process does it, and the others wait for it."""
        timeline = await self.pool.run(partial(has_timeline, name=self.name, part="engine of locks"))
        self.sql = SyncStatements.postgresql(self.address.schema, timeline=timeline)
        version = await version_of(self.pool, self.sql.version)
        if version is None:
            await self.pool.run(lambda connection: transaction(connection, self._make_tables))
            version = await version_of(self.pool, self.sql.version)
        if version is None or version > SCHEMA:
            raise newer(self.name, self.address.schema, version or 0, SCHEMA)
        await self.checked_epoch()

    async def begin_history(self) -> None:
        """Begins a new history if the tables came out of a dump, or a standby has taken over."""

        async def begin(connection: Connection) -> None:
            await lock_schema(connection, self.address)
            if not await connection.fetch(self.sql.epoch):  # Else another process was faster.
                await connection.fetch(self.sql.new_epoch, wall_time_us())

        await self.pool.run(lambda connection: transaction(connection, begin))

    def hears(self) -> bool:
        """Whether notifications arrive."""
        return self.listener is not None and self.listener.hears

    def listen(self) -> None:
        """Begins to listen to notifications."""
        if self.listener is not None:
            self.listener.start()

    def freed(self) -> None:
        """Says that this process has released a seat, to the others as well."""
        super().freed()
        self._notifier.notify()

    async def _make_tables(self, connection: Connection) -> None:
        await make_tables(connection, self.address, self.name, self.sql.tables, "sync_state")
        await connection.fetch(self.sql.set_version, SCHEMA, wall_time_us())


class CockroachSync(SqlSync):
    """Keeps locks in CockroachDB.

    Args:
        address: ``"cockroachdb://user:password@host:26257/database?option=value"``; docs/postgresql.md has the options.
        clock: what rows are watched with; the boot clock if not given.

    Raises:
        ValueError: the address is not one.
    """

    def __init__(self, address: str, *, clock: Clock | None = None) -> None:
        parsed = parse_postgresql_address(address, "cockroachdb")
        super().__init__(parsed, SyncStatements.cockroach(parsed.schema), clock)

    async def migrate(self) -> None:
        """Makes missing tables. Several processes may execute every statement at once."""
        version = await version_of(self.pool, self.sql.version)
        if version is None:
            for statement in self.sql.tables:
                await self.pool.run(partial(make_again, statement))
            await self.pool.rows(self.sql.set_version, SCHEMA, wall_time_us(), repeat=True)
            version = await version_of(self.pool, self.sql.version)
        if version is None or version > SCHEMA:
            raise newer(self.name, self.address.schema, version or 0, SCHEMA)
