"""The part of the contract suite of brokers about those who only look: readers outside of groups, and offsets of groups."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from micro_rt.broker.base import Broker, GroupOffset, OutgoingRecord, Partition, Record, Start, TopicReader
from micro_rt.errors import FailedPrecondition, NotFound, Unimplemented
from micro_rt.kit.clock import wall_time
from micro_rt.testing.contracts.broker.suite import BrokerSuite, unique_name
from micro_rt.testing.contracts.suite import eventually

__all__ = ["Watching"]


class Watching(BrokerSuite):
    """Those who only look. A broker that implements neither ``read`` nor ``offsets`` skips these tests."""

    # Readers outside of groups

    async def test_a_reader_without_a_group_reads_what_is_there_and_what_comes(self) -> None:
        async with self.open_topic() as (broker, topic), self.open_broker() as other:
            await self.publish(broker, *(OutgoingRecord(topic, b"%d" % number, b"%d" % number) for number in range(20)))
            reader = _reader(broker, topic, "earliest")
            late = _reader(broker, topic, "latest")
            assert await late.fetch(10, 0.0) == {}
            found = await self._read(reader, 20)
            assert {record.value for record in found} == {b"%d" % number for number in range(20)}
            await eventually(reader.remaining, "something is left", equals=0, within=self.settle)
            assert await late.remaining() == 0
            fetching = asyncio.ensure_future(reader.fetch(10, self.settle))
            await self.publish(other, OutgoingRecord(topic, b"more", b"k", (("a", b"1"),)))
            ((record,),) = (await fetching).values()
            assert (record.value, record.key, record.headers) == (b"more", b"k", (("a", b"1"),))
            (same,) = await self._read(late, 1)
            assert same == record
            await reader.close()
            await late.close()
            with pytest.raises(FailedPrecondition):
                await reader.fetch(1, 0.0)

    async def test_a_reader_without_a_group_returns_no_more_than_the_limit_in_order(self) -> None:
        async with self.open_topic() as (broker, topic):
            await self.publish(broker, *(OutgoingRecord(topic, b"%d" % number, b"k") for number in range(10)))
            reader = _reader(broker, topic, "earliest")
            found: list[Record] = []
            while len(found) < 10:
                ((_, records),) = (await reader.fetch(3, self.settle)).items()
                assert len(records) <= 3
                found += records
            assert [record.value for record in found] == [b"%d" % number for number in range(10)]
            with pytest.raises(ValueError, match="limit=0"):
                await reader.fetch(0, 0.0)
            await reader.close()

    async def test_a_reader_without_a_group_begins_where_it_is_told(self) -> None:
        async with self.open_topic(partitions=1) as (broker, topic):
            await self.publish(broker, *(OutgoingRecord(topic, b"old") for _ in range(3)))
            await asyncio.sleep(0.05)
            moment = datetime.fromtimestamp(wall_time(), UTC)
            await asyncio.sleep(0.05)
            await self.publish(broker, OutgoingRecord(topic, b"new"))
            for start, expected in ((moment, 1), (2, 2), (0, 4)):
                reader = _reader(broker, topic, start)
                assert len(await self._read(reader, expected)) == expected
                await eventually(reader.remaining, "something is left", equals=0, within=self.settle)
                await reader.close()
            with pytest.raises(ValueError, match="time zone"):
                _reader(broker, topic, datetime(2026, 1, 1))

    async def test_a_reader_without_a_group_takes_nothing_from_a_group(self) -> None:
        async with self.open_topic() as (broker, topic), self.open_broker() as other:
            group = unique_name("g")
            async with self.start_reader(broker, topic, group=group) as member:
                await self.until_all_assigned(member, topic)
                reader = _reader(other, topic, "earliest")
                await reader.fetch(1, 0.0)
                await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(50)))
                assert len(await self._read(reader, 50)) == 50
                await member.until(50)
                await reader.close()
                assert len(member.partitions) == self.partitions
                assert [what for what, _ in member.history] == ["assigned"] * len(member.history)
            assert len({record[:3] for record in member.records}) == len(member.records) == 50

    async def test_a_reader_without_a_group_does_not_make_a_topic(self) -> None:
        async with self.open_broker() as broker:
            topic = unique_name("t")
            reader = _reader(broker, topic, "earliest")
            with pytest.raises(NotFound):
                await reader.fetch(1, 0.0)
            await reader.close()
            with pytest.raises(NotFound):
                await self.publish(broker, OutgoingRecord(topic, b""))

    # Offsets of groups

    async def test_offsets_say_how_far_a_group_is_while_a_member_reads(self) -> None:
        async with self.open_topic() as (broker, topic), self.open_broker() as other:
            group = unique_name("g")
            await self.publish(broker, *(OutgoingRecord(topic, b"", b"%d" % number) for number in range(20)))
            async with self.join(broker, topic, group=group) as (member, recorder):
                await self.until_assigned(member, recorder, self.partitions)
                ends = {each: offset.end for each, offset in (await _offsets(other, group)).items()}
                assert sum(ends.values()) == 20
                first = Partition(topic, max(range(self.partitions), key=lambda number: ends[Partition(topic, number)]))
                await member.commit({first: 1})
                expected = {each: end - (each == first) for each, end in ends.items()}

                async def lag() -> Mapping[Partition, int]:
                    await member.fetch(1, 0.01)
                    return {each: offset.lag for each, offset in (await _offsets(other, group)).items()}

                await eventually(lag, "another lag", equals=expected, within=self.settle)
                found = await _offsets(other, group, topic)
                assert found[first].committed == 1
                assert len({offset.member for offset in found.values()}) == 1
                assert [what for what, _ in recorder.history] == ["assigned"] * len(recorder.history)
                assert len(recorder.partitions) == self.partitions

            async def members() -> set[str]:
                return {offset.member for offset in (await _offsets(other, group)).values()}

            await eventually(members, "a member that left", equals={""}, within=self.settle)
            assert (await _offsets(other, group))[first].lag == ends[first] - 1

    async def test_offsets_of_a_group_or_a_topic_that_is_not_there(self) -> None:
        async with self.open_topic() as (broker, topic):
            group = unique_name("g")
            for topics in ((), (topic,)):
                with pytest.raises(NotFound, match=group):
                    await _offsets(broker, group, *topics)
            async with self.join(broker, topic, group=group) as (member, recorder):
                await self.until_assigned(member, recorder, self.partitions)
                await member.commit({Partition(topic, 0): 0})
            with pytest.raises(NotFound):
                await _offsets(broker, group, unique_name("t"))
            other = await self.prepare_topic(broker)
            found = await _offsets(broker, group, other)
            assert found == {Partition(other, number): GroupOffset(0, 0) for number in range(self.partitions)}

    async def _read(self, reader: TopicReader, count: int) -> list[Record]:
        read: list[Record] = []
        async with asyncio.timeout(self.settle):
            while len(read) < count:
                for records in (await reader.fetch(100, 0.5)).values():
                    read += records
        return read


def _reader(broker: Broker, topic: str, start: Start) -> TopicReader:
    try:
        return broker.read(topic, start)
    except Unimplemented as error:
        pytest.skip(error.message)


async def _offsets(broker: Broker, group: str, *topics: str) -> Mapping[Partition, GroupOffset]:
    try:
        return await broker.offsets(group, topics)
    except Unimplemented as error:
        pytest.skip(error.message)
