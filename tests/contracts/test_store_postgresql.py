from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from micro_rt.backends.postgresql.address import quoted
from micro_rt.backends.postgresql.cockroach import CockroachStore
from micro_rt.backends.postgresql.store import PostgreSQLStore
from micro_rt.store.base import StoreEngine
from micro_rt.testing.contracts import OtherStore, StoreContract
from tests.contracts.store_machine import StoreMachine
from tests.helpers.cutting import CutOff
from tests.helpers.postgresql import looking
from tests.servers.pgbouncer import PgBouncer
from tests.servers.server import Server


async def drop(address: str, schema: str) -> None:
    async with looking(address) as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")


class SqlContract(CutOff, StoreContract):
    scheme = "postgresql"
    factory = "micro_rt.backends.postgresql.store:PostgreSQLStore"
    options = ""
    timeout = 120.0
    url = ""

    @pytest.fixture(autouse=True)
    def place(self, postgresql: Server) -> Iterator[None]:
        schema = f'contract "é" {uuid.uuid4().hex[:8]}'
        self.url = f"{self.scheme}://postgres@{postgresql.address}/postgres?schema={quote(schema)}{self.options}"
        yield
        asyncio.run(drop(postgresql.address, quoted(schema)))

    async def make(self) -> StoreEngine:
        return PostgreSQLStore(self.url)

    def other_process(self) -> OtherStore:
        return OtherStore(self.factory, self.url)


class TestPostgreSQLStore(SqlContract):
    pass


class TestPostgreSQLStoreThroughPgBouncer(SqlContract):
    """asyncpg#1050 and 1058: in transaction mode, each statement may meet another connection of the server."""

    options = "&pgbouncer=transaction"
    many = 500

    @pytest.fixture(autouse=True)
    def bouncer(self, place: None, postgresql: Server, make_pgbouncer: Callable[..., PgBouncer]) -> None:
        bouncer = make_pgbouncer(postgresql.address, size=4)
        bouncer.start_now()
        self.url = self.url.replace(postgresql.address, bouncer.address)


class TestCockroachStoreOnPostgreSQL(SqlContract):
    """The statements of ``cockroachdb://``, which PostgreSQL takes, too. CockroachDB itself was not run."""

    scheme = "cockroachdb"
    factory = "micro_rt.backends.postgresql.cockroach:CockroachStore"

    async def make(self) -> StoreEngine:
        return CockroachStore(self.url)


@pytest.mark.parametrize("scheme", ["postgresql", "cockroachdb"])
def test_random_operations_on_a_store_and_on_a_model_of_it(postgresql: Server, scheme: str) -> None:
    schema = f"machine_{uuid.uuid4().hex[:8]}"
    url = f"{scheme}://postgres@{postgresql.address}/postgres?schema={schema}&pool=3"

    class Machine(StoreMachine):
        clocked = False

        def make(self) -> StoreEngine:
            return PostgreSQLStore(url) if scheme == "postgresql" else CockroachStore(url)

    try:
        run_state_machine_as_test(Machine, settings=settings(max_examples=8, stateful_step_count=20, deadline=None))
    finally:
        asyncio.run(drop(postgresql.address, schema))
