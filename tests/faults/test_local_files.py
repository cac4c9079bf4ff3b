"""The files of ``local:`` are replaced, deleted or cut off under processes that use them: nothing is lost without an error."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

import pytest

from micro_rt.backends.local import log, sqlite_file
from micro_rt.backends.local.alone import Alone
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.backends.local.open_files import Connection, Files
from micro_rt.backends.local.registry import LocalRegistry
from micro_rt.backends.local.sqlite import Database
from micro_rt.backends.local.sqlite_file import SQLiteFile
from micro_rt.broker.base import OutgoingRecord, Position, Subscription, TopicOptions
from micro_rt.errors import Aborted, DataLoss, Error, Unavailable
from micro_rt.kit.clock import monotonic, pause_thread
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.helpers.waiting import eventually

TOPIC = "orders"
ROOT = Path(__file__).parent.parent.parent


class Listening:
    """A listener that notes nothing."""

    async def assigned(self, partitions: object) -> None: ...

    async def revoked(self, partitions: object) -> None: ...

    async def lost(self, partitions: object) -> None: ...


def record(number: int) -> OutgoingRecord:
    return OutgoingRecord(TOPIC, b"%d" % number, b"%d" % number)


async def publish(broker: LocalBroker, numbers: Sequence[int]) -> None:
    for result in await broker.publish([record(number) for number in numbers]):
        assert isinstance(result, Position), result


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[LocalBroker]:
    broker = LocalBroker("local:?session=3", home=tmp_path / "home")
    await broker.open()
    await broker.prepare({TOPIC: TopicOptions(partitions=2)})
    yield broker
    await broker.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "default" / "broker.db"


class Consumer:
    """Reads, commits and remembers."""

    def __init__(self, broker: LocalBroker, group: str = "g") -> None:
        self.subscription: Subscription = broker.subscribe([TOPIC], group, "earliest", Listening())
        self.values: list[int] = []
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            found = await self.subscription.fetch(100, 0.1)
            for partition, records in found.items():
                self.values += [int(each.value) for each in records]
                try:
                    await self.subscription.commit({partition: records[-1].offset + 1})
                except Error:
                    continue  # The partitions were lost; they are assigned again.

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self.subscription.close()


async def test_a_backup_that_is_renamed_into_place_under_subscribers(broker: LocalBroker, file: Path) -> None:
    consumer = Consumer(broker)
    await publish(broker, range(100))
    await eventually(lambda: len(consumer.values) == 100)
    back_up(file)
    await publish(broker, range(100, 300))
    await eventually(lambda: len(consumer.values) == 300)
    restore(file)
    await publish(broker, range(1000, 1300))
    await eventually(lambda: set(range(1000, 1300)) <= set(consumer.values), "events after the restore are handled")
    await consumer.close()
    again = Consumer(broker)
    await publish(broker, range(2000, 2010))
    await eventually(lambda: set(again.values) >= set(range(2000, 2010)))
    assert not set(again.values) & set(range(300)), "what was committed in the restored file is not read again"
    await again.close()


async def test_a_position_beyond_the_end_never_counts(broker: LocalBroker, file: Path) -> None:
    await publish(broker, range(20))
    consumer = Consumer(broker)
    await eventually(lambda: len(consumer.values) == 20)
    await consumer.close()
    with sqlite3.connect(file) as other:
        other.execute("UPDATE positions SET position = position + 1000")
    other.close()
    again = Consumer(broker)
    await publish(broker, range(20, 40))
    await eventually(lambda: set(again.values) == set(range(40)))
    await again.close()


@pytest.mark.parametrize("deleted", [["-wal"], ["-shm"], ["-wal", "-shm"]])
async def test_a_deleted_log_loses_nothing(
    deleted: list[str], broker: LocalBroker, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    consumer = Consumer(broker)
    await publish(broker, range(50))
    await eventually(lambda: len(consumer.values) == 50)
    delete(file, *deleted)
    await publish(broker, range(50, 200))
    await eventually(lambda: set(consumer.values) == set(range(200)))
    await consumer.close()
    await broker.close()
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT count(*) FROM records").fetchone() == (200,)
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()
    assert any("was deleted while in use; nothing is lost" in line for line in caplog.messages)


async def test_a_log_that_is_deleted_while_it_is_written_to_loses_nothing(
    broker: LocalBroker, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = log.append
    deleted = 0

    def append_and_delete(*arguments: Any) -> object:
        nonlocal deleted
        results = append(*arguments)
        delete(file, "-wal")
        deleted += 1
        return results

    monkeypatch.setattr(log, "append", append_and_delete)
    for number in range(20):
        await publish(broker, [number])
    assert deleted == 20
    await broker.close()
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT count(*) FROM records").fetchone() == (20,)
    other.close()


async def test_a_deleted_log_is_saved_although_somebody_has_made_an_empty_one(
    broker: LocalBroker, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another process or thread that opens the file in the moment of the deletion does."""
    await publish(broker, range(20))
    delete(file, "-wal")
    Path(f"{file}-wal").touch(0o600)  # noqa: ASYNC240
    await publish(broker, range(20, 40))
    await broker.close()
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT count(*) FROM records").fetchone() == (40,)
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()
    assert not [line for line in caplog.messages if "may be lost" in line]


