"""The stores ``local:`` and ``file:`` when processes are killed, files are replaced or damaged, and disks are full."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.local.open_files import Connection
from micro_rt.backends.local.store import FileStore, LocalStore
from micro_rt.backends.local.store_file import StoreFile
from micro_rt.backends.local.store_records import KEPT
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.store.store import Store
from tests.helpers.disks import small_disk
from tests.helpers.memory import resident
from tests.helpers.sizes import Figures, Size
from tests.helpers.store_watching import Writers, check_committed_is_seen
from tests.helpers.waiting import eventually, soon

FACTORY = "micro_rt.backends.local.store:LocalStore"


class OwnClock:
    """A boot clock that a test moves; stores with clocks of their own do not share an engine."""

    def __init__(self) -> None:
        self.ahead = 0.0
        real = boot_clock()
        self.clock = Clock(lambda: real.now() + self.ahead, real.epoch, from_boot=True)


@contextlib.asynccontextmanager
async def opened(home: Path, address: str = "local:", clock: Clock | None = None) -> AsyncGenerator[Store]:
    async with Store.over(LocalStore(address, home=home, clock=clock)) as store:
        yield store


def file_of(home: Path) -> Path:
    return home / "default" / "store.db"


@pytest.mark.verify("store")
async def test_a_watch_sees_what_processes_commit_that_are_killed(tmp_path: Path, size: Size, figures: Figures) -> None:
    """Committed set = seen set; eventstore 3, Eventuous 222, pdo-event-store 189."""
    (tmp_path / "files").mkdir()
    environment = {"MICRO_HOME": str(tmp_path / "state"), "MICRO_NAMESPACE": "default"}
    writers = Writers(FACTORY, "local:", environment, tmp_path / "files")
    async with opened(tmp_path / "state") as store:
        counts = await check_committed_is_seen(
            store, writers, processes=size(8, ci=3), kills=size(20, ci=4), commits=size(1_000_000, ci=1500)
        )
    figures.add_all(counts)


@pytest.mark.verify("store")
async def test_ten_processes_create_one_file_at_once(tmp_path: Path, size: Size) -> None:
    """token-savior 70, moflo 1471: the switch to WAL does not wait; some opens failed."""
    script = (
        "import asyncio, os, sys; from pathlib import Path; from micro_rt.backends.local.store import LocalStore\n"
        "from micro_rt.store.store import Store\n"
        "async def main(home, key):\n"
        " async with Store.over(LocalStore('local:', home=home)) as store:\n"
        "  await store.write(key, b'1')\n"
        "for round in range(int(sys.argv[2])):\n"
        " children = []\n"
        " for number in range(10):\n"
        "  child = os.fork()\n"
        "  if not child:\n"
        "   asyncio.run(main(Path(sys.argv[1]) / str(round), str(number)))\n"
        "   os._exit(0)\n"
        "  children.append(child)\n"
        " ends = [os.waitpid(child, 0)[1] for child in children]\n"
        " assert not any(ends), ends\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    rounds = size(25, ci=3)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), f"{rounds}", env=environment
    )
    assert await process.wait() == 0
    for round in range(rounds):
        async with opened(tmp_path / str(round)) as store:
            assert len([record async for record in store.list()]) == 10


async def test_a_watch_starts_over_when_a_backup_is_restored(tmp_path: Path) -> None:
    async with opened(tmp_path) as store, store.watch("a/") as watch:
        await store.write("a/1", b"before")
        assert (await soon(anext(watch))).key == "a/1"
        source, copy = sqlite3.connect(file_of(tmp_path)), sqlite3.connect(tmp_path / "backup.db")
        with contextlib.closing(source), contextlib.closing(copy):
            source.backup(copy)
        last = await store.write("a/2", b"after")
        assert (await soon(anext(watch))).key == "a/2"
        (tmp_path / "backup.db").rename(file_of(tmp_path))
        assert (await soon(anext(watch))).kind is micro.ChangeKind.RESYNC
        assert (await soon(anext(watch))).key == "a/1"
        assert (await soon(anext(watch))).kind is micro.ChangeKind.SYNCED
        # No version is used twice, although the file has forgotten the last one.
        version = await store.write("a/2", b"again")
        assert version > last
        with pytest.raises(micro.VersionConflict):
            await store.write("a/2", b"stale", if_version=last)


async def test_a_damaged_file_is_reported(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.write_many({f"{number}": b"x" * 2000 for number in range(200)})
    path = file_of(tmp_path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 8192))
    with pytest.raises(micro.DataLoss, match=r"store\.db"):
        async with opened(tmp_path) as store:
            await store.read("5")


async def test_a_full_disk_refuses_writes_and_lets_records_be_deleted(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 24) as folder:
        async with opened(folder / "state") as store:
            keys: list[str] = []
            with pytest.raises(micro.ResourceExhausted, match="MICRO_HOME"):
                for number in range(1000):
                    await store.write(f"{number}", b"x" * 100_000)
                    keys.append(f"{number}")
            assert keys
            for key in keys:
                assert len((await store.read(key)).value) == 100_000
                assert await store.delete(key)

            async def written() -> bool:
                with contextlib.suppress(micro.ResourceExhausted):
                    return await store.write("again", b"x" * 100_000) > 0
                return False

            assert await eventually(written)


async def test_the_sweeper_finds_what_has_expired_among_many_records(tmp_path: Path) -> None:
    """CAP 713: the limit came before the condition, so nothing was ever deleted."""
    clock = OwnClock()
    async with opened(tmp_path, clock=clock.clock) as store:
        await store.write_many({f"kept/{number}": b"" for number in range(5000)}, ttl=10_000)
        await store.write_many({f"gone/{number}": b"" for number in range(10)}, ttl=100)
        clock.ahead += 200
        await store.write("wakes", b"", ttl=0.01)
        with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as file:

            def left() -> int:
                query = "SELECT count(*) FROM records WHERE kind = 0 AND k BETWEEN 'gone/' AND 'gone0'"
                return int(
                    file.execute(
                        query.replace("'gone/'", "x'676f6e652f'").replace("'gone0'", "x'676f6e6530'")
                    ).fetchone()[0]
                )

            await eventually(lambda: left() == 0)
        assert len([record async for record in store.list("kept/", values=False)]) == 5000


async def test_old_deletions_go_and_watches_from_before_start_over(tmp_path: Path) -> None:
    clock = OwnClock()
    async with opened(tmp_path, clock=clock.clock) as store:
        async with store.watch() as watch:
            await store.write("a", b"1")
            position = (await soon(anext(watch))).position
        await store.write("b", b"2")
        await store.delete("a", fence=micro.Fence("run", 1, 5))
        async with store.watch(since=position) as watch:
            assert [(await soon(anext(watch))).key for _ in range(2)] == ["b", "a"]
        clock.ahead += KEPT + 60
        await store.write("wakes", b"", ttl=0.01)
        with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as file:
            await eventually(lambda: not file.execute("SELECT 1 FROM records WHERE k = x'61'").fetchall())
        async with store.watch(since=position) as watch:
            assert (await soon(anext(watch))).kind is micro.ChangeKind.RESYNC
            assert (await soon(anext(watch))).key == "b"
        # The fence went with the deletion.
        await store.write("a", b"3", fence=micro.Fence("other", 0, 0))


async def test_a_record_that_was_deleted_and_written_again_stays(tmp_path: Path) -> None:
    clock = OwnClock()
    async with opened(tmp_path, clock=clock.clock) as store:
        await store.write("a", b"1")
        await store.delete("a")
        await store.write("b", b"1")
        await store.delete("b")
        await store.write("a", b"2")
        clock.ahead += KEPT + 60
        await store.write("wakes", b"", ttl=0.01)
        with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as file:
            await eventually(lambda: not file.execute("SELECT 1 FROM records WHERE k = x'62'").fetchall())
        assert (await store.read("a")).value == b"2"


async def test_a_record_that_is_not_swept_is_gone_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """langchain 8354: expired rows were readable until they were swept, and reading them revived them."""

    async def never(file: StoreFile) -> float:
        return 3600.0

    monkeypatch.setattr(StoreFile, "_sweep", never)
    clock = OwnClock()
    async with opened(tmp_path, clock=clock.clock) as store:
        position = ""
        async with store.watch() as watch:
            await store.write("before", b"")
            position = (await soon(anext(watch))).position
        version = await store.write("a", b"1", ttl=100)
        clock.ahead += 200
        with pytest.raises(micro.NotFound):
            await store.read("a")
        assert [record.key async for record in store.list()] == ["before"]
        with pytest.raises(micro.VersionConflict):
            await store.write("a", b"2", if_version=version)
        async with store.watch(since=position) as watch:
            assert (await soon(anext(watch))).kind is micro.ChangeKind.EXPIRED
        assert await store.write("a", b"2", if_version=0, ttl=micro.KEEP) > version
        assert (await store.read("a")).expires is None


@pytest.mark.verify("store")
async def test_records_stream_in_little_memory_and_the_log_stays_small(
    tmp_path: Path, size: Size, figures: Figures
) -> None:
    """syncthing 10559, gotosocial 2808: a reader that took long let the WAL grow to gigabytes."""
    count = size(1_000_000, ci=20_000)
    async with opened(tmp_path) as store:
        for first in range(0, count, 10_000):
            numbers = range(first, min(first + 10_000, count))
            await store.write_many({f"r/{number:07}": b"%d" % number for number in numbers}, timeout=60)
        log = Path(f"{file_of(tmp_path)}-wal")
        largest = 0
        before = resident()
        grown = seen = 0
        previous = ""
        async for record in store.list("r/"):
            assert record.key > previous
            previous = record.key
            seen += 1
            if seen % 1000 == 0:
                await store.write_many({f"w/{number}": b"x" * 4000 for number in range(20)})
                largest = max(largest, _size(log))
                grown = max(grown, resident() - before)
        assert seen == count
    figures.add("WAL, MiB at most", largest >> 20)
    figures.add("memory, MiB more at most", grown >> 20)
    assert largest < 64 << 20
    assert grown < 64 << 20


async def test_a_connection_that_is_left_within_a_page_holds_nothing(tmp_path: Path) -> None:
    """A statement that is not read to its end counts as a reader, and SQLite cannot begin the WAL anew."""
    async with opened(tmp_path) as store:
        for number in range(40):
            await store.write(f"{number}", bytes(1 << 20))
        async for _ in store.list():
            break
        await store.page(limit=3)
        engine = LocalStore("local:", home=tmp_path)
        async with Store.over(engine):
            file = engine._file  # pyright: ignore[reportPrivateUsage]
            assert file is not None

            def restart(connection: Connection) -> tuple[int, int, int]:
                found: tuple[int, int, int] = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                return found

            async def restarted() -> bool:
                return (await file.database.read(restart))[0] == 0

            await eventually(restarted)


def _size(path: Path) -> int:
    return path.stat().st_size


async def test_a_file_may_be_in_a_private_folder_below_one_that_all_may_write_to(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)  # noqa: ASYNC240 - nothing else runs here
    (tmp_path / "own").mkdir(mode=0o700)
    async with Store.over(FileStore(f"file:{tmp_path}/own/app.db")) as store:
        await store.write("a", b"1")
    with pytest.raises(micro.FailedPrecondition, match="other users"):
        async with Store.over(FileStore(f"file:{tmp_path}/app.db")):
            pass


@pytest.mark.parametrize(
    "address", ["file:", "file:/", "file:a/", "file://host/a", "file:a#b", "file:a?nothing=1", "local:"]
)
def test_an_address_that_names_no_file_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"file:|no option|option"):
        FileStore(address)


async def test_calls_end_in_time_while_a_stopped_process_holds_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.write("a", b"1")
        script = (
            "import sqlite3, sys, time\n"
            "file = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
            "file.execute('BEGIN IMMEDIATE')\n"
            "print('holds', flush=True)\n"
            "time.sleep(3600)\n"
        )
        holder = await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(file_of(tmp_path)), stdout=asyncio.subprocess.PIPE
        )
        try:
            assert holder.stdout is not None
            assert await holder.stdout.readline() == b"holds\n"
            holder.send_signal(signal.SIGSTOP)
            with pytest.raises(micro.DeadlineExceeded, match="store local:"):
                await soon(store.write("a", b"2", timeout=0.2), 8)  # SQLite alone waits for ten seconds.
            assert (await soon(store.read("a"))).value == b"1"
        finally:
            holder.kill()
            await holder.communicate()
        last = await store.write("a", b"3")
        assert (await store.read("a")).version == last
