"""A ``store.db`` that somebody else has written: what it holds becomes ``DataLoss``, never an error of Python or SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.local import file_time
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.backends.local.store import FileStore, LocalStore
from micro_rt.backends.local.store_file import StoreFile
from micro_rt.kit.clock import Clock, wall_time
from micro_rt.store.store import Store
from tests.helpers.waiting import eventually, soon

BROKEN = (
    "UPDATE records SET k = x'61ff' WHERE k = x'61'",
    "UPDATE records SET v = 'text'",
    "UPDATE records SET v = 5",
    "UPDATE records SET v = zeroblob(70 << 20)",
    "UPDATE records SET n = 'last' WHERE k = x'61'",
    "UPDATE records SET n = 1.5 WHERE k = x'61'",
    "UPDATE records SET n = -5 WHERE k = x'61'",
    "UPDATE records SET expires = 'soon'",
    "UPDATE records SET expires = x'00'",
    "UPDATE records SET expires = 9e999",
    "UPDATE records SET fence = x'00' WHERE k = x'61'",
    "UPDATE records SET fence = 5",
    "UPDATE records SET fence = '[\"a\", 1'",
    "UPDATE records SET fence = '[\"a\", 1]'",
    "UPDATE records SET fence = '[\"a\", 1, true]'",
    "UPDATE records SET fence = '[\"a\", -1, 1]'",
    "UPDATE records SET fence = '[\"a\", 1, 9223372036854775808]'",
    "UPDATE records SET fence = '[\"\\ud800\", 1, 1]'",
    'UPDATE records SET fence = \'{"a": 1, "b": 1, "c": 1}\'',
    "UPDATE records SET fence = CAST(x'ff' AS TEXT)",
    "UPDATE records SET fence = replace(hex(zeroblob(10000)), '0', '[')",
    "UPDATE records SET fence = '[\"' || replace(hex(zeroblob(2 << 20)), '0', 'x') || '\", 1, 1]'",
    "ALTER TABLE records DROP COLUMN fence",
    "UPDATE records SET metadata = '{'",
    "UPDATE records SET metadata = '[1]'",
    "UPDATE records SET metadata = x'7b7d'",
    "UPDATE records SET metadata = CAST(x'ff' AS TEXT)",
    "UPDATE records SET metadata = replace(hex(zeroblob(10000)), '0', '[')",
    "UPDATE records SET metadata = '{\"a\": \"' || replace(hex(zeroblob(2 << 20)), '0', 'x') || '\"}'",
    "DELETE FROM history",
    "UPDATE history SET epoch = x'00'",
    "UPDATE history SET epoch = 'é'",
    "UPDATE history SET epoch = replace(hex(zeroblob(100)), '0', 'x')",
    "UPDATE history SET version = 'x'",
    "UPDATE history SET version = 9223372036854775807",
    "UPDATE history SET version = -1",
    "UPDATE history SET forgotten = 'x'",
    "DELETE FROM clock",
    "UPDATE clock SET seconds = 'x'",
    "UPDATE clock SET wall = 'x', epoch = 'x'",
    "DROP TABLE records",
    "DROP TABLE history",
    "ALTER TABLE records RENAME COLUMN metadata TO other",
    "DROP INDEX records_by_version",
)
HARMLESS = (
    "UPDATE records SET k = 'text' WHERE k = x'61'",  # No list comes there.
    "UPDATE records SET v = NULL",
    "UPDATE records SET kind = 7 WHERE k = x'61'",
    "UPDATE records SET write = x'ff'",
    "UPDATE records SET id = -5 WHERE k = x'61'",
    "UPDATE clock SET at = 'x', epoch = 'x'",
    "UPDATE clock SET file = 'x'",
)


def file_of(home: Path) -> Path:
    return home / "default" / "store.db"


def run(path: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(statement)


async def everything(store: Store) -> list[micro.Error]:
    """Does all that a store can do; returns the errors."""

    async def listed() -> None:
        async for _ in store.list():
            pass

    async def watched(**how: Any) -> None:
        async with store.watch(**how) as watch:
            await store.write("c", b"")
            while (await soon(anext(watch))).key != "c":
                pass

    steps: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: store.read("a"),
        lambda: store.read_many(["a", "b"]),
        listed,
        lambda: store.page(limit=1, values=False),
        lambda: watched(initial=True),
        lambda: watched(),
        lambda: store.update("a", lambda _: b"new"),
        lambda: store.write("a", b"", metadata=micro.KEEP, ttl=micro.KEEP),
        lambda: store.write("b", b"", if_version=1),
        lambda: store.write("d", b""),
        lambda: store.delete("a", fence=micro.Fence("run", 1, 1)),
    ]
    errors: list[micro.Error] = []
    for step in steps:
        try:
            await step()
        except (micro.NotFound, micro.VersionConflict):
            pass
        except micro.Error as error:
            errors.append(error)
    return errors


@pytest.mark.parametrize("statement", [*BROKEN, *HARMLESS])
async def test_what_no_store_writes_is_reported(tmp_path: Path, statement: str) -> None:
    async with Store.over(LocalStore("local:", home=tmp_path)) as store:
        await store.write("a", b"secret", ttl=1000, metadata={"a": "b"})
        await store.write("b", b"")
    run(file_of(tmp_path), statement)
    try:
        async with Store.over(LocalStore("local:", home=tmp_path)) as store:
            errors = await everything(store)
    except micro.Error as refused:
        errors = [refused]
    assert bool(errors) is (statement in BROKEN)
    for error in errors:
        assert isinstance(error, micro.DataLoss), error
        assert str(file_of(tmp_path)) in str(error)
        assert "secret" not in str(error)


async def test_a_file_that_is_damaged_while_it_is_open_is_swept_again_later(tmp_path: Path) -> None:
    engine = LocalStore("local:", home=tmp_path)
    async with Store.over(engine) as store:
        await store.write("a", b"", ttl=1000)
        run(file_of(tmp_path), "UPDATE records SET expires = 'soon'")
        await store.write("b", b"", ttl=0.01)
        await eventually(lambda: "store.db" in engine.problem)
        run(file_of(tmp_path), "UPDATE records SET expires = NULL WHERE k = x'61'")
        await eventually(lambda: not engine.problem)
        with pytest.raises(micro.NotFound):
            await store.read("b")


async def test_another_kind_of_file_is_no_store(tmp_path: Path) -> None:
    registry = LocalRegistry("local:", home=tmp_path)
    await registry.open()
    await registry.close()
    (path,) = (tmp_path / "default").glob("*.db")
    before = path.read_bytes()
    with pytest.raises((micro.DataLoss, micro.FailedPrecondition), match=path.name):
        async with Store.over(FileStore(f"file:{path}")):
            pass
    assert path.read_bytes() == before


async def test_what_expired_before_a_reboot_is_gone_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(file: StoreFile) -> float:
        return 3600.0

    later = 0.0
    monkeypatch.setattr(StoreFile, "_sweep", never)
    monkeypatch.setattr(file_time, "wall_time", lambda: wall_time() + later)
    first = Clock(lambda: 5000.0, "first boot", from_boot=True)
    async with Store.over(LocalStore("local:", home=tmp_path, clock=first)) as store:
        await store.write("a", b"", ttl=100)
        await store.write("b", b"", ttl=1000)
    later = 500.0
    second = Clock(lambda: 400.0, "second boot", from_boot=True)
    async with Store.over(LocalStore("local:", home=tmp_path, clock=second)) as store:
        with pytest.raises(micro.NotFound):
            await store.read("a")
        assert [record.key async for record in store.list()] == ["b"]


async def test_what_is_written_while_others_are_swept_is_swept_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept, let = asyncio.Event(), asyncio.Event()
    sweep = StoreFile._sweep  # pyright: ignore[reportPrivateUsage]

    async def slow(file: StoreFile) -> float:
        wait = await sweep(file)
        swept.set()
        await let.wait()
        return wait

    monkeypatch.setattr(StoreFile, "_sweep", slow)
    async with Store.over(LocalStore("local:", home=tmp_path)) as store:
        await soon(swept.wait())
        await store.write("a", b"", ttl=0.01)
        let.set()
        with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as file:
            query = "SELECT kind FROM records WHERE k = x'61'"
            await eventually(lambda: file.execute(query).fetchone() == (2,), within=30)


async def test_a_store_that_is_open_is_not_opened_again(tmp_path: Path) -> None:
    engine = LocalStore("local:", home=tmp_path)
    async with Store.over(engine) as store:
        with pytest.raises(RuntimeError, match="open already"):
            await engine.open()
        await store.write("a", b"")
