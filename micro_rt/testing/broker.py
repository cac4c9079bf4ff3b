"""The contract suite of brokers: what every broker promises, as tests.

    class TestMyBroker(BrokerContract):
        async def make(self) -> Broker:
            return MyBroker("my://127.0.0.1:1234")

needs nothing but pytest. Where a broker is slower than the embedded ones, say so with the attributes of the class.
"""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from micro_rt.broker.base import Broker, Message, Partition, Position, Record, Start, Subscription, TopicOptions
from micro_rt.errors import Aborted, Error, FailedPrecondition, InvalidArgument, NotFound
from micro_rt.testing.broker_members import OtherMember, Reader, Recorder, eventually
from micro_rt.testing.contract import Contract
from micro_rt.testing.registry import OtherProcess

__all__ = ["BrokerContract"]

KAFKA_HASHES = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""From Kafka's own tests, ``UtilsTest.testMurmur2``."""


class BrokerContract(Contract):
    """Subclass it, and return an unopened broker from ``make``.

    All that ``make`` returns during one test must share state; they may share it with other tests and other users as
    well, because every test uses topics and groups of its own. Topics that nobody prepared must not come into being.
    """

    settle: ClassVar[float] = 20.0
    """Seconds within which a change must be seen, however busy the machine is; not waited for if it is seen earlier."""
    session: ClassVar[float] = 1.0
    """Seconds after which the brokers of ``make``, and of the other process, take a silent member for dead."""
    partitions: ClassVar[int] = 4
    """Of the topics that the tests make."""
    many: ClassVar[int] = 5000
    """How many messages the test of many publishes in one call."""
    too_large: ClassVar[int] = 8 * 1024 * 1024
    """Bytes of a value that the broker refuses."""
    bulk: ClassVar[int] = 64 * 1024 * 1024
    """Bytes to publish at once: more than the broker keeps on its way."""

    async def make(self) -> Broker:
        """Returns a broker, unopened."""
        raise NotImplementedError

    def other_process(self) -> OtherProcess | None:
        """Returns how another process makes the broker; None if only this process can see it."""
        return None

    # Publishing

    async def test_records_are_read_in_the_order_of_publishing(self) -> None:
        async with self._topic() as (broker, topic):
            sent: dict[bytes, list[bytes]] = {}
            for number in range(30):
                key = b"key-%d" % (number % 5)
                await self._publish(broker, Message(topic, b"%d" % number, key))
                sent.setdefault(key, []).append(b"%d" % number)
            async with self._reader(broker, topic) as reader:
                await reader.until(30)
            read: dict[bytes | None, list[bytes]] = {}
            for record in reader.records:
                read.setdefault(record.key, []).append(record.value)
            assert read == sent

    async def test_publishing_says_where_each_message_is(self) -> None:
        async with self._topic() as (broker, topic):
            messages = [Message(topic, b"%d" % number, b"%d" % (number % 7)) for number in range(50)]
            positions = await self._publish(broker, *messages)
            async with self._reader(broker, topic) as reader:
                await reader.until(50)
            found = {Position(*record[:3]): record.value for record in reader.records}
            assert found == dict(zip(positions, [message.value for message in messages], strict=True))
            for partition in {position.partition for position in positions}:
                offsets = [position.offset for position in positions if position.partition == partition]
                assert offsets == sorted(set(offsets))

    async def test_keys_go_where_kafka_puts_them(self) -> None:
        async with self._topic(7) as (broker, topic):
            positions = await self._publish(broker, *(Message(topic, b"", key) for key in KAFKA_HASHES))
            assert [position.partition for position in positions] == [
                (value & 0x7FFFFFFF) % 7 for value in KAFKA_HASHES.values()
            ]

    async def test_everything_about_a_message_survives(self) -> None:
        async with self._topic(1) as (broker, topic):
            every = bytes(range(256))
            messages = [
                Message(topic, every, every, (("ce_id", b"1"), ("twice", b"a"), ("twice", b"b")), 1_700_000_000.123),
                Message(topic, b"", b"", (("empty", b""), ("binary", every), ("unicode äöü ☃ 🎉", "☃".encode()))),
                Message(topic, b"\0" * 1000, None, (), 0.001),
            ]
            before = time.time()
            positions = await self._publish(broker, *messages)
            async with self._reader(broker, topic) as reader:
                await reader.until(3)
            for message, position, record in zip(messages, positions, reader.records, strict=True):
                assert (record.topic, record.partition, record.offset) == position
                assert (record.key, record.value, record.headers) == (message.key, message.value, message.headers)
                if message.timestamp is None:
                    assert before - 1 <= record.timestamp <= time.time() + 1
                else:
                    assert abs(record.timestamp - message.timestamp) < 0.002

    async def test_many_messages_in_one_call(self) -> None:
        async with self._topic() as (broker, topic), self._reader(broker, topic, limit=500) as reader:
            messages = [Message(topic, b"%d" % number, b"%d" % (number % 50)) for number in range(self.many)]
            positions = await self._publish(broker, *messages)
            await reader.until(self.many)
            assert len(set(positions)) == self.many
            reader.expect_no_repetition()
            reader.expect_order()
            assert {record.value for record in reader.records} == {message.value for message in messages}

    async def test_many_publish_at_once(self) -> None:
        async with self._topic() as (one, topic), self._broker() as two:

            async def publish(name: int) -> None:
                for number in range(30):
                    await self._publish(one if name % 2 else two, Message(topic, b"%d" % number, b"%d" % name))

            async with self._reader(two, topic) as reader:
                await asyncio.gather(*map(publish, range(20)))
                await reader.until(600)
            for name in range(20):
                values = [int(record.value) for record in reader.records if record.key == b"%d" % name]
                assert values == list(range(30))

    async def test_messages_without_a_key_arrive(self) -> None:
        async with self._topic() as (broker, topic):
            await self._publish(broker, *(Message(topic, b"%d" % number) for number in range(100)))
            async with self._reader(broker, topic) as reader:
                await reader.until(100)
            assert sorted(int(record.value) for record in reader.records) == list(range(100))
            assert {record.key for record in reader.records} == {None}

    async def test_several_topics_in_one_call(self) -> None:
        async with self._topic() as (broker, a):
            b = await self._prepare(broker)
            await self._publish(broker, Message(a, b"1"), Message(b, b"2"), Message(a, b"3"))
            async with self._reader(broker, a, b) as reader:
                await reader.until(3)
            assert sorted((record.topic, record.value) for record in reader.records) == sorted(
                [(a, b"1"), (b, b"2"), (a, b"3")]
            )

    async def test_what_cannot_be_published_says_so_and_the_rest_is_published(self) -> None:
        async with self._topic() as (broker, topic):
            missing = _name("missing")
            first, large, unknown, impossible, last = await broker.publish(
                [
                    Message(topic, b"first", b"k"),
                    Message(topic, b"x" * self.too_large, b"k"),
                    Message(missing, b"lost", b"k"),
                    Message("a/b", b"lost", b"k"),
                    Message(topic, b"last", b"k"),
                ]
            )
            assert isinstance(first, tuple) and isinstance(last, tuple), (first, last)
            assert isinstance(large, InvalidArgument) and not large.may_have_run
            assert isinstance(unknown, NotFound) and not unknown.may_have_run
            assert missing in unknown.message
            assert isinstance(impossible, InvalidArgument) and not impossible.may_have_run
            async with self._reader(broker, topic) as reader:
                await reader.until(2)
            assert [record.value for record in reader.records] == [b"first", b"last"]

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ä", "x" * 250])
    async def test_an_impossible_name_is_refused(self, name: str) -> None:
        async with self._broker() as broker:
            with pytest.raises(InvalidArgument):
                await broker.prepare({name: TopicOptions(partitions=1)})
            (result,) = await broker.publish([Message(name, b"")])
            assert isinstance(result, InvalidArgument)

    async def test_publishing_nothing(self) -> None:
        async with self._broker() as broker:
            assert await broker.publish([]) == []
            await broker.prepare({})

    async def test_a_topic_that_is_there_stays_as_it_is(self) -> None:
        async with self._topic(2) as (one, topic), self._broker() as two:
            await self._publish(one, Message(topic, b"before", b"k"))
            for broker in (one, two):
                await broker.prepare({topic: TopicOptions(partitions=64)})
                await broker.prepare({topic: TopicOptions()})
            async with self._reader(two, topic) as reader:
                await reader.until(1)
                await self._assigned(reader, topic, partitions=2)

    async def test_topics_are_made_by_many_at_once(self) -> None:
        async with self._broker() as one, self._broker() as two:
            topics = {_name("t"): TopicOptions(partitions=2) for _ in range(5)}
            await asyncio.gather(*(broker.prepare(topics) for broker in (one, two) for _ in range(3)))
            await self._publish(two, *(Message(topic, b"") for topic in topics))
            async with self._reader(one, *topics) as reader:
                await reader.until(5)
                await self._assigned(reader, *topics, partitions=2)

    async def test_more_than_can_be_on_its_way_waits(self) -> None:
        async with self._topic() as (broker, topic):
            size = 250_000
            count = self.bulk // size
            value = b"x" * size

            async def publish(number: int) -> None:
                await self._publish(broker, Message(topic, value, b"%d" % number))

            await asyncio.gather(*map(publish, range(count)))
            async with self._reader(broker, topic, limit=20) as reader:
                await reader.until(count)
            assert {record.key for record in reader.records} == {b"%d" % number for number in range(count)}
            assert all(record.value == value for record in reader.records)

    async def test_a_cancelled_publish_harms_no_other(self) -> None:
        async with self._topic() as (broker, topic):
            tasks = [
                asyncio.ensure_future(self._publish(broker, Message(topic, b"%d" % number, b"k")))
                for number in range(300)
            ]
            await asyncio.sleep(0)
            for task in tasks[1::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            accepted = {b"%d" % number for number, result in enumerate(done) if isinstance(result, list)}
            assert {b"%d" % number for number in range(0, 300, 2)} <= accepted
            await self._publish(broker, Message(topic, b"last", b"k"))
            async with self._reader(broker, topic) as reader:
                await eventually(lambda: any(each.value == b"last" for each in reader.records), self.settle)
            reader.expect_no_repetition()
            counts = Counter(record.value for record in reader.records)
            assert accepted <= counts.keys()
            assert set(counts.values()) == {1}

    # Reading

    async def test_no_more_than_the_limit(self) -> None:
        async with self._topic() as (broker, topic):
            await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(50)))
            async with self._member(broker, topic) as (subscription, recorder):
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
            self._topic() as (broker, topic),
            self._broker() as other,
            self._member(broker, topic) as (subscription, recorder),
        ):
            assert await subscription.fetch(10, 0.0) == {}
            await self._until_assigned(subscription, recorder, self.partitions)
            for number in range(5):
                fetching = asyncio.ensure_future(subscription.fetch(10, self.settle))
                await asyncio.sleep(0.05)
                assert not fetching.done()
                await self._publish(other, Message(topic, b"%d" % number, b"k"))
                ((_, records),) = (await fetching).items()
                assert [record.value for record in records] == [b"%d" % number]

    async def test_a_fetch_that_is_cancelled_loses_nothing(self) -> None:
        async with self._topic(1) as (broker, topic), self._member(broker, topic) as (subscription, recorder):
            await self._until_assigned(subscription, recorder, 1)
            read: list[bytes] = []
            for number in range(30):
                fetching = asyncio.ensure_future(subscription.fetch(10, self.settle))
                await asyncio.sleep(0)
                publishing = asyncio.ensure_future(self._publish(broker, Message(topic, b"%d" % number)))
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
        async with self._topic() as (broker, topic):
            await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(20)))
            async with self._reader(broker, topic, start="earliest") as reader:
                await reader.until(20)
            reader.expect_no_repetition()

    async def test_a_new_group_begins_behind_the_last_record(self) -> None:
        async with self._topic() as (broker, topic):
            await self._publish(broker, *(Message(topic, b"old", b"%d" % number) for number in range(20)))
            async with self._reader(broker, topic, start="latest") as reader:
                await self._assigned(reader, topic)
                # Only a member that has read something has surely looked where the end is.
                for _ in range(1000):
                    await self._publish(broker, *(Message(topic, b"new", b"%d" % key) for key in range(20)))
                    with contextlib.suppress(TimeoutError):
                        await reader.until(1, 0.1)
                        break
                await self._publish(broker, Message(topic, b"last", b"0"))
                await eventually(lambda: any(each.value == b"last" for each in reader.records), self.settle)
            assert b"old" not in {record.value for record in reader.records}

    async def test_a_new_group_begins_at_a_time(self) -> None:
        async with self._topic(2) as (broker, topic):
            base = 1_700_000_000.0
            for number in range(10):
                await self._publish(broker, Message(topic, b"%d" % number, b"foobar", timestamp=base + number))
            start = datetime.fromtimestamp(base + 6, UTC)
            async with self._reader(broker, topic, start=start) as reader:
                await reader.until(4)
                # The other partition has nothing of that time; what comes later is read.
                await self._publish(
                    broker, *(Message(topic, b"later", b"%d" % key, timestamp=base + 99) for key in range(9))
                )
                await reader.until(13)
            assert [each.value for each in reader.records if each.value != b"later"] == [b"6", b"7", b"8", b"9"]

    async def test_a_new_group_begins_at_an_offset(self) -> None:
        async with self._topic(1) as (broker, topic):
            positions = await self._publish(broker, *(Message(topic, b"%d" % number) for number in range(10)))
            async with self._reader(broker, topic, start=positions[7].offset) as reader:
                await reader.until(3)
            assert [each.value for each in reader.records] == [b"7", b"8", b"9"]

    async def test_a_start_that_is_none_is_refused(self) -> None:
        async with self._topic() as (broker, topic):
            for start in (datetime(2026, 1, 1), -1, "first"):
                with pytest.raises(ValueError):
                    broker.subscribe([topic], "g", start, Recorder())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async def test_where_a_new_group_begins_says_nothing_of_one_that_has_committed(self) -> None:
        async with self._topic(1) as (broker, topic):
            group = _name("g")
            await self._publish(broker, *(Message(topic, b"%d" % number) for number in range(10)))
            async with self._member(broker, topic, group=group) as (subscription, _):
                records = await self._read(subscription, 10)
                await subscription.commit({Partition(topic, 0): records[4].offset})
            for start in ("latest", "earliest", records[8].offset, datetime.now(UTC)):
                async with self._member(broker, topic, group=group, start=start) as (subscription, _):
                    found = await self._read(subscription, 6)
                    assert [record.value for record in found] == [b"4", b"5", b"6", b"7", b"8", b"9"]

    # Committing

    async def test_what_is_committed_is_not_read_again_and_the_rest_is(self) -> None:
        async with self._topic() as (broker, topic), self._broker() as other:
            group = _name("g")
            await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(40)))
            async with self._member(broker, topic, group=group) as (subscription, _):
                records = await self._read(subscription, 40)
                positions: dict[Partition, int] = {}
                for record in records[: len(records) // 2]:
                    positions[Partition(record.topic, record.partition)] = record.offset + 1
                await subscription.commit(positions)
            left = {each[:3] for each in records if each.offset >= positions.get(Partition(*each[:2]), 0)}
            assert 0 < len(left) < 40
            async with self._member(other, topic, group=group) as (subscription, _):
                again = await self._read(subscription, len(left))
                assert {record[:3] for record in again} == left
                assert await self._nothing(subscription)

    async def test_what_is_not_committed_is_read_again(self) -> None:
        async with self._topic() as (broker, topic):
            group = _name("g")
            await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(40)))
            seen: list[set[tuple[str, int, int]]] = []
            for _ in range(2):
                async with self._member(broker, topic, group=group) as (subscription, _recorder):
                    seen.append({record[:3] for record in await self._read(subscription, 40)})
            assert seen[0] == seen[1]

    async def test_committing_nothing_and_the_same_again(self) -> None:
        async with self._topic(1) as (broker, topic):
            group = _name("g")
            await self._publish(broker, *(Message(topic, b"%d" % number) for number in range(3)))
            async with self._member(broker, topic, group=group) as (subscription, _):
                records = await self._read(subscription, 3)
                await subscription.commit({})
                for _ in range(3):
                    await subscription.commit({Partition(topic, 0): records[1].offset})
            async with self._member(broker, topic, group=group) as (subscription, _):
                assert [each.value for each in await self._read(subscription, 2)] == [b"1", b"2"]

    async def test_what_another_reads_cannot_be_committed(self) -> None:
        async with self._topic() as (broker, topic):
            group = _name("g")
            await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(40)))
            async with self._member(broker, topic, group=group) as (subscription, recorder):
                await self._until_assigned(subscription, recorder, self.partitions)
                before = set(recorder.partitions)
                async with self._reader(broker, topic, group=group, commit=False):
                    async with asyncio.timeout(self.settle):
                        while not 0 < len(recorder.partitions) < self.partitions:
                            await subscription.fetch(10, 0.1)
                    gone = before - recorder.partitions
                    with pytest.raises(Aborted):
                        await subscription.commit(dict.fromkeys(gone, 7))
                    await subscription.commit(dict.fromkeys(recorder.partitions, 0))
            async with self._member(broker, topic, group=group) as (subscription, _):
                assert len({record[:3] for record in await self._read(subscription, 40)}) == 40

    async def test_lag(self) -> None:
        async with self._topic(2) as (broker, topic), self._member(broker, topic) as (subscription, recorder):
            await self._until_assigned(subscription, recorder, 2)
            await self._publish(broker, *(Message(topic, b"", b"foobar") for _ in range(10)))
            records = await self._read(subscription, 10)
            busy = Partition(*records[0][:2])
            idle = Partition(topic, 1 - busy.number)
            assert await subscription.lag() == {busy: 10, idle: 0}
            await subscription.commit({busy: records[5].offset + 1})
            assert await subscription.lag() == {busy: 4, idle: 0}
            await self._publish(broker, *(Message(topic, b"", b"foobar") for _ in range(5)))
            async with asyncio.timeout(self.settle):
                while (lag := await subscription.lag()) != {busy: 9, idle: 0}:
                    assert lag == {busy: 4, idle: 0}
                    await subscription.fetch(1, 0.1)

    # Pausing

    async def test_a_paused_partition_is_not_read(self) -> None:
        async with self._topic() as (broker, topic), self._member(broker, topic) as (subscription, recorder):
            await self._until_assigned(subscription, recorder, self.partitions)
            paused = Partition(topic, (KAFKA_HASHES[b"foobar"] & 0x7FFFFFFF) % self.partitions)
            subscription.pause([paused, Partition(topic, 999), Partition(_name("other"), 0)])
            for number in range(10):
                await self._publish(
                    broker, *(Message(topic, b"%d" % number, key) for key in (b"foobar", b"21", b"abc", b"1", b"2"))
                )
            others = [record for record in await self._all(subscription) if record.key != b"foobar"]
            assert {Partition(*record[:2]) for record in others}.isdisjoint({paused})
            assert recorder.partitions == {Partition(topic, number) for number in range(self.partitions)}
            subscription.resume([paused])
            read = [each.value for each in await self._all(subscription) if each.key == b"foobar"]
            assert read == [b"%d" % number for number in range(10)]

    async def test_pausing_after_reading_and_resuming_goes_on_there(self) -> None:
        async with self._topic(1) as (broker, topic), self._member(broker, topic) as (subscription, _):
            await self._publish(broker, *(Message(topic, b"%d" % number) for number in range(50)))
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
        async with self._topic(1) as (broker, topic), self._member(broker, topic) as (subscription, recorder):
            await self._until_assigned(subscription, recorder, 1)
            subscription.pause(recorder.partitions)
            await self._publish(broker, Message(topic, b"1"))
            fetching = asyncio.ensure_future(subscription.fetch(10, self.settle))
            await asyncio.sleep(0.3)
            assert not fetching.done()
            subscription.resume(recorder.partitions)
            ((_, records),) = (await fetching).items()
            assert [record.value for record in records] == [b"1"]

    async def test_pausing_when_told_of_the_partitions(self) -> None:
        async with self._topic() as (broker, topic):
            await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(40)))
            recorder = Recorder()
            subscription = broker.subscribe([topic], _name("g"), "earliest", recorder)
            recorder.on_assigned = subscription.pause
            try:
                await self._until_assigned(subscription, recorder, self.partitions)
                assert await self._nothing(subscription)
                subscription.resume(recorder.partitions)
                assert len(await self._read(subscription, 40)) == 40
            finally:
                await subscription.close()

    async def test_a_member_that_has_paused_everything_stays_one(self) -> None:
        async with self._member_beside_another() as (broker, topic, subscription, recorder):
            await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(40)))
            records = await self._read(subscription, 1)
            history = list(recorder.history)
            subscription.pause(recorder.partitions)
            end = time.monotonic() + 2.5 * self.session
            while time.monotonic() < end:
                assert await subscription.fetch(10, 0.1) == {}
            assert recorder.history == history
            await subscription.commit({Partition(*records[0][:2]): records[0].offset + 1})

    async def test_a_member_that_does_not_fetch_stays_one(self) -> None:
        async with self._member_beside_another() as (broker, topic, subscription, recorder):
            await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(40)))
            records = await self._read(subscription, 1)
            history = list(recorder.history)
            await asyncio.sleep(2.5 * self.session)
            await subscription.commit({Partition(*records[0][:2]): records[0].offset + 1})
            await subscription.fetch(1, 0.1)
            assert recorder.history == history

    # Groups

    async def test_each_record_goes_to_one_member(self) -> None:
        async with self._topic() as (one, topic), self._broker() as two:
            group = _name("g")
            async with self._reader(one, topic, group=group) as a, self._reader(two, topic, group=group) as b:
                await self._shared(topic, a, b)
                assert {len(a.partitions), len(b.partitions)} == {self.partitions // 2}
                await self._publish(one, *(Message(topic, b"", b"%d" % number) for number in range(200)))
                await eventually(lambda: len(a.records) + len(b.records) >= 200, self.settle)
            _expect_each_once([a, b], 200)
            assert a.records and b.records

    async def test_each_group_gets_every_record(self) -> None:
        async with self._topic() as (one, topic), self._broker() as two:
            async with self._reader(one, topic) as a, self._reader(two, topic) as b, self._reader(one, topic) as c:
                await self._publish(two, *(Message(topic, b"", b"%d" % number) for number in range(100)))
                for reader in (a, b, c):
                    await reader.until(100)
            for reader in (a, b, c):
                _expect_each_once([reader], 100)

    async def test_members_join_and_leave_while_events_flow(self) -> None:
        async with self._topic() as (one, topic), self._broker() as two:
            group = _name("g")
            board: dict[Partition, Reader] = {}
            going = True

            async def publish() -> int:
                count = 0
                while going:
                    await self._publish(one, *(Message(topic, b"%d" % count, b"%d" % key) for key in range(10)))
                    count += 10
                    await asyncio.sleep(0.005)
                return count

            publishing = asyncio.ensure_future(publish())
            async with contextlib.AsyncExitStack() as stack:
                readers = [await stack.enter_async_context(self._reader(one, topic, group=group, board=board))]
                await self._shared(topic, *readers)
                for broker in (two, one):
                    readers.append(
                        await stack.enter_async_context(self._reader(broker, topic, group=group, board=board))
                    )
                    await self._shared(topic, *readers)
                await readers[0].stop()
                await self._shared(topic, *readers[1:])
                await readers[2].stop()
                await self._shared(topic, readers[1])
                going = False
                count = await publishing

                def read() -> int:
                    return len({record[:3] for reader in readers for record in reader.records})

                await eventually(lambda: read() >= count, self.settle)
                await asyncio.sleep(0.2)
            _expect_each_once(readers, count)
            for reader in readers:
                reader.expect_order()

    async def test_who_takes_over_goes_on_at_the_committed_position(self) -> None:
        async with self._topic() as (broker, topic):
            group = _name("g")
            async with self._reader(broker, topic, group=group) as a:
                await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(50)))
                await a.until(50)
            async with self._reader(broker, topic, group=group) as b:
                await self._assigned(b, topic)
                await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(50)))
                await b.until(50)
            _expect_each_once([a, b], 100)

    async def test_more_members_than_partitions(self) -> None:
        async with self._topic(2) as (broker, topic):
            group = _name("g")
            async with contextlib.AsyncExitStack() as stack:
                readers = [await stack.enter_async_context(self._reader(broker, topic, group=group)) for _ in range(4)]
                await eventually(lambda: sum(len(reader.partitions) for reader in readers) == 2, self.settle)
                await eventually(lambda: all(len(reader.partitions) < 2 for reader in readers), self.settle)
                await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(50)))
                await eventually(lambda: sum(len(reader.records) for reader in readers) >= 50, self.settle)
                for reader in [reader for reader in readers if reader.partitions]:
                    await reader.stop()
                    readers.remove(reader)
                await self._shared(topic, *readers, partitions=2)

    async def test_the_last_chance_to_commit_is_before_another_reads(self) -> None:
        async with self._topic() as (broker, topic):
            group = _name("g")
            board: dict[Partition, Reader] = {}
            # They commit nothing but when their partitions are revoked.
            async with self._reader(broker, topic, group=group, commit=False, board=board) as a:
                a.commit_on_revoke = True
                await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(60)))
                await a.until(60)
                async with self._reader(broker, topic, group=group, commit=False, board=board) as b:
                    b.commit_on_revoke = True
                    await self._shared(topic, a, b)
                    await self._publish(broker, *(Message(topic, b"", b"%d" % number) for number in range(60)))
                    await eventually(lambda: len(a.records) + len(b.records) >= 120, self.settle)
                    await asyncio.sleep(0.2)
            _expect_each_once([a, b], 120)

    async def test_one_member_reads_several_topics(self) -> None:
        async with self._topic() as (broker, a):
            b = await self._prepare(broker, 2)
            group = _name("g")
            async with self._reader(broker, a, b, group=group) as one, self._reader(broker, a, b, group=group) as two:
                everything = {Partition(a, n) for n in range(self.partitions)} | {Partition(b, n) for n in range(2)}
                await eventually(
                    lambda: (
                        one.partitions | two.partitions == everything
                        and one.partitions.isdisjoint(two.partitions)
                        and abs(len(one.partitions) - len(two.partitions)) <= 1
                    ),
                    self.settle,
                )
                await self._publish(
                    broker, *(Message(topic, b"", b"%d" % number) for number in range(50) for topic in (a, b))
                )
                await eventually(lambda: len(one.records) + len(two.records) >= 100, self.settle)
            _expect_each_once([one, two], 100)

    async def test_members_of_one_group_read_different_topics(self) -> None:
        async with self._topic() as (broker, a):
            b = await self._prepare(broker)
            group = _name("g")
            async with self._reader(broker, a, group=group) as one, self._reader(broker, b, group=group) as two:
                await self._assigned(one, a)
                await self._assigned(two, b)
                await self._publish(
                    broker, *(Message(topic, b"", b"%d" % number) for number in range(50) for topic in (a, b))
                )
                await one.until(50)
                await two.until(50)
                assert {record.topic for record in one.records} == {a}
                assert {record.topic for record in two.records} == {b}
                async with self._reader(broker, a, b, group=group) as three:
                    await eventually(
                        lambda: {each.topic for each in three.partitions} >= {a, b} or len(three.partitions) > 1,
                        self.settle,
                    )
            _expect_each_once([one, two, three], 100)

    # Closing

    async def test_closing_a_subscription_revokes_and_ends_it(self) -> None:
        async with self._topic() as (broker, topic):
            recorder = Recorder()
            subscription = broker.subscribe([topic], _name("g"), "earliest", recorder)
            await self._until_assigned(subscription, recorder, self.partitions)
            await subscription.close()
            assert recorder.partitions == set()
            assert recorder.history[-1][0] == "revoked"
            history = list(recorder.history)
            await subscription.close()
            assert recorder.history == history
            with pytest.raises(Error):
                await subscription.fetch(1, 0.0)

    async def test_a_subscription_that_never_fetched_can_be_closed(self) -> None:
        async with self._topic() as (broker, topic):
            recorder = Recorder()
            await broker.subscribe([topic], _name("g"), "earliest", recorder).close()
            assert recorder.history == []

    async def test_closing_the_broker_ends_its_subscriptions(self) -> None:
        async with self._topic() as (other, topic):
            group = _name("g")
            broker = await self.make()
            await broker.open()
            recorder, idle = Recorder(), Recorder()
            subscription = broker.subscribe([topic], group, "earliest", recorder)
            unused = broker.subscribe([topic], group, "earliest", idle)
            await self._until_assigned(subscription, recorder, self.partitions)
            fetching = asyncio.ensure_future(subscription.fetch(10, 100.0))
            await asyncio.sleep(0.1)
            await broker.close()
            async with asyncio.timeout(self.settle):
                with contextlib.suppress(Error):
                    assert await fetching == {}
            for each in (subscription, unused):
                with pytest.raises(Error):
                    await each.fetch(1, 0.0)
            assert recorder.partitions == set()
            assert idle.history == []
            async with self._reader(other, topic, group=group) as reader:
                await self._assigned(reader, topic)

    async def test_opening_again(self) -> None:
        async with self._topic() as (other, topic):
            broker = await self.make()
            await broker.close()
            for number in range(2):
                await broker.open()
                await self._publish(broker, Message(topic, b"%d" % number, b"k"))
                async with self._reader(broker, topic) as reader:
                    await reader.until(number + 1)
                await broker.close()
            await broker.close()
            async with self._reader(other, topic) as reader:
                await reader.until(2)
            assert [record.value for record in reader.records] == [b"0", b"1"]

    async def test_a_broker_that_is_not_open_says_so(self) -> None:
        broker = await self.make()
        topic = _name("t")

        async def expect_refusal() -> None:
            with pytest.raises(FailedPrecondition):
                await broker.publish([Message(topic, b"")])
            with pytest.raises(FailedPrecondition):
                await broker.prepare({topic: TopicOptions()})
            with pytest.raises(FailedPrecondition):
                broker.subscribe([topic], "g", "earliest", Recorder())

        await expect_refusal()
        await broker.open()
        assert broker.problem == ""
        await broker.close()
        await expect_refusal()

    async def test_reading_a_topic_that_is_not_there(self) -> None:
        async with self._broker() as broker:
            missing = _name("missing")
            subscription = broker.subscribe([missing], _name("g"), "earliest", Recorder())
            with pytest.raises(NotFound, match=missing):
                await subscription.fetch(1, self.settle)
            await subscription.close()

    # Members that die

    async def test_the_partitions_of_a_killed_process_go_to_another(self) -> None:
        async with self._topic() as (broker, topic), self._other(topic) as (other, group):
            await self._publish(broker, *(Message(topic, b"%d" % number, b"%d" % number) for number in range(100)))
            committed = await other.read_and_commit(40, self.settle)
            await other.kill()
            async with self._reader(broker, topic, group=group) as reader:
                await self._assigned(reader, topic, after=self.session)
                expected = 100 - len(committed)
                await reader.until(expected)
                await asyncio.sleep(0.2)
            read = {(record.partition, record.offset) for record in reader.records}
            assert committed.isdisjoint(read)
            assert len(read | committed) == 100
            reader.expect_no_repetition()

    async def test_a_process_that_was_stopped_for_too_long_cannot_commit(self) -> None:
        async with self._topic() as (broker, topic), self._other(topic) as (other, group):
            await self._publish(broker, *(Message(topic, b"%d" % number, b"%d" % number) for number in range(100)))
            committed = await other.read_and_commit(40, self.settle)
            await other.hold(self.settle)
            other.pause()
            async with self._reader(broker, topic, group=group) as reader:
                await self._assigned(reader, topic, after=self.session)
                await reader.until(100 - len(committed))
                other.resume()
                assert await other.commit_zero(self.settle) == "Aborted"
                await other.lost(self.settle)
                await asyncio.sleep(0.2)
            async with self._reader(broker, topic, group=group) as last:
                await other.kill()
                await self._assigned(last, topic, after=2 * self.session)
                await self._publish(broker, *(Message(topic, b"new", b"%d" % number) for number in range(100)))
                await last.until(100)
            assert {record.value for record in last.records} == {b"new"}, "what was done was read again"

    async def test_the_death_of_a_publisher_loses_nothing_it_was_told_is_there(self) -> None:
        async with self._topic() as (broker, topic), self._other(topic) as (other, _):
            accepted = await other.publish_until_killed(200, self.settle)
            async with self._reader(broker, topic) as reader:
                await eventually(
                    lambda: accepted <= {int(record.value) for record in reader.records}, self.settle, "some are lost"
                )
            reader.expect_order()

    # Helpers

    @contextlib.asynccontextmanager
    async def _broker(self) -> AsyncGenerator[Broker]:
        broker = await self.make()
        await broker.open()
        try:
            yield broker
        finally:
            await broker.close()

    @contextlib.asynccontextmanager
    async def _topic(self, partitions: int | None = None) -> AsyncGenerator[tuple[Broker, str]]:
        async with self._broker() as broker:
            yield broker, await self._prepare(broker, partitions)

    async def _prepare(self, broker: Broker, partitions: int | None = None) -> str:
        topic = _name("t")
        await broker.prepare({topic: TopicOptions(partitions=partitions or self.partitions)})
        return topic

    async def _publish(self, broker: Broker, *messages: Message) -> list[Position]:
        async with asyncio.timeout(self.settle):
            results = await broker.publish(messages)
        assert len(results) == len(messages)
        positions: list[Position] = []
        for message, result in zip(messages, results, strict=True):
            if isinstance(result, Error):
                raise result
            assert result.topic == message.topic
            positions.append(result)
        return positions

    @contextlib.asynccontextmanager
    async def _member(
        self, broker: Broker, topic: str, *, group: str = "", start: Start = "earliest"
    ) -> AsyncGenerator[tuple[Subscription, Recorder]]:
        recorder = Recorder()
        subscription = broker.subscribe([topic], group or _name("g"), start, recorder)
        try:
            yield subscription, recorder
        finally:
            await subscription.close()

    @contextlib.asynccontextmanager
    async def _reader(
        self,
        broker: Broker,
        *topics: str,
        group: str = "",
        start: Start = "earliest",
        commit: bool = True,
        limit: int = 50,
        board: dict[Partition, Reader] | None = None,
    ) -> AsyncGenerator[Reader]:
        reader = Reader(broker, topics, group or _name("g"), start, commit, limit, board, self.settle)
        try:
            yield reader
        finally:
            await reader.stop()

    @contextlib.asynccontextmanager
    async def _other(self, topic: str) -> AsyncGenerator[tuple[OtherMember, str]]:
        """Starts another process that is a member of a group."""
        process = self.other_process()
        if process is None:
            pytest.skip("this broker is for one process")
        group = _name("g")
        other = await OtherMember.start(process, topic, group)
        try:
            yield other, group
        finally:
            await other.kill()

    @contextlib.asynccontextmanager
    async def _member_beside_another(self) -> AsyncGenerator[tuple[Broker, str, Subscription, Recorder]]:
        """A member that has a share of a topic, while another would take it if it could."""
        group = _name("g")
        async with (
            self._topic() as (broker, topic),
            self._broker() as other,
            self._member(broker, topic, group=group) as (subscription, recorder),
            self._reader(other, topic, group=group, commit=False) as reader,
        ):
            async with asyncio.timeout(self.settle):
                while len(recorder.partitions) + len(reader.partitions) < self.partitions or not reader.partitions:
                    await subscription.fetch(1, 0.05)
            yield broker, topic, subscription, recorder

    async def _until_assigned(self, subscription: Subscription, recorder: Recorder, count: int) -> None:
        """Fetches until a member has partitions; what is there to read is read and forgotten."""
        async with asyncio.timeout(self.settle):
            while len(recorder.partitions) < count:
                await subscription.fetch(1, 0.05)

    async def _read(self, subscription: Subscription, count: int) -> list[Record]:
        """Reads as many records, and no more."""
        read: list[Record] = []
        async with asyncio.timeout(self.settle):
            while len(read) < count:
                found = await subscription.fetch(count - len(read), 0.5)
                for records in found.values():
                    read += records
        return read

    async def _all(self, subscription: Subscription) -> list[Record]:
        """Reads until nothing more comes for a while."""
        read: list[Record] = []
        quiet = 0
        async with asyncio.timeout(self.settle):
            while quiet < 3 or not read:
                found = await subscription.fetch(100, 0.3)
                quiet = 0 if found else quiet + 1
                for records in found.values():
                    read += records
        return read

    async def _nothing(self, subscription: Subscription) -> bool:
        """Says whether nothing comes for a while."""
        return not any([await subscription.fetch(10, 0.1) for _ in range(3)])

    async def _assigned(self, reader: Reader, *topics: str, partitions: int | None = None, after: float = 0.0) -> None:
        """Waits until a reader has all partitions of topics."""
        expected = {Partition(topic, n) for topic in topics for n in range(partitions or self.partitions)}
        await eventually(
            lambda: reader.partitions == expected, self.settle + after, f"{reader.partitions} are assigned"
        )

    async def _shared(self, topic: str, *readers: Reader, partitions: int | None = None) -> None:
        """Waits until readers share all partitions of a topic, each having some."""
        count = partitions or self.partitions

        def shared() -> bool:
            held = [each for reader in readers for each in reader.partitions]
            least = count // len(readers)
            return (
                len(held) == count
                and len(set(held)) == count
                and all(len(reader.partitions) >= least for reader in readers)
            )

        await eventually(shared, self.settle, f"{[reader.partitions for reader in readers]} are assigned")


def _expect_each_once(readers: Iterable[Reader], count: int) -> None:
    counts = Counter(record[:3] for reader in readers for record in reader.records)
    repeated = {position: times for position, times in counts.items() if times > 1}
    assert (len(counts), repeated) == (count, {})


def _name(text: str) -> str:
    return f"{text}-{uuid.uuid4().hex[:12]}"
