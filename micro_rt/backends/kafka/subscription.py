"""One member of a group on Kafka.

The rules that it keeps, and why:

- aiokafka talks with the group in a task of its own. Changes are queued there until the next ``fetch``, so that the listener is
  called in the task that reads, for one change at a time, and never during a handler.
- The group waits while the listener gives partitions up: that is the listener's last chance to commit. Heartbeats continue
  meanwhile. The group does not wait when partitions are assigned, because a task that waits there sends no heartbeats.
- An assignment that is revoked before the listener was called is not announced.
- Partitions are *lost*, not revoked, if the group has already forgotten this member, or if its consumer is replaced:
  then another member may have them, and nothing can be committed.
- ``fetch`` returns records of partitions that are owned and not paused. Records that were fetched and cannot be
  returned, because of a pause or a cancellation, are put back by seeking, so that none is skipped.
- Committing covers only partitions that are owned, and raises ``Aborted`` for the others after committing: a listener
  may have been late for one partition and not for the rest.
- A new group begins where ``start`` says. For anything other than the earliest record, that position is committed
  before the first record is read: if this member dies before it commits, the next one must not begin somewhere else.
- The member that begins first commits that position for every partition of the topic. So a partition without a position,
  where others have one, was added later, and begins at its earliest record: nothing that was published since the group
  began is passed over. The same holds for a topic that this member has read before, and that was made again.
- A consumer whose reading task has ended without closing the subscription leaves the group after a session: otherwise aiokafka would
  send heartbeats for ever. The next ``fetch`` replaces it, and its partitions are lost.
- A consumer that reads nothing is checked: is there nothing to read, is the cluster unreachable, or is the consumer
  stuck? aiokafka can get stuck after restarts of brokers (``consumer_check``). A stuck consumer is replaced, and its
  partitions are lost.
- Every request to the cluster has a time limit, which aiokafka does not set, and every failure becomes a ``micro.Error``.
- A topic that does not exist is an error at once. A consumer would wait for it, and might have it created. Every few seconds, also
  while other topics are read, the consumer checks whether the topics exist and how many partitions they have.
- The lag, and a commit after the last record that was read, skip the records after it that consumers never see: those of aborted
  transactions, and the brokers' own. Otherwise the lag of a group that has done everything would stay above 0.
- If retention has deleted records before they were read, the log says how many. If a topic was made again, its partitions are
  lost and assigned once more: the old offsets mean nothing.
- Partitions are processed in sorted order, so that two runs do the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from micro_rt.backends.kafka.assignor import pair
from micro_rt.backends.kafka.client import Cluster, KafkaError, error_of
from micro_rt.backends.kafka.consumer import GroupConsumer
from micro_rt.backends.kafka.consumer_check import CHECK_EVERY, ConsumerCheck
from micro_rt.broker.base import (
    NO_TYPES,
    Listener,
    Partition,
    Record,
    Start,
    Subscription,
    checked_note,
    checked_start,
)
from micro_rt.broker.embedded import checked_limit, checked_offset, not_owned
from micro_rt.broker.groups.announced import Announced
from micro_rt.broker.reader_watch import ReaderWatch
from micro_rt.errors import Aborted, Error, FailedPrecondition, NotFound, PermissionDenied, Unavailable
from micro_rt.kit.tasks import TaskSet, unless
from micro_rt.logs import logger

__all__ = ["KafkaSubscription"]

RETRY = 0.05
"""Seconds until a request is repeated that failed because the group was changing."""
PAIRS = 1000
"""Types whose ``pair`` a member caches."""
LONGEST_TYPE = 300
"""Characters of the longest type that it caches."""
TRY_AGAIN = 0.5
"""The shortest time in seconds that a fetch takes if it cannot connect, so that a caller that retries at once does not spin."""

_log = logger("micro_rt.broker")


@dataclass(slots=True)
class _Change:
    """A change of the group for which the listener has not been called yet."""

    assigned: frozenset[Partition] = frozenset()
    revoked: frozenset[Partition] = frozenset()
    lost: bool = False
    """Whether another member may have the revoked partitions already."""
    heard: asyncio.Future[None] | None = None


class KafkaSubscription(Subscription):
    """Reads topics as a member of a group.

    Args:
        cluster: open.
        topics: what to read; they exist.
        group: whose member it is.
        start: where partitions begin for which the group has no position.
        listener: called when partitions are assigned, revoked or lost.
        instance: its name as a static member; empty for none.
        ended: called when it is closed.
        types: which types this member handles, by topic.
    """

    def __init__(
        self,
        cluster: Cluster,
        topics: Collection[str],
        group: str,
        start: Start,
        listener: Listener,
        instance: str = "",
        ended: Callable[[KafkaSubscription], None] | None = None,
        types: Mapping[str, Collection[str]] = NO_TYPES,
    ) -> None:
        if not topics or not group:
            raise ValueError("a subscription needs a group, and at least one topic")
        self.group = group
        self.instance = instance
        self._cluster = cluster
        self._topics = tuple(sorted(set(topics)))
        self._start = checked_start(start)
        self._types = types
        self._announced = Announced[bytes]()
        self._pairs: dict[tuple[str, str], bytes] = {}
        """A cache: the ``pair`` of each topic and type that was asked for."""
        self._listener = listener
        self._ended = ended
        self._consumer: GroupConsumer | None = None
        self._owned: set[Partition] = set()
        """The partitions that the listener has."""
        self._paused: set[Partition] = set()
        self._changes: deque[_Change] = deque()
        self._wake = asyncio.Event()
        self._delivered: dict[Partition, int] = {}
        """The offset after the last record that a fetch has returned."""
        self._committed: set[Partition] = set()
        """Partitions for which this member has committed positions."""
        self._begun: set[str] = set()
        """Topics that the group has begun, as far as this member knows."""
        self._check = ConsumerCheck(cluster, group, self._topics)
        self._busy = asyncio.Lock()
        self._closed = False
        self._watch = ReaderWatch(cluster.address.session, self._nobody_reads)
        self._tasks = TaskSet[None]()

    @property
    def problem(self) -> str:
        """What keeps it from reading, as far as is known; empty if nothing does."""
        blocked = self._consumer.by_hand.blocked.values() if self._consumer is not None else ()
        return "; ".join(filter(None, (self._check.problem, self._check.missing, *blocked)))

    @property
    def hand_over(self) -> float:
        """Seconds that a listener may take in ``revoked``: ``rebalance=`` of the address."""
        return self._cluster.address.rebalance

    async def fetch(self, limit: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:
        """Waits for records, and calls the listener for changes of its partitions."""
        checked_limit(limit)
        self._watch.used()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        async with self._busy:
            while True:
                if self._closed:
                    raise FailedPrecondition(f"this member of group {self.group} is closed")
                if self._check.stuck:
                    await self._drop()
                consumer = self._consumer or await self._connect(deadline)
                self._wake.clear()
                if self._changes:
                    await self._tell(consumer)
                    continue
                records = await self._poll(consumer, limit, deadline - loop.time())
                if consumer.restarted:
                    await self._restart(consumer)
                    continue
                self._check.member(consumer.generation)
                if records:
                    self._check.progress()
                    for partition, found in records.items():
                        self._delivered[partition] = found[-1].offset + 1
                    return records
                self._check.idle(consumer, sorted(self._owned - self._paused - consumer.by_hand.blocked.keys()))
                if self._check.unreachable is not None:
                    # Nothing was read, so no records are lost with this error.
                    raise copy.copy(self._check.unreachable)
                if loop.time() >= deadline and not self._changes:
                    return {}

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Reads no more records of these partitions until they are resumed; of one that is not this member's, does nothing."""
        self._watch.used()
        for partition in [each for each in partitions if each in self._owned]:
            self._paused.add(partition)
            if self._consumer is not None:
                self._consumer.pause(partition)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Reads these partitions again."""
        self._watch.used()
        for partition in [each for each in partitions if each in self._paused]:
            self._paused.discard(partition)
            if self._consumer is not None:
                self._consumer.resume(partition)
        self._wake.set()

    async def commit(self, positions: Mapping[Partition, int], notes: Mapping[Partition, str] = {}) -> None:
        """Says that all records before these offsets are done."""
        checked_note(notes, positions)
        for partition, offset in positions.items():
            checked_offset(partition, offset)
        mine = {partition: offset for partition, offset in positions.items() if partition in self._owned}
        if mine and self._consumer is not None:
            try:
                await self._ask(self._consumer.commit(self._past(mine, self._consumer), notes), "committing")
                self._committed.update(mine)
            except Unavailable:
                # aiokafka retries also for a topic that was deleted.
                try:
                    await self._check.look()
                except NotFound as error:
                    raise Aborted(f"not committed: {error.message}") from None
                raise
        if others := positions.keys() - mine.keys():
            raise not_owned(self.group, others)

    async def notes(self, partitions: Collection[Partition]) -> Mapping[Partition, str]:
        """Returns the notes that are stored beside the committed positions of partitions."""
        if self._consumer is None or not partitions:
            return {}
        found: Mapping[Partition, str] = await self._ask(
            self._consumer.notes(sorted(partitions)), "asking for the notes of positions"
        )
        return found

    async def lag(self) -> Mapping[Partition, int]:
        """Returns how many records follow the committed position of each partition of this member's."""
        consumer, owned = self._consumer, sorted(self._owned)
        if consumer is None or not owned:
            return {}
        doing = "asking for the lag"
        before = frozenset(self._committed)
        committed: Mapping[Partition, int] = await self._ask(consumer.snapshot(owned), doing)
        # The answer may be older than a commit that has succeeded meanwhile.
        if forgotten := sorted((before & self._committed).intersection(owned).difference(committed)):
            self._committed.difference_update(forgotten)
            consumer.restart(forgotten)  # A group forgets its positions with the topic.
            self._wake.set()
        ends = await self._ask(consumer.ends(owned), doing)
        beginnings = await self._ask(consumer.beginnings(owned), doing)
        # Records that retention has deleted do not follow the position any more.
        positions = {each: max(beginnings[each], committed.get(each, 0)) for each in owned if each in beginnings}
        positions = self._past(positions, consumer)
        return {each: max(0, ends[each] - positions[each]) for each in positions if each in ends}

    def _past(self, positions: Mapping[Partition, int], consumer: GroupConsumer) -> dict[Partition, int]:
        """Returns positions, moved past records that consumers never see: those of aborted transactions, and the brokers' own."""
        read_to = consumer.next_offsets(positions)
        return {
            # A position of a partition from which nothing was returned stays: it may set the partition back.
            each: max(offset, read_to.get(each, 0)) if offset >= self._delivered.get(each, offset + 1) else offset
            for each, offset in positions.items()
        }

    def announced(self, topic: str, type: str) -> bool:
        """Returns whether a member of the group has announced that it handles this type."""
        asked = (topic, type)
        found = self._pairs.get(asked)
        if found is None:
            found = pair(topic, type)
            # A publisher may send any type, so the cache takes only short ones, and not many.
            if len(type) <= LONGEST_TYPE and len(self._pairs) < PAIRS:
                self._pairs[asked] = found
        return found in self._announced

    async def close(self) -> None:
        """Leaves the group; first calls the listener's ``revoked``."""
        self._closed = True
        self._watch.end()
        self._wake.set()
        async with self._busy:
            try:
                if self._owned:
                    lost = any(change.lost for change in self._changes)
                    await self._give_up(frozenset(self._owned), lost=lost)
            finally:
                self._owned.clear()
                await self._stop()
                if self._ended is not None:
                    self._ended(self)

    # Changes of the group, in aiokafka's task

    async def _revoked(self, partitions: frozenset[Partition]) -> None:
        self._check.joining = True
        if not partitions or self._consumer is None or self._closed:
            return
        heard = asyncio.get_running_loop().create_future()
        self._changes.append(_Change(revoked=partitions, lost=self._consumer.generation < 0, heard=heard))
        self._wake.set()
        await heard

    def _assigned(self, partitions: frozenset[Partition]) -> None:
        # aiokafka sends no heartbeats until this returns.
        self._check.joining = False
        if self._consumer is not None:
            self._announced.hear(self._consumer.announced)
        self._changes.append(_Change(assigned=partitions))
        self._wake.set()

    # Calls of the listener, in the task that reads

    async def _tell(self, consumer: GroupConsumer) -> None:
        change = self._changes[0]
        if change.heard is not None:
            try:
                if mine := self._owned & change.revoked:
                    await self._give_up(mine, lost=change.lost)
            finally:
                self._changes.popleft()
                if not change.heard.done():
                    change.heard.set_result(None)
            return
        if len(self._changes) == 1:  # Otherwise they are revoked again, and the listener need not know.
            if not await self._unless_changed(self._begin(consumer, change.assigned)):
                return
            if new := change.assigned - self._owned:
                await self._take(new)
        self._changes.popleft()

    async def _take(self, partitions: Collection[Partition]) -> None:
        self._owned.update(partitions)
        try:
            await self._listener.assigned(sorted(partitions))
        except BaseException:
            self._owned.difference_update(partitions)
            raise

    async def _restart(self, consumer: GroupConsumer) -> None:
        """Has the listener begin partitions anew: their old positions mean nothing."""
        partitions = sorted(consumer.restarted & self._owned)
        consumer.restarted.clear()
        if partitions:
            for partition in partitions:
                consumer.resume(partition)
            await self._give_up(partitions, lost=True)
            with contextlib.suppress(Error):  # The last commit may belong to the topic of before.
                await self._ask(consumer.begin(consumer.expected(partitions)), "beginning anew")
            await self._take(partitions)

    async def _give_up(self, partitions: Collection[Partition], *, lost: bool) -> None:
        try:
            if lost:
                self._owned.difference_update(partitions)
                await self._listener.lost(sorted(partitions))
            else:
                await self._listener.revoked(sorted(partitions))
        finally:
            self._owned.difference_update(partitions)
            self._paused.difference_update(partitions)
            self._committed.difference_update(partitions)
            for partition in partitions:
                self._delivered.pop(partition, None)

    async def _begin(self, consumer: GroupConsumer, partitions: Collection[Partition]) -> None:
        """Sets the positions of partitions for which the group has none."""
        if not partitions:
            return
        doing = "asking where to begin"
        committed: Mapping[Partition, int] = await self._ask(consumer.snapshot(partitions), doing)
        if self._start == "earliest":
            consumer.expect(committed)
            return
        for partition, offset in committed.items():
            consumer.seek(partition, offset)  # An earlier try may have committed it after the consumer had looked.
        if new := sorted(set(partitions) - committed.keys()):
            await self._begin_new(consumer, new, doing)
        self._begun.update(partition.topic for partition in partitions)

    async def _begin_new(self, consumer: GroupConsumer, new: Collection[Partition], doing: str) -> None:
        topics = sorted({partition.topic for partition in new} - self._begun)
        everything = sorted({*new, *(each for topic in topics for each in consumer.partitions_of(topic))})
        # Requested before the positions: what another member commits meanwhile is at these offsets or after them.
        starts = await self._starts(consumer, everything, doing)
        known: Mapping[Partition, int] = await self._ask(consumer.snapshot(everything), doing)
        grown = self._begun | {partition.topic for partition in known}
        # If this member dies before it commits, the next one must read what is published from now on.
        begun = {each: offset for each, offset in starts.items() if each.topic not in grown}
        if begun:
            await self._ask(consumer.begin(begun), doing)
        for partition in new:
            if (offset := begun.get(partition, known.get(partition))) is not None:
                consumer.seek(partition, offset)

    async def _starts(
        self, consumer: GroupConsumer, partitions: Collection[Partition], doing: str
    ) -> Mapping[Partition, int]:
        """Returns where a new group begins."""
        ends: Mapping[Partition, int] = await self._ask(consumer.ends(partitions), doing)
        if isinstance(self._start, datetime):
            found: Mapping[Partition, int | None]
            found = await self._ask(consumer.offsets_at(partitions, self._start.timestamp()), doing)
            return {each: ends[each] if offset is None else offset for each, offset in found.items()}
        if isinstance(self._start, int):
            first: Mapping[Partition, int] = await self._ask(consumer.beginnings(partitions), doing)
            return {each: min(max(self._start, first[each]), ends[each]) for each in partitions}
        return ends

    async def _unless_changed(self, doing: Any) -> bool:
        """Awaits something, and cancels it if the group changes again; returns whether it was done."""
        task = await unless(self._until_changed(), doing)
        if task.cancelled():
            return False
        try:
            task.result()
        except Aborted:  # The group is about to change again.
            await asyncio.sleep(RETRY)
            return False
        return True

    async def _until_changed(self) -> None:
        while len(self._changes) < 2:
            self._wake.clear()
            await self._wake.wait()

    # Reading

    async def _poll(
        self, consumer: GroupConsumer, limit: int, timeout: float
    ) -> Mapping[Partition, Sequence[Record]] | None:
        """Returns records, or nothing when the time is over or something has changed."""
        ready = [] if self._check.joining else sorted(self._owned - self._paused)
        try:
            if ready and (records := await consumer.poll(ready, limit, 0.0)):
                return records
            if timeout <= 0.0:
                await asyncio.sleep(0)
                return None
            timeout = min(timeout, CHECK_EVERY)
            reading = asyncio.ensure_future(consumer.poll(ready, limit, timeout))
            woken = asyncio.ensure_future(self._wake.wait())
            try:
                # While the group shares partitions out, aiokafka waits for that, however long it takes.
                await asyncio.wait((reading, woken), timeout=timeout + RETRY, return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                if reading.done() and not reading.cancelled() and reading.exception() is None:
                    self._put_back(consumer, reading.result(), reading.result().keys())
                raise
            finally:
                woken.cancel()
                if not reading.done():
                    # aiokafka does not await between taking records and returning them: so nothing was taken.
                    reading.cancel()
                    await asyncio.wait((reading,))
            if reading.cancelled():
                return None
            records = reading.result()
        except KafkaError as failure:
            raise self._failed(failure) from failure
        if self._paused and not self._paused.isdisjoint(records):  # A partition was paused meanwhile.
            self._put_back(consumer, records, [each for each in records if each in self._paused])
            return {each: found for each, found in records.items() if each not in self._paused}
        return records

    def _put_back(
        self,
        consumer: GroupConsumer,
        records: Mapping[Partition, Sequence[Record]],
        partitions: Collection[Partition],
    ) -> None:
        """Seeks back to records that were not returned, so that they are read again."""
        for partition in partitions:
            with contextlib.suppress(KafkaError):  # The partition was revoked meanwhile.
                consumer.seek(partition, records[partition][0].offset)

    def _failed(self, failure: Exception) -> Error:
        error = error_of(failure, f"Kafka at {self._cluster.address.place}, group {self.group}")
        if not isinstance(error, PermissionDenied):
            # This may have ended aiokafka's task of the group: replace the consumer.
            self._check.stuck = str(error)
        return error

    # The consumer

    async def _connect(self, deadline: float) -> GroupConsumer:
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._check.begin()
        try:
            await self._check.look()  # A consumer would wait for a topic, and might have it made.
            consumer = self._consumer = GroupConsumer(
                self._cluster, self._topics, self.group, self.instance, self._revoked, self._assigned, self._types
            )
            async with asyncio.timeout(self._cluster.timeout):
                await consumer.start()
            self._check.watch(consumer)
        except BaseException as failure:
            await self._stop()
            if isinstance(failure, Error):
                error = failure
            elif isinstance(failure, KafkaError | OSError | TimeoutError):
                doing = f"Kafka at {self._cluster.address.place}, group {self.group}"
                error = error_of(failure, doing, may_have_run=False)
            else:
                raise
            self._check.problem = str(error)
            await asyncio.sleep(max(0.0, min(deadline, began + TRY_AGAIN) - loop.time()))
            raise error from (None if error is failure else failure)
        return consumer

    def _nobody_reads(self) -> None:
        self._tasks.start(self._leave_unread(), name=f"end of a consumer of group {self.group}")

    async def _leave_unread(self) -> None:
        async with self._busy:
            if self._consumer is not None and not self._closed:
                self._check.stuck = "the task that read has ended, and the subscription was not closed"
                _log.warning("a consumer of group %s leaves it: %s", self.group, self._check.stuck)
                await self._consumer.stop()

    async def _drop(self) -> None:
        """Stops the consumer; its partitions are lost."""
        _log.warning("replacing a consumer of group %s: %s", self.group, self._check.stuck)
        try:
            if self._owned:
                await self._give_up(frozenset(self._owned), lost=True)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        await self._check.end()
        for change in self._changes:
            if change.heard is not None and not change.heard.done():
                change.heard.set_result(None)
        self._changes.clear()
        self._owned.clear()
        self._paused.clear()
        self._delivered.clear()
        self._committed.clear()
        if consumer is not None:
            await consumer.stop()

    async def _ask(self, question: Any, doing: str) -> Any:
        """Awaits an answer, within the time limit of requests."""
        text = f"Kafka at {self._cluster.address.place}, group {self.group}, {doing}"
        try:
            async with asyncio.timeout(self._cluster.timeout):
                return await question
        except TimeoutError:
            raise Unavailable(f"{text}: no answer in {self._cluster.timeout:g} s") from None
        except KafkaError as failure:
            raise error_of(failure, text) from failure