async def test_a_write_during_which_the_log_is_deleted_is_kept(broker: LocalBroker, file: Path) -> None:
    def write(connection: Connection) -> None:
        connection.execute("INSERT INTO groups (name) VALUES ('kept')")
        delete_log(file)

    await broker._open_file().database.write(write)
    await broker.close()
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT count(*) FROM groups").fetchone() == (1,)
    other.close()


async def test_a_log_that_two_threads_save_at_once_is_kept(broker: LocalBroker, file: Path) -> None:
    """The thread that reads waits for the writer, and both then copy what the deleted log holds."""
    loop = asyncio.get_running_loop()
    database = broker._open_file().database
    for number in range(5):
        reads: list[asyncio.Future[object]] = []

        def begin(reads: list[asyncio.Future[object]] = reads) -> None:
            reads.append(asyncio.ensure_future(database.read(lambda c: c.execute("SELECT 1").fetchone())))

        def write(connection: Connection, number: int = number) -> None:
            connection.execute("INSERT INTO groups (name) VALUES (?)", (f"kept {number}",))
            delete_log(file)
            loop.call_soon_threadsafe(begin)
            pause_thread(0.05)

        await database.write(write)
        await asyncio.gather(*reads)
    await broker.close()
    with sqlite3.connect(file) as other:
        assert other.execute("SELECT count(*) FROM groups").fetchone() == (5,)
    other.close()


async def test_a_write_during_which_the_file_is_replaced_fails(broker: LocalBroker, file: Path) -> None:
    await publish(broker, range(10))
    back_up(file)

    def write(connection: Connection) -> None:
        connection.execute("INSERT INTO groups (name) VALUES ('lost')")
        restore(file)

    with pytest.raises(Unavailable, match="were replaced or deleted while they were written to"):
        await broker._open_file().database.write(write)
    await publish(broker, range(10, 20))
    assert await broker._open_file().database.read(lambda c: c.execute("SELECT * FROM groups").fetchall()) == []


async def test_the_log_of_a_replaced_file_is_not_read_into_the_new_one(broker: LocalBroker, file: Path) -> None:
    await publish(broker, range(10))
    back_up(file)
    await publish(broker, range(10, 60))
    holder = sqlite3.connect(file)  # As long as it is open, SQLite does not delete the log.
    assert holder.execute("SELECT count(*) FROM records").fetchone() == (60,)
    restore(file)
    await publish(broker, [100])
    reader = broker.read(TOPIC, "earliest")
    assert await reader.remaining() == 11
    await reader.close()
    holder.close()


async def test_a_commit_of_what_was_read_before_the_file_was_replaced_is_refused(
    broker: LocalBroker, file: Path
) -> None:
    subscription = broker.subscribe([TOPIC], "g", "earliest", Listening())
    await publish(broker, range(10))
    while not (found := await subscription.fetch(100, 0.1)):
        pass
    back_up(file)
    restore(file)
    with pytest.raises(Aborted):
        await subscription.commit({partition: records[-1].offset + 1 for partition, records in found.items()})
    positions = await broker._open_file().database.read(lambda c: c.execute("SELECT * FROM positions").fetchall())
    assert positions == []
    await subscription.close()


