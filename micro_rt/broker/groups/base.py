"""Groups for a broker whose engine has none: the broker stores the members and their partitions, and this does the rest.

Each member gives up and takes partitions by itself (Kafka calls it cooperative rebalancing). ``balance`` decides which member is to
read which partition whenever a member joins or leaves. A member calls its listener for the partitions that it is to give up, then
releases them, and only then another member can claim them. It reads its other partitions meanwhile.

A broker derives a class from ``Member`` and implements its abstract methods and ``commit``, ``notes`` and ``lag`` of ``Subscription``; ``fetch``,
``pause``, ``resume`` and ``close`` are here. It stores for each group, shared by all processes that use the broker:

- the members, with the topics and the types of each, in the order in which they joined;
- the target of each partition, as ``balance`` returns it, computed again when a member joins or leaves;
- the owner of each partition, set by ``claim`` and removed by ``release``; only the owner reads and commits;
- the committed position of each partition, and the note that was committed with it.

It calls ``wake`` of a member when there may be something to see: a record, or a change of targets or owners.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from micro_rt.broker.base import NO_TYPES, Listener, Partition, Record, Start, Subscription, checked_start
from micro_rt.broker.embedded import checked_limit
from micro_rt.broker.groups.announced import Announced
from micro_rt.broker.reader_watch import ReaderWatch
from micro_rt.errors import Error, FailedPrecondition
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger

__all__ = ["Member", "Ownership", "View", "balance", "capable"]

MemberT = TypeVar("MemberT")

SESSION = 10.0
"""Seconds that a membership lasts after the task that read has ended, by default."""

_log = logger("micro_rt.broker")


@dataclass(frozen=True, slots=True)
class Ownership:
    """The partitions of one member, as the group has them."""

    owned: frozenset[Partition]
    """The member reads these; no other member can."""
    wanted: frozenset[Partition]
    """The member is to read these, now or as soon as they are released."""
    free: frozenset[Partition]
    """Those of ``wanted`` without an owner."""
    types: Mapping[str, Collection[str]] = field(default_factory=dict[str, Collection[str]])
    """The types that the members of the group announce, by topic; of topics that this member reads."""


@dataclass(frozen=True, slots=True)
class View:
    """What a member sees when it looks."""

    ownership: Ownership | None
    """None if nothing has changed since ``look`` returned one."""
    records: Mapping[Partition, Sequence[Record]]


class Member(Subscription):
    """One member of a group; the subclass stores the group.

    Args:
        topics: what to read.
        group: whose member it is.
        start: where partitions begin for which the group has no position.
        listener: called when partitions are assigned, revoked or lost.
        types: which types of events it handles, by topic.
        session: seconds after which the member gives its partitions up if the task that read has ended and nothing uses it.
    """

    def __init__(
        self,
        topics: Collection[str],
        group: str,
        start: Start,
        listener: Listener,
        types: Mapping[str, Collection[str]] = NO_TYPES,
        *,
        session: float = SESSION,
    ) -> None:
        if not topics or not group:
            raise ValueError("a subscription needs a group, and at least one topic")
        self.topics = tuple(dict.fromkeys(topics))
        self.group = group
        self.start: Start = checked_start(start)
        self.types: Mapping[str, Collection[str]] = {
            topic: frozenset(types[topic]) for topic in self.topics if types.get(topic)
        }
        """The types that it announces, by topic."""
        self._announced = Announced[tuple[str, str]]()
        self._listener = listener
        self._cursors: dict[Partition, int] = {}
        """The offset to read next, for each partition that this member has as far as it knows."""
        self._paused: set[Partition] = set()
        self._unannounced: set[Partition] = set()
        self._joined = False
        self._settled = False
        """Whether this member has its partitions as the group wants them."""
        self._closed = False
        self._wake = asyncio.Event()
        self._busy = asyncio.Lock()
        self._rotation = 0
        self._watch = ReaderWatch(session, self._nobody_reads)
        self._tasks = TaskSet[None]()

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
                if not self._joined:
                    await self._lose(list(self._cursors))  # It has some if its session ended while no task read.
                    await self.join()
                    self._joined = True
                    self._settled = False
                self._wake.clear()
                view = await self.look(self._readable(), limit, self._settled)
                if view is None:
                    self._joined = False
                    continue
                if view.ownership is not None:
                    announced = view.ownership.types
                    self._announced.hear((topic, type) for topic, types in announced.items() for type in types)
                    self._settled = False
                    if await self._adapt(view.ownership):
                        continue
                    self._settled = True
                if self._unannounced:
                    await self._announce()
                if records := self._accept(view.records):
                    return records
                if not await self._sleep(deadline - loop.time()):
                    return {}

    def pause(self, partitions: Iterable[Partition]) -> None:
        """Reads no more records of these partitions until they are resumed. Ignores partitions that this member does not have."""
        self._watch.used()
        self._paused.update(partition for partition in partitions if partition in self._cursors)

    def resume(self, partitions: Iterable[Partition]) -> None:
        """Reads these partitions again."""
        self._watch.used()
        self._paused.difference_update(partitions)
        self.wake()

    async def close(self) -> None:
        """Leaves the group; first calls the listener's ``revoked``."""
        self._closed = True
        self._watch.end()
        self.wake()
        async with self._busy:
            if not self._joined:
                await self._lose(list(self._cursors))
                return
            self._joined = False
            try:
                if announced := [each for each in self._cursors if each not in self._unannounced]:
                    await self._listener.revoked(announced)
            finally:
                self._forget(list(self._cursors))
                await self.leave()

    def announced(self, topic: str, type: str) -> bool:
        """Returns whether a member of the group has announced that it handles this type of event."""
        return (topic, type) in self._announced

    def wake(self) -> None:
        """Makes a fetch that waits look again."""
        self._wake.set()

    # What a backend does

    @abstractmethod
    async def join(self) -> None:
        """Makes it a member of its group, without any partition yet."""

    @abstractmethod
    async def look(self, cursors: Mapping[Partition, int], limit: int, settled: bool) -> View | None:
        """Returns records, and the ownership of this member's partitions.

        Args:
            cursors: the partitions to read, each from this offset on; the first ones first.
            limit: how many records at most.
            settled: whether the ownership can be left out if it has not changed since it was returned last.

        Returns:
            The records and the ownership. None if the group has removed this member because it took it for dead.
        """

    @abstractmethod
    async def claim(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """Takes those of these partitions that have no owner or are its own already; returns them with the offsets to read next."""

    @abstractmethod
    async def release(self, partitions: Collection[Partition]) -> None:
        """Gives these partitions up, so that others can claim them."""

    @abstractmethod
    async def leave(self) -> None:
        """Gives up all partitions and ends the membership."""

    async def die(self) -> None:
        """Gives up all partitions and ends the membership, as if the process had died: the group remembers where it began.

        It is called when the task that read has ended without closing the member.
        """
        await self.leave()

    # Changes of partitions

    def _readable(self) -> dict[Partition, int]:
        """Returns the partitions to read; begins with another one each time, so that none waits for ever."""
        cursors = self._cursors
        if self._paused:
            cursors = {each: offset for each, offset in cursors.items() if each not in self._paused}
        if len(cursors) < 2:
            return cursors
        self._rotation = (self._rotation + 1) % len(cursors)
        items = list(cursors.items())
        return dict(items[self._rotation :] + items[: self._rotation])

    def _accept(self, records: Mapping[Partition, Sequence[Record]]) -> Mapping[Partition, Sequence[Record]]:
        if self._paused and not self._paused.isdisjoint(records):  # It was paused while they were read.
            records = {each: found for each, found in records.items() if each not in self._paused}
        for partition, found in records.items():
            self._cursors[partition] = found[-1].offset + 1
        return records

    async def _adapt(self, ownership: Ownership) -> bool:
        """Gives up or claims partitions as the group wants it; returns whether anything had to be done."""
        if lost := [each for each in self._cursors if each not in ownership.owned]:
            await self._lose(lost)
            return True
        if surplus := sorted(ownership.owned - ownership.wanted):
            if known := [each for each in surplus if each in self._cursors and each not in self._unannounced]:
                await self._listener.revoked(known)
            # If releasing is interrupted, the next look finds these partitions again.
            self._forget(surplus)
            await self.release(surplus)
            return True
        claimable = ownership.free | (ownership.owned & ownership.wanted)
        if claimable := claimable.difference(self._cursors):
            positions = await self.claim(sorted(claimable))
            self._cursors.update(positions)
            self._unannounced.update(positions)
            return True
        return False

    def _nobody_reads(self) -> None:
        self._tasks.start(self._give_up(), name=f"end of a member of group {self.group}")

    async def _give_up(self) -> None:
        async with self._busy:
            if not self._joined or self._closed:
                return
            _log.warning(
                "group %s gives the partitions of a member to others: the task that read them has ended, and the member was not closed",
                self.group,
            )
            self._joined = False
            try:
                await self.die()
            except Error as error:
                _log.warning("group %s keeps partitions for a member that nobody reads: %s", self.group, error)

    async def _announce(self) -> None:
        await self._listener.assigned(sorted(self._unannounced))
        self._unannounced.clear()

    async def _lose(self, partitions: list[Partition]) -> None:
        if not partitions:
            return
        if announced := [each for each in partitions if each not in self._unannounced]:
            await self._listener.lost(announced)
        self._forget(partitions)

    def _forget(self, partitions: Iterable[Partition]) -> None:
        for partition in partitions:
            self._cursors.pop(partition, None)
            self._paused.discard(partition)
            self._unannounced.discard(partition)

    async def _sleep(self, seconds: float) -> bool:
        """Waits until ``wake`` is called; returns whether it was called in time."""
        if seconds <= 0:
            return False
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return self._wake.is_set()
        return True


def capable(announced: Mapping[MemberT, Collection[object]]) -> set[MemberT]:
    """Returns which of the members that read a topic get its partitions: those that handle every type that any of them announces.

    Args:
        announced: the types that each member announces for the topic; one that announces none counts as handling all.

    Returns:
        Those members. If no member handles every type, those that announce the most types.
    """
    every = set[object]().union(*announced.values())
    able = {member for member, types in announced.items() if not types or every.issubset(types)}
    if able:
        return able
    most = max(map(len, announced.values()), default=0)
    return {member for member, types in announced.items() if len(types) == most}


def balance(
    topics: Mapping[str, int],
    members: Mapping[MemberT, Iterable[str]],
    owners: Mapping[Partition, MemberT],
    types: Mapping[MemberT, Mapping[str, Collection[str]]] | None = None,
) -> dict[Partition, MemberT]:
    """Decides which member of a group reads which partition: evenly in each topic, then evenly over all, moving few.

    Args:
        topics: how many partitions each has.
        members: which topics each of them reads, in the order in which they joined; topics that are not in ``topics`` do not
            count.
        owners: the present owners of partitions.
        types: the types of events that members announce, by topic; only members that are ``capable`` get partitions of it.

    Returns:
        A member for each partition of the topics that any member reads.
    """
    # Sorted by topic: members may name their topics in another order in each process.
    held: dict[str, dict[MemberT, list[int]]] = {name: {} for name in sorted(topics)}
    load = dict.fromkeys(members, 0)
    for member, names in members.items():
        for name in names:
            if name in topics:
                held[name][member] = []
    held = {name: readers for name, readers in held.items() if readers}
    if types:
        for name, readers in held.items():
            able = capable({member: types.get(member, NO_TYPES).get(name, ()) for member in readers})
            held[name] = {member: numbers for member, numbers in readers.items() if member in able}
    free: dict[str, list[int]] = {}
    for name, readers in held.items():
        for number in range(topics[name]):
            owner = owners.get(Partition(name, number))
            if owner in readers:
                readers[owner].append(number)
                load[owner] += 1
            else:
                free.setdefault(name, []).append(number)
    for name, readers in held.items():
        for number in free.get(name, ()):
            member = min(readers, key=lambda each: (len(readers[each]), load[each]))
            readers[member].append(number)
            load[member] += 1
        while True:
            heavy = max(readers, key=lambda each: (len(readers[each]), load[each]))
            light = min(readers, key=lambda each: (len(readers[each]), load[each]))
            if len(readers[heavy]) - len(readers[light]) < 2:
                break
            _move(readers, load, heavy, light)
    moving = True
    while moving:  # Each move makes the loads more alike, so there is an end.
        moving = False
        for readers in held.values():
            most = max(map(len, readers.values()))
            heavy = max((each for each in readers if len(readers[each]) == most), key=lambda each: load[each])
            lighter = [each for each in readers if len(readers[each]) < most]
            if lighter:
                light = min(lighter, key=lambda each: load[each])
                if load[heavy] - load[light] >= 2:
                    _move(readers, load, heavy, light)
                    moving = True
    return {
        Partition(name, number): member
        for name, readers in held.items()
        for member in readers
        for number in readers[member]
    }


def _move(readers: dict[MemberT, list[int]], load: dict[MemberT, int], heavy: MemberT, light: MemberT) -> None:
    readers[light].append(readers[heavy].pop())
    load[heavy] -= 1
    load[light] += 1
