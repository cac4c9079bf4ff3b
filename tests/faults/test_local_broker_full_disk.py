"""The broker ``local:`` on a disk that is full: it refuses to publish in time, so that everything else goes on."""

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from micro_rt.backends.local.broker import LocalBroker
from micro_rt.broker.base import OutgoingRecord, Partition, Position, Record, Subscription, TopicOptions
from micro_rt.errors import Error, ResourceExhausted
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.disks import fill, small_disk
from tests.helpers.waiting import eventually, soon

VALUE = b"x" * 1000
T = Partition("t", 0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 16) as folder:
        yield folder


def own_clock() -> Clock:
    """Brokers share an engine if they share a clock; with one of its own it is as if in another process."""
    clock = boot_clock()
    return Clock(lambda: clock.now(), clock.epoch)


@contextlib.asynccontextmanager
async def opened(home: Path, address: str = "local:") -> AsyncIterator[LocalBroker]:
    broker = LocalBroker(address, home=home, clock=own_clock())
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


@contextlib.asynccontextmanager
async def member(broker: LocalBroker, group: str = "g") -> AsyncIterator[Subscription]:
    subscription = broker.subscribe(["t"], group, "earliest", Recorder())
    try:
        yield subscription
    finally:
        await subscription.close()


async def read(subscription: Subscription, count: int) -> list[bytes]:
    """Reads and commits this many records."""
    found: list[Record] = []

    async def fetch() -> None:
        while len(found) < count:
            for records in (await subscription.fetch(count - len(found), 1.0)).values():
                found.extend(records)

    await soon(fetch())
    await soon(subscription.commit({T: found[-1].offset + 1}))
    return [record.value for record in found]


async def publish_until_refused(broker: LocalBroker, size: int = 1000) -> tuple[list[bytes], Error]:
    """Returns what was accepted, and the error."""
    accepted: list[bytes] = []
    while True:
        values = [b"%d %s" % (len(accepted) + number, b"x" * size) for number in range(20)]
        results = await soon(broker.publish([OutgoingRecord("t", value, b"k") for value in values]))
        errors = [result for result in results if isinstance(result, Error)]
        if errors:
            assert len(errors) == len(results), "half of a call was written"
            break
        accepted += values
    while await accepts(broker):  # There may be space for a few single ones.
        accepted.append(VALUE)
    return accepted, errors[0]


async def accepts(broker: LocalBroker, value: bytes = VALUE) -> bool:
    (result,) = await soon(broker.publish([OutgoingRecord("t", value, b"k")]))
    if isinstance(result, Error):
        assert isinstance(result, ResourceExhausted), result
    return isinstance(result, Position)


async def keep_for(broker: LocalBroker, seconds: float) -> None:
    """Changes the retention of all topics, and has it apply now."""
    file = broker._open_file()
    await file.database.write(
        lambda connection: connection.execute("UPDATE topics SET retention = ?", (seconds,)).rowcount
    )
    file.look_for_retention()


def first_kept(home: Path) -> int:
    with contextlib.closing(sqlite3.connect(home / "default" / "broker.db", timeout=30)) as connection:
        (first,) = connection.execute(
            "SELECT first FROM partitions JOIN topics ON topics.id = topic WHERE name = 't'"
        ).fetchone()
        return int(first)