@pytest.mark.parametrize("size", [0, 4096, 5000])
async def test_a_file_that_was_cut_off_is_refused(size: int, broker: LocalBroker, file: Path) -> None:
    await publish(broker, range(50))
    with sqlite3.connect(file) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    await publish(broker, [50])
    os.truncate(file, size)
    for _ in range(2):
        (result,) = await broker.publish([record(51)])
        assert isinstance(result, DataLoss)
        assert f"{file} was cut off while it was in use" in result.message
    await eventually(lambda: "was cut off" in broker.problem, "health says nothing")
    with pytest.raises(DataLoss, match="restore a backup"):
        await broker.prepare({"other": TopicOptions()})


async def test_vacuum_may_make_the_file_smaller(broker: LocalBroker, file: Path) -> None:
    await publish(broker, range(5000))
    with sqlite3.connect(file, isolation_level=None) as other:
        other.execute("DELETE FROM records")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before = size_of(file)
        await publish(broker, [1])
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    assert size_of(file) < before
    await publish(broker, [2])


async def test_a_reader_of_a_topic_sees_what_a_restored_file_gets(broker: LocalBroker, file: Path) -> None:
    back_up(file)
    await publish(broker, range(20))
    reader = broker.read(TOPIC, "latest")
    assert await reader.remaining() == 0
    restore(file)
    await publish(broker, [77])
    found = await reader.fetch(10, 5)
    assert [int(each.value) for records in found.values() for each in records] == [77]
    await reader.close()


async def test_nodes_are_found_after_the_registry_s_log_was_deleted(tmp_path: Path) -> None:
    registry, other = LocalRegistry(home=tmp_path / "home"), LocalRegistry(home=tmp_path / "home")
    await registry.open()
    await other.open()
    lease = await registry.register(Registration(Node("1", "127.0.0.1:1"), ("a",)))
    watch = other.watch("a")
    assert len(await anext(watch)) == 1
    delete(tmp_path / "home" / "default" / "registry.db", "-wal", "-shm")
    await lease.renew()
    await registry.register(Registration(Node("2", "127.0.0.1:2"), ("a",)))
    async with asyncio.timeout(20):
        assert [node.id for node in await anext(watch)] == ["1", "2"]
    await registry.close()
    await other.close()


async def test_no_process_deletes_the_log_that_another_one_has_begun_in_a_restored_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The file system may give the inode of the old log to the new one, so the old one must still be open."""
    path = tmp_path / "home" / "state.db"
    schema = [["CREATE TABLE notes (text TEXT)"]]
    first, second = Database(path, schema, folders=1), Database(path, schema, folders=1)
    for each in (first, second):
        await each.open()
        await each.write(note("before"))
        await each.read(notes)
    back_up(path)
    restore(path)
    threads = [each for each in threading.enumerate() if each.name.startswith("micro-")]
    goes_on = {thread: threading.Event() for thread in threads}
    opening: list[threading.Thread] = []
    connect = SQLiteFile.connect

    def wait_and_connect(self: SQLiteFile, look: Callable[[], None] = lambda: None) -> Connection:
        opening.append(threading.current_thread())
        goes_on[threading.current_thread()].wait(60)
        return connect(self, look)

    monkeypatch.setattr(SQLiteFile, "connect", wait_and_connect)
    work = [
        asyncio.create_task(each)
        for each in (first.write(note("one")), first.read(notes), second.write(note("two")), second.read(notes))
    ]
    await eventually(lambda: len(opening), "all know the old log, and have not looked at the new one", equals=4)
    for of_one, its_work in ((threads[:2], work[:2]), (threads[2:], work[2:])):
        for thread in of_one:
            goes_on[thread].set()
        await asyncio.gather(*its_work)
    await first.write(note("at last"))
    assert await second.read(notes) == ["before", "before", "one", "two", "at last"]
    for each in (first, second):
        await each.close()
    assert not [line for line in caplog.messages if "deleted" in line]


async def test_a_restored_file_is_opened_by_one_process_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY", 0.2)
    path = tmp_path / "home" / "state.db"
    database = Database(path, [["CREATE TABLE notes (text TEXT)"]], folders=1)
    await database.open()
    await database.write(note("before"))
    back_up(path)
    await database.write(note("lost with the old file"))
    restore(path)
    log = Files.at(str(path)).wal
    with Alone(path.parent, monotonic()):
        for _ in range(2):
            with pytest.raises(
                Unavailable, match=rf"kept {path.parent} locked .*: this process \({os.getpid()}\) holds it"
            ):
                await database.write(note("refused"))
        assert Files.at(str(path)).wal == log, "it did not delete the old log"
    await database.write(note("after"))
    assert await database.read(notes) == ["before", "after"]
    await database.close()


def note(text: str) -> Callable[[Connection], None]:
    """Returns an operation that writes a text."""

    def write(connection: Connection) -> None:
        connection.execute("INSERT INTO notes VALUES (?)", (text,))

    return write


def notes(connection: Connection) -> list[str]:
    """Returns the texts that were written."""
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY rowid")]


WORKER = """
import asyncio, sys
from micro_rt.backends.local.broker import LocalBroker
from tests.faults.test_local_files import Consumer

