"""Broker ``acme:NAME``: events in the memory of one process."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from urllib.parse import parse_qsl
from weakref import WeakKeyDictionary

from micro_rt.broker.base import (
    DEFAULT_PARTITIONS,
    NO_TYPES,
    Broker,
    Listener,
    OutgoingRecord,
    Partition,
    Position,
    Record,
    Start,
    Subscription,
    TopicOptions,
    checked_note,
    checked_topic,
    partition_of,
)
from micro_rt.broker.groups.base import Member, Ownership, View, balance
from micro_rt.errors import Aborted, Error, FailedPrecondition, InvalidArgument, NotFound

__all__ = ["AcmeBroker"]

MAX_MESSAGE = 1 << 20
"""Bytes of key, value and headers, unless the address says otherwise."""
RETENTION = 3600.0
"""Seconds that records are kept, unless the topic says otherwise."""
SESSION = 1.0
"""Seconds that a member keeps its partitions after the task that read them has ended."""


class AcmeBroker(Broker):
    """Keeps events in the memory of this process, as long as any broker with this address is open.

    Args:
        address: ``"acme:NAME"``, with ``?max_message=BYTES`` if needed.
    """

    def __init__(self, address: str = "acme:") -> None:
        self._place, _, query = address.partition("?")
        options = dict(parse_qsl(query, strict_parsing=bool(query)))
        self._max_message = int(options.pop("max_message", MAX_MESSAGE))
        if options:
            raise ValueError(f"{address!r} has the unknown parameters {', '.join(options)}; it can have max_message")
        self._state: _State | None = None
        self._members: list[_AcmeMember] = []

    async def open(self) -> None:
        """Joins the other brokers with this address in this event loop."""
        states = _STATES.setdefault(asyncio.get_running_loop(), {})
        self._state = states.setdefault(self._place, _State())
        self._state.users += 1

    async def close(self) -> None:
        """Ends every subscription; the last broker drops the records."""
        if self._state is None:
            return
        for member in self._members:
            await member.close()
        self._members.clear()
        self._state.users -= 1
        if not self._state.users:
            del _STATES[asyncio.get_running_loop()][self._place]
        self._state = None

    async def prepare(self, topics: Mapping[str, TopicOptions]) -> None:
        """Makes topics that are not there."""
        state = self.state()
        for topic, options in topics.items():
            count = DEFAULT_PARTITIONS if options.partitions is None else options.partitions
            retention = RETENTION if options.retention is None else options.retention
            if count < 1 or retention <= 0:
                raise InvalidArgument(f"topic {topic} cannot have {count} partitions that keep {retention} seconds")
            logs = [_Log(Partition(topic, number), retention) for number in range(count)]
            state.topics.setdefault(checked_topic(topic), logs)

    async def publish(self, records: Sequence[OutgoingRecord]) -> list[Position | Error]:
        """Publishes records."""
        state = self.state()
        await asyncio.sleep(0)  # let the others have their turn
        return [self._refusal(record) or state.append(record) for record in records]

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
        self.state()
        member = _AcmeMember(self, topics, group, start, listener, types)
        self._members.append(member)
        return member

    def state(self) -> _State:
        """Returns what the brokers with this address share."""
        if self._state is None:
            raise FailedPrecondition("broker acme is not open", may_have_run=False)
        return self._state

    def _refusal(self, record: OutgoingRecord) -> Error | None:
        size = len(record.key or b"") + len(record.value)
        size += sum(len(name.encode()) + len(value) for name, value in record.headers)
        if size > self._max_message and not record.republished:
            return InvalidArgument(f"{size} bytes are more than max_message={self._max_message}", may_have_run=False)
        if record.tombstone and record.value:
            return InvalidArgument("a tombstone has no value", may_have_run=False)
        try:
            checked_topic(record.topic)
        except InvalidArgument as error:
            return error
        return None


class _AcmeMember(Member):
    """One member of a group: what ``Member`` leaves to the broker."""

    def __init__(
        self,
        broker: AcmeBroker,
        topics: Collection[str],
        group: str,
        start: Start,
        listener: Listener,
        types: Mapping[str, Collection[str]],
    ) -> None:
        super().__init__(topics, group, start, listener, types, session=SESSION)
        self._broker = broker

    async def join(self) -> None:
        state = self._broker.state()
        counts = {topic: len(state.logs(topic)) for topic in self.topics}
        state.group(self.group).join(self, counts)

    async def look(self, cursors: Mapping[Partition, int], limit: int, settled: bool) -> View | None:
        state = self._broker.state()
        group = state.group(self.group)
        records: dict[Partition, Sequence[Record]] = {}
        for partition, offset in cursors.items():
            if limit > 0 and (found := state.log(partition).read(offset, limit)):
                records[partition] = found
                limit -= len(found)
        wanted = frozenset(each for each, member in group.targets.items() if member is self)
        owned = frozenset(each for each, member in group.owners.items() if member is self)
        return View(Ownership(owned, wanted, wanted.difference(group.owners), group.types(self.topics)), records)

    async def claim(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        state = self._broker.state()
        group = state.group(self.group)
        claimed = [each for each in partitions if group.owners.setdefault(each, self) is self]
        for partition in claimed:
            state.log(partition).readers.add(self)
        return {each: group.position(each, state.log(each), self.start) for each in claimed}

    async def release(self, partitions: Collection[Partition]) -> None:
        state = self._broker.state()
        for partition in partitions:
            state.log(partition).readers.discard(self)
        state.group(self.group).release(self, partitions)

    async def leave(self) -> None:
        group = self._broker.state().group(self.group)
        await self.release([each for each, member in group.owners.items() if member is self])
        group.leave(self)

    async def die(self) -> None:
        group = self._broker.state().group(self.group)
        await self.release([each for each, member in group.owners.items() if member is self])
        group.leave(self, died=True)

    async def commit(self, positions: Mapping[Partition, int], notes: Mapping[Partition, str] = {}) -> None:
        checked_note(notes, positions)
        group = self._broker.state().group(self.group)
        lost = [each for each in positions if group.owners.get(each) is not self]
        group.positions.update({each: offset for each, offset in positions.items() if each not in lost})
        group.notes.update({each: notes.get(each, "") for each in positions if each not in lost})
        if lost:
            raise Aborted(f"not committed, because this member does not read them any more: {sorted(lost)}")

    async def notes(self, partitions: Collection[Partition]) -> Mapping[Partition, str]:
        found = self._broker.state().group(self.group).notes
        return {each: found[each] for each in partitions if each in found}

    async def lag(self) -> Mapping[Partition, int]:
        state = self._broker.state()
        group = state.group(self.group)
        logs = {each: state.log(each) for each, member in group.owners.items() if member is self}
        return {each: log.next - max(log.first, group.position(each, log, self.start)) for each, log in logs.items()}


class _State:
    """What the brokers of one address share."""

    def __init__(self) -> None:
        self.users = 0
        self.topics: dict[str, list[_Log]] = {}
        self._groups: dict[str, _Group] = {}
        self._turn = 0

    def group(self, name: str) -> _Group:
        return self._groups.setdefault(name, _Group())

    def logs(self, topic: str) -> list[_Log]:
        if topic not in self.topics:
            raise NotFound(f"there is no topic {topic}: prepare it first", may_have_run=False)
        return self.topics[topic]

    def log(self, partition: Partition) -> _Log:
        return self.topics[partition.topic][partition.number]

    def append(self, record: OutgoingRecord) -> Position | Error:
        try:
            logs = self.logs(record.topic)
        except NotFound as error:
            return error
        self._turn += 1
        number = self._turn % len(logs) if record.key is None else partition_of(record.key, len(logs))
        return logs[number].append(record)


class _Log:
    """The records of one partition."""

    def __init__(self, partition: Partition, retention: float) -> None:
        self.first = 0
        self.readers: set[Member] = set()
        self._partition = partition
        self._retention = retention
        self._records: deque[Record] = deque()

    @property
    def next(self) -> int:
        return self.first + len(self._records)

    def append(self, record: OutgoingRecord) -> Position:
        now = time.time()
        while self._records and self._records[0].timestamp < now - self._retention:
            self._records.popleft()
            self.first += 1
        position = Position(*self._partition, self.next)
        about = (record.key, record.value, record.headers, record.tombstone)
        self._records.append(Record(*position, now, *about))
        for reader in self.readers:
            reader.wake()
        return position

    def read(self, offset: int, limit: int) -> list[Record]:
        begin = max(0, offset - self.first)
        return [self._records[number] for number in range(begin, min(begin + limit, len(self._records)))]

    def offset_of(self, start: Start) -> int:
        if start == "earliest":
            return self.first
        if start == "latest":
            return self.next
        if isinstance(start, int):
            return max(start, self.first)
        later = (record.offset for record in self._records if record.timestamp >= start.timestamp())
        return next(later, self.next)


class _Group:
    """The members of a group, what each is to read and reads, and how far it is done."""

    def __init__(self) -> None:
        self.targets: dict[Partition, Member] = {}
        self.owners: dict[Partition, Member] = {}
        self.positions: dict[Partition, int] = {}
        self.notes: dict[Partition, str] = {}
        self._begins: dict[Partition, int] = {}
        self._topics: dict[str, int] = {}
        self._members: dict[Member, frozenset[str]] = {}

    def join(self, member: Member, topics: Mapping[str, int]) -> None:
        self._topics.update(topics)
        self._members[member] = frozenset(topics)
        self._balance()

    def leave(self, member: Member, *, died: bool = False) -> None:
        self._members.pop(member, None)
        if not self._members and not died:
            self._begins.clear()
        self._balance()

    def release(self, member: Member, partitions: Collection[Partition]) -> None:
        for partition in partitions:
            if self.owners.get(partition) is member:
                del self.owners[partition]
        self._wake()

    def position(self, partition: Partition, log: _Log, start: Start) -> int:
        """Returns where to read on: what is committed, or where the group has begun."""
        if partition in self.positions:
            return self.positions[partition]
        return self._begins.setdefault(partition, log.offset_of(start))

    def types(self, topics: Collection[str]) -> dict[str, set[str]]:
        """Returns the types that members announce, of these topics."""
        return {topic: {type for member in self._members for type in member.types.get(topic, ())} for topic in topics}

    def _balance(self) -> None:
        types = {member: member.types for member in self._members}
        self.targets = balance(self._topics, self._members, self.owners, types)
        self._wake()

    def _wake(self) -> None:
        for member in self._members:
            member.wake()


_STATES: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _State]] = WeakKeyDictionary()
