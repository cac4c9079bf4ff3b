"""Retention of ``local:`` on machines whose clocks are wrong: a wall clock that jumps, reboots, files of earlier versions."""

import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from micro_rt.backends.local.broker import LocalBroker
from micro_rt.broker.base import OutgoingRecord, Position, TopicOptions
from micro_rt.kit.clock import Clock
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.waiting import eventually, soon

DAY = 86400.0
TOPICS = {
    "kept": TopicOptions(2, retention=7 * DAY),
    "passing": TopicOptions(2, retention=3.0),
    "brief": TopicOptions(1, retention=0.5),  # The process looks four times a second for what ran out.
}


@pytest.fixture
def set_ahead(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the wall clock of this process to the right time and that many seconds, as NTP or a user does."""
    right = time.time

    def set_to(seconds: float) -> None:
        monkeypatch.setattr(time, "time", lambda: right() + seconds)

    return set_to


@contextlib.asynccontextmanager
async def opened(home: Path, clock: Clock | None = None) -> AsyncIterator[LocalBroker]:
    broker = LocalBroker("local:", home=home, clock=clock)
    await broker.open()
    try:
        await broker.prepare(TOPICS)
        yield broker
    finally:
        await broker.close()


async def publish(broker: LocalBroker, topic: str, count: int = 1) -> None:
    results = await soon(broker.publish([OutgoingRecord(topic, b"%d" % number) for number in range(count)]))
    assert all(isinstance(result, Position) for result in results), results


def stored(home: Path, topic: str) -> int:
    """Returns how many records of a topic are in the file."""
    connection = sqlite3.connect(home / "default" / "broker.db")
    try:
        row = connection.execute(
            "SELECT sum(next - first) FROM partitions JOIN topics ON topics.id = topic WHERE name = ?", (topic,)
        ).fetchone()
        return int(row[0])
    finally:
        connection.close()


async def look_around(broker: LocalBroker, home: Path) -> None:
    """Waits until the process has looked for what ran out, with the clocks as they are: after that, a brief record is gone."""
    for _ in range(2):
        await publish(broker, "brief")
        await eventually(lambda: stored(home, "brief"), equals=0)


async def read(broker: LocalBroker, topic: str, count: int) -> int:
    subscription = broker.subscribe([topic], "late", "earliest", Recorder())
    found = 0
    try:
        while found < count:
            found += sum(len(records) for records in (await soon(subscription.fetch(count, 1.0))).values())
    finally:
        await subscription.close()
    return found


async def test_a_clock_that_starts_in_1970_and_is_set_deletes_nothing(
    tmp_path: Path, set_ahead: Callable[[float], None]
) -> None:
    set_ahead(1000.0 - time.time())
    async with opened(tmp_path) as broker:
        await publish(broker, "kept", 100)
        await look_around(broker, tmp_path)
        set_ahead(0.0)
        await look_around(broker, tmp_path)
        assert stored(tmp_path, "kept") == 100
        assert await read(broker, "kept", 100) == 100


async def test_a_clock_that_is_ahead_for_a_moment_deletes_nothing(
    tmp_path: Path, set_ahead: Callable[[float], None]
) -> None:
    async with opened(tmp_path) as broker:
        await publish(broker, "kept", 1000)
        await look_around(broker, tmp_path)
        for ahead in (8 * DAY, 0.0, 400 * DAY):
            set_ahead(ahead)
            await look_around(broker, tmp_path)
        assert stored(tmp_path, "kept") == 1000
    set_ahead(800 * DAY)  # Also for a process that opens the file with that clock.
    async with opened(tmp_path) as broker:
        await look_around(broker, tmp_path)
        assert stored(tmp_path, "kept") == 1000


async def test_a_clock_that_was_a_year_ahead_once_does_not_stop_retention(
    tmp_path: Path, set_ahead: Callable[[float], None]
) -> None:
    set_ahead(365 * DAY)
    async with opened(tmp_path) as broker:
        await publish(broker, "passing", 10)
        await look_around(broker, tmp_path)
        set_ahead(0.0)
        await eventually(lambda: stored(tmp_path, "passing"), equals=0)
    set_ahead(-365 * DAY)
    async with opened(tmp_path) as broker:
        await publish(broker, "passing", 10)
        await eventually(lambda: stored(tmp_path, "passing"), equals=0)


async def test_a_reboot_with_another_wall_clock_deletes_nothing_and_does_not_stop_retention(
    tmp_path: Path, set_ahead: Callable[[float], None]
) -> None:
    now = time.monotonic
    started = now()
    set_ahead(1000.0 - time.time())
    async with opened(tmp_path, Clock(lambda: now() + 5000.0, "boot 1", from_boot=True)) as broker:
        await publish(broker, "kept", 100)
        await look_around(broker, tmp_path)
    for boot, ahead in (("boot 2", 0.0), ("boot 3", 30 * DAY), ("boot 4", -30 * DAY)):
        set_ahead(ahead)
        async with opened(tmp_path, Clock(lambda: now() - started, boot, from_boot=True)) as broker:
            await publish(broker, "passing")
            await look_around(broker, tmp_path)
            assert stored(tmp_path, "kept") == 100
            await eventually(lambda: stored(tmp_path, "passing"), equals=0)


async def test_retention_goes_on_where_the_system_has_no_boot_clock(
    tmp_path: Path, set_ahead: Callable[[float], None]
) -> None:
    clock = Clock(lambda: time.time(), "wall", jumps=True)
    async with opened(tmp_path, clock) as broker, opened(tmp_path, Clock(lambda: time.time(), "wall", jumps=True)):
        await publish(broker, "kept", 100)
        await publish(broker, "passing", 10)
        await look_around(broker, tmp_path)
        set_ahead(8 * DAY)
        await look_around(broker, tmp_path)
        assert stored(tmp_path, "kept") == 100
        await eventually(lambda: stored(tmp_path, "passing"), equals=0)
