"""Reads from Kafka outside of every group: the records of a topic, and the offsets of a group. Commits nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, cast

import aiokafka  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.coordinator.protocol  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.admin  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.commit  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.backends.kafka.by_hand import ByHand, places, plausible, take_back
from micro_rt.backends.kafka.client import STOP, Cluster, KafkaError, connection_options, end_task, error_of, failures
from micro_rt.backends.kafka.consumer import FETCH_BYTES, FETCH_WAIT, PARTITION_BYTES, record_of
from micro_rt.broker.base import GroupOffset, Partition, Record, Start, TopicReader, checked_start
from micro_rt.broker.embedded import checked_limit, no_group
from micro_rt.errors import Error, FailedPrecondition, Unavailable

__all__ = ["KafkaReader", "group_offsets"]

NEW_PARTITIONS = 5.0
"""Seconds between two checks for new partitions of a topic, and for whether it still exists."""
ASK_AGAIN = 0.2
"""Seconds until the next request to a coordinator that is moving."""
MOST_MEMBERS = 10_000
"""Members of a group whose partitions are shown."""

AnswerT = TypeVar("AnswerT")

_library: Any = cast("Any", aiokafka)
_TopicPartition: Any = _library.TopicPartition


class KafkaReader(TopicReader):
    """Reads a topic.

    Args:
        cluster: where.
        topic: what to read.
        start: where each partition begins.
    """

    def __init__(self, cluster: Cluster, topic: str, start: Start) -> None:
        self._cluster = cluster
        self._topic = topic
        self._start: Start = checked_start(start)
        self._doing = f"Kafka at {cluster.address.place}, reading {topic}"
        self._consumer: Any = None
        self._by_hand = ByHand(cluster, "", None, self._seek)
        """Reads the batches that aiokafka cannot parse."""
        self._partitions: list[Any] = []
        self._looked = 0.0
        self._closed = False

    async def fetch(self, limit: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:
        """Waits for records."""
        checked_limit(limit)
        consumer = await self._ready()
        by_hand = self._by_hand
        if by_hand:
            partition, taken = await by_hand.read([Partition(*at) for at in self._partitions], limit)
            if taken:
                return {partition: [record_of(_TopicPartition(*partition), each) for each in taken]}
            if reasons := by_hand.blocked:
                raise FailedPrecondition("; ".join(reasons.values()), may_have_run=False)
        before = places(consumer, [at for at in self._partitions if Partition(*at) not in by_hand])
        if not before:
            await asyncio.sleep(min(timeout, ASK_AGAIN))
            return {}
        try:
            found = await consumer.getmany(*before, timeout_ms=int(timeout * 1000), max_records=limit)
        except Exception as failure:
            if (failed := take_back(consumer, before)) is not None:
                by_hand.begin(Partition(*failed), before[failed].offset)
                return {}
            if isinstance(failure, KafkaError | OSError):
                raise error_of(failure, self._doing, may_have_run=False) from failure
            raise
        after = places(consumer, before)
        read: dict[Partition, Sequence[Record]] = {}
        for at, records in found.items():
            ours = [record_of(at, each) for each in records]
            if ours and not plausible(consumer, at, ours, before[at].offset, after[at].offset):
                self._seek(Partition(*at), before[at].offset)
                by_hand.begin(Partition(*at), before[at].offset)
            elif ours:
                read[Partition(*at)] = ours
        return read

    def _seek(self, partition: Partition, offset: int) -> None:
        self._by_hand.forget(partition)
        self._consumer.seek(_TopicPartition(*partition), offset)

    async def remaining(self) -> int:
        """Returns how many offsets are left to read."""
        consumer = await self._ready()
        ends = await self._ask(consumer.end_offsets(self._partitions))
        return sum([max(0, end - await self._ask(consumer.position(at))) for at, end in ends.items()])

    async def close(self) -> None:
        """Ends it."""
        self._closed = True
        self._by_hand.forget_all()
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await _stop(consumer)

    async def _ready(self) -> Any:
        """Returns the consumer, after it has begun to read new partitions."""
        if self._closed:
            raise FailedPrecondition(f"this reader of {self._topic} is closed")
        clock = asyncio.get_running_loop().time
        if self._consumer is not None and clock() - self._looked < NEW_PARTITIONS:
            return self._consumer
        count = (await self._cluster.partitions_of_new([self._topic]))[self._topic]
        if isinstance(count, Error):
            raise count
        if self._consumer is None:
            self._consumer = await _started(self._cluster)
            self._by_hand = ByHand(self._cluster, f"the reader of {self._topic}", self._consumer, self._seek)
        self._looked = clock()
        if count > len(self._partitions):
            known = len(self._partitions)
            partitions = [_TopicPartition(self._topic, number) for number in range(count)]
            positions = {at: await self._ask(self._consumer.position(at)) for at in self._partitions}
            # A partition that was added later is read from its first record.
            positions |= await self._offsets(partitions[known:], "earliest" if known else self._start)
            self._consumer.assign(partitions)
            for at, offset in positions.items():
                self._consumer.seek(at, offset)
            self._partitions = partitions
        return self._consumer

    async def _offsets(self, partitions: Sequence[Any], start: Start) -> dict[Any, int]:
        """Returns where partitions begin."""
        consumer = self._consumer
        if start == "latest":
            return dict(await self._ask(consumer.end_offsets(partitions)))
        first: dict[Any, int] = dict(await self._ask(consumer.beginning_offsets(partitions)))
        if isinstance(start, datetime):
            moment = int(start.timestamp() * 1000)
            found = await self._ask(consumer.offsets_for_times(dict.fromkeys(partitions, moment)))
            ends = await self._ask(consumer.end_offsets(partitions))
            return {at: ends[at] if found[at] is None else found[at].offset for at in partitions}
        if isinstance(start, int):
            ends = await self._ask(consumer.end_offsets(partitions))
            return {at: min(max(start, first[at]), ends[at]) for at in partitions}
        return first

    async def _ask(self, question: Awaitable[AnswerT]) -> AnswerT:
        return await _answer(self._cluster, question, self._doing)


async def group_offsets(cluster: Cluster, group: str, topics: Collection[str]) -> dict[Partition, GroupOffset]:
    """Returns the offsets of a group.

    Raises:
        NotFound: there is no such group, or no such topic.
        PermissionDenied: this client may not see it.
        Unavailable: the cluster does not answer.
    """
    known, members = await _members(cluster, group)
    committed = await _committed(cluster, group)
    if not known and not committed:
        raise no_group(group)
    read = {*members, *committed}
    names = topics or {partition.topic for partition in read}
    counts = await cluster.partitions(names) if names else {}
    wanted: set[Partition] = set()
    for topic, count in counts.items():
        if isinstance(count, Error):
            if topics:
                raise count
            continue
        every = {Partition(topic, number) for number in range(count)}
        # Positions outlive a topic that was deleted, and members of other clients may claim partitions that never existed.
        wanted |= every if topics else every & read
    if not wanted:
        return {}
    consumer = await _started(cluster)
    doing = f"Kafka at {cluster.address.place}, offsets of group {group}"
    try:
        asked = [_TopicPartition(*partition) for partition in sorted(wanted)]
        first = await _answer(cluster, consumer.beginning_offsets(asked), doing)
        end = await _answer(cluster, consumer.end_offsets(asked), doing)
    finally:
        await _stop(consumer)
    return {
        partition: GroupOffset(first[at], end[at], committed.get(partition), members.get(partition, ""))
        for at in asked
        for partition in [Partition(*at)]
    }


async def _members(cluster: Cluster, group: str) -> tuple[bool, dict[Partition, str]]:
    """Returns whether the cluster knows a group, and which member reads each partition."""
    request = _library.protocol.admin.DescribeGroupsRequest([group])
    answer = await _coordinator(cluster, group, request, _code_of_description)
    code, _, state, kind, _, members, *_ = answer.groups[0]
    failure = failures.for_code(code)
    if failure.__name__.startswith("GroupAuthorization"):
        raise error_of(failure(), f"Kafka at {cluster.address.place}, group {group}", may_have_run=False)
    found: dict[Partition, str] = {}
    if kind == "consumer":
        for _, client, host, _, assignment in members[:MOST_MEMBERS]:
            name = f"{client}@{host.removeprefix('/')}"
            found.update(dict.fromkeys(_assigned(assignment), name))
    return code == 0 and state != "Dead", found


def _assigned(assignment: bytes) -> list[Partition]:
    """Returns the partitions of a member. Returns an empty list if its assignment is not in the format of Kafka's own clients."""
    try:
        read = _library.coordinator.protocol.ConsumerProtocolMemberAssignment.decode(assignment)
        return [Partition(topic, number) for topic, numbers in read.assignment for number in numbers]
    except Exception:  # Foreign bytes can raise anything.
        return []


