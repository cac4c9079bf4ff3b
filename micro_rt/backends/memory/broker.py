"""Broker ``memory:``: for one process and its event loop; for tests, and for services that share a process."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from micro_rt.broker.base import (
    NO_TYPES,
    Broker,
    GroupOffset,
    Listener,
    OutgoingRecord,
    Partition,
    Position,
    Record,
    Start,
    Subscription,
    TopicOptions,
    TopicReader,
    checked_note,
    checked_start,
    checked_topic,
    partition_of,
)
from micro_rt.broker.embedded import (
    EmbeddedOptions,
    checked_limit,
    checked_offset,
    no_group,
    not_owned,
    not_there,
    problem_of,
    warn_of_gap,
)
from micro_rt.broker.groups.base import Member, Ownership, View, balance
from micro_rt.errors import Error, FailedPrecondition
from micro_rt.kit.address import Options, seconds
from micro_rt.kit.clock import Clock, boot_clock, wall_time
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared

__all__ = ["MemoryBroker"]

RETENTION = 3600.0
"""Seconds that records are kept by default."""
SESSION = 10.0
"""Seconds that a member whose task has ended keeps its partitions, by default."""
TIDY = 5.0
"""Seconds between two looks for records to drop."""


class MemoryBroker(Broker):
    """Keeps events in the memory of this process, as long as any broker with this name is open.

    Args:
        address: ``"memory:"``, or ``"memory:NAME"`` for a place of its own; each event loop has its own of either. Parameters:
            ``retention`` (seconds that records are kept; an hour, if not given), ``session`` (seconds that a member keeps its
            partitions after the task that read them has ended; 10, if not given), ``partitions`` (of a topic that does not say),
            ``max_message`` (bytes), ``envelope`` and ``framing``.
        clock: what retention is measured with.
    """

    def __init__(self, address: str = "memory:", *, clock: Clock | None = None) -> None:
        place, _, query = address.partition("?")
        if not place.startswith("memory:") or "#" in address or "/" in place:
            raise ValueError("the address is not memory: or memory:NAME")
        options = Options(query)
        self._options = EmbeddedOptions.read(options, RETENTION)
        self._session = options.read("session", seconds, SESSION)
        options.end()
        self.envelope = self._options.envelope
        self.framing = self._options.framing
        self._address = address
        used = clock or boot_clock()
        self._shared = Shared(("broker", place), lambda: _BrokerState(used))
        self._state: _BrokerState | None = None
        self._members: OrderedSet[_MemoryMember] = OrderedSet()

    async def open(self) -> None:
        """Joins the other brokers with this name in this event loop."""
        self._state = await self._shared.acquire()

    async def close(self) -> None:
        """Ends every subscription; the last one to leave drops the records."""
        if self._state is None:
            return
        try:
            for member in list(self._members):
                await member.close()
        finally:
            self._state = None
            await self._shared.release()

    async def prepare(self, topics: Mapping[str, TopicOptions]) -> None:
        """Makes topics that are not there."""
        state = self._open_state()
        for topic, options in topics.items():
            state.make(checked_topic(topic), *self._options.of(topic, options))

    async def retention(self, topics: Collection[str]) -> Mapping[str, float]:
        """Returns for how many seconds the records of topics are kept."""
        return self._open_state().retention(topics)

    async def publish(self, records: Sequence[OutgoingRecord]) -> list[Position | Error]:
        """Publishes records, and lets the others in this loop have their turn."""
        state = self._open_state()
        await asyncio.sleep(0)
        now = wall_time()
        limit = self._options.max_message
        return [problem_of(record, limit) or state.append(record, now) for record in records]

    def subscribe(
        self,
        topics: Collection[str],
        group: str,
        start: Start,
        listener: Listener,
        *,
        types: Mapping[str, Collection[str]] = NO_TYPES,
    ) -> Subscription:
        """Joins a group."""
        self._open_state()
        member = _MemoryMember(
            self._open_state, topics, group, start, listener, self._members.discard, types, self._session
        )
        self._members.add(member)
        return member

    def read(self, topic: str, start: Start) -> TopicReader:
        """Reads a topic without being in a group."""
        self._open_state()
        return _MemoryReader(self._open_state, topic, start)

    async def offsets(self, group: str, topics: Collection[str] = ()) -> Mapping[Partition, GroupOffset]:
        """Returns how far a group is."""
        state = self._open_state()
        found = state.groups.get(group)
        if found is None:
            raise no_group(group)
        named = [Partition(topic, number) for topic in topics for number in range(len(state.logs(topic)))]
        return {each: found.offset(each, state.log(each)) for each in named or found.partitions()}

    def _open_state(self) -> _BrokerState:
        if self._state is None:
            raise FailedPrecondition(f"broker {without_secrets(self._address)} is not open", may_have_run=False)
        return self._state


class _MemoryMember(Member):
    def __init__(
        self,
        state: Callable[[], _BrokerState],
        topics: Collection[str],
        group: str,
        start: Start,
        listener: Listener,
        closed: Callable[[_MemoryMember], None],
        types: Mapping[str, Collection[str]],
        session: float,
    ) -> None:
        super().__init__(topics, group, start, listener, types, session=session)
        self._state = state
        self._tell_closed = closed
        self._members = _Group()
        self._seen = -1

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            self._tell_closed(self)

    async def join(self) -> None:
        state = self._state()
        topics = {topic: len(state.logs(topic)) for topic in self.topics}
        self._members = state.groups.setdefault(self.group, self._members)
        self._members.add(self, topics)

    async def look(self, cursors: Mapping[Partition, int], limit: int, settled: bool) -> View | None:
        state, group = self._state(), self._members
        records: dict[Partition, Sequence[Record]] = {}
        for partition, offset in cursors.items():
            found = state.log(partition).read(offset, limit)
            if found:
                records[partition] = found
                limit -= len(found)
                if limit <= 0:
                    break
        if settled and self._seen == group.revision:
            return View(None, records)
        self._seen = group.revision
        wanted = frozenset(each for each, member in group.targets.items() if member is self)
        owned = frozenset(each for each, member in group.owners.items() if member is self)
        return View(Ownership(owned, wanted, wanted.difference(group.owners), group.types(self.topics)), records)

    async def claim(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        state, group = self._state(), self._members
        positions: dict[Partition, int] = {}
        for partition in partitions:
            if group.owners.setdefault(partition, self) is self:
                log = state.log(partition)
                log.readers.add(self)
                positions[partition] = group.position(partition, log, self.start)
        return positions

    async def release(self, partitions: Collection[Partition]) -> None:
        state = self._state()
        for partition in partitions:
            state.log(partition).readers.discard(self)
        self._members.release(self, partitions)

    async def leave(self) -> None:
        await self.release([each for each, member in self._members.owners.items() if member is self])
        self._members.remove(self)

    async def die(self) -> None:
        await self.release([each for each, member in self._members.owners.items() if member is self])
        self._members.remove(self, died=True)

    async def commit(self, positions: Mapping[Partition, int], notes: Mapping[Partition, str] = {}) -> None:
        self._state()
        checked_note(notes, positions)
        group = self._members
        lost: list[Partition] = []
        for partition, offset in positions.items():
            if group.owners.get(partition) is self:
                group.positions[partition] = checked_offset(partition, offset)
                group.notes[partition] = notes.get(partition, "")
            else:
                lost.append(partition)
        if lost:
            raise not_owned(self.group, lost)

    async def notes(self, partitions: Collection[Partition]) -> Mapping[Partition, str]:
        self._state()
        found = self._members.notes
        return {each: found[each] for each in partitions if each in found}

    async def lag(self) -> Mapping[Partition, int]:
        state, group = self._state(), self._members
        logs = {each: state.log(each) for each in self._cursors}
        return {
            each: max(0, log.next - max(log.first, group.position(each, log, self.start))) for each, log in logs.items()
        }


class _MemoryReader(TopicReader):
    def __init__(self, state: Callable[[], _BrokerState], topic: str, start: Start) -> None:
        self._state = state
        self._topic = topic
        self._start: Start = checked_start(start)
        self._cursors: dict[Partition, int] = {}
        self._closed = False
        self._wake = asyncio.Event()

    async def fetch(self, limit: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:
        checked_limit(limit)
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            self._wake.clear()
            records: dict[Partition, Sequence[Record]] = {}
            for partition, log in self._logs().items():
                if limit and (found := log.read(self._cursors[partition], limit)):
                    records[partition] = found
                    limit -= len(found)
                    self._cursors[partition] = found[-1].offset + 1
            if records:
                return records
            try:
                async with asyncio.timeout_at(deadline):
                    await self._wake.wait()
            except TimeoutError:
                return {}

    async def remaining(self) -> int:
        return sum(max(0, log.next - self._cursors[partition]) for partition, log in self._logs().items())

    async def close(self) -> None:
        self._closed = True
        for partition in self._cursors:
            self._state().log(partition).readers.discard(self)
        self._cursors.clear()

    def wake(self) -> None:
        """Has a fetch that waits look again."""
        self._wake.set()

    def _logs(self) -> dict[Partition, _Log]:
        if self._closed:
            raise FailedPrecondition(f"this reader of {self._topic} is closed")
        logs = self._state().logs(self._topic)
        for number, log in enumerate(logs):
            if Partition(self._topic, number) not in self._cursors:
                self._cursors[Partition(self._topic, number)] = log.offset_of(self._start)
                log.readers.add(self)
        return {Partition(self._topic, number): log for number, log in enumerate(logs)}


class _Wakes(Protocol):
    """Reads a partition."""

    def wake(self) -> None: ...


class _BrokerState:
    """What the brokers of one name share."""

    def __init__(self, clock: Clock) -> None:
        self.groups: dict[str, _Group] = {}
        self._now = clock.now
        self._topics: dict[str, list[_Log]] = {}
        self._turns: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def make(self, topic: str, partitions: int, retention: float) -> None:
        if topic not in self._topics:
            self._topics[topic] = [_Log(topic, number, retention) for number in range(partitions)]
            if self._timer is None:
                self._tidy()

    def retention(self, topics: Collection[str]) -> Mapping[str, float]:
        return {topic: self._topics[topic][0].retention for topic in topics if topic in self._topics}

    def logs(self, topic: str) -> list[_Log]:
        try:
            return self._topics[topic]
        except KeyError:
            raise not_there(topic) from None

    def log(self, partition: Partition) -> _Log:
        return self._topics[partition.topic][partition.number]

    def append(self, record: OutgoingRecord, now: float) -> Position | Error:
        logs = self._topics.get(record.topic)
        if logs is None:
            return not_there(record.topic)
        if record.key is not None:
            number = partition_of(record.key, len(logs))
        else:
            number = self._turns[record.topic] = (self._turns.get(record.topic, -1) + 1) % len(logs)
        return logs[number].append(record, now, self._now())

    def _tidy(self) -> None:
        """Drops the records of topics that nobody publishes to."""
        now = self._now()
        for logs in self._topics.values():
            for log in logs:
                log.tidy(now)
        self._timer = asyncio.get_running_loop().call_later(TIDY, self._tidy)


class _Log:
    """The records of one partition."""

    def __init__(self, topic: str, number: int, retention: float) -> None:
        self.first = 0
        self.readers: OrderedSet[_Wakes] = OrderedSet()
        self._topic = topic
        self._number = number
        self.retention = retention
        self._records: list[Record] = []
        self._marks: deque[tuple[float, int]] = deque()
        """Moments, and the offset that was the next one then: all before it is older than that moment."""

    @property
    def next(self) -> int:
        return self.first + len(self._records)

    def append(self, record: OutgoingRecord, now: float, moment: float) -> Position:
        offset = self.first + len(self._records)
        about = (record.key, record.value, record.headers, record.tombstone)
        self._records.append(Record(self._topic, self._number, offset, now, *about))
        if not self._marks or moment >= self._marks[-1][0] + self.retention / 16:
            self.tidy(moment)
        for reader in self.readers:
            reader.wake()
        return Position(self._topic, self._number, offset)

    def read(self, offset: int, limit: int) -> list[Record]:
        start = offset - self.first
        if start < 0:
            warn_of_gap(self._topic, self._number, offset, self.first)
            start = 0
        return self._records[start : start + limit]

    def offset_of(self, start: Start) -> int:
        if start == "earliest":
            return self.first
        if start == "latest":
            return self.next
        if isinstance(start, int):
            return max(start, self.first)
        moment = start.timestamp()
        return next((record.offset for record in self._records if record.timestamp >= moment), self.next)

    def tidy(self, moment: float) -> None:
        marks = self._marks
        if self._records and (not marks or marks[-1][1] != self.next):
            marks.append((moment, self.next))
        keep = self.first
        while marks and marks[0][0] <= moment - self.retention:
            keep = marks.popleft()[1]
        if keep > self.first:
            del self._records[: keep - self.first]
            self.first = keep


class _Group:
    """A group: its members, what each is to read and reads, and how far it is done."""

    def __init__(self) -> None:
        self.revision = 0
        """Changes whenever ``targets`` or ``owners`` do."""
        self.targets: dict[Partition, Member] = {}
        self.owners: dict[Partition, Member] = {}
        self.positions: dict[Partition, int] = {}
        self.notes: dict[Partition, str] = {}
        """Of each partition that has a position."""
        self._members: dict[Member, frozenset[str]] = {}
        self._topics: dict[str, int] = {}
        self._starts: dict[Partition, tuple[Start, int]] = {}

    def add(self, member: Member, topics: Mapping[str, int]) -> None:
        self._members[member] = frozenset(topics)
        self._topics.update(topics)
        self._balance()

    def remove(self, member: Member, *, died: bool = False) -> None:
        self._members.pop(member, None)
        if not self._members and not died:
            self._starts.clear()
        self._balance()

    def release(self, member: Member, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            if self.owners.get(partition) is member:
                del self.owners[partition]
        self._changed()

    def position(self, partition: Partition, log: _Log, start: Start) -> int:
        """Returns where to read on; where a group begins stands until it commits or ends, whoever reads it meanwhile."""
        if partition in self.positions:
            return self.positions[partition]
        pinned = self._starts.get(partition)
        if pinned is None or pinned[0] != start:
            pinned = self._starts[partition] = (start, log.offset_of(start))
        return pinned[1]

    def partitions(self) -> list[Partition]:
        """Returns those that the group reads, or has positions of."""
        return sorted({*self.targets, *self.owners, *self.positions, *self._starts})

    def offset(self, partition: Partition, log: _Log) -> GroupOffset:
        """Returns how far the group is."""
        start = self._starts.get(partition)
        committed = self.positions.get(partition, None if start is None else start[1])
        members = [*self._members]
        owner = self.owners.get(partition)
        member = f"member {members.index(owner) + 1}" if owner in members else ""
        return GroupOffset(log.first, log.next, committed, member)

    def types(self, topics: Collection[str]) -> dict[str, set[str]]:
        """Returns the types that members announce, of these topics."""
        return {topic: {type for member in self._members for type in member.types.get(topic, ())} for topic in topics}

    def _balance(self) -> None:
        types = {member: member.types for member in self._members if member.types}
        self.targets = balance(self._topics, self._members, self.owners, types)
        self._changed()

    def _changed(self) -> None:
        self.revision += 1
        for member in self._members:
            member.wake()
