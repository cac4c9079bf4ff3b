"""What the file of events goes through: publishers and members killed and stopped in the middle of writes, a disk that is full,
a lock that is held, a folder that is deleted. Each is counted: what was published, handled, lost (none) and repeated."""

import asyncio
import contextlib
import itertools
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import uuid
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from micro_rt.backends.local.broker import LocalBroker
from micro_rt.broker.base import OutgoingRecord, Partition, Position, Record, Subscription, TopicOptions
from micro_rt.errors import Aborted, Error, ResourceExhausted
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.testing.contracts.broker.members import Reader, Recorder
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually

WORKER = Path(__file__).with_name("local_broker_worker.py")
PATIENCE = 90.0


class Workers:
    """Publishers and members, each a process with a file of what it did."""

    def __init__(self, home: Path, notes: Path) -> None:
        self.running: dict[str, list[Process]] = {"publish": [], "handle": []}
        self._home = home
        self._notes = notes
        self._numbers = itertools.count()

    async def start(self, what: str) -> Process:
        name = f"{what}-{next(self._numbers)}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(WORKER), what, name, str(self._home), str(self._notes / name)),
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=PIPE,
            stdout=PIPE,
        )
        self.running[what].append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return process

    async def kill(self, what: str, process: Process) -> None:
        self.running[what].remove(process)
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()

    async def stop(self, what: str) -> None:
        for process in self.running[what]:
            await process.communicate(b"\n")
            assert process.returncode == 0
        self.running[what].clear()

    def accepted(self) -> set[str]:
        return set(self._lines("publish"))

    def handled(self) -> Counter[str]:
        return Counter(line.split()[2] for line in self._lines("handle"))

    def offsets(self) -> dict[int, set[int]]:
        """What was handled of each partition."""
        found: dict[int, set[int]] = {}
        for line in self._lines("handle"):
            partition, offset, _ = line.split()
            found.setdefault(int(partition), set()).add(int(offset))
        return found

    def _lines(self, what: str) -> Iterator[str]:
        for path in self._notes.glob(f"{what}-*"):
            yield from _whole_lines(path)


def _whole_lines(path: Path) -> list[str]:
    return path.read_text().split("\n")[:-1]  # The last one may have been cut off.


@contextlib.asynccontextmanager
async def workers(tmp_path: Path) -> AsyncIterator[Workers]:
    (tmp_path / "notes").mkdir()
    found = Workers(tmp_path / "home", tmp_path / "notes")
    try:
        yield found
    finally:
        for what, processes in found.running.items():
            for process in list(processes):
                await found.kill(what, process)


@contextlib.asynccontextmanager
async def opened(home: Path, address: str = "local:", clock: Clock | None = None) -> AsyncIterator[LocalBroker]:
    broker = LocalBroker(address, home=home, clock=clock)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


@contextlib.asynccontextmanager
async def member(
    broker: LocalBroker, topic: str = "t", group: str = ""
) -> AsyncIterator[tuple[Subscription, Recorder]]:
    recorder = Recorder()
    subscription = broker.subscribe([topic], group or uuid.uuid4().hex, "earliest", recorder)
    try:
        yield subscription, recorder
    finally:
        await subscription.close()


async def publish(broker: LocalBroker, *values: bytes) -> list[Position | Error]:
    async with asyncio.timeout(PATIENCE):
        return await broker.publish([OutgoingRecord("t", value, b"k") for value in values])


async def read(subscription: Subscription, count: int) -> list[Record]:
    found: list[Record] = []
    async with asyncio.timeout(PATIENCE):
        while len(found) < count:
            for records in (await subscription.fetch(count - len(found), 1.0)).values():
                found += records
    return found


def check_integrity(home: Path) -> None:
    connection = sqlite3.connect(home / "default" / "broker.db")
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        # Nothing half written: each partition has exactly the records that it says.
        for id, first, next in connection.execute("SELECT id, first, next FROM partitions").fetchall():
            rows = connection.execute(
                "SELECT count(*), min(id), max(id) FROM records WHERE id >= ? AND id < ?", (id << 40, (id + 1) << 40)
            ).fetchone()
            expected = (next - first, id << 40 | first, id << 40 | next - 1) if next > first else (0, None, None)
            assert rows == expected
    finally:
        connection.close()


