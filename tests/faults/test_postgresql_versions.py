"""Tables of ``postgresql://`` and ``cockroachdb://`` that an earlier version of micro-rt has made."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncGenerator, Sequence

import pytest

import micro_rt as micro
from micro_rt.backends.postgresql import cockroach
from micro_rt.backends.postgresql import store as postgresql_store
from micro_rt.backends.postgresql.cockroach import CockroachStore
from micro_rt.backends.postgresql.engine import SCHEMA, SqlStore
from micro_rt.backends.postgresql.pool import Pool
from micro_rt.backends.postgresql.store import PostgreSQLStore
from micro_rt.backends.postgresql.tables import version_of
from micro_rt.store.store import Store
from tests.helpers.postgresql import looking
from tests.helpers.store_versions import all_at_once, check, check_all_at_once
from tests.helpers.waiting import soon
from tests.servers.server import Server

POSTGRESQL = (
    "CREATE SCHEMA {s}",
    "CREATE SEQUENCE {s}.versions",
    """CREATE TABLE {s}.records (
      k bytea PRIMARY KEY, n bigint NOT NULL, x bigint NOT NULL, kind smallint NOT NULL, v bytea NOT NULL, m text NOT NULL,
      expires timestamptz, w text NOT NULL, changed timestamptz NOT NULL
    ) WITH (autovacuum_vacuum_scale_factor = 0.05)""",
    "CREATE UNIQUE INDEX records_changes ON {s}.records (x, n)",
    "CREATE INDEX records_expires ON {s}.records (expires) WHERE expires IS NOT NULL",
    "CREATE INDEX records_marks ON {s}.records (changed) WHERE kind <> 0",
    "CREATE TABLE {s}.epoch (epoch text NOT NULL, x bigint NOT NULL)",
    "CREATE TABLE {s}.floor (x bigint NOT NULL, n bigint NOT NULL)",
    "CREATE TABLE {s}.version (version bigint NOT NULL)",
    "INSERT INTO {s}.epoch VALUES ('first', pg_current_xact_id()::text::bigint)",
    "INSERT INTO {s}.floor VALUES (0, 0)",
    "INSERT INTO {s}.version VALUES (1)",
    """INSERT INTO {s}.records
      SELECT 'a', nextval('{s}.versions'), pg_current_xact_id()::text::bigint, 0, '1', '{{"name":"value"}}', NULL, 'one', now()""",
    "INSERT INTO {s}.records SELECT 'b', nextval('{s}.versions'), pg_current_xact_id()::text::bigint, 1, '', '{{}}', NULL, 'two', now()",
    "INSERT INTO {s}.records SELECT 'c', nextval('{s}.versions'), pg_current_xact_id()::text::bigint, 0, '3', '{{}}', NULL, 'three', now()",
)
COCKROACH = (
    "CREATE SCHEMA {s}",
    """CREATE TABLE {s}.records (
      k BYTEA PRIMARY KEY, n INT8 NOT NULL, kind INT8 NOT NULL, v BYTEA NOT NULL, m TEXT NOT NULL, expires TIMESTAMPTZ,
      w TEXT NOT NULL, changed TIMESTAMPTZ NOT NULL
    )""",
    "CREATE UNIQUE INDEX records_changes ON {s}.records (n)",
    "CREATE INDEX records_expires ON {s}.records (expires) WHERE expires IS NOT NULL",
    "CREATE INDEX records_marks ON {s}.records (changed) WHERE kind <> 0",
    "CREATE TABLE {s}.state (id INT8 PRIMARY KEY, version INT8 NOT NULL, epoch TEXT NOT NULL, top INT8 NOT NULL, low INT8 NOT NULL)",
    "INSERT INTO {s}.state VALUES (0, 1, 'first', 3, 0)",
    """INSERT INTO {s}.records VALUES ('a', 1, 0, '1', '{{"name":"value"}}', NULL, 'one', now())""",
    "INSERT INTO {s}.records VALUES ('b', 2, 1, '', '{{}}', NULL, 'two', now())",
    "INSERT INTO {s}.records VALUES ('c', 3, 0, '3', '{{}}', NULL, 'three', now())",
)


@pytest.fixture
def schema() -> str:
    return f"versions_{uuid.uuid4().hex[:12]}"


async def make_tables(address: str, schema: str, statements: Sequence[str]) -> None:
    """Makes tables of version 1."""
    async with looking(address) as own, own.transaction():
        for statement in statements:
            await own.execute(statement.format(s=schema))


@contextlib.asynccontextmanager
async def earlier(
    kind: type[SqlStore], server: Server, schema: str, user: str = "postgres"
) -> AsyncGenerator[SqlStore]:
    """Gives an engine of tables of version 1."""
    scheme, statements = ("postgresql", POSTGRESQL) if kind is PostgreSQLStore else ("cockroachdb", COCKROACH)
    await make_tables(server.address, schema, statements)
    try:
        yield kind(f"{scheme}://{user}@{server.address}/postgres?schema={schema}&pool=3")  # type: ignore[call-arg]
    finally:
        async with looking(server.address) as own:
            await own.execute(f"DROP SCHEMA {schema} CASCADE")


BOTH = pytest.mark.parametrize("kind", [PostgreSQLStore, CockroachStore])


@BOTH
async def test_tables_of_version_1_are_brought_forward(kind: type[SqlStore], postgresql: Server, schema: str) -> None:
    async with earlier(kind, postgresql, schema) as engine:
        async with Store.over(engine) as store:
            await check(store)
        async with Store.over(engine) as store:
            with pytest.raises(micro.Stale):
                await store.delete("a", fence=micro.Fence("run", 1, 4))
        async with looking(postgresql.address) as own:
            table = "version" if kind is PostgreSQLStore else "state"
            assert await own.fetchval(f"SELECT version FROM {schema}.{table}") == SCHEMA == 2


@BOTH
async def test_ten_processes_bring_tables_forward_at_once(
    kind: type[SqlStore], postgresql: Server, schema: str
) -> None:
    async with earlier(kind, postgresql, schema) as engine:
        address = f"{engine.address.scheme}://postgres@{postgresql.address}/postgres?schema={schema}&pool=2"
        await all_at_once(kind.__name__, address)
        async with Store.over(engine) as store:
            await check_all_at_once(store)


@BOTH
async def test_a_user_who_may_not_change_the_tables_learns_what_to_do(
    kind: type[SqlStore], postgresql: Server, schema: str
) -> None:
    user = f"user_{schema}"
    async with earlier(kind, postgresql, schema, user) as engine, looking(postgresql.address) as own:
        await own.execute(
            f"CREATE ROLE {user} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {user};"
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {user};"
            f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {user}"
        )
        try:
            with pytest.raises(micro.PermissionDenied, match="must be owner of table records") as denied:
                await engine.open()
            if kind is PostgreSQLStore:
                assert user in denied.value.message
                assert "open the store once as their owner" in denied.value.message
            address = f"{engine.address.scheme}://postgres@{postgresql.address}/postgres?schema={schema}"
            async with Store.over(kind(address)):  # type: ignore[call-arg]
                pass
            async with Store.over(engine) as store:
                await check(store)
        finally:
            await own.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")


async def test_tables_that_a_transaction_uses_are_brought_forward_after_it(
    postgresql: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waits for a table makes all others wait who only want to read it."""
    monkeypatch.setattr(postgresql_store, "PATIENCE", 0.2)
    async with earlier(PostgreSQLStore, postgresql, schema) as engine:
        async with looking(postgresql.address) as own, own.transaction():
            await own.fetch(f"SELECT k FROM {schema}.records")
            with pytest.raises(micro.Unavailable, match="while a transaction uses them") as refused:
                await engine.open()
            assert not refused.value.may_have_run
            async with looking(postgresql.address) as other:
                assert len(await soon(other.fetch(f"SELECT k FROM {schema}.records"))) == 3
        async with Store.over(engine) as store:
            await check(store)


