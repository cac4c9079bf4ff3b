from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest

from micro_rt.backends.postgresql.address import quoted
from micro_rt.sync.base import SyncEngine
from micro_rt.testing.contracts import OtherSync, SyncContract
from tests.helpers import sync_engines
from tests.helpers.cutting import CutOff
from tests.helpers.postgresql import looking
from tests.servers.pgbouncer import PgBouncer
from tests.servers.server import Server


async def drop_schema(address: str, schema: str) -> None:
    async with looking(address) as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


class SqlSyncContract(CutOff, SyncContract):
    scheme = "postgresql"
    options = ""
    url = ""
    server = ""
    schema = ""

    @pytest.fixture(autouse=True)
    def place(self, postgresql: Server) -> Iterator[None]:
        self.schema = f'locks "é" {uuid.uuid4().hex[:8]}'
        self.server = postgresql.address
        self.url = f"{self.scheme}://postgres@{self.server}/postgres?schema={quote(self.schema)}{self.options}"
        yield
        asyncio.run(drop_schema(postgresql.address, quoted(self.schema)))

    async def make(self) -> SyncEngine:
        return sync_engines.sql(self.url)

    def other_process(self) -> OtherSync:
        return OtherSync("tests.helpers.sync_engines:sql", self.url)

    async def drop(self, engine: SyncEngine, name: str) -> bool:
        async with looking(self.server) as connection:
            table = f"{quoted(self.schema)}.sync_seats"
            await connection.execute(f"DELETE FROM {table} WHERE name = $1::bytea", name.encode())  # noqa: S608
        return True


class TestPostgreSQLSync(SqlSyncContract):
    pass


class TestPostgreSQLSyncThroughPgBouncer(SqlSyncContract):
    """authentik 23876: locks of a session were stranded where each statement may meet another connection of the server."""

    options = "&pgbouncer=transaction"

    @pytest.fixture(autouse=True)
    def bouncer(self, place: None, postgresql: Server, make_pgbouncer: Callable[..., PgBouncer]) -> None:
        bouncer = make_pgbouncer(postgresql.address, size=4)
        bouncer.start_now()
        self.url = self.url.replace(postgresql.address, bouncer.address)


class TestCockroachSyncOnPostgreSQL(SqlSyncContract):
    """The statements of ``cockroachdb://``, which PostgreSQL takes, too. CockroachDB itself was not run."""

    scheme = "cockroachdb"