async def main(home):
    broker = LocalBroker("local:?session=3", home=home)
    await broker.open()
    consumer = Consumer(broker)
    shown = 0
    while True:
        await asyncio.sleep(0.02)
        for value in consumer.values[shown:]:
            print(value, flush=True)
            shown += 1

asyncio.run(main(sys.argv[1]))
"""


class Worker:
    """A process that reads, and what it has read."""

    def __init__(self, home: Path) -> None:
        self.values: list[int] = []
        self._home = home

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WORKER, str(self._home), stdout=asyncio.subprocess.PIPE, cwd=ROOT
        )
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()
        await self._task

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.values.append(int(line))


async def test_several_processes_follow_what_happens_to_the_files(
    broker: LocalBroker, file: Path, tmp_path: Path
) -> None:
    async with Worker(tmp_path / "home") as first, Worker(tmp_path / "home") as second:

        def seen(numbers: range) -> bool:
            return set(numbers) <= {*first.values, *second.values}

        number = 0
        for happens in (back_up, restore, delete_log, restore, delete_log):
            for _ in range(10):
                await publish(broker, range(number, number + 10))
                number += 10
            if happens is not restore:  # What only the replaced file has is gone with it.
                await eventually(partial(seen, range(number - 100, number)))
            await asyncio.to_thread(happens, file)
            await publish(broker, range(number, number + 50))
            await eventually(partial(seen, range(number, number + 50)), "what comes after it is handled", within=60)
            number += 50
    await broker.close()
    with sqlite3.connect(file) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()


def block(title: str) -> str:
    """Returns the code block of the docs with a title."""
    page = (ROOT / "docs" / "local.md").read_text()
    found = re.search(rf'```\w+ title="{re.escape(title)}"\n(.*?)```', page, re.DOTALL)
    assert found is not None, f"docs/local.md has no block {title}"
    return found[1]


async def test_a_backup_is_made_and_restored_as_the_docs_say(broker: LocalBroker, file: Path, tmp_path: Path) -> None:
    await publish(broker, range(30))
    consumer = Consumer(broker)
    await eventually(lambda: len(consumer.values) == 30)

    async def run(*command: str) -> None:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=tmp_path, env={**os.environ, "MICRO_HOME": str(tmp_path / "home")}
        )
        assert await process.wait() == 0

    await run(sys.executable, "-c", block("backup.py"))
    await publish(broker, range(30, 60))
    await consumer.close()
    await broker.close()
    await run("sh", "-ec", block("restore.sh"))
    assert size_of(file)
    restored = LocalBroker(home=tmp_path / "home")
    await restored.open()
    await publish(restored, range(100, 110))
    again = Consumer(restored)
    await eventually(lambda: sorted(again.values) == list(range(100, 110)))
    await again.close()
    await restored.close()


def back_up(file: Path) -> None:
    backup = file.with_name("backup.db")
    with sqlite3.connect(file) as source, sqlite3.connect(backup) as target:
        source.backup(target)
    source.close()
    target.close()
    backup.chmod(0o600)


def restore(file: Path) -> None:
    backup = file.with_name("backup.db")
    copy = file.with_name("copy.db")
    shutil.copyfile(backup, copy)
    copy.chmod(0o600)
    copy.rename(file)


def delete(file: Path, *suffixes: str) -> None:
    for suffix in suffixes:
        Path(f"{file}{suffix}").unlink(missing_ok=True)


def delete_log(file: Path) -> None:
    delete(file, "-wal", "-shm")


def size_of(file: Path) -> int:
    return file.stat().st_size
