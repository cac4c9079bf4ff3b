"""The part of the contract suite of brokers about publishing."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from micro_rt.broker.base import OutgoingRecord, Position, TopicOptions
from micro_rt.errors import InvalidArgument, NotFound
from micro_rt.kit.clock import wall_time
from micro_rt.testing.contracts.broker.suite import KAFKA_HASHES, BrokerSuite, unique_name
from micro_rt.testing.contracts.suite import eventually

__all__ = ["Publishing"]


class Publishing(BrokerSuite):
    """Publishing: what is accepted, where it is, and what is refused."""

    # Publishing

    async def test_records_are_read_in_the_order_of_publishing(self) -> None:
        async with self.open_topic() as (broker, topic):
            sent: dict[bytes, list[bytes]] = {}
            for number in range(30):
                key = b"key-%d" % (number % 5)
                await self.publish(broker, OutgoingRecord(topic, b"%d" % number, key))
                sent.setdefault(key, []).append(b"%d" % number)
            async with self.start_reader(broker, topic) as reader:
                await reader.until(30)
            read: dict[bytes | None, list[bytes]] = {}
            for record in reader.records:
                read.setdefault(record.key, []).append(record.value)
            assert read == sent

    async def test_publishing_says_where_each_message_is(self) -> None:
        async with self.open_topic() as (broker, topic):
            messages = [OutgoingRecord(topic, b"%d" % number, b"%d" % (number % 7)) for number in range(50)]
            positions = await self.publish(broker, *messages)
            async with self.start_reader(broker, topic) as reader:
                await reader.until(50)
            found = {Position(*record[:3]): record.value for record in reader.records}
            assert found == dict(zip(positions, [message.value for message in messages], strict=True))
            for partition in {position.partition for position in positions}:
                offsets = [position.offset for position in positions if position.partition == partition]
                assert offsets == sorted(set(offsets))

    async def test_keys_go_where_kafka_puts_them(self) -> None:
        async with self.open_topic(7) as (broker, topic):
            positions = await self.publish(broker, *(OutgoingRecord(topic, b"", key) for key in KAFKA_HASHES))
            assert [position.partition for position in positions] == [
                (value & 0x7FFFFFFF) % 7 for value in KAFKA_HASHES.values()
            ]

    async def test_the_retention_of_topics_is_told_if_it_is_known(self) -> None:
        async with self.open_broker() as broker:
            topic, other = unique_name("t"), unique_name("t")
            await broker.prepare({topic: TopicOptions(1, retention=3600.0), other: TopicOptions(1)})
            found = await broker.retention([topic, other, unique_name("not-there")])
            assert found.keys() <= {topic, other}
            assert found.get(topic, 3600.0) == 3600.0
            assert await broker.retention([]) == {}

    async def test_everything_about_a_message_survives(self) -> None:
        async with self.open_topic(1) as (broker, topic):
            every = bytes(range(256))
            messages = [
                OutgoingRecord(topic, every, every, (("ce_id", b"1"), ("twice", b"a"), ("twice", b"b"))),
                OutgoingRecord(
                    topic, b"", b"", (("empty", b""), ("binary", every), ("unicode äöü ☃ 🎉", "☃".encode()))
                ),
                OutgoingRecord(topic, b"\0" * 1000, None, ()),
            ]
            positions = await self.publish(broker, *messages)
            async with self.start_reader(broker, topic) as reader:
                await reader.until(3)
            for message, position, record in zip(messages, positions, reader.records, strict=True):
                assert (record.topic, record.partition, record.offset) == position
                assert (record.key, record.value, record.headers) == (message.key, message.value, message.headers)

    async def test_a_record_is_stamped_when_it_is_accepted_whatever_its_event_says(self) -> None:
        async with self.open_topic(1) as (broker, topic):
            before = wall_time()
            for time in (b"1970-01-02T00:00:00Z", b"2999-01-01T00:00:00Z"):
                await self.publish(broker, OutgoingRecord(topic, b"", b"k", (("ce_time", time),)))
            after = wall_time()
            async with self.start_reader(broker, topic) as reader:
                await reader.until(2)
            first, second = [record.timestamp for record in reader.records]
            assert before - 1 <= first <= second <= after + 1

    async def test_a_tombstone_is_distinct_from_an_empty_value(self) -> None:
        async with self.open_topic(1) as (broker, topic):
            messages = [
                OutgoingRecord(topic, b"", b"k", (("name", b""),)),
                OutgoingRecord(topic, b"", b"k", (("name", b"x"),), tombstone=True),
                OutgoingRecord(topic, b"", None, (), republished=True, tombstone=True),
                OutgoingRecord(topic, b"", b""),
            ]
            (refused,) = await broker.publish([OutgoingRecord(topic, b"x", b"k", tombstone=True)])
            assert isinstance(refused, InvalidArgument) and not refused.may_have_run
            await self.publish(broker, *messages)
            async with self.start_reader(broker, topic) as reader:
                await reader.until(4)
            found = [(each.tombstone, each.key, each.value, each.headers) for each in reader.records]
            assert found == [(each.tombstone, each.key, each.value, each.headers) for each in messages]

    async def test_a_topic_that_holds_another_has_room_for_its_largest_record(self) -> None:
        async with self.open_topic() as (broker, topic):
            holding = unique_name("t")
            await broker.prepare({holding: TopicOptions(partitions=1, holds=topic)})
            large = OutgoingRecord(holding, bytes(self.largest), b"k", (("why", bytes(10_000)),))
            (refused,) = await broker.publish([large])
            assert isinstance(refused, InvalidArgument), "it was no record before"
            await self.publish(broker, large._replace(republished=True))
            async with self.start_reader(broker, holding) as reader:
                await reader.until(1)
            assert (reader.records[0].value, reader.records[0].headers) == (large.value, large.headers)

    async def test_many_messages_in_one_call(self) -> None:
        async with self.open_topic() as (broker, topic), self.start_reader(broker, topic, limit=500) as reader:
            messages = [OutgoingRecord(topic, b"%d" % number, b"%d" % (number % 50)) for number in range(self.many)]
            positions = await self.publish(broker, *messages)
            await reader.until(self.many)
            assert len(set(positions)) == self.many
            reader.expect_no_repetition()
            reader.expect_order()
            assert {record.value for record in reader.records} == {message.value for message in messages}

    async def test_many_publish_at_once(self) -> None:
        async with self.open_topic() as (one, topic), self.open_broker() as two:

            async def publish(name: int) -> None:
                for number in range(30):
                    await self.publish(one if name % 2 else two, OutgoingRecord(topic, b"%d" % number, b"%d" % name))

            async with self.start_reader(two, topic) as reader:
                await asyncio.gather(*map(publish, range(20)))
                await reader.until(600)
            for name in range(20):
                values = [int(record.value) for record in reader.records if record.key == b"%d" % name]
                assert values == list(range(30))

    async def test_messages_without_a_key_arrive(self) -> None:
        async with self.open_topic() as (broker, topic):
            await self.publish(broker, *(OutgoingRecord(topic, b"%d" % number) for number in range(100)))
            async with self.start_reader(broker, topic) as reader:
                await reader.until(100)
            assert sorted(int(record.value) for record in reader.records) == list(range(100))
            assert {record.key for record in reader.records} == {None}

    async def test_several_topics_in_one_call(self) -> None:
        async with self.open_topic() as (broker, a):
            b = await self.prepare_topic(broker)
            await self.publish(broker, OutgoingRecord(a, b"1"), OutgoingRecord(b, b"2"), OutgoingRecord(a, b"3"))
            async with self.start_reader(broker, a, b) as reader:
                await reader.until(3)
            assert sorted((record.topic, record.value) for record in reader.records) == sorted(
                [(a, b"1"), (b, b"2"), (a, b"3")]
            )

    async def test_what_cannot_be_published_says_so_and_the_rest_is_published(self) -> None:
        async with self.open_topic() as (broker, topic):
            missing = unique_name("missing")
            first, large, unknown, impossible, last = await broker.publish(
                [
                    OutgoingRecord(topic, b"first", b"k"),
                    OutgoingRecord(topic, b"x" * self.too_large, b"k"),
                    OutgoingRecord(missing, b"lost", b"k"),
                    OutgoingRecord("a/b", b"lost", b"k"),
                    OutgoingRecord(topic, b"last", b"k"),
                ]
            )
            assert isinstance(first, tuple) and isinstance(last, tuple), (first, last)
            assert isinstance(large, InvalidArgument) and not large.may_have_run
            assert isinstance(unknown, NotFound) and not unknown.may_have_run
            assert missing in unknown.message
            assert isinstance(impossible, InvalidArgument) and not impossible.may_have_run
            async with self.start_reader(broker, topic) as reader:
                await reader.until(2)
            assert [record.value for record in reader.records] == [b"first", b"last"]

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "ä", "x" * 250])
    async def test_an_impossible_name_is_refused(self, name: str) -> None:
        async with self.open_broker() as broker:
            with pytest.raises(InvalidArgument):
                await broker.prepare({name: TopicOptions(partitions=1)})
            (result,) = await broker.publish([OutgoingRecord(name, b"")])
            assert isinstance(result, InvalidArgument)

    async def test_publishing_nothing(self) -> None:
        async with self.open_broker() as broker:
            assert await broker.publish([]) == []
            await broker.prepare({})

    async def test_a_topic_that_is_there_stays_as_it_is(self) -> None:
        async with self.open_topic(2) as (one, topic), self.open_broker() as two:
            await self.publish(one, OutgoingRecord(topic, b"before", b"k"))
            for broker in (one, two):
                await broker.prepare({topic: TopicOptions(partitions=64)})
                await broker.prepare({topic: TopicOptions()})
            async with self.start_reader(two, topic) as reader:
                await reader.until(1)
                await self.until_all_assigned(reader, topic, partitions=2)

    async def test_topics_are_made_by_many_at_once(self) -> None:
        async with self.open_broker() as one, self.open_broker() as two:
            topics = {unique_name("t"): TopicOptions(partitions=2) for _ in range(5)}
            await asyncio.gather(*(broker.prepare(topics) for broker in (one, two) for _ in range(3)))
            await self.publish(two, *(OutgoingRecord(topic, b"") for topic in topics))
            async with self.start_reader(one, *topics) as reader:
                await reader.until(5)
                await self.until_all_assigned(reader, *topics, partitions=2)

    async def test_more_than_can_be_on_its_way_waits(self) -> None:
        async with self.open_topic() as (broker, topic):
            size = 250_000
            count = self.bulk // size
            value = b"x" * size

            async def publish(number: int) -> None:
                await self.publish(broker, OutgoingRecord(topic, value, b"%d" % number))

            await asyncio.gather(*map(publish, range(count)))
            async with self.start_reader(broker, topic, limit=20) as reader:
                await reader.until(count)
            assert {record.key for record in reader.records} == {b"%d" % number for number in range(count)}
            assert all(record.value == value for record in reader.records)

    async def test_a_cancelled_publish_harms_no_other(self) -> None:
        async with self.open_topic() as (broker, topic):
            tasks = [
                asyncio.ensure_future(self.publish(broker, OutgoingRecord(topic, b"%d" % number, b"k")))
                for number in range(300)
            ]
            await asyncio.sleep(0)
            for task in tasks[1::2]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            accepted = {b"%d" % number for number, result in enumerate(done) if isinstance(result, list)}
            assert {b"%d" % number for number in range(0, 300, 2)} <= accepted
            await self.publish(broker, OutgoingRecord(topic, b"last", b"k"))
            async with self.start_reader(broker, topic) as reader:
                await eventually(lambda: any(each.value == b"last" for each in reader.records), within=self.settle)
            reader.expect_no_repetition()
            counts = Counter(record.value for record in reader.records)
            assert accepted <= counts.keys()
            assert set(counts.values()) == {1}
