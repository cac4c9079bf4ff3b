"""Broker ``local:``: for all processes on this machine, in one SQLite file in the state folder; the default."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import TypeAlias, TypeVar

from micro_rt.backends.local import groups, log
from micro_rt.backends.local.event_file import EventFile
from micro_rt.backends.local.open_files import Files
from micro_rt.backends.local.reader import LocalReader
from micro_rt.backends.local.sqlite import Connection
from micro_rt.backends.local.state import Sync, options_of, read_owner_option, read_sync, state_owner, state_path
from micro_rt.backends.local.write_queue import Batch, WriteQueue
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
    checked_topic,
)
from micro_rt.broker.embedded import EmbeddedOptions, checked_offset, not_owned, problem_of
from micro_rt.broker.groups.base import Member, Ownership, View
from micro_rt.errors import Error, FailedPrecondition
from micro_rt.kit.address import seconds
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.kit.ids import new_number
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.ownership import Owner
from micro_rt.kit.secrets import without_secrets
from micro_rt.kit.shared import Shared
from micro_rt.logs import logger

__all__ = ["LocalBroker"]

RETENTION = 7 * 86400.0
"""Seconds that records are kept by default; as long as Kafka does."""
SESSION = 10.0
"""Seconds after which a member that does not say that it lives is taken for dead, by default."""

_log = logger("micro_rt.broker")

T = TypeVar("T")


class LocalBroker(Broker):
    """Keeps events in a file that the processes on this machine share.

    Args:
        address: ``"local:"``. Parameters: ``sync=full`` (what is accepted survives a loss of power, not only a kill),
            ``session`` (seconds after which a silent member is taken for dead), ``retention`` (seconds that records are kept,
            a week if not given) and ``partitions`` of a topic that does not say, ``max_message`` (bytes), ``envelope``,
            ``framing`` and ``owner`` (the number of a user whose state folder is accepted too, or ``any``).
        home: the state folder; else ``MICRO_HOME``, else the user's.
        namespace: who does not meet others; else ``MICRO_NAMESPACE``, else ``"default"``.
        clock: what sessions and the age of records are measured with.
    """

    def __init__(
        self,
        address: str = "local:",
        *,
        home: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        options = options_of(address)
        self._sync: Sync = read_sync(options)
        self._owner: Owner = read_owner_option(options)
        self._options = EmbeddedOptions.read(options, RETENTION)
        self._session = options.read("session", seconds, SESSION)
        options.end()
        self.envelope = self._options.envelope
        self.framing = self._options.framing
        self._address = address
        self._home = home
        self._namespace = namespace
        self._clock = clock
        self._shared: Shared[EventFile] | None = None
        self._file: EventFile | None = None
        self._members: OrderedSet[_LocalMember] = OrderedSet()
        self._publishing: OrderedSet[asyncio.Future[None]] = OrderedSet()

    @property
    def problem(self) -> str:
        """What keeps it from working, as far as it knows; empty if nothing does."""
        return "" if self._file is None else self._file.problem

    async def open(self) -> None:
        """Opens the file, making it if there is none.

        Raises:
            FailedPrecondition: it cannot be there, another user could replace it, it is another program's, or a newer version of
                micro-rt wrote it; the message says what to do.
            DataLoss: it is damaged.
            Unavailable: it cannot be opened for another reason.
        """
        path = state_path("broker", self._home, self._namespace)
        clock = self._clock or boot_clock()
        owner = state_owner(self._owner)
        self._shared = Shared(
            ("broker", path, self._sync, owner, self._session, clock),
            lambda: EventFile(path, self._sync, owner, self._session, clock),
        )
        self._file = await self._shared.acquire()

    async def close(self) -> None:
        """Finishes what is being published, ends every subscription and gives the file back."""
        if self._file is None or self._shared is None:
            return
        try:
            for member in list(self._members):
                await member.close()
            while self._publishing:
                await asyncio.wait(self._publishing)
        finally:
            self._file = None
            await self._shared.release()

    async def prepare(self, topics: Mapping[str, TopicOptions]) -> None:
        """Makes topics that are not there."""
        file = self._open_file()
        made = {checked_topic(topic): self._options.of(topic, options) for topic, options in topics.items()}
        if made:
            await file.database.write(
                lambda connection: [log.make(connection, name, *how) for name, how in made.items()]
            )
            for topic, how in made.items():
                file.prepared.setdefault(topic, how)
            file.look_for_retention()

    async def retention(self, topics: Collection[str]) -> Mapping[str, float]:
        """Returns for how many seconds the records of topics are kept."""
        names = list(topics)
        found: Mapping[str, float] = await self._open_file().database.read(lambda c: log.retention(c, names))
        return found

    async def publish(self, records: Sequence[OutgoingRecord]) -> list[Position | Error]:
        """Publishes records, and waits until they are committed to the file."""
        file = self._open_file()
        problems = [problem_of(record, self._options.max_message) for record in records]
        good = [record for record, problem in zip(records, problems, strict=True) if problem is None]
        batches: list[Batch] = []
        try:
            for batch in WriteQueue.batches(good):
                await file.queue.put(batch)
                self._publishing.add(batch.done)
                batch.done.add_done_callback(self._publishing.discard)
                batches.append(batch)
            for batch in batches:
                await asyncio.shield(batch.done)
        except asyncio.CancelledError:
            file.queue.withdraw(batches)
            raise
        results = [result for batch in batches for result in batch.results]
        if len(good) == len(records):
            return results
        rest = iter(results)
        return [next(rest) if problem is None else problem for problem in problems]

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
        self._open_file()
        member = _LocalMember(
            self._open_file, topics, group, start, listener, self._members.discard, types, self._session
        )
        self._members.add(member)
        return member

    def read(self, topic: str, start: Start) -> TopicReader:
        """Reads a topic without being in a group."""
        self._open_file()
        return LocalReader(self._open_file, topic, start)

    async def offsets(self, group: str, topics: Collection[str] = ()) -> Mapping[Partition, GroupOffset]:
        """Returns how far a group is."""
        file = self._open_file()
        return await file.database.read(lambda connection: groups.offsets(connection, group, topics))

    def _open_file(self) -> EventFile:
        if self._file is None:
            raise FailedPrecondition(f"broker {without_secrets(self._address)} is not open", may_have_run=False)
        return self._file


class _LocalMember(Member):
    def __init__(
        self,
        file: Callable[[], EventFile],
        topics: Collection[str],
        group: str,
        start: Start,
        listener: Listener,
        closed: Callable[[_LocalMember], None],
        types: Mapping[str, Collection[str]],
        session: float,
    ) -> None:
        super().__init__(topics, group, start, listener, types, session=session)
        self.id = 0
        self.joined = groups.Joined(0, {})
        self._file = file
        self._tell_closed = closed
        self._names: Mapping[int, Partition] = {}
        self._revision = -1
        self._files: Files
        """What was joined: positions in another file are others, even if that file is a copy of this one."""

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            self._tell_closed(self)

    async def join(self) -> None:
        file = self._file()
        # Another number each time: what is left of an earlier membership means nothing.
        self.id = new_number(62)
        # If this is cancelled and done all the same, nobody is that member, and it dies after its session.
        topics = {topic: self.types.get(topic, ()) for topic in self.topics}
        self.joined, self._files = await file.database.write(
            lambda c: (file.join(self.id, self.group, topics, c), c.files)
        )
        self._names = {id: partition for partition, id in self.joined.ids.items()}
        file.add(self)

    async def look(self, cursors: Mapping[Partition, int], limit: int, settled: bool) -> View | None:
        file = self._file()
        seen = self._revision if settled else None
        found: _Found | None = await file.database.read(partial(self._look, cursors, limit, seen))
        if found is None:
            file.remove(self)
            return None
        self._revision, owned, types, records = found
        if owned is None:
            return View(None, records)
        mine, wanted, free = (frozenset(self._names[id] for id in ids) for ids in owned)
        return View(Ownership(mine, wanted, free, types), records)

    async def claim(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        file = self._file()
        ids = [self.joined.ids[each] for each in partitions]
        begin: dict[int, int] = {}
        if isinstance(self.start, datetime):  # It may take a while, so it is not done while others wait to write.
            begin = await file.database.read(lambda c: {id: log.offset_at(c, id, self.start) for id in ids})
        member, group, start = self.id, self.joined.group, self.start
        taken: dict[int, int] = await self._write(lambda c: groups.claim(c, member, group, ids, start, begin), {})
        file.watch(self, taken)
        return {self._names[id]: position for id, position in taken.items()}

    async def release(self, partitions: Collection[Partition]) -> None:
        file = self._file()
        ids = [self.joined.ids[each] for each in partitions]
        file.unwatch(self, ids)
        member, group = self.id, self.joined.group
        await self._write(lambda c: groups.release(c, member, group, ids), None)

    async def leave(self) -> None:
        file = self._file()
        file.remove(self)
        member, group = self.id, self.joined.group
        try:
            await self._write(lambda c: groups.leave(c, member, group), None)
        except Error as error:
            _log.warning("cannot leave group %s, which will notice after %g s: %s", self.group, file.session, error)

    async def die(self) -> None:
        file = self._file()
        file.remove(self)
        member = self.id
        await self._write(lambda c: groups.expire(c, member), None)

    async def commit(self, positions: Mapping[Partition, int], notes: Mapping[Partition, str] = {}) -> None:
        checked_note(notes, positions)
        if not positions:
            return
        ids = self.joined.ids
        known = {
            ids[each]: (checked_offset(each, offset), notes.get(each, ""))
            for each, offset in positions.items()
            if each in ids
        }
        member, group = self.id, self.joined.group
        refused = await self._write(lambda c: groups.commit(c, member, group, known), list(known))
        lost = [self._names[id] for id in refused]
        if lost := [*lost, *(each for each in positions if each not in ids)]:
            raise not_owned(self.group, lost)

    async def notes(self, partitions: Collection[Partition]) -> Mapping[Partition, str]:
        ids = [self.joined.ids[each] for each in partitions if each in self.joined.ids]
        group = self.joined.group
        found = await self._file().database.read(lambda c: groups.notes(c, group, ids))
        return {self._names[id]: note for id, note in found.items()}

    async def lag(self) -> Mapping[Partition, int]:
        group, cursors = self.joined.group, {self.joined.ids[each]: offset for each, offset in self._cursors.items()}
        found = await self._file().database.read(lambda c: groups.lag(c, group, list(cursors), cursors))
        return {self._names[id]: count for id, count in found.items()}

    async def _write(self, operation: Callable[[Connection], T], otherwise: T) -> T:
        """Changes what belongs to this membership; returns the other value if the file is not the one that was joined."""
        files = self._files
        return await self._file().database.write(lambda c: operation(c) if c.files.same(files) else otherwise)

    def _look(
        self, cursors: Mapping[Partition, int], limit: int, seen: int | None, connection: Connection
    ) -> _Found | None:
        revision = groups.group_revision(connection, self.id) if connection.files.same(self._files) else None
        if revision is None:
            return None
        owned = None
        types: Mapping[str, Collection[str]] = NO_TYPES
        if revision != seen:
            owned = groups.ownership(connection, self.id, self.joined.group)
            types = groups.types(connection, self.joined.group, self.topics)
        return revision, owned, types, log.read(connection, cursors, self.joined.ids, limit)


_Found: TypeAlias = tuple[
    int,
    tuple[set[int], set[int], set[int]] | None,
    Mapping[str, Collection[str]],
    Mapping[Partition, Sequence[Record]],
]