@pytest.mark.verify("events")
async def test_publishers_and_members_are_killed_and_stopped_in_the_middle_of_writes(
    tmp_path: Path, size: Size, figures: Figures
) -> None:
    chance = random.Random(7)
    async with workers(tmp_path) as these:
        await asyncio.gather(*(these.start(what) for what in ("publish", "publish", "handle", "handle", "handle")))
        for _ in range(size(200, ci=6)):
            await asyncio.sleep(chance.uniform(0.1, 0.6))
            what = chance.choice(["publish", "handle", "handle"])
            victim = chance.choice(these.running[what])
            if chance.random() < 0.3:  # For longer than its session; others go on with what it had.
                victim.send_signal(signal.SIGSTOP)
                await asyncio.sleep(1.5)
                victim.send_signal(signal.SIGCONT)
            else:
                await these.kill(what, victim)
                await these.start(what)
        await these.stop("publish")
        accepted = these.accepted()
        await eventually(lambda: not accepted - these.handled().keys())
        await these.stop("handle")
        handled = these.handled()
        lost = accepted - handled.keys()
        repeated = sum(handled.values()) - len(handled)
        for what, count in (("published", len(accepted)), ("lost", len(lost)), ("repeated", repeated)):
            figures.add(what, count)
        assert len(accepted) > 100
        assert not lost
        for partition, offsets in these.offsets().items():
            assert offsets == set(range(len(offsets))), f"skipped some of partition {partition}"
    check_integrity(tmp_path / "home")


