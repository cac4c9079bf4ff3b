"""Broker ``local:``: for all processes on this machine, in one SQLite file in the state folder; the default."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

from micro_rt.broker import local_groups as groups
from micro_rt.broker import local_log as log
from micro_rt.broker.base import (
    Broker,
    Listener,
    Message,
    Partition,
    Position,
    Record,
    Start,
    Subscription,
    TopicOptions,
)
from micro_rt.broker.embedded import Options, checked_offset, checked_topic, not_owned, number_of, problem_of
from micro_rt.broker.member import Member, Ownership, View
from micro_rt.broker.outbox import Batch, Outbox
from micro_rt.engines.clock import Clock, boot_clock
from micro_rt.engines.shared import Shared
from micro_rt.engines.sqlite import Connection, Database
from micro_rt.engines.state import Sync, state_path, sync_of
from micro_rt.errors import Error, FailedPrecondition

__all__ = ["LocalBroker"]

RETENTION = 7 * 86400.0
"""Seconds that records are kept by default; as long as Kafka does."""
SESSION = 10.0
"""Seconds after which a member that does not say that it lives is taken for dead, by default."""

_LOOK = 0.02
"""Seconds between two looks at the file for what other processes published."""
TIDY = (0.25, 60.0)
"""Seconds between two looks for records that ran out: an eighth of the shortest retention, within these bounds."""

_log = logging.getLogger("micro_rt.broker")


class LocalBroker(Broker):
    """Keeps events in a file that the processes on this machine share.

    Args:
        address: ``"local:"``. Parameters: ``sync=full`` (what is accepted survives a loss of power, not only a kill),
            ``session`` (seconds after which a silent member is taken for dead), ``retention`` (seconds that records are kept,
            a week if not given) and ``partitions`` of a topic that does not say, ``max_message`` (bytes) and ``envelope``.
        home: the state folder; else ``MICRO_HOME``, else the user's.
        namespace: who does not meet others; else ``MICRO_NAMESPACE``, else ``"default"``.
        clock: what sessions are measured with.
    """

    def __init__(
        self,
        address: str = "local:",
        *,
        home: str | os.PathLike[str] | None = None,
        namespace: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        place, _, query = address.partition("?")
        sync_of(place)
        self._options, others = Options.read(address, query, RETENTION, ("session", "sync"))
        self._session = number_of(address, "session", others.get("session", str(SESSION)))
        self._sync: Sync = sync_of(f"local:?sync={others['sync']}") if "sync" in others else "normal"
        self.envelope = self._options.envelope
        self._address = address
        self._home = home
        self._namespace = namespace
        self._clock = clock
        self._shared: Shared[_Hub] | None = None
        self._hub: _Hub | None = None
        self._members: set[_LocalMember] = set()
        self._publishing: set[asyncio.Future[None]] = set()

    @property
    def problem(self) -> str:
        """What keeps it from working, as far as it knows; empty if nothing does."""
        return "" if self._hub is None else self._hub.problem

    async def open(self) -> None:
        """Opens the file, making it if there is none.

        Raises:
            FailedPrecondition: it cannot be there, or a newer version of micro-rt wrote it; the message says what to do.
            DataLoss: it is damaged.
            Unavailable: it cannot be opened for another reason.
        """
        path = state_path("broker", self._home, self._namespace)
        clock = self._clock or boot_clock()
        self._shared = Shared(
            ("broker", path, self._sync, self._session, clock), lambda: _Hub(path, self._sync, self._session, clock)
        )
        self._hub = await self._shared.acquire()

    async def close(self) -> None:
        """Finishes what is being published, ends every subscription and gives the file back."""
        if self._hub is None or self._shared is None:
            return
        try:
            for member in list(self._members):
                await member.close()
            while self._publishing:
                await asyncio.wait(self._publishing)
        finally:
            self._hub = None
            await self._shared.release()

    async def prepare(self, topics: Mapping[str, TopicOptions]) -> None:
        """Makes topics that are not there."""
        hub = self._open_hub()
        made = {checked_topic(topic): self._options.of(topic, options) for topic, options in topics.items()}
        if made:
            await hub.database.write(
                lambda connection: [log.make(connection, name, *how) for name, how in made.items()]
            )
            for topic, how in made.items():
                hub.prepared.setdefault(topic, how)
            hub.look_for_retention()

    async def publish(self, messages: Sequence[Message]) -> list[Position | Error]:
        """Publishes messages, and waits until they are committed to the file."""
        hub = self._open_hub()
        problems = [problem_of(message, self._options.max_message) for message in messages]
        good = [message for message, problem in zip(messages, problems, strict=True) if problem is None]
        batches: list[Batch] = []
        try:
            for batch in Outbox.batches(good):
                await hub.outbox.put(batch)
                self._publishing.add(batch.done)
                batch.done.add_done_callback(self._publishing.discard)
                batches.append(batch)
            for batch in batches:
                await asyncio.shield(batch.done)
        except asyncio.CancelledError:
            hub.outbox.withdraw(batches)
            raise
        results = [result for batch in batches for result in batch.results]
        if len(good) == len(messages):
            return results
        rest = iter(results)
        return [next(rest) if problem is None else problem for problem in problems]

    def subscribe(self, topics: Collection[str], group: str, start: Start, listener: Listener) -> Subscription:
        """Joins a group."""
        self._open_hub()
        member = _LocalMember(self._open_hub, topics, group, start, listener, self._members.discard)
        self._members.add(member)
        return member

    def _open_hub(self) -> _Hub:
        if self._hub is None:
            raise FailedPrecondition(f"broker {self._address} is not open", may_have_run=False)
        return self._hub


class _LocalMember(Member):
    def __init__(
        self,
        hub: Callable[[], _Hub],
        topics: Collection[str],
        group: str,
        start: Start,
        listener: Listener,
        closed: Callable[[_LocalMember], None],
    ) -> None:
        super().__init__(topics, group, start, listener)
        self.id = 0
        self.joined = groups.Joined(0, {})
        self._hub = hub
        self._tell_closed = closed
        self._names: Mapping[int, Partition] = {}
        self._revision = -1

    async def close(self) -> None:
        try:
            await super().close()
        finally:
            self._tell_closed(self)

    async def join(self) -> None:
        hub = self._hub()
        # Another number each time: what is left of an earlier membership means nothing.
        self.id = random.SystemRandom().getrandbits(62)
        # If this is cancelled and done all the same, nobody is that member, and it dies after its session.
        self.joined = await hub.database.write(partial(hub.join, self.id, self.group, self.topics))
        self._names = {id: partition for partition, id in self.joined.ids.items()}
        hub.add(self)

    async def look(self, cursors: Mapping[Partition, int], limit: int, settled: bool) -> View | None:
        hub = self._hub()
        seen = self._revision if settled else None
        found: _Found | None = await hub.database.read(partial(self._look, cursors, limit, seen))
        if found is None:
            hub.remove(self)
            return None
        self._revision, owned, records = found
        if owned is None:
            return View(None, records)
        mine, wanted, free = (frozenset(self._names[id] for id in ids) for ids in owned)
        return View(Ownership(mine, wanted, free), records)

    async def claim(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        hub = self._hub()
        ids = [self.joined.ids[each] for each in partitions]
        begin: dict[int, int] = {}
        if isinstance(self.start, datetime):  # It may take a while, so it is not done while others wait to write.
            begin = await hub.database.read(lambda c: {id: log.offset_at(c, id, self.start) for id in ids})
        member, group, start = self.id, self.joined.group, self.start
        taken = await hub.database.write(lambda c: groups.claim(c, member, group, ids, start, begin))
        hub.watch(self, taken)
        return {self._names[id]: position for id, position in taken.items()}

    async def release(self, partitions: Collection[Partition]) -> None:
        hub = self._hub()
        ids = [self.joined.ids[each] for each in partitions]
        hub.unwatch(self, ids)
        member, group = self.id, self.joined.group
        await hub.database.write(lambda c: groups.release(c, member, group, ids))

    async def leave(self) -> None:
        hub = self._hub()
        hub.remove(self)
        member, group = self.id, self.joined.group
        try:
            await hub.database.write(lambda c: groups.leave(c, member, group))
        except Error as error:
            _log.warning("cannot leave group %s, which will notice after %g s: %s", self.group, hub.session, error)

    async def commit(self, positions: Mapping[Partition, int]) -> None:
        if not positions:
            return
        hub, ids = self._hub(), self.joined.ids
        known = {ids[each]: checked_offset(each, offset) for each, offset in positions.items() if each in ids}
        member, group = self.id, self.joined.group
        lost = [self._names[id] for id in await hub.database.write(lambda c: groups.commit(c, member, group, known))]
        if lost := [*lost, *(each for each in positions if each not in ids)]:
            raise not_owned(self.group, lost)

    async def lag(self) -> Mapping[Partition, int]:
        group, cursors = self.joined.group, {self.joined.ids[each]: offset for each, offset in self._cursors.items()}
        found = await self._hub().database.read(lambda c: groups.lag(c, group, list(cursors), cursors))
        return {self._names[id]: count for id, count in found.items()}

    def _look(
        self, cursors: Mapping[Partition, int], limit: int, seen: int | None, connection: Connection
    ) -> _Found | None:
        revision = groups.group_revision(connection, self.id)
        if revision is None:
            return None
        owned = None if revision == seen else groups.ownership(connection, self.id, self.joined.group)
        return revision, owned, log.read(connection, cursors, self.joined.ids, limit)


_Found: TypeAlias = tuple[int, tuple[set[int], set[int], set[int]] | None, Mapping[Partition, Sequence[Record]]]


class _Hub:
    """What the brokers of one file share in one process.

    Methods that take a connection run in a thread of the database.
    """

    def __init__(self, path: Path, sync: Sync, session: float, clock: Clock) -> None:
        self.database = Database(
            path, log.SCHEMA, sync=sync, poll=self._poll, deliver=self._changed, interval=_LOOK, turns=True
        )
        self.session = session
        self.problem = ""
        self.prepared: dict[str, tuple[int, float]] = {}
        self._clock = clock
        self._lifetimes = groups.Lifetimes(clock.epoch, session)
        self._topics = log.Topics(self.prepared)
        self._members: set[_LocalMember] = set()
        self._readers: dict[int, set[_LocalMember]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._heart: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._tidy_now = asyncio.Event()
        self.outbox = Outbox(self._append)
        self._burying = False
        self._beaten = clock.now()
        """When members were last said to live."""
        self._mercy = 0.0
        """Until then nobody is taken for dead."""
        # What the reader's thread saw last.
        self._seen: tuple[Connection, int] | None = None
        self._ends: dict[int, int] = {}
        self._revisions: dict[int, int] = {}
        self._next_death = 0.0

    async def open(self) -> None:
        await self.database.open()
        self._tidying = asyncio.get_running_loop().create_task(self._tidy())

    async def close(self) -> None:
        for task in (self._tidying, self._heart):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self.outbox.finish()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self.database.close()

    async def _append(self, messages: Sequence[Message]) -> Sequence[Position | Error]:
        now = time.time()
        return await self.database.write(lambda connection: log.append(connection, self._topics, messages, now))

    # Members

    def join(self, member: int, group: str, topics: Collection[str], connection: Connection) -> groups.Joined:
        return groups.join(connection, self._topics, self._lifetimes, member, group, topics, self._clock.now())

    def add(self, member: _LocalMember) -> None:
        if not self._members:
            self._beaten = self._clock.now()
        self._members.add(member)
        self.database.poll_soon()
        if self._heart is None:
            self._heart = asyncio.get_running_loop().create_task(self._beat())

    def remove(self, member: _LocalMember) -> None:
        self._members.discard(member)
        for readers in self._readers.values():
            readers.discard(member)

    def watch(self, member: _LocalMember, partitions: Iterable[int]) -> None:
        """Wakes a member when there is more to read in these partitions."""
        for id in partitions:
            self._readers.setdefault(id, set()).add(member)

    def unwatch(self, member: _LocalMember, partitions: Iterable[int]) -> None:
        for id in partitions:
            self._readers.get(id, set()).discard(member)

    async def _beat(self) -> None:
        """Says that the members live, for as long as this loop runs."""
        while True:
            await asyncio.sleep(self.session / 4)
            if not self._members:
                continue
            members = {member.id: member for member in self._members}
            try:
                gone = await self.database.write(partial(self._renew, list(members)))
            except Error as error:
                self._trouble(f"cannot say that the members of groups live: {error}")
                continue
            self._trouble("")
            for id in gone:
                members[id].wake()

    def _renew(self, members: list[int], connection: Connection) -> list[int]:
        self._beaten = self._clock.now()
        return self._lifetimes.renew(connection, members, self._beaten)

    def _bury(self) -> None:
        async def bury() -> None:
            # Not all who see that one is dead at once.
            await asyncio.sleep(random.uniform(0, min(0.2, self.session / 10)))
            members = [member.id for member in self._members]

            def write(connection: Connection) -> None:
                now = self._clock.now()
                late = now - self._beaten > self.session / 2
                self._renew(members, connection)
                if late:
                    # It could not say itself that it lives: the machine was suspended, or nobody could write. Others are late
                    # for the same reason, and have time to say so.
                    self._mercy = now + self.session / 2
                if now >= self._mercy:
                    self._lifetimes.bury(connection, now)

            try:
                await self.database.write(write)
            except Error as error:
                self._trouble(f"cannot take the partitions of members that died: {error}")
            finally:
                self._burying = False

        self._burying = True
        task = asyncio.get_running_loop().create_task(bury())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Watching

    def _poll(self, connection: Connection) -> _Changes | None:
        """Looks what changed since the last time; costs two reads of shared memory if nothing did."""
        if not self._members:
            self.database.stop_polling()
            if not self._members:
                return None
            self.database.poll_soon()  # One came just now.
        # The version counts the commits of others, as this connection sees them; a new connection begins anew.
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        seen = (connection, version)
        now = self._clock.now()
        if seen == self._seen and now < self._next_death:
            return None
        ends = dict(connection.execute("SELECT id, next FROM partitions").fetchall())
        revisions = dict(connection.execute("SELECT id, revision FROM groups").fetchall())
        self._next_death = self._lifetimes.next_death(connection)
        anew = self._seen is None or self._seen[0] is not connection
        changes = _Changes(
            anew,
            [id for id, next in ends.items() if self._ends.get(id) != next],
            {id for id, revision in revisions.items() if self._revisions.get(id) != revision},
            self._next_death <= now,
        )
        self._seen, self._ends, self._revisions = seen, ends, revisions
        if self._next_death <= now:
            self._next_death = now + min(0.2, self.session / 10)  # By then they are buried, or it is tried again.
        return changes

    def _changed(self, changes: _Changes) -> None:
        if changes.anew:
            for member in self._members:
                member.wake()
        for id in changes.partitions:
            for member in self._readers.get(id, ()):
                member.wake()
        if changes.groups:
            for member in self._members:
                if member.joined.group in changes.groups:
                    member.wake()
        if changes.dead and not self._burying:
            self._bury()

    # Housekeeping

    async def _tidy(self) -> None:
        """Deletes the records that ran out."""
        while True:
            pause = TIDY[1]
            try:
                partitions, shortest = await self.database.read(lambda connection: log.untidy(connection, time.time()))
                pause = min(max(TIDY[0], shortest / 8), TIDY[1])
                for id in partitions:
                    more = True
                    while more:
                        more = await self.database.write(partial(_tidy, id))
                        await asyncio.sleep(0.02)  # Others write meanwhile.
            except Error as error:
                _log.warning("cannot delete events that ran out, and will try again: %s", error)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(random.uniform(0.75, 1.25) * pause):
                    await self._tidy_now.wait()
            self._tidy_now.clear()

    def look_for_retention(self) -> None:
        """Has it look now: there may be a topic whose records run out soon."""
        self._tidy_now.set()

    def _trouble(self, problem: str) -> None:
        if problem and not self.problem:
            _log.warning("%s", problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class _Changes:
    """What a poll found."""

    anew: bool
    """Whether the file is another, so that anything may have changed."""
    partitions: Sequence[int]
    """Where more was published."""
    groups: Collection[int]
    """Whose members are to read others, or can."""
    dead: bool
    """Whether there are members to bury."""


def _tidy(id: int, connection: Connection) -> bool:
    return log.tidy(connection, id, time.time())