@pytest.mark.parametrize("made", ["all", "tables"])
async def test_tables_that_an_earlier_version_makes_at_the_same_time_get_all_columns(
    postgresql: Server, schema: str, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    """With ``cockroachdb://``, nothing keeps two processes from making tables at once: this one finds none, and then the other's.

    The other has written their version already, or not yet.
    """
    statements = COCKROACH if made == "all" else [each for each in COCKROACH if not each.startswith("INSERT")]
    async with looking(postgresql.address) as own:
        engine = CockroachStore(f"cockroachdb://postgres@{postgresql.address}/postgres?schema={schema}")
        looked = 0

        async def late(pool: Pool, sql: str) -> int | None:
            nonlocal looked
            looked += 1
            if looked > 1:
                return await version_of(pool, sql)
            await make_tables(postgresql.address, schema, statements)
            return None

        monkeypatch.setattr(cockroach, "version_of", late)
        try:
            async with Store.over(engine) as store:
                await store.write("d", b"", fence=micro.Fence("run", 1, 5))
                await store.delete("d", fence=micro.Fence("run", 1, 5))
                if made == "all":
                    await check(store)
        finally:
            await own.execute(f"DROP SCHEMA {schema} CASCADE")


async def test_a_fence_in_a_table_that_no_store_has_written_is_reported(postgresql: Server, schema: str) -> None:
    async with earlier(PostgreSQLStore, postgresql, schema) as engine, Store.over(engine) as store:
        await store.write("a", b"", fence=micro.Fence("run", 1, 5))
        async with looking(postgresql.address) as own:
            for change in ("fence_lock = '\\xff'", "fence_epoch = NULL", "fence_token = -5, fence_lock = 'other'"):
                await own.execute(f"UPDATE {schema}.records SET {change} WHERE k = 'a'")
                with pytest.raises(micro.DataLoss, match="fence of b'a'"):
                    await store.write("a", b"", fence=micro.Fence("run", 1, 5))
                await store.write("a", b"")
                await own.execute(
                    f"UPDATE {schema}.records SET fence_lock = 'run', fence_epoch = 1, fence_token = 5 WHERE k = 'a'"
                )
