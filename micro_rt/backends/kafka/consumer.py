"""One consumer of aiokafka, as a member of a group: typed, and closed for good whatever state it is in."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, cast

import aiokafka  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.structs  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
from aiokafka import ConsumerRebalanceListener  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.backends.kafka.assignor import Assignor
from micro_rt.backends.kafka.by_hand import ByHand, places, plausible, take_back
from micro_rt.backends.kafka.client import (
    STOP,
    Cluster,
    KafkaError,
    abandon,
    connection_options,
    end_task,
    failures,
    keeping,
)
from micro_rt.broker.base import LONGEST_NOTE, NO_TYPES, Headers, Partition, Record
from micro_rt.broker.embedded import warn_of_gap
from micro_rt.kit.ordered import OrderedSet
from micro_rt.logs import logger

__all__ = ["FETCH_BYTES", "FETCH_WAIT", "PARTITION_BYTES", "GroupConsumer", "record_of"]

HEARTBEATS = 10
"""Heartbeats in a session; at least one a second, because their answers announce rebalances."""
FETCH_WAIT = 0.25
"""Seconds that a broker holds a request while it has no records."""
FETCH_BYTES = 16 << 20
"""Bytes that one broker sends at a time at most, of all partitions together."""
PARTITION_BYTES = 1 << 20
POSITIONS = 0.05
"""Seconds to wait for records while the position of a partition is not known yet."""
_NEVER_IDLE = 0x7FFFFFFF
"""Milliseconds that may pass between fetches: a member is not thrown out because its handlers are slow."""

_log = logger("micro_rt.broker")
_library: Any = cast("Any", aiokafka)
_TopicPartition: Any = _library.TopicPartition
_Position: Any = _library.structs.OffsetAndMetadata
_new: Callable[[type[Record], tuple[Any, ...]], Record] = cast("Any", tuple).__new__
_NOTHING = _TopicPartition("", -1)
"""No partition: aiokafka takes an empty list of partitions for all of them."""


class GroupConsumer:
    """A member of a group.

    Args:
        cluster: where.
        topics: what it reads.
        group: whose member it is.
        instance: its name as a static member; empty for none.
        revoked: called before the member rejoins its group, and awaited, with what it had.
        assigned: called when it has joined, with what it has.
        types: which types it handles, by topic.
    """

    def __init__(
        self,
        cluster: Cluster,
        topics: Collection[str],
        group: str,
        instance: str,
        revoked: Callable[[frozenset[Partition]], Awaitable[None]],
        assigned: Callable[[frozenset[Partition]], None],
        types: Mapping[str, Collection[str]] = NO_TYPES,
    ) -> None:
        self._cluster = cluster
        self._topics = list(topics)
        self._group = group
        self.instance = instance
        self._no_notes = False
        """Whether the brokers refuse notes of up to ``LONGEST_NOTE`` bytes."""
        self._commits: OrderedSet[asyncio.Task[Any]] = OrderedSet()
        address = cluster.address
        self._assignor = Assignor(address.assignor, group, types)
        self._listener = _Listener(self, self._assignor, revoked, assigned)
        # Joining waits for the slowest member, so that a request may take that long.
        timeout = max(address.rebalance, cluster.timeout) + 5.0
        self._consumer: Any = _library.AIOKafkaConsumer(
            **connection_options(address, cluster.tls),
            group_id=group,
            group_instance_id=instance or None,
            enable_auto_commit=False,
            # Without a position, or if its record was deleted, the earliest record loses nothing.
            auto_offset_reset="earliest",
            partition_assignment_strategy=(self._assignor,),
            session_timeout_ms=int(address.session * 1000),
            heartbeat_interval_ms=int(min(address.session / HEARTBEATS, 1.0) * 1000),
            rebalance_timeout_ms=int(address.rebalance * 1000),
            max_poll_interval_ms=_NEVER_IDLE,
            request_timeout_ms=int(timeout * 1000),
            fetch_max_wait_ms=int(FETCH_WAIT * 1000),
            fetch_max_bytes=FETCH_BYTES,
            max_partition_fetch_bytes=PARTITION_BYTES,
            isolation_level=f"read_{address.isolation}",
        )
        self._expected: dict[Any, int] = {}
        """The offset at which each partition continues, unless aiokafka has moved it since."""
        self.restarted: set[Partition] = set()
        """Partitions that begin anew, whatever was read of them before."""
        self.by_hand = ByHand(cluster, f"group {group}", self._consumer, self.seek)
        """What is read without aiokafka."""

    async def start(self) -> None:
        """Connects, and begins to join; raises what aiokafka raises."""
        await self._consumer.start()
        coordinator = self._consumer._coordinator
        self._commit_once: Callable[..., Awaitable[None]] = coordinator._do_commit_offsets
        # aiokafka shields commits from cancellation, and then keeps no reference to them.
        coordinator._do_commit_offsets = keeping(self._commit_if_there, self._commits)
        self._consumer.subscribe(topics=self._topics, listener=self._listener)

    def begin_anew(self) -> None:
        """Forgets how far partitions were read: all of them continue at their committed positions."""
        self.by_hand.forget_all()
        self._expected.clear()
        self.restarted.clear()

    @property
    def assigned(self) -> Collection[Partition]:
        """The partitions that it has."""
        return [Partition(*at) for at in self._consumer.assignment()]

    @property
    def generation(self) -> int:
        """The generation of the group, as far as this member knows; below 0 if the group has expelled this member."""
        # aiokafka has no public way to see that.
        return cast("int", self._consumer._coordinator.generation)

    def rejoin(self) -> None:
        """Joins the group again, so that its leader shares the partitions out anew."""
        self._consumer._coordinator.request_rejoin()

    @property
    def announced(self) -> Collection[bytes]:
        """What the members of the group announced when it joined: a ``pair`` for each type of each topic."""
        return self._assignor.announced

    async def poll(
        self, partitions: Collection[Partition], limit: int, timeout: float
    ) -> dict[Partition, Sequence[Record]]:
        """Returns records of these partitions; waits for the first one, and raises what goes wrong meanwhile."""
        if self.by_hand:
            partition, taken = await self.by_hand.read(partitions, limit)
            if taken:
                return {partition: [_record(_at(partition), each) for each in taken]}
            partitions = [each for each in partitions if each not in self.by_hand]
        self._spare_records_of_aiokafka()
        before = places(self._consumer, map(_at, partitions))
        for at, place in before.items():
            if self._expected.get(at, place.offset) != place.offset:
                self._note_moved(at, self._expected[at], place.offset)
        if self.restarted:
            return {}
        if len(before) < len(partitions):
            timeout = min(timeout, POSITIONS)
        by_library: dict[Any, Sequence[Any]]
        try:
            by_library = await self._consumer.getmany(
                *(before or (_NOTHING,)), timeout_ms=int(timeout * 1000), max_records=limit
            )
        except Exception:
            failed = take_back(self._consumer, before)
            if failed is None:
                raise
            self.by_hand.begin(Partition(*failed), before[failed].offset)
            return {}
        ready = self._consumer._fetcher._records
        for at in by_library:
            # aiokafka empties its first partition before it reads the next one: move this one to the end.
            if at in ready:
                ready[at] = ready.pop(at)
        after = places(self._consumer, before)
        self._expected.update((at, place.offset) for at, place in after.items())
        found: dict[Partition, Sequence[Record]] = {}
        for at, records in by_library.items():
            if not records:
                continue
            partition, first = Partition(*at), before[at].offset
            ours = records if type(records[0]) is Record else [_record(at, each) for each in records]
            if at in after and after[at].resets is not before[at].resets:
                self._note_moved(at, first, first := ours[0].offset)
                if partition in self.restarted:
                    self.seek(partition, first)
                    continue
            if at in after and not plausible(self._consumer, at, ours, first, after[at].offset):
                self.seek(partition, first)
                self.by_hand.begin(partition, first)
                continue
            found[partition] = ours
        return found

    def _spare_records_of_aiokafka(self) -> None:
        """Makes aiokafka build records of ours from what it has fetched.

        Otherwise aiokafka builds an object of its own for each record, which takes as long as reading the record. It has no public
        way around that. Records that arrive after this call are still objects of aiokafka's.
        """
        for fetched in self._consumer._fetcher._records.values():
            records = getattr(fetched, "_partition_records", None)
            if records is not None:  # Neither an error nor used up.
                records._consumer_record = _record

    def _note_moved(self, at: Any, expected: int, offset: int) -> None:
        """Logs that a position has changed: aiokafka continues at the earliest record without a message."""
        self._expected[at] = offset
        if offset >= expected:
            if offset > expected:
                warn_of_gap(at.topic, at.partition, expected, offset)
            return
        reason = f"its offset {expected} is beyond the end; the topic was made again, or the cluster has lost records"
        self._restart(Partition(*at), offset, reason)

    def _restart(self, partition: Partition, offset: int, reason: str) -> None:
        self.restarted.add(partition)
        _log.warning("group %s continues %s[%d] at offset %d: %s", self._group, *partition, offset, reason)

    def pause(self, partition: Partition) -> None:
        """Stops fetching a partition."""
        with contextlib.suppress(KafkaError):  # The partition was revoked meanwhile.
            self._consumer.pause(_TopicPartition(*partition))

    def resume(self, partition: Partition) -> None:
        """Fetches a partition again."""
        with contextlib.suppress(KafkaError):
            self._consumer.resume(_TopicPartition(*partition))

    def seek(self, partition: Partition, offset: int) -> None:
        """Continues a partition at an offset."""
        self.by_hand.forget(partition)
        self._consumer.seek(_at(partition), offset)
        self._expected[_at(partition)] = offset

    def expected(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Returns the offsets at which partitions continue; leaves out those that are not known."""
        return {each: self._expected[_at(each)] for each in partitions if _at(each) in self._expected}

    def expect(self, positions: Mapping[Partition, int]) -> None:
        """Notes where partitions begin: if one begins at a later offset, records are missing."""
        self._expected.update((_at(partition), offset) for partition, offset in positions.items())

    def restart(self, partitions: Collection[Partition]) -> None:
        """Begins partitions anew at their first record: their topic was made again, and has other records at these offsets."""
        for partition in partitions:
            with contextlib.suppress(KafkaError):  # The partition was revoked meanwhile.
                self.seek(partition, 0)
                self._restart(partition, 0, "the topic was made again")

    async def refresh(self) -> None:
        """Learns what has become of the topics, and joins the group again if that has changed."""
        await self._consumer._client.force_metadata_update()

    async def position(self, partition: Partition) -> int:
        """Returns which offset comes next."""
        return cast("int", await self._consumer.position(_TopicPartition(*partition)))

    def next_offsets(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Returns the next offsets of partitions that aiokafka reads; leaves out those that are not known.

        Such an offset is after the last record that was read, and after records that consumers never see: those of aborted
        transactions, and the brokers' own.
        """
        found = places(self._consumer, [_at(each) for each in partitions if each not in self.by_hand])
        return {Partition(*at): place.offset for at, place in found.items()}

    async def commit(self, positions: Mapping[Partition, int], notes: Mapping[Partition, str] = {}) -> None:
        """Commits; retries until it is cancelled."""
        if self._no_notes:
            notes = {}
        try:
            await self._consumer.commit(
                {_TopicPartition(*each): (offset, notes.get(each, "")) for each, offset in positions.items()}
            )
        except failures.OffsetMetadataTooLargeError:
            if not notes:
                raise
            _log.warning(
                "the brokers of group %s store no notes beside its positions (offset.metadata.max.bytes is below %d): events that "
                "are done may be repeated when a partition goes to another member",
                self._group,
                LONGEST_NOTE,
            )
            self._no_notes = True
            await self.commit(positions)

    async def _commit_if_there(self, assignment: Any, offsets: Any) -> None:
        """Commits for aiokafka, which would retry for a topic that was deleted, and commit old positions if it is made again."""
        try:
            await self._commit_once(assignment, offsets)
        except failures.UnknownTopicOrPartitionError:
            raise failures.IllegalStateError("a topic does not exist any more") from None

    async def notes(self, partitions: Collection[Partition]) -> dict[Partition, str]:
        """Returns the notes of partitions; leaves out those without a committed position."""
        # aiokafka's public method does not return the text.
        asked = [_TopicPartition(*each) for each in partitions]
        found = await self._consumer._coordinator.fetch_committed_offsets(asked)
        return {Partition(*at): committed.metadata or "" for at, committed in found.items()}

    def partitions_of(self, topic: str) -> list[Partition]:
        """Returns the partitions of a topic, as far as they are known."""
        return [Partition(topic, number) for number in sorted(self._consumer.partitions_for_topic(topic) or ())]

    async def begin(self, offsets: Mapping[Partition, int]) -> None:
        """Commits the positions where a new group begins, also of partitions that other members read."""
        # aiokafka's public method accepts only partitions of this member.
        assignment = self._consumer._subscription.subscription.assignment
        begun = {_TopicPartition(*each): _Position(offset, "") for each, offset in offsets.items()}
        await self._consumer._coordinator.commit_offsets(assignment, begun)

    async def snapshot(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Returns the committed positions of partitions, all from one moment; leaves out partitions without one."""
        found = await self._consumer._coordinator.fetch_committed_offsets(
            [_TopicPartition(*each) for each in partitions]
        )
        return {Partition(*at): each.offset for at, each in found.items()}

    async def beginnings(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Returns the offset of each partition's first record."""
        return _plain(await self._consumer.beginning_offsets([_TopicPartition(*each) for each in partitions]))

    async def ends(self, partitions: Collection[Partition]) -> dict[Partition, int]:
        """Returns the offset after each partition's last record that can be read."""
        return _plain(await self._consumer.end_offsets([_TopicPartition(*each) for each in partitions]))

    async def offsets_at(self, partitions: Collection[Partition], timestamp: float) -> dict[Partition, int | None]:
        """Returns the offset of the first record of a time or later. It is None for a partition without such a record."""
        asked = {_TopicPartition(*each): int(timestamp * 1000) for each in partitions}
        found = await self._consumer.offsets_for_times(asked)
        return {Partition(*at): None if each is None else each.offset for at, each in found.items()}

    async def stop(self) -> None:
        """Leaves the group, unless it is a static member, and disconnects; never raises, and takes seconds at most.

        Cancelled, it ends everything at once, without an answer of the cluster.
        """
        self.by_hand.forget_all()
        consumer, coordinator, fetcher = self._consumer, self._consumer._coordinator, self._consumer._fetcher
        last: list[asyncio.Task[Any]] = []
        try:
            member = ""
            if coordinator is not None:
                # aiokafka would first wait until it has joined, which takes as long as the slowest member, and it would send
                # its leave request on the connection on which it waits.
                if not self.instance:
                    member = coordinator.member_id
                coordinator.generation = -1
                await end_task(coordinator._coordination_task)
            last.append(asyncio.create_task(consumer.stop()))
            if member:
                last.append(asyncio.create_task(self._cluster.leave(self._group, member)))
            await asyncio.wait(last, timeout=STOP)  # The session ends by itself.
            for task in last:
                await end_task(task)
            # An exception of what aiokafka waits for, such as a fetch that waits to retry, can end its closing early.
            if fetcher is not None:
                for task in (fetcher._fetch_task, *fetcher._pending_tasks):
                    await end_task(task)
            if coordinator is not None:
                for task in (coordinator._heartbeat_task, coordinator._commit_refresh_task, *self._commits):
                    await end_task(task)
            await consumer._client.close()
        finally:
            rest = [*last, *self._commits]
            if fetcher is not None:
                rest += (fetcher._fetch_task, *fetcher._pending_tasks)
            if coordinator is not None:
                rest += (
                    coordinator._coordination_task,
                    coordinator._heartbeat_task,
                    coordinator._commit_refresh_task,
                )
            abandon(consumer._client, *rest)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """The listener for aiokafka's task of the group, which waits for ``revoked`` and sends heartbeats meanwhile."""

    def __init__(
        self,
        consumer: GroupConsumer,
        assignor: Assignor,
        revoked: Callable[[frozenset[Partition]], Awaitable[None]],
        assigned: Callable[[frozenset[Partition]], None],
    ) -> None:
        self._consumer = consumer
        self._assignor = assignor
        self._revoked = revoked
        self._assigned = assigned

    # aiokafka documents that both may be coroutines; its signatures do not say so.
    async def on_partitions_revoked(self, revoked: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        await self._revoked(frozenset(Partition(*each) for each in revoked))

    async def on_partitions_assigned(self, assigned: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._assignor.on_generation_assignment(self._consumer.generation)  # aiokafka does not call it.
        self._consumer.begin_anew()
        self._assigned(frozenset(Partition(*each) for each in assigned))
        if self._consumer.instance and self._assignor.is_unheard():
            self._consumer.rejoin()


def record_of(at: Any, raw: Any) -> Record:
    """Returns a record of aiokafka's as ours.

    Args:
        at: its topic and partition.
        raw: what aiokafka made of it.
    """
    return _record(at, raw)


def _record(at: Any, raw: Any) -> Record:
    headers: Headers = tuple(raw.headers)
    for _, value in headers:
        if value is None:  # pyright: ignore[reportUnnecessaryComparison]
            headers = tuple([(name, value or b"") for name, value in headers])
            break
    # The same as Record(…), without a call of a Python function, which takes half of the time.
    value = raw.value
    return _new(
        Record,
        (at.topic, at.partition, raw.offset, raw.timestamp / 1000, raw.key, value or b"", headers, value is None),
    )


def _at(partition: Partition) -> Any:
    return _TopicPartition(*partition)


def _plain(found: Mapping[Any, int]) -> dict[Partition, int]:
    return {Partition(*at): offset for at, offset in found.items()}
