"""What a process reads when others commit into the file of ``local:``, and that its members are woken by what concerns them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

from micro_rt.backends.local import log
from micro_rt.backends.local.broker import LocalBroker
from micro_rt.broker.base import OutgoingRecord, Record, Subscription, TopicOptions, partition_of
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.waiting import eventually, soon


@asynccontextmanager
async def opened(home: Path, clock: Clock | None = None) -> AsyncIterator[LocalBroker]:
    broker = LocalBroker(home=home, clock=clock)
    await broker.open()
    try:
        yield broker
    finally:
        await broker.close()


async def read(subscription: Subscription, wanted: int) -> list[Record]:
    found: list[Record] = []
    while len(found) < wanted:
        for records in (await soon(subscription.fetch(wanted - len(found), 3600.0))).values():
            found += records
    return found


def steps_of_a_poll(broker: LocalBroker) -> "asyncio.Future[int]":
    """Returns how many instructions SQLite runs for a poll after a commit."""
    file = broker._file
    assert file is not None

    def poll(connection: sqlite3.Connection) -> int:
        count = 0

        def step() -> int:
            nonlocal count
            count += 1
            return 0

        file._seen = (connection, -1)  # As if there was a commit that it has not seen.
        connection.set_progress_handler(step, 1)
        try:
            file._poll(connection)
        finally:
            connection.set_progress_handler(None, 1)
        return count

    return asyncio.ensure_future(file.database.read(poll))


async def test_groups_and_topics_of_others_cost_a_member_nothing(tmp_path: Path) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for name in (f"others-{number}" for number in range(200)):
            log.make(connection, name, 8, 1000.0)
        ids: Iterable[tuple[int, str]] = ((1000 + number, f"dead-{number}") for number in range(3000))
        connection.executemany("INSERT INTO groups (id, name) VALUES (?, ?)", ids)
        connection.execute(
            "INSERT INTO positions SELECT groups.id, partitions.id, 0, '' FROM groups, partitions WHERE topic = 1"
        )

    # Another engine, as if in another process: what it commits is seen by the poll alone.
    clock = boot_clock()
    async with opened(tmp_path) as broker, opened(tmp_path, Clock(lambda: clock.now(), clock.epoch)) as other:
        await broker.prepare({"t": TopicOptions(partitions=2)})
        member = broker.subscribe(["t"], "g", "earliest", Recorder())
        await other.publish([OutgoingRecord("t", b"one")])
        assert [record.value for record in await read(member, 1)] == [b"one"]
        before = await steps_of_a_poll(broker)
        assert other._file is not None
        await other._file.database.write(fill)
        assert await steps_of_a_poll(broker) <= before + 20
        await other.publish([OutgoingRecord("t", b"two")])
        assert [record.value for record in await read(member, 1)] == [b"two"]
        await member.close()


async def test_a_member_is_woken_when_another_process_joins_its_group(tmp_path: Path) -> None:
    clock = boot_clock()
    async with opened(tmp_path) as broker, opened(tmp_path, Clock(lambda: clock.now(), clock.epoch)) as other:
        await broker.prepare({"t": TopicOptions(partitions=2)})
        one, told = broker.subscribe(["t"], "g", "earliest", Recorder()), Recorder()
        assert await soon(one.fetch(1, 0.0)) == {}
        await eventually(lambda: broker._file and broker._file._seen)  # The first poll of a file wakes every member.
        waiting = asyncio.ensure_future(one.fetch(1, 3600.0))
        two = other.subscribe(["t"], "g", "earliest", told)

        async def partitions() -> int:
            await two.fetch(1, 0.0)
            return len(told.partitions)

        await eventually(partitions, "partitions of the second member", equals=1)
        waiting.cancel()
        await two.close()
        await one.close()


async def test_a_member_of_many_partitions_is_woken(tmp_path: Path) -> None:
    clock = boot_clock()
    async with opened(tmp_path) as broker, opened(tmp_path, Clock(lambda: clock.now(), clock.epoch)) as other:
        await broker.prepare({"t": TopicOptions(partitions=600)})  # More than are looked up one by one.
        await other.prepare({"t": TopicOptions(partitions=600)})
        member = broker.subscribe(["t"], "g", "earliest", Recorder())
        assert await soon(member.fetch(1, 0.0)) == {}
        key = next(key for key in (b"%d" % number for number in count()) if partition_of(key, 600) > 550)
        for value in (b"first", b"second", b"third"):  # The first poll of a file wakes every member, whatever it sees.
            waiting = asyncio.ensure_future(member.fetch(1, 3600.0))
            await asyncio.sleep(0)
            assert broker._file is not None
            await broker._file.database.read(lambda connection: None)  # It has looked by then, and waits to be woken.
            await other.publish([OutgoingRecord("t", value, key)])
            ((_, records),) = (await soon(waiting)).items()
            assert [record.value for record in records] == [value]
        await member.close()