async def _committed(cluster: Cluster, group: str) -> dict[Partition, int]:
    """Returns the positions that a group has committed."""
    request = _library.protocol.commit.OffsetFetchRequest(group, None)
    answer = await _coordinator(cluster, group, request, _code_of_positions)
    failure = failures.for_code(answer.error_code)
    if failure is not failures.NoError:
        raise error_of(failure(), f"Kafka at {cluster.address.place}, group {group}", may_have_run=False)
    return {
        Partition(topic, number): offset
        for topic, partitions in answer.topics
        for number, offset, _, code in partitions
        if code == 0 and offset >= 0
    }


def _code_of_description(answer: Any) -> int:
    return cast("int", answer.groups[0][0])


def _code_of_positions(answer: Any) -> int:
    return cast("int", answer.error_code)


async def _coordinator(cluster: Cluster, group: str, request: Any, code: Callable[[Any], int]) -> Any:
    """Asks the coordinator of a group; asks again while it moves or loads the group."""
    clock = asyncio.get_running_loop().time
    until = clock() + cluster.timeout
    while True:
        try:
            answer = await cluster.ask_coordinator(group, request)
        except Unavailable:  # For the first group of a cluster, Kafka creates the topic of positions first.
            if clock() > until:
                raise
        else:
            failure = failures.for_code(code(answer))
            if not getattr(failure, "retriable", False) or clock() > until:
                return answer
        await asyncio.sleep(ASK_AGAIN)


async def _started(cluster: Cluster) -> Any:
    """Returns a consumer without a group."""
    consumer = _library.AIOKafkaConsumer(
        **connection_options(cluster.address, cluster.tls),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=int(cluster.timeout * 1000),
        fetch_max_wait_ms=int(FETCH_WAIT * 1000),
        fetch_max_bytes=FETCH_BYTES,
        max_partition_fetch_bytes=PARTITION_BYTES,
        isolation_level=f"read_{cluster.address.isolation}",
    )
    try:
        await _answer(cluster, consumer.start(), f"Kafka at {cluster.address.place}")
    except BaseException:
        await _stop(consumer)
        raise
    return consumer


async def _stop(consumer: Any) -> None:
    stopping = asyncio.create_task(consumer.stop())
    await asyncio.wait([stopping], timeout=STOP)
    await end_task(stopping)


async def _answer(cluster: Cluster, question: Awaitable[AnswerT], doing: str) -> AnswerT:
    try:
        async with asyncio.timeout(cluster.timeout):
            return await question
    except TimeoutError:
        raise Unavailable(f"{doing}: no answer in {cluster.timeout:g} s", may_have_run=False) from None
    except (KafkaError, OSError) as failure:
        raise error_of(failure, doing, may_have_run=False) from failure
