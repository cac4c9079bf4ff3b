"""The WAL of ``local:`` gets small again: after a large event, and after another process has read for long."""

import contextlib
import logging
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from micro_rt.backends.local import journal
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.broker.base import OutgoingRecord, Position, TopicOptions
from tests.helpers.waiting import eventually

MIB = 1 << 20


@contextlib.asynccontextmanager
async def opened(home: Path) -> AsyncIterator[LocalBroker]:
    broker = LocalBroker("local:?max_message=100000000", home=home)
    await broker.open()
    try:
        await broker.prepare({"t": TopicOptions(partitions=1)})
        yield broker
    finally:
        await broker.close()


async def publish(broker: LocalBroker, size: int) -> None:
    (result,) = await broker.publish([OutgoingRecord("t", b"x" * size, b"k")])
    assert isinstance(result, Position), result


def wal(home: Path) -> int:
    return (home / "default" / "broker.db-wal").stat().st_size


async def test_after_a_large_event_the_wal_is_small_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micro_rt.backends.local.event_file.TIDY", (1000.0, 1000.0))
    async with opened(tmp_path) as broker:
        await publish(broker, 64 * MIB)
        # Nothing else is written.
        await eventually(lambda: wal(tmp_path) <= 16 * MIB)
        reader = broker.read("t", "earliest")
        (records,) = (await reader.fetch(1, 60.0)).values()
        assert len(records[0].value) == 64 * MIB


async def test_events_of_usual_sizes_keep_the_wal_small(tmp_path: Path) -> None:
    async with opened(tmp_path) as broker:
        for _ in range(20):
            await publish(broker, 2 * MIB)
        await eventually(lambda: wal(tmp_path) <= 16 * MIB)


async def test_a_process_that_reads_for_long_is_named_once_and_the_wal_is_emptied_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journal, "WARN", 20 * MIB)
    monkeypatch.setattr(journal, "_AGAIN", 0.05)
    caplog.set_level(logging.INFO, "micro_rt.sqlite")

    def logged(text: str) -> int:
        return len([message for message in caplog.messages if text in message])

    async with opened(tmp_path) as broker:
        reader = sqlite3.connect(tmp_path / "default" / "broker.db", isolation_level=None)
        with contextlib.closing(reader):
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM records").fetchone()
            for _ in range(20):
                await publish(broker, 2 * MIB)
            await eventually(lambda: logged("reads the file for long"))
            assert wal(tmp_path) > 40 * MIB
            for _ in range(5):
                await publish(broker, 1)
            assert logged("reads the file for long") == 1
            reader.execute("COMMIT")
        # Nothing else is written.
        await eventually(lambda: wal(tmp_path) <= 16 * MIB)
        await eventually(lambda: logged("is small again") == 1)
    assert logged("reads the file for long") == 1
