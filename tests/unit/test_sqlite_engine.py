"""The embedded SQLite engine: its files, its transactions, its errors."""

import asyncio
import os
import sqlite3
import stat
import sys
import threading
from pathlib import Path
from sqlite3 import Connection

import pytest

from micro_rt.backends.local.sqlite import Database
from micro_rt.backends.local.state import Sync, options_of, prepare, read_owner_option, read_sync, state_path
from micro_rt.errors import DataLoss, Error, FailedPrecondition, Internal, NotFound, ResourceExhausted, Unavailable
from micro_rt.kit.shared import Shared
from tests.helpers.waiting import eventually

SCHEMA = (("CREATE TABLE numbers (number INTEGER PRIMARY KEY)",),)


def insert(number: int):  # type: ignore[no-untyped-def]
    return lambda connection: connection.execute("INSERT INTO numbers VALUES (?)", (number,))


def numbers(connection: Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT number FROM numbers ORDER BY number")]


def database(folder: Path, **options: object) -> Database:
    return Database(folder / "home" / "default" / "part.db", SCHEMA, **options)  # type: ignore[arg-type]


# Writing and reading


async def test_writes_are_read_by_this_and_other_databases(tmp_path: Path) -> None:
    one, two = database(tmp_path), database(tmp_path)
    await one.open()
    await two.open()
    await one.write(insert(1))
    await two.write(insert(2))
    assert await one.read(numbers) == await two.read(numbers) == [1, 2]
    await one.close()
    await two.close()


async def test_writes_that_come_together_are_committed_together(tmp_path: Path) -> None:
    def hold(connection: Connection) -> None:
        connection.set_trace_callback(statements.append)
        entered.set()
        go_on.wait(30)

    statements: list[str] = []
    entered, go_on = threading.Event(), threading.Event()
    file = database(tmp_path)
    await file.open()
    first = asyncio.ensure_future(file.write(hold))
    await asyncio.to_thread(entered.wait, 30)
    rest = [asyncio.ensure_future(file.write(insert(number))) for number in range(100)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(first, *rest)
    assert statements.count("COMMIT") == 2  # The one that was held, and all others at once.
    assert await file.read(numbers) == list(range(100))
    await file.close()


async def test_a_failing_write_does_not_spoil_its_group(tmp_path: Path) -> None:
    def fails_late(connection: Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (50)")
        raise NotFound("no such thing")

    def broken(connection: Connection) -> None:
        connection.execute("INSERT INTO numbers VALUES (51)")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    file = database(tmp_path)
    await file.open()
    results = await asyncio.gather(
        file.write(insert(1)),
        file.write(fails_late),
        file.write(insert(2)),
        file.write(broken),
        file.write(insert(2)),
        file.write(insert(3)),
        return_exceptions=True,
    )
    assert isinstance(results[1], NotFound)
    assert isinstance(results[3], Internal)
    assert "nowhere" in str(results[3])
    assert isinstance(results[4], Internal)
    assert "UNIQUE" in str(results[4])
    assert await file.read(numbers) == [1, 2, 3]
    await file.close()


async def test_closing_finishes_what_was_asked_for(tmp_path: Path) -> None:
    file = database(tmp_path)
    await file.open()
    writes = [asyncio.ensure_future(file.write(insert(number))) for number in range(2000)]
    reading = asyncio.ensure_future(file.read(numbers))
    await asyncio.sleep(0)
    await file.close()
    await asyncio.gather(*writes)
    await reading
    with pytest.raises(FailedPrecondition, match="not open"):
        await file.write(insert(1))
    with pytest.raises(FailedPrecondition, match="not open"):
        await file.read(numbers)
    await file.close()
    again = database(tmp_path)
    await again.open()
    assert await again.read(numbers) == list(range(2000))
    await again.close()


async def test_nothing_is_left_running(tmp_path: Path) -> None:
    before = threading.active_count()
    file = database(tmp_path)
    await file.open()
    assert threading.active_count() == before + 2
    await file.close()
    assert threading.active_count() == before
    assert sorted(path.name for path in file.path.parent.iterdir()) == [
        "part.db",
        "part.db-reserve",
    ]  # The WAL is folded in.


async def test_a_cancelled_opening_leaves_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    opening = asyncio.ensure_future(database(tmp_path).open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert threading.active_count() == before


async def test_a_cancelled_write_harms_no_other(tmp_path: Path) -> None:
    file = database(tmp_path)
    await file.open()
    writes = [asyncio.ensure_future(file.write(insert(number))) for number in range(10)]
    await asyncio.sleep(0)
    writes[3].cancel()
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert isinstance(results[3], asyncio.CancelledError)
    assert set(await file.read(numbers)) | {3} == set(range(10))
    await file.close()


async def test_the_poll_sees_the_commits_of_others(tmp_path: Path) -> None:
    seen: list[int] = []

    def poll(connection: Connection) -> int:
        return len(numbers(connection))

    one, two = database(tmp_path, poll=poll, deliver=seen.append, interval=0.02), database(tmp_path)
    await one.open()
    await two.open()
    one.poll_soon()
    await two.write(insert(1))
    await eventually(lambda: 1 in seen)
    async with asyncio.timeout(30):
        one.stop_polling()
        await one.read(numbers)
        count = len(seen)
        await two.write(insert(2))
        await asyncio.sleep(0.1)
        assert len(seen) - count <= 1
    await one.close()
    await two.close()


# Files


async def test_the_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    file = database(tmp_path)
    await file.open()
    for folder in (file.path.parent, file.path.parent.parent):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    await file.close()


async def test_it_is_in_wal_mode_and_syncs_as_told(tmp_path: Path) -> None:
    for sync, level in (("normal", 1), ("full", 2)):
        file = database(tmp_path, sync=sync)
        await file.open()
        assert await file.write(lambda connection: connection.execute("PRAGMA synchronous").fetchone()) == (level,)
        assert await file.read(lambda connection: connection.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
        await file.close()


async def test_an_older_schema_is_brought_forward(tmp_path: Path) -> None:
    old = database(tmp_path)
    await old.open()
    await old.write(insert(1))
    await old.close()
    new = Database(old.path, (*SCHEMA, ("ALTER TABLE numbers ADD COLUMN name TEXT DEFAULT 'one'",)))
    await new.open()
    assert await new.read(lambda connection: connection.execute("SELECT * FROM numbers").fetchall()) == [(1, "one")]
    await new.close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    new = Database(database(tmp_path).path, (*SCHEMA, ("CREATE TABLE more (x)",), ("CREATE TABLE most (x)",)))
    await new.open()
    await new.close()
    with pytest.raises(FailedPrecondition, match=r"newer version of micro-rt .*3.*1.*MICRO_NAMESPACE") as caught:
        await database(tmp_path).open()
    assert str(new.path) in str(caught.value)


async def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    files = [database(tmp_path) for _ in range(16)]
    await asyncio.gather(*(file.open() for file in files))
    await asyncio.gather(*(file.write(insert(number)) for number, file in enumerate(files)))
    assert await files[0].read(numbers) == list(range(16))
    await asyncio.gather(*(file.close() for file in files))


async def test_a_deleted_file_is_made_anew(tmp_path: Path) -> None:
    file, other = database(tmp_path), database(tmp_path)
    await file.open()
    await file.write(insert(1))
    for path in file.path.parent.iterdir():
        path.unlink()
    file.path.parent.rmdir()
    await other.open()
    await file.write(insert(2))
    assert await file.read(numbers) == await other.read(numbers) == [2]
    await file.close()
    await other.close()


async def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    file = database(tmp_path)
    file.path.parent.mkdir(parents=True)
    file.path.write_bytes(b"This is not a database. " * 1000)
    with pytest.raises(DataLoss, match="move it away") as caught:
        await file.open()
    assert str(file.path) in str(caught.value)


async def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    file = database(tmp_path)
    await file.open()
    await asyncio.gather(*(file.write(insert(number)) for number in range(5000)))
    await file.close()
    with file.path.open("r+b") as raw:
        raw.seek(4096)
        raw.write(b"\xff" * (file.path.stat().st_size - 4096))
    await file.open()
    with pytest.raises(DataLoss, match="damaged"):
        await file.read(numbers)
    with pytest.raises(DataLoss, match="damaged"):
        await file.write(insert(6000))
    await file.close()


async def test_a_full_disk_is_named_and_survived(tmp_path: Path) -> None:
    file = database(tmp_path)
    await file.open()
    await file.write(lambda connection: connection.execute("PRAGMA max_page_count = 4").fetchone())

    def fill(connection: Connection) -> None:
        connection.executemany("INSERT INTO numbers VALUES (?)", ((number,) for number in range(1000, 9000)))

    with pytest.raises(ResourceExhausted, match="no space left") as caught:
        await file.write(fill)
    assert str(file.path) in str(caught.value)
    await file.write(insert(1))
    assert await file.read(numbers) == [1]
    await file.close()


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder should be")
    with pytest.raises(FailedPrecondition, match="MICRO_HOME") as caught:
        await database(tmp_path).open()
    assert str(tmp_path / "home") in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="nothing is read-only for the superuser")
async def test_a_read_only_folder_is_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    try:
        with pytest.raises(FailedPrecondition, match=r"Permission denied.*MICRO_HOME"):
            await database(tmp_path).open()
    finally:
        home.chmod(0o700)


async def test_a_read_only_file_system_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FailedPrecondition, match=r"Permission denied.*MICRO_HOME"):
        await database(tmp_path).open()


async def test_a_file_kept_locked_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micro_rt.backends.local.sqlite_file._BUSY", 0.05)
    file = database(tmp_path)
    await file.open()
    other = sqlite3.connect(file.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked by another writer"):
        await file.write(insert(1))
    other.execute("COMMIT")
    other.close()
    await file.write(insert(1))
    await file.close()


@pytest.mark.parametrize(
    "type", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "ceph", "lustre"]
)
def test_network_file_systems_are_refused(tmp_path: Path, type: str) -> None:
    mounts = tmp_path / "mounts"
    there = tmp_path.resolve() / "with space"
    escaped = str(there).replace(" ", "\\040")
    mounts.write_text(
        f"/dev/vda / ext4 rw 0 0\nserver:/export {escaped} {type} rw 0 0\nx {escaped}/home/local ext4 rw 0 0\n"
    )
    with pytest.raises(FailedPrecondition, match="network file system") as caught:
        prepare(there / "home" / "default" / "part.db", mounts)
    assert type in str(caught.value)
    assert str(there) in str(caught.value)
    assert "MICRO_HOME" in str(caught.value)
    assert not there.exists()
    prepare(there / "home" / "local" / "part.db", mounts)  # A local disk below it is one.
    prepare(tmp_path / "with" / "default" / "part.db", mounts)


def test_the_last_mount_at_a_place_counts(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"a {tmp_path.resolve()} nfs rw 0 0\nb {tmp_path.resolve()} ext4 rw 0 0\nbroken\n")
    prepare(tmp_path / "home" / "default" / "part.db", mounts)
    prepare(tmp_path / "home" / "other" / "part.db", tmp_path / "no such table")


# Addresses and paths


def sync_of(address: str) -> Sync:
    options = options_of(address)
    sync = read_sync(options)
    read_owner_option(options)
    options.end()
    return sync


def test_addresses() -> None:
    assert sync_of("local:") == "normal"
    assert sync_of("local:?sync=full") == "full"
    with pytest.raises(ValueError, match=r"there is no option 'snyc'; known: owner, sync"):
        sync_of("local:?snyc=full")
    with pytest.raises(ValueError, match="'sync' has no value"):
        sync_of("local:?sync=")
    with pytest.raises(ValueError, match="sync=half: it can be normal or full"):
        sync_of("local:?sync=half")
    for wrong in ("local:/var/lib/micro", "local://host", "memory:"):
        with pytest.raises(ValueError, match="local:"):
            sync_of(wrong)


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("MICRO_HOME", "MICRO_NAMESPACE", "XDG_STATE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", "/home/ada")
    assert state_path("registry") == Path("/home/ada/.local/state/micro-rt/default/registry.db")
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert state_path("registry") == Path("/state/micro-rt/default/registry.db")
    monkeypatch.setenv("MICRO_HOME", "/micro")
    monkeypatch.setenv("MICRO_NAMESPACE", "checkout-2")
    assert state_path("broker") == Path("/micro/checkout-2/broker.db")
    assert state_path("broker", tmp_path, "a.b") == tmp_path / "a.b" / "broker.db"
    for wrong in ("a/b", "..", ".hidden", "a b", "a\0"):
        with pytest.raises(FailedPrecondition, match="MICRO_NAMESPACE"):
            state_path("registry", namespace=wrong)


# Sharing


class Engine:
    def __init__(self) -> None:
        self.opened = 0
        self.closed = 0
        self.failure: Exception | None = None

    async def open(self) -> None:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.opened += 1

    async def close(self) -> None:
        await asyncio.sleep(0)
        self.closed += 1


async def test_an_engine_is_shared_until_the_last_user_leaves() -> None:
    users = [Shared("key", Engine) for _ in range(10)]
    engines = await asyncio.gather(*(user.acquire() for user in users))
    assert len(set(engines)) == 1
    for user in users:
        assert engines[0].closed == 0
        await user.release()
        await user.release()
    assert (engines[0].opened, engines[0].closed) == (1, 1)
    other = Shared("other", Engine)
    assert await users[0].acquire() not in {engines[0], await other.acquire()}
    await users[0].release()
    await other.release()


async def test_who_comes_while_it_is_closed_gets_a_new_one() -> None:
    one, two = Shared("key", Engine), Shared("key", Engine)
    first = await one.acquire()
    closing = asyncio.ensure_future(one.release())
    await asyncio.sleep(0)
    second = await two.acquire()
    await closing
    assert second is not first
    assert (first.closed, second.opened, second.closed) == (1, 1, 0)
    three = Shared("key", Engine)
    assert await three.acquire() is second
    await three.release()
    await two.release()
    assert second.closed == 1


async def test_a_failed_opening_is_tried_again_by_the_next() -> None:
    engine = Engine()
    engine.failure = Unavailable("not now")
    user = Shared("key", lambda: engine)
    with pytest.raises(Error):
        await user.acquire()
    engine.failure = None
    other = Shared("key", lambda: engine)
    assert await user.acquire() is await other.acquire() is engine
    await user.release()
    await other.release()
    assert (engine.opened, engine.closed) == (1, 1)


def test_loops_do_not_meet() -> None:
    async def leave_it_open() -> Engine:
        return await Shared("key", Engine).acquire()

    assert asyncio.run(leave_it_open()) is not asyncio.run(leave_it_open())
