"""The part of the contract suite of brokers about one member: reading, committing, pausing."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest

from micro_rt.broker.base import LONGEST_NOTE, OutgoingRecord, Partition, Record
from micro_rt.errors import Aborted
from micro_rt.kit.clock import monotonic
from micro_rt.testing.contracts.broker.members import Recorder
from micro_rt.testing.contracts.broker.suite import KAFKA_HASHES, BrokerSuite, unique_name
from micro_rt.testing.contracts.suite import eventually

__all__ = ["Reading"]


class Reading(BrokerSuite):
    """One member: reading, committing, pausing."""

    # Reading

    async def test_no_more_than_the_limit(self) -> None:
        async with self.open_topic() as (broker, topic):
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(50)))
            async with self.join(broker, topic) as (subscription, recorder):
                read: list[Record] = []
                async with asyncio.timeout(self.settle):
                    while len(read) < 50:
                        found = await subscription.fetch(3, self.settle)
                        assert sum(map(len, found.values())) <= 3
                        for partition, records in found.items():
                            assert records, "a partition without records"
                            assert partition in recorder.partitions
                            assert {(record.topic, record.partition) for record in records} == {partition}
                            read += records
                assert len({record[:3] for record in read}) == 50

    async def test_a_fetch_waits_until_something_is_published(self) -> None:
        async with (
            self.open_topic() as (broker, topic),
            self.open_broker() as other,
            self.join(broker, topic) as (subscription, recorder),
        ):
            assert await subscription.fetch(10, 0.0) == {}
            await self.until_assigned(subscription, recorder, self.partitions)
            for number in range(5):
                fetching = asyncio.ensure_future(subscription.fetch(10, self.settle))
                await asyncio.sleep(0.05)
                assert not fetching.done()
                await self.publish(other, OutgoingRecord(topic, b"%d" % number, b"k"))
                ((_, records),) = (await fetching).items()
                assert [record.value for record in records] == [b"%d" % number]

    async def test_a_fetch_that_is_cancelled_loses_nothing(self) -> None:
        async with self.open_topic(1) as (broker, topic), self.join(broker, topic) as (subscription, recorder):
            await self.until_assigned(subscription, recorder, 1)
            read: list[bytes] = []
            for number in range(30):
                fetching = asyncio.ensure_future(subscription.fetch(10, self.settle))
                await asyncio.sleep(0)
                publishing = asyncio.ensure_future(self.publish(broker, OutgoingRecord(topic, b"%d" % number)))
                await asyncio.sleep(0.001 * (number % 5))
                if fetching.cancel():
                    with contextlib.suppress(asyncio.CancelledError):
                        read += [record.value for each in (await fetching).values() for record in each]
                else:
                    read += [record.value for each in fetching.result().values() for record in each]
                await publishing
            async with asyncio.timeout(self.settle):
                while len(read) < 30:
                    read += [each.value for found in (await subscription.fetch(10, 0.2)).values() for each in found]
            assert read == [b"%d" % number for number in range(30)]

    async def test_a_new_group_begins_at_the_earliest_record(self) -> None:
        async with self.open_topic() as (broker, topic):
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(20)))
            async with self.start_reader(broker, topic, start="earliest") as reader:
                await reader.until(20)
            reader.expect_no_repetition()

    async def test_a_new_group_begins_behind_the_last_record(self) -> None:
        async with self.open_topic() as (broker, topic):
            await self.publish(broker, *(OutgoingRecord(topic, b"old", b"%d" % number) for number in range(20)))
            async with self.start_reader(broker, topic, start="latest") as reader:
                await self.until_all_assigned(reader, topic)
                # Only a member that has read something has surely looked where the end is.
                for _ in range(1000):
                    await self.publish(broker, *(OutgoingRecord(topic, b"new", b"%d" % key) for key in range(20)))
                    with contextlib.suppress(TimeoutError):
                        await reader.until(1, 0.1)
                        break
                await self.publish(broker, OutgoingRecord(topic, b"last", b"0"))
                await eventually(lambda: any(each.value == b"last" for each in reader.records), within=self.settle)
            assert b"old" not in {record.value for record in reader.records}

    async def test_a_new_group_begins_at_a_time_of_acceptance(self) -> None:
        async with self.open_topic(2) as (broker, topic):
            await self.publish(broker, *(OutgoingRecord(topic, b"%d" % number, b"foobar") for number in range(6)))
            async with self.start_reader(broker, topic) as reader:
                await reader.until(6)
            # In milliseconds, as some brokers count: the next one after that of the last record, and only then the others.
            accepted = int(reader.records[-1].timestamp * 1000) + 2
            passed = monotonic() + 0.005
            await eventually(lambda: monotonic() > passed, within=self.settle)
            await self.publish(broker, *(OutgoingRecord(topic, b"%d" % number, b"foobar") for number in range(6, 10)))
            start = datetime.fromtimestamp(accepted / 1000, UTC)
            async with self.start_reader(broker, topic, start=start) as reader:
                await reader.until(4)
                # The other partition has nothing of that time; what comes later is read.
                await self.publish(broker, *(OutgoingRecord(topic, b"later", b"%d" % key) for key in range(9)))
                await reader.until(13)
            assert [each.value for each in reader.records if each.value != b"later"] == [b"6", b"7", b"8", b"9"]

    async def test_a_new_group_begins_at_an_offset(self) -> None:
        async with self.open_topic(1) as (broker, topic):
            positions = await self.publish(broker, *(OutgoingRecord(topic, b"%d" % number) for number in range(10)))
            async with self.start_reader(broker, topic, start=positions[7].offset) as reader:
                await reader.until(3)
            assert [each.value for each in reader.records] == [b"7", b"8", b"9"]

    async def test_a_start_that_is_none_is_refused(self) -> None:
        async with self.open_topic() as (broker, topic):
            for start in (datetime(2026, 1, 1), -1, "first"):
                with pytest.raises(ValueError):
                    broker.subscribe([topic], "g", start, Recorder())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async def test_where_a_new_group_begins_says_nothing_of_one_that_has_committed(self) -> None:
        async with self.open_topic(1) as (broker, topic):
            group = unique_name("g")
            await self.publish(broker, *(OutgoingRecord(topic, b"%d" % number) for number in range(10)))
            async with self.join(broker, topic, group=group) as (subscription, _):
                records = await self.read(subscription, 10)
                await subscription.commit({Partition(topic, 0): records[4].offset})
            for start in ("latest", "earliest", records[8].offset, datetime.now(UTC)):
                async with self.join(broker, topic, group=group, start=start) as (subscription, _):
                    found = await self.read(subscription, 6)
                    assert [record.value for record in found] == [b"4", b"5", b"6", b"7", b"8", b"9"]

    async def test_a_partition_that_is_new_begins_at_its_earliest_record(self) -> None:
        for start in ("latest", 5, datetime.now(UTC)):
            async with self.open_topic(1) as (broker, topic):
                group = unique_name("g")
                await self.publish(broker, *(OutgoingRecord(topic, b"old") for _ in range(7)))
                async with self.join(broker, topic, group=group, start=start) as (subscription, recorder):
                    await self.until_assigned(subscription, recorder, 1)
                await self.grow(topic, 3)
            async with self.open_broker() as broker:
                records = [OutgoingRecord(topic, b"new", b"%d" % number) for number in range(30)]
                used = {position.partition for position in await self.publish(broker, *records)}
                assert used == {0, 1, 2}
                async with self.join(broker, topic, group=group, start=start) as (subscription, _):
                    missing = 30
                    while missing:
                        missing -= [record.value for record in await self.read(subscription, 1)].count(b"new")

    async def test_members_of_a_new_group_that_begin_together_begin_behind_the_last_record(self) -> None:
        async with self.open_topic() as (broker, topic), self.open_broker() as other:
            group = unique_name("g")
            await self.publish(broker, *(OutgoingRecord(topic, b"old", b"%d" % number) for number in range(40)))
            async with (
                self.start_reader(broker, topic, group=group, start="latest") as one,
                self.start_reader(other, topic, group=group, start="latest") as two,
            ):
                await self.until_shared(topic, one, two)
                await self.publish(broker, *(OutgoingRecord(topic, b"new", b"%d" % number) for number in range(40)))
                await eventually(
                    lambda: len({each[:3] for each in one.records + two.records}), equals=40, within=self.settle
                )
            assert {each.value for each in one.records + two.records} == {b"new"}

    # Committing

    async def test_what_is_committed_is_not_read_again_and_the_rest_is(self) -> None:
        async with self.open_topic() as (broker, topic), self.open_broker() as other:
            group = unique_name("g")
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(40)))
            async with self.join(broker, topic, group=group) as (subscription, _):
                records = await self.read(subscription, 40)
                positions: dict[Partition, int] = {}
                for record in records[: len(records) // 2]:
                    positions[Partition(record.topic, record.partition)] = record.offset + 1
                await subscription.commit(positions)
            left = {each[:3] for each in records if each.offset >= positions.get(Partition(*each[:2]), 0)}
            assert 0 < len(left) < 40
            async with self.join(other, topic, group=group) as (subscription, _):
                again = await self.read(subscription, len(left))
                assert {record[:3] for record in again} == left
                assert await self.reads_nothing(subscription)

    async def test_what_is_not_committed_is_read_again(self) -> None:
        async with self.open_topic() as (broker, topic):
            group = unique_name("g")
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(40)))
            seen: list[set[tuple[str, int, int]]] = []
            for _ in range(2):
                async with self.join(broker, topic, group=group) as (subscription, _recorder):
                    seen.append({record[:3] for record in await self.read(subscription, 40)})
            assert seen[0] == seen[1]

    async def test_committing_nothing_and_the_same_again(self) -> None:
        async with self.open_topic(1) as (broker, topic):
            group = unique_name("g")
            await self.publish(broker, *(OutgoingRecord(topic, b"%d" % number) for number in range(3)))
            async with self.join(broker, topic, group=group) as (subscription, _):
                records = await self.read(subscription, 3)
                await subscription.commit({})
                for _ in range(3):
                    await subscription.commit({Partition(topic, 0): records[1].offset})
            async with self.join(broker, topic, group=group) as (subscription, _):
                assert [each.value for each in await self.read(subscription, 2)] == [b"1", b"2"]

    async def test_what_another_reads_cannot_be_committed(self) -> None:
        async with self.open_topic() as (broker, topic):
            group = unique_name("g")
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(40)))
            async with self.join(broker, topic, group=group) as (subscription, recorder):
                await self.until_assigned(subscription, recorder, self.partitions)
                before = set(recorder.partitions)
                async with self.start_reader(broker, topic, group=group, commit=False):
                    async with asyncio.timeout(self.settle):
                        while not 0 < len(recorder.partitions) < self.partitions:
                            await subscription.fetch(10, 0.1)
                    gone = before - recorder.partitions
                    with pytest.raises(Aborted):
                        await subscription.commit(dict.fromkeys(gone, 7))
                    await subscription.commit(dict.fromkeys(recorder.partitions, 0))
            async with self.join(broker, topic, group=group) as (subscription, _):
                assert len({record[:3] for record in await self.read(subscription, 40)}) == 40

    async def test_a_note_is_stored_with_a_position_and_returned_to_the_next_member(self) -> None:
        async with self.open_topic(2) as (broker, topic), self.open_broker() as other:
            group = unique_name("g")
            one, two = Partition(topic, 0), Partition(topic, 1)
            longest = "é" + "x" * (LONGEST_NOTE - 2)
            async with self.join(broker, topic, group=group) as (subscription, recorder):
                await self.until_assigned(subscription, recorder, 2)
                assert await subscription.notes([one, two]) == {}, "nothing is committed"
                await subscription.commit({one: 0}, {one: longest})
                assert await subscription.notes([one, two]) == {one: longest}
                await subscription.commit({two: 0})
                assert await subscription.notes([two, one]) == {one: longest, two: ""}
                assert await subscription.notes([two]) == {two: ""}
            async with self.join(other, topic, group=group) as (subscription, recorder):
                await self.until_assigned(subscription, recorder, 2)
                assert await subscription.notes([one, two]) == {one: longest, two: ""}
            async with self.join(other, topic) as (subscription, recorder):
                await self.until_assigned(subscription, recorder, 2)
                assert await subscription.notes([one, two]) == {}, "these are of another group"

    async def test_each_commit_replaces_the_note_of_its_partition(self) -> None:
        async with self.open_topic(2) as (broker, topic), self.join(broker, topic) as (subscription, recorder):
            one, two = Partition(topic, 0), Partition(topic, 1)
            await self.until_assigned(subscription, recorder, 2)
            await subscription.commit({one: 0, two: 0}, {one: "first", two: "other"})
            await subscription.commit({one: 0}, {one: "second"})
            assert await subscription.notes([one, two]) == {one: "second", two: "other"}
            await subscription.commit({one: 0})
            assert await subscription.notes([one, two]) == {one: "", two: "other"}

    async def test_a_note_that_cannot_be_stored_is_refused_with_its_commit(self) -> None:
        async with self.open_topic(2) as (broker, topic), self.join(broker, topic) as (subscription, recorder):
            one, two = Partition(topic, 0), Partition(topic, 1)
            await self.until_assigned(subscription, recorder, 2)
            await subscription.commit({one: 0}, {one: "kept"})
            for notes in ({one: "é" * (LONGEST_NOTE // 2) + "x"}, {two: "of none that is committed"}):
                with pytest.raises(ValueError):
                    await subscription.commit({one: 0}, notes)
            assert await subscription.notes([one, two]) == {one: "kept"}

    async def test_lag(self) -> None:
        async with self.open_topic(2) as (broker, topic), self.join(broker, topic) as (subscription, recorder):
            await self.until_assigned(subscription, recorder, 2)
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"foobar") for _ in range(10)))
            records = await self.read(subscription, 10)
            busy = Partition(*records[0][:2])
            idle = Partition(topic, 1 - busy.number)
            assert await subscription.lag() == {busy: 10, idle: 0}
            await subscription.commit({busy: records[5].offset + 1})
            assert await subscription.lag() == {busy: 4, idle: 0}
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"foobar") for _ in range(5)))
            async with asyncio.timeout(self.settle):
                while (lag := await subscription.lag()) != {busy: 9, idle: 0}:
                    assert lag == {busy: 4, idle: 0}
                    await subscription.fetch(1, 0.1)

    async def test_the_lag_is_told_while_a_fetch_waits(self) -> None:
        async with self.open_topic(1) as (broker, topic), self.join(broker, topic) as (subscription, recorder):
            await self.publish(broker, *(OutgoingRecord(topic, b"") for _ in range(3)))
            await self.until_assigned(subscription, recorder, 1)
            subscription.pause(recorder.partitions)
            fetching = asyncio.ensure_future(subscription.fetch(10, 3 * self.settle))
            async with asyncio.timeout(self.settle):
                assert await subscription.lag() == {Partition(topic, 0): 3}
            assert not fetching.done()
            subscription.resume(recorder.partitions)
            await fetching

    async def test_a_listener_has_some_time_to_give_partitions_up(self) -> None:
        async with self.open_topic() as (broker, topic), self.join(broker, topic) as (subscription, _):
            assert subscription.hand_over > 0

    # Pausing

    async def test_a_paused_partition_is_not_read(self) -> None:
        async with self.open_topic() as (broker, topic), self.join(broker, topic) as (subscription, recorder):
            await self.until_assigned(subscription, recorder, self.partitions)
            paused = Partition(topic, (KAFKA_HASHES[b"foobar"] & 0x7FFFFFFF) % self.partitions)
            subscription.pause([paused, Partition(topic, 999), Partition(unique_name("other"), 0)])
            for number in range(10):
                await self.publish(
                    broker,
                    *(OutgoingRecord(topic, b"%d" % number, key) for key in (b"foobar", b"21", b"abc", b"1", b"2")),
                )
            others = [record for record in await self.read_all(subscription) if record.key != b"foobar"]
            assert {Partition(*record[:2]) for record in others}.isdisjoint({paused})
            assert recorder.partitions == {Partition(topic, number) for number in range(self.partitions)}
            subscription.resume([paused])
            read = [each.value for each in await self.read_all(subscription) if each.key == b"foobar"]
            assert read == [b"%d" % number for number in range(10)]

    async def test_pausing_after_reading_and_resuming_goes_on_there(self) -> None:
        async with self.open_topic(1) as (broker, topic), self.join(broker, topic) as (subscription, _):
            await self.publish(broker, *(OutgoingRecord(topic, b"%d" % number) for number in range(50)))
            read: list[Record] = []
            only = [Partition(topic, 0)]
            async with asyncio.timeout(self.settle):
                while len(read) < 50:
                    read += [each for found in (await subscription.fetch(7, 0.2)).values() for each in found]
                    subscription.pause(only)
                    assert await subscription.fetch(7, 0.0) == {}
                    assert await subscription.fetch(7, 0.01) == {}
                    subscription.resume(only)
            assert [record.value for record in read] == [b"%d" % number for number in range(50)]

    async def test_resuming_wakes_a_fetch(self) -> None:
        async with self.open_topic(1) as (broker, topic), self.join(broker, topic) as (subscription, recorder):
            await self.until_assigned(subscription, recorder, 1)
            subscription.pause(recorder.partitions)
            await self.publish(broker, OutgoingRecord(topic, b"1"))
            fetching = asyncio.ensure_future(subscription.fetch(10, self.settle))
            await asyncio.sleep(0.3)
            assert not fetching.done()
            subscription.resume(recorder.partitions)
            ((_, records),) = (await fetching).items()
            assert [record.value for record in records] == [b"1"]

    async def test_pausing_when_told_of_the_partitions(self) -> None:
        async with self.open_topic() as (broker, topic):
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(40)))
            recorder = Recorder()
            subscription = broker.subscribe([topic], unique_name("g"), "earliest", recorder)
            recorder.on_assigned = subscription.pause
            try:
                await self.until_assigned(subscription, recorder, self.partitions)
                assert await self.reads_nothing(subscription)
                subscription.resume(recorder.partitions)
                assert len(await self.read(subscription, 40)) == 40
            finally:
                await subscription.close()

    async def test_a_member_that_has_paused_everything_stays_one(self) -> None:
        async with self.join_beside_another() as (broker, topic, subscription, recorder):
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(40)))
            records = await self.read(subscription, 1)
            history = list(recorder.history)
            subscription.pause(recorder.partitions)
            end = monotonic() + 2.5 * self.session
            while monotonic() < end:
                assert await subscription.fetch(10, 0.1) == {}
            assert recorder.history == history
            await subscription.commit({Partition(*records[0][:2]): records[0].offset + 1})

    async def test_a_member_that_does_not_fetch_stays_one(self) -> None:
        async with self.join_beside_another() as (broker, topic, subscription, recorder):
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(40)))
            records = await self.read(subscription, 1)
            history = list(recorder.history)
            await asyncio.sleep(2.5 * self.session)
            await subscription.commit({Partition(*records[0][:2]): records[0].offset + 1})
            await subscription.fetch(1, 0.1)
            assert recorder.history == history
