"""``store``: what a store in PostgreSQL costs beside the plainest statements that asyncpg can make, on one server.

Plain asyncpg writes a table with a key, a value and a version, through its own pool. It checks nothing, knows no conflicts, recognizes
no write that comes again, and nobody can watch it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any

import asyncpg

from benchmarks.measure import Plan
from benchmarks.store_jobs import VALUE, Job, compared, keys, of_store
from benchmarks.table import Table
from micro_rt.backends.postgresql.store import PostgreSQLStore
from micro_rt.store.store import Store
from tests.servers.cache import Unobtainable
from tests.servers.shared import Servers

__all__ = ["run"]

MICRO = "micro-rt, postgresql://"
PLAIN = "plain asyncpg"
GOALS: Mapping[str, float] = {
    "write 500 records in one call": 1.10,
    "write one record": 1.20,
    "write 64 records at once": 1.20,
    "read one record": 1.20,
    "read 500 records": 1.20,
    "list 5,000 records": 1.20,
}
"""The jobs, and how many times as long as plain asyncpg they may take."""
POOL = 10


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table, if there is a server."""
    servers = Servers()
    try:
        server = servers.shared("postgresql")
    except Unobtainable as reason:
        plan.progress(f"no PostgreSQL: {reason}")
        return
    try:
        with asyncio.Runner() as runner:
            yield runner.run(measure(plan, server.address))
    finally:
        servers.close()


async def measure(plan: Plan, address: str) -> Table:
    """Measures every job of both."""
    ours = PostgreSQLStore(f"postgresql://postgres@{address}/postgres?schema=bench_ours&pool={POOL}")
    host, _, port = address.rpartition(":")
    pool: Any = asyncpg.create_pool(
        host=host, port=int(port), user="postgres", password="", database="postgres", ssl=False, max_size=POOL
    )
    async with Store.over(ours) as store, pool:
        await pool.execute("CREATE SCHEMA bench_plain")
        await pool.execute(
            "CREATE TABLE bench_plain.records (k BYTEA PRIMARY KEY, v BYTEA NOT NULL, n BIGSERIAL, w TEXT NOT NULL)"
        )
        jobs = dict(zip(GOALS, of_store(store).values(), strict=True))
        return await compared(
            plan,
            "a store in PostgreSQL beside plain asyncpg, for each record",
            {MICRO: jobs, PLAIN: of_asyncpg(pool)},
            GOALS,
        )


def of_asyncpg(pool: Any) -> dict[str, Job]:
    """Returns the same jobs in plain asyncpg."""
    turn = iter(range(0, 1 << 60, 500))
    put = (
        "INSERT INTO bench_plain.records (k, v, w) VALUES ($1, $2, '') ON CONFLICT (k) DO UPDATE SET v = excluded.v, "
        "n = nextval('bench_plain.records_n_seq') RETURNING n"
    )
    put_many = (
        "INSERT INTO bench_plain.records (k, v, w) SELECT k, v, '' FROM unnest($1::BYTEA[], $2::BYTEA[]) AS given (k, v) "
        "ON CONFLICT (k) DO UPDATE SET v = excluded.v, n = nextval('bench_plain.records_n_seq') RETURNING n"
    )

    async def batch() -> int:
        some = [key.encode() for key in keys(next(turn), 500)]
        return len(await pool.fetch(put_many, some, [VALUE] * len(some)))

    async def single() -> int:
        for key in keys(next(turn), 20):
            await pool.fetchval(put, key.encode(), VALUE)
        return 20

    async def at_once() -> int:
        await asyncio.gather(*(pool.fetchval(put, key.encode(), VALUE) for key in keys(next(turn), 64)))
        return 64

    async def read() -> int:
        for key in keys(next(turn), 50):
            await pool.fetchrow("SELECT k, v, n FROM bench_plain.records WHERE k = $1", key.encode())
        return 50

    async def read_many() -> int:
        some = [key.encode() for key in keys(next(turn), 500)]
        return len(await pool.fetch("SELECT k, v, n FROM bench_plain.records WHERE k = ANY($1::BYTEA[])", some))

    async def listed() -> int:
        sql = "SELECT k, v, n FROM bench_plain.records WHERE k >= $1 AND k < $2 ORDER BY k"
        return len(await pool.fetch(sql, b"bench/", b"bench0"))

    return dict(zip(GOALS, (batch, single, at_once, read, read_many, listed), strict=True))