def check_integrity(home: Path) -> None:
    with contextlib.closing(sqlite3.connect(home / "default" / "broker.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def lines(caplog: pytest.LogCaptureFixture, level: int, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level and text in record.getMessage()]


async def test_a_broker_that_fills_its_disk_goes_on_when_events_run_out(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt")
    home = disk / "home"
    async with opened(home) as broker, opened(home) as other:
        await broker.prepare({"t": TopicOptions(partitions=1, retention=3600)})
        async with member(other) as subscription:
            await read_some(broker, subscription)
            accepted, error = await publish_until_refused(broker)
            assert len(accepted) > 3000
            assert isinstance(error, ResourceExhausted)
            assert not error.may_have_run
            assert "no space left" in error.message
            assert str(home) in error.message
            for _ in range(20):
                assert not await accepts(broker)
            assert "no space left" in broker.problem
            assert await read(subscription, 1000) == accepted[:1000]
        # A consumer that restarts reads on, in a group of its own too.
        async with opened(home) as restarted, member(restarted) as subscription:
            assert await read(subscription, len(accepted) - 1000) == accepted[1000:]
        async with member(other, "another") as subscription:
            assert await read(subscription, len(accepted) + 1) == [VALUE, *accepted]
        assert not await accepts(broker)
        await keep_for(other, 0.5)
        await eventually(lambda: accepts(broker))
        await eventually(lambda: not broker.problem and not other.problem)
        await eventually(lambda: first_kept(home) > len(accepted))
        await keep_for(other, 3600)
        # It is as large as before, so all of it can be published again.
        again, _ = await publish_until_refused(broker)
        assert len(again) > len(accepted) / 2
    assert not lines(caplog, logging.WARNING, "cannot")
    assert len(lines(caplog, logging.WARNING, "no space left")) == 2  # Each time that it was full.
    assert len(lines(caplog, logging.INFO, "space again")) == 1
    check_integrity(home)


async def read_some(broker: LocalBroker, subscription: Subscription) -> None:
    assert await accepts(broker)
    await read(subscription, 1)


async def test_a_file_is_opened_on_a_disk_without_a_free_byte(disk: Path) -> None:
    home, ballast = disk / "home", disk / "ballast"
    async with opened(home) as broker:
        await broker.prepare({"t": TopicOptions(partitions=1)})
        values = [b"%d" % number for number in range(1000)]
        await broker.publish([OutgoingRecord("t", value, b"k") for value in values])
    fill(ballast)
    async with opened(home) as broker, member(broker) as subscription:
        assert "no space left" in broker.problem
        assert await read(subscription, 500) == values[:500]
        assert not await accepts(broker)
        fill(ballast)
        assert await read(subscription, 500) == values[500:]
        ballast.unlink()
        await eventually(lambda: not broker.problem)
        assert await accepts(broker)
    check_integrity(home)


async def test_a_disk_that_another_program_fills_to_the_last_byte_stops_nothing_but_publishing(
    disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt")
    home = disk / "home"
    ballast = disk / "ballast"
    async with opened(home, "local:?session=2") as broker:
        await broker.prepare({"t": TopicOptions(partitions=1, retention=3600)})
        accepted: list[bytes] = []
        for _ in range(200):
            values = [b"%d %s" % (len(accepted) + number, VALUE) for number in range(20)]
            results = await broker.publish([OutgoingRecord("t", value, b"k") for value in values])
            assert all(isinstance(result, Position) for result in results)
            accepted += values
        assert fill(ballast)
        assert not await accepts(broker)
        async with member(broker) as subscription:
            assert await read(subscription, 1000) == accepted[:1000]
            assert fill(ballast) >= 0
            # Its session does not end: heartbeats are written.
            before = session_ends(home)
            await eventually(lambda: session_ends(home) > before + 4)
            assert await read(subscription, 3000) == accepted[1000:]
        fill(ballast)
        await keep_for(broker, 0.5)
        await eventually(lambda: first_kept(home) >= len(accepted))
        assert "no space left" in broker.problem
        ballast.unlink()
        await eventually(lambda: not broker.problem)
        assert await accepts(broker)
        async with member(broker) as subscription:
            assert await read(subscription, 1) == [VALUE]
    assert not lines(caplog, logging.WARNING, "cannot")
    check_integrity(home)


def session_ends(home: Path) -> float:
    with contextlib.closing(sqlite3.connect(home / "default" / "broker.db", timeout=30)) as connection:
        (expires,) = connection.execute("SELECT max(expires) FROM members").fetchone()
        return float(expires or 0)


async def test_what_fails_again_and_again_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(tmp_path) as broker:
        await broker.prepare({"t": TopicOptions(partitions=1, retention=2)})
        assert await accepts(broker)
        connection = sqlite3.connect(tmp_path / "default" / "broker.db", isolation_level=None)
        with contextlib.closing(connection):
            # Every deletion fails from now on.
            connection.execute("CREATE TRIGGER stop BEFORE DELETE ON records BEGIN SELECT raise(ABORT, 'not now'); END")
            await eventually(lambda: lines(caplog, logging.WARNING, "cannot delete events"))
            file = broker._open_file()
            for _ in range(10):
                file.look_for_retention()
                await asyncio.sleep(0.05)
            assert len(lines(caplog, logging.WARNING, "cannot delete events")) == 1
            assert "cannot delete events" in broker.problem
            connection.execute("DROP TRIGGER stop")
            await eventually(lambda: not broker.problem)
