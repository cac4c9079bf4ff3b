"""What the parts of the contract suite of brokers have in common."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from typing import ClassVar

import pytest

from micro_rt.broker.base import Broker, OutgoingRecord, Partition, Position, Record, Start, Subscription, TopicOptions
from micro_rt.errors import Error
from micro_rt.kit.ids import new_id
from micro_rt.testing.contracts.broker.members import OtherMember, Reader, Recorder
from micro_rt.testing.contracts.registry import OtherProcess
from micro_rt.testing.contracts.suite import Contract, eventually

__all__ = ["KAFKA_HASHES", "BrokerSuite", "expect_each_once", "unique_name"]

KAFKA_HASHES: Mapping[bytes, int] = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""From Kafka's own tests, ``UtilsTest.testMurmur2``."""


class BrokerSuite(Contract):
    """What a suite needs to know of a broker, and what all tests begin with."""

    settle: ClassVar[float] = 20.0
    """Seconds within which a change must be seen, however busy the machine is; not waited for if it is seen earlier."""
    session: ClassVar[float] = 1.0
    """Seconds after which the brokers of ``make``, and of the other process, take a silent member for dead."""
    partitions: ClassVar[int] = 4
    """Of the topics that the tests make."""
    many: ClassVar[int] = 5000
    """How many messages the test of many publishes in one call."""
    largest: ClassVar[int] = 1024 * 1024
    """Bytes of the largest message that its address allows."""
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

    async def grow(self, topic: str, partitions: int) -> None:
        """Gives a topic more partitions, and returns when a broker that is opened then sees them.

        Args:
            topic: what to change.
            partitions: how many it has afterwards.
        """
        pytest.skip("topics of this broker keep the partitions that they were made with")

    # Helpers

    @contextlib.asynccontextmanager
    async def open_broker(self) -> AsyncGenerator[Broker]:
        """Opens a broker."""
        broker = await self.make()
        await broker.open()
        try:
            yield broker
        finally:
            await broker.close()

    @contextlib.asynccontextmanager
    async def open_topic(self, partitions: int | None = None) -> AsyncGenerator[tuple[Broker, str]]:
        """Opens a broker with a topic of its own."""
        async with self.open_broker() as broker:
            yield broker, await self.prepare_topic(broker, partitions)

    async def prepare_topic(self, broker: Broker, partitions: int | None = None) -> str:
        """Makes a topic, and returns its name."""
        topic = unique_name("t")
        await broker.prepare({topic: TopicOptions(partitions=partitions or self.partitions)})
        return topic

    async def publish(self, broker: Broker, *messages: OutgoingRecord) -> list[Position]:
        """Publishes messages, all of which must be accepted."""
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
    async def join(
        self, broker: Broker, topic: str, *, group: str = "", start: Start = "earliest"
    ) -> AsyncGenerator[tuple[Subscription, Recorder]]:
        """Subscribes, and remembers what the member is told; the group is one of its own, if not given."""
        recorder = Recorder()
        subscription = broker.subscribe([topic], group or unique_name("g"), start, recorder)
        try:
            yield subscription, recorder
        finally:
            await subscription.close()

    @contextlib.asynccontextmanager
    async def start_reader(
        self,
        broker: Broker,
        *topics: str,
        group: str = "",
        start: Start = "earliest",
        commit: bool = True,
        limit: int = 50,
        board: dict[Partition, Reader] | None = None,
        types: Collection[str] = (),
    ) -> AsyncGenerator[Reader]:
        """Starts a member that reads on its own; the group is one of its own, if not given. It announces the types for each topic."""
        announced = dict.fromkeys(topics, types)
        reader = Reader(broker, topics, group or unique_name("g"), start, commit, limit, board, self.settle, announced)
        try:
            yield reader
        finally:
            await reader.stop()

    @contextlib.asynccontextmanager
    async def start_other(self, topic: str) -> AsyncGenerator[tuple[OtherMember, str]]:
        """Starts another process that is a member of a group."""
        process = self.other_process()
        if process is None:
            pytest.skip("this broker is for one process")
        group = unique_name("g")
        other = await OtherMember.start(process, topic, group)
        try:
            yield other, group
        finally:
            await other.kill()

    @contextlib.asynccontextmanager
    async def join_beside_another(self) -> AsyncGenerator[tuple[Broker, str, Subscription, Recorder]]:
        """A member that has a share of a topic, while another would take it if it could."""
        group = unique_name("g")
        async with (
            self.open_topic() as (broker, topic),
            self.open_broker() as other,
            self.join(broker, topic, group=group) as (subscription, recorder),
            self.start_reader(other, topic, group=group, commit=False) as reader,
        ):
            async with asyncio.timeout(self.settle):
                while len(recorder.partitions) + len(reader.partitions) < self.partitions or not reader.partitions:
                    await subscription.fetch(1, 0.05)
            yield broker, topic, subscription, recorder

    async def until_assigned(self, subscription: Subscription, recorder: Recorder, count: int) -> None:
        """Fetches until a member has partitions; what is there to read is read and forgotten."""
        async with asyncio.timeout(self.settle):
            while len(recorder.partitions) < count:
                await subscription.fetch(1, 0.05)

    async def read(self, subscription: Subscription, count: int) -> list[Record]:
        """Reads as many records, and no more."""
        read: list[Record] = []
        async with asyncio.timeout(self.settle):
            while len(read) < count:
                found = await subscription.fetch(count - len(read), 0.5)
                for records in found.values():
                    read += records
        return read

    async def read_all(self, subscription: Subscription) -> list[Record]:
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

    async def reads_nothing(self, subscription: Subscription) -> bool:
        """Says whether nothing comes for a while."""
        return not any([await subscription.fetch(10, 0.1) for _ in range(3)])

    async def until_all_assigned(
        self, reader: Reader, *topics: str, partitions: int | None = None, after: float = 0.0
    ) -> None:
        """Waits until a reader has all partitions of topics."""
        expected = {Partition(topic, n) for topic in topics for n in range(partitions or self.partitions)}
        await eventually(lambda: reader.partitions, "not all are assigned", equals=expected, within=self.settle + after)

    async def until_shared(self, topic: str, *readers: Reader, partitions: int | None = None) -> None:
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

        await eventually(
            shared, lambda: f"{[reader.partitions for reader in readers]} are assigned", within=self.settle
        )


def expect_each_once(readers: Iterable[Reader], count: int) -> None:
    """Raises AssertionError if readers have not read as many records, or have read one twice."""
    counts = Counter(record[:3] for reader in readers for record in reader.records)
    repeated = {position: times for position, times in counts.items() if times > 1}
    assert (len(counts), repeated) == (count, {})


def unique_name(text: str) -> str:
    """Returns a name that no other test has."""
    return f"{text}-{new_id(12)}"