@pytest.mark.verify("events")
async def test_a_storm_of_members_that_join_and_leave(tmp_path: Path, size: Size, figures: Figures) -> None:
    chance = random.Random(11)
    published = 0
    board: dict[Partition, Reader] = {}
    readers: list[Reader] = []
    async with opened(tmp_path) as one, opened(tmp_path, clock=_own_clock()) as two:
        await one.prepare({"t": TopicOptions(partitions=6)})

        async def publish_all_the_time() -> None:
            nonlocal published
            while True:
                batch = [
                    OutgoingRecord("t", b"%d" % number, b"%d" % (number % 50))
                    for number in range(published, published + 20)
                ]
                for result in await one.publish(batch):
                    assert isinstance(result, Position), result
                published += 20
                await asyncio.sleep(0.01)

        def join() -> Reader:
            broker = chance.choice([one, two])
            reader = Reader(broker, ["t"], "g", "earliest", True, 50, board, PATIENCE)
            readers.append(reader)
            return reader

        publishing = asyncio.ensure_future(publish_all_the_time())
        present = [join(), join()]
        for _ in range(size(600, ci=30)):
            await asyncio.sleep(chance.uniform(0.0, 0.2))
            if len(present) < 2 or (len(present) < 6 and chance.random() < 0.5):
                present.append(join())
            else:
                await present.pop(chance.randrange(len(present))).stop()
        publishing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await publishing

        def read_by_all() -> list[Record]:
            return [record for reader in readers for record in reader.records]

        await eventually(lambda: len({record[:3] for record in read_by_all()}) >= published)
        for reader in present:
            await reader.stop()
        counts = Counter(record[:3] for record in read_by_all())
        lost, repeated = published - len(counts), sum(counts.values()) - len(counts)
        for what, count in (("published", published), ("repeated", repeated), ("members", len(readers))):
            figures.add(what, count)
        assert repeated == 0
        assert lost <= 0  # The call that was cancelled may have published some more.
        for reader in readers:
            reader.expect_order()
    check_integrity(tmp_path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a full disk needs a small one to mount: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


async def test_the_disk_is_full(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 2 * 1024 * 1024)
    accepted: list[bytes] = []
    async with opened(small_disk / "home") as broker, opened(small_disk / "home", clock=_own_clock()) as other:
        await broker.prepare({"t": TopicOptions(partitions=1)})
        async with member(other, group="g") as (subscription, _), member(broker, group="g2") as (second, _recorder):
            await subscription.fetch(1, 0.0)
            await second.fetch(1, 0.0)
            for number in range(10_000):
                values = [b"%d-%d-%s" % (number, each, b"x" * 1000) for each in range(20)]
                results = await publish(broker, *values)
                accepted += [
                    value for value, result in zip(values, results, strict=True) if isinstance(result, Position)
                ]
                if isinstance(results[0], Error):
                    break
            assert len({type(result) for result in results}) == 1, "half of a call was written"
            error = results[0]
            assert isinstance(error, ResourceExhausted), error
            assert "no space left" in error.message and "MICRO_HOME" in error.message
            assert not error.may_have_run
            # What is there can be read while the disk is full, and what is not there is not.
            assert [record.value for record in await read(subscription, len(accepted))] == accepted
            assert await subscription.fetch(10, 0.1) == {}
            for _ in range(3):
                (again,) = await publish(broker, b"y" * 1_000_000)
                assert isinstance(again, ResourceExhausted)
            with contextlib.suppress(ResourceExhausted):  # It is so little that there may be room.
                await subscription.commit({Partition("t", 0): 1})
            ballast.unlink()
            results = await publish(broker, b"after")
            assert isinstance(results[0], Position), results
            assert results[0].offset == len(accepted)
            assert [record.value for record in await read(subscription, 1)] == [b"after"]
            await subscription.commit({Partition("t", 0): results[0].offset + 1})
            assert [each.value for each in await read(second, len(accepted) + 1)] == [*accepted, b"after"]
            await eventually(lambda: not broker.problem and not other.problem)
    check_integrity(small_disk / "home")


async def test_another_process_holds_the_lock(tmp_path: Path) -> None:
    async with opened(tmp_path) as broker, member(broker) as (subscription, _):
        await broker.prepare({"t": TopicOptions(partitions=1)})
        await publish(broker, b"before")
        assert len(await read(subscription, 1)) == 1
        other = sqlite3.connect(tmp_path / "default" / "broker.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        publishing = asyncio.ensure_future(publish(broker, b"after"))
        committing = asyncio.ensure_future(subscription.commit({Partition("t", 0): 1}))
        assert await subscription.fetch(1, 0.3) == {}  # Reading waits for no writer.
        assert not publishing.done()
        assert not committing.done()
        other.execute("COMMIT")
        other.close()
        assert [record.value for record in await read(subscription, 1)] == [b"after"]
        assert isinstance((await publishing)[0], Position)
        await committing


async def test_the_state_folder_is_deleted_under_running_services(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with opened(home) as broker, opened(home, clock=_own_clock()) as other:
        await broker.prepare({"t": TopicOptions(partitions=3)})
        await other.prepare({"t": TopicOptions(partitions=3)})
        async with member(other, group="g") as (subscription, recorder):
            await publish(broker, b"before")
            assert len(await read(subscription, 1)) == 1
            shutil.rmtree(home)
            assert isinstance((await publish(broker, b"after"))[0], Position)
            assert [record.value for record in await read(subscription, 1)] == [b"after"]
            assert [what for what, _ in recorder.history] == ["assigned", "lost", "assigned"]
            assert len(recorder.partitions) == 3
    check_integrity(home)


async def test_a_reboot_ends_all_memberships_and_keeps_the_rest(tmp_path: Path) -> None:
    async with (
        opened(tmp_path, clock=Clock(lambda: 1_000_000.0, "boot 1")) as before,
        opened(tmp_path, clock=Clock(lambda: 5.0, "boot 2")) as after,
    ):
        await before.prepare({"t": TopicOptions(partitions=1)})
        await publish(before, b"0", b"1", b"2")
        async with member(before, group="g") as (old, recorder), member(after, group="g") as (new, _):
            await read(old, 3)
            await old.commit({Partition("t", 0): 2})
            assert [record.value for record in await read(new, 1)] == [b"2"]
            with pytest.raises(Aborted):
                await old.commit({Partition("t", 0): 0})
            await old.fetch(1, 0.0)
            assert [what for what, _ in recorder.history[:2]] == ["assigned", "lost"]
    check_integrity(tmp_path)


async def test_on_a_machine_that_was_suspended_nobody_is_taken_for_dead(tmp_path: Path) -> None:
    now = 1000.0
    address = "local:?session=20"
    async with (
        opened(tmp_path, address, Clock(lambda: now, "boot")) as one,
        opened(tmp_path, address, Clock(lambda: now + 0.0, "boot")) as two,
    ):
        await one.prepare({"t": TopicOptions(partitions=2)})
        async with member(one, group="g") as (a, told_a), member(two, group="g") as (b, told_b):
            async with asyncio.timeout(PATIENCE):
                while len(told_a.partitions) != 1 or len(told_b.partitions) != 1:
                    await a.fetch(1, 0.05)
                    await b.fetch(1, 0.05)
            before = [*told_a.history, *told_b.history]
            now += 5000.0
            await eventually(lambda: _living(tmp_path, now) == 2)
            await a.fetch(1, 0.1)
            await b.fetch(1, 0.1)
            assert [*told_a.history, *told_b.history] == before
            await a.commit(dict.fromkeys(told_a.partitions, 0))
            await b.commit(dict.fromkeys(told_b.partitions, 0))


def _living(home: Path, now: float) -> int:
    connection = sqlite3.connect(home / "default" / "broker.db")
    try:
        return int(connection.execute("SELECT count(*) FROM members WHERE expires > ?", (now,)).fetchone()[0])
    finally:
        connection.close()


def _own_clock() -> Clock:
    """Brokers share an engine if they share a clock; with one of its own it is as if in another process."""
    clock = boot_clock()
    return Clock(lambda: clock.now(), clock.epoch)
