"""Files of ``local:`` that an earlier version of micro-rt has made."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.local.sqlite import Database
from micro_rt.backends.local.store import FileStore
from micro_rt.backends.local.store_records import SCHEMA
from micro_rt.store.store import Store
from tests.helpers.store_versions import all_at_once, check, check_all_at_once

FILE = (
    """CREATE TABLE records (
        id INTEGER PRIMARY KEY, k BLOB NOT NULL UNIQUE, n INTEGER NOT NULL, kind INTEGER NOT NULL,
        expires REAL, write TEXT NOT NULL, at REAL, metadata TEXT, v BLOB
    )""",
    "CREATE UNIQUE INDEX records_by_version ON records (n)",
    "CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL",
    "CREATE INDEX tombstones ON records (at) WHERE at IS NOT NULL",
    "CREATE TABLE history (epoch TEXT NOT NULL, inode INTEGER NOT NULL, version INTEGER NOT NULL, forgotten INTEGER NOT NULL)",
    "INSERT INTO history VALUES (lower(hex(randomblob(8))), 0, 0, 0)",
    """CREATE TABLE clock (
        file INTEGER NOT NULL, seconds REAL NOT NULL, epoch TEXT NOT NULL, at REAL NOT NULL, wall REAL NOT NULL
    )""",
    "INSERT INTO clock VALUES (random(), 0, '', 0, 0)",
    "PRAGMA application_id = 0x6D696372",
    "PRAGMA user_version = 1",
    "INSERT INTO records VALUES (1, x'61', 1, 0, NULL, 'one', NULL, '{\"name\": \"value\"}', x'31')",
    "INSERT INTO records VALUES (2, x'62', 2, 1, NULL, 'two', 0, NULL, NULL)",
    "INSERT INTO records VALUES (3, x'63', 3, 0, NULL, 'three', NULL, NULL, x'33')",
    "UPDATE history SET version = 3",
)
"""A file of version 1: ``a`` and ``c`` are there, and ``b`` was deleted."""


def make_file(path: Path) -> FileStore:
    """Makes a file of version 1."""
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA journal_mode = WAL")
        for statement in FILE:
            file.execute(statement)
    return FileStore(f"file:{path}")


async def test_a_file_of_version_1_is_brought_forward(tmp_path: Path) -> None:
    engine = make_file(tmp_path / "data" / "store.db")
    for _ in range(2):
        async with Store.over(engine) as store:
            if (await store.read("a")).version == 1:
                await check(store)
            with pytest.raises(micro.Stale):
                await store.delete("a", fence=micro.Fence("run", 1, 4))
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "store.db")) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (2,)


async def test_an_earlier_version_refuses_a_file_with_fences(tmp_path: Path) -> None:
    path = tmp_path / "data" / "store.db"
    async with Store.over(make_file(path)) as store:
        await store.write("a", b"new", fence=micro.Fence("run", 1, 5))
    earlier = Database(path, SCHEMA[:1], folders=1)
    with pytest.raises(
        micro.FailedPrecondition, match=r"newer version of micro-rt \(its schema is 2, this one knows 1\)"
    ):
        await earlier.open()
    async with Store.over(FileStore(f"file:{path}")) as store:
        with pytest.raises(micro.Stale):
            await store.write("a", b"old", fence=micro.Fence("run", 1, 4))


async def test_an_earlier_version_that_has_the_file_open_goes_on_and_keeps_fences(tmp_path: Path) -> None:
    path = tmp_path / "data" / "store.db"
    engine = make_file(path)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as earlier:
        assert len(earlier.execute("SELECT n, kind, expires, write, metadata FROM records").fetchall()) == 3
        async with Store.over(engine) as store:
            await store.write("a", b"new", fence=micro.Fence("run", 1, 5))
            # The statements of version 1.
            earlier.execute("BEGIN IMMEDIATE")
            earlier.execute("UPDATE history SET version = version + 2")
            earlier.execute(
                "UPDATE records SET n = (SELECT version FROM history), kind = 0, expires = ?, write = ?, at = NULL, metadata = ?, "
                "v = ? WHERE k = ?",
                (None, "four", None, b"earlier", b"a"),
            )
            earlier.execute(
                "INSERT INTO records (k, n, kind, expires, write, metadata, v) VALUES (?, (SELECT version - 1 FROM history), 0, ?, ?, ?, ?)",
                (b"d", None, "five", None, b"earlier"),
            )
            earlier.execute("COMMIT")
            for key in "ad":
                assert (await store.read(key)).value == b"earlier"
            with pytest.raises(micro.Stale):
                await store.write("a", b"old", fence=micro.Fence("run", 1, 4))
            await store.write("d", b"new", fence=micro.Fence("run", 1, 4))


async def test_ten_processes_bring_a_file_forward_at_once(tmp_path: Path) -> None:
    """token-savior 70, moflo 1471: some of several opens failed."""
    path = tmp_path / "data" / "store.db"
    engine = make_file(path)
    await all_at_once("FileStore", f"file:{path}")
    async with Store.over(engine) as store:
        await check_all_at_once(store)
