"""``store``: what a store in a file costs beside the same statements in plain sqlite3, in one process.

Both write the same table in the same file format. Plain sqlite3 runs its statements in the thread that measures, with nothing
around them: no versions are checked in Python, nothing is encoded, and no event loop goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import store_postgresql
from benchmarks.measure import Plan
from benchmarks.store_jobs import GOALS, VALUE, Job, compared, keys, of_store
from benchmarks.table import Table
from micro_rt.backends.local.store import FileStore
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.kit.ids import NumberedIds
from micro_rt.store.store import Store

__all__ = ["run"]

MICRO = "micro-rt, file:"
PLAIN = "plain sqlite3"


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table."""
    with TemporaryDirectory(prefix="micro-rt-bench-") as folder, asyncio.Runner() as runner:
        yield runner.run(measure(plan, Path(folder)))
        plan.progress("until a watch sees a write")
        yield runner.run(latency(plan, Path(folder)))
    yield from store_postgresql.run(plan)


async def measure(plan: Plan, folder: Path) -> Table:
    """Measures every job of both."""
    async with Store.over(FileStore(f"file:{folder}/micro.db")) as store, plain(folder / "plain.db") as connection:
        return await compared(
            plan,
            "a store in a file beside plain sqlite3, for each record",
            {MICRO: of_store(store), PLAIN: of_sqlite(connection)},
            GOALS,
        )


async def latency(plan: Plan, folder: Path) -> Table:
    """Measures how long it takes until a watch sees what another engine has written, as another process would."""
    address = f"file:{folder}/watched.db"
    seconds: list[float] = []
    arrived: dict[int, float] = {}
    async with (
        Store.over(FileStore(address, clock=own_clock())) as writing,
        Store.over(FileStore(address)) as watching,
        watching.watch() as changes,
    ):

        async def follow() -> None:
            async for change in changes:
                arrived[change.version] = time.perf_counter()

        following = asyncio.ensure_future(follow())
        for _ in range(plan.count(40, 10) * 10):
            await asyncio.sleep(random.uniform(0, 0.03))
            begun = time.perf_counter()
            version = await writing.write("key", VALUE)
            while version not in arrived:  # noqa: ASYNC110 - an event would wake the loop by itself
                await asyncio.sleep(0.0005)
            seconds.append(arrived[version] - begun)
        following.cancel()
    seconds.sort()
    shown = [f"{1000 * seconds[int(len(seconds) * part)]:.1f}" for part in (0.5, 0.9, 0.99)]
    return Table(
        "until a watch sees a write, ms", ["", "median", "90 %", "99 %"], [["file:, polled every 20 ms", *shown]]
    )


def own_clock() -> Clock:
    """Returns a clock with which a store shares no engine with others, as in another process."""
    clock = boot_clock()
    return Clock(lambda: clock.now(), clock.epoch, from_boot=True)


@asynccontextmanager
async def plain(path: Path) -> AsyncGenerator[sqlite3.Connection]:
    """Opens a file that is set up as ours are."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(
            "CREATE TABLE records (id INTEGER PRIMARY KEY, k BLOB NOT NULL UNIQUE, n INTEGER NOT NULL, kind INTEGER NOT NULL, "
            "expires REAL, write TEXT NOT NULL, at REAL, metadata TEXT, v BLOB)"
        )
        connection.execute("CREATE UNIQUE INDEX records_by_version ON records (n)")
        connection.execute("CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL")
        connection.execute("CREATE TABLE history (version INTEGER NOT NULL)")
        connection.execute("INSERT INTO history VALUES (0)")
        yield connection


def of_sqlite(connection: sqlite3.Connection) -> dict[str, Job]:
    """Returns the same jobs in plain sqlite3."""
    turn = iter(range(0, 1 << 60, 500))
    ids = NumberedIds()

    def write(key: str) -> None:
        data = key.encode()
        row = connection.execute(
            "SELECT n, kind, expires, write, metadata FROM records WHERE k = ?", (data,)
        ).fetchone()
        (version,) = connection.execute("SELECT version + 1 FROM history").fetchone()
        connection.execute("UPDATE history SET version = ?", (version,))
        (id,) = ids.take(1)
        if row is None:
            connection.execute(
                "INSERT INTO records (k, n, kind, expires, write, metadata, v) VALUES (?, ?, 0, ?, ?, ?, ?)",
                (data, version, None, id, None, VALUE),
            )
        else:
            connection.execute(
                "UPDATE records SET n = ?, kind = 0, expires = ?, write = ?, at = NULL, metadata = ?, v = ? WHERE k = ?",
                (version, None, id, None, VALUE, data),
            )

    def commit(some: list[str]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        for key in some:
            write(key)
        connection.execute("COMMIT")

    async def batch() -> int:
        commit(keys(next(turn), 500))
        return 500

    async def single() -> int:
        for key in keys(next(turn), 20):
            commit([key])
        return 20

    async def at_once() -> int:
        commit(keys(next(turn), 64))
        return 64

    def get(key: str) -> None:
        connection.execute(
            "SELECT k, n, kind, expires, metadata, v FROM records WHERE k = ? AND kind = 0 AND (expires IS NULL OR expires > ?)",
            (key.encode(), 0.0),
        ).fetchone()

    async def read() -> int:
        for key in keys(next(turn), 50):
            get(key)
        return 50

    async def read_many() -> int:
        for key in keys(next(turn), 500):
            get(key)
        return 500

    async def listed() -> int:
        return len(
            connection.execute(
                "SELECT k, n, kind, expires, metadata, v FROM records WHERE k >= ? AND k < ? AND kind = 0 ORDER BY k",
                (b"bench/", b"bench0"),
            ).fetchall()
        )

    return dict(zip(GOALS, (batch, single, at_once, read, read_many, listed), strict=True))
