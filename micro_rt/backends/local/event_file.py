"""What the ``local:`` brokers of one file share in one process: its threads, its heartbeat, its eye on the others, its broom."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from micro_rt.backends.local import groups, idle, log
from micro_rt.backends.local.disk import Disk
from micro_rt.backends.local.log_time import LogTime
from micro_rt.backends.local.pauses import Pauses
from micro_rt.backends.local.sqlite import Connection, Database
from micro_rt.backends.local.state import Sync
from micro_rt.backends.local.write_queue import WriteQueue
from micro_rt.broker.base import OutgoingRecord, Position
from micro_rt.errors import Error
from micro_rt.kit.chance import between
from micro_rt.kit.clock import Clock, wall_time
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.ownership import Owner
from micro_rt.kit.tasks import TaskSet, wait_for_event
from micro_rt.logs import logger

__all__ = ["EventFile", "EventFileMember"]

LOOK = 0.02
"""Seconds between two looks at the file for what other processes published."""
TIDY = (0.25, 60.0)
"""Seconds between two looks for records that ran out: an eighth of the shortest retention, within these bounds."""
_FEW = 500
"""Ids that are looked up one by one; for more, it costs less to read all."""
TROUBLED = 1.0
"""Seconds between two looks while something does not work."""
FLOOR = 16 * 1024 * 1024
"""Bytes of the disk that events do not use, so that heartbeats, joins, commits and deletions always work."""

_HEARTBEAT = "say that the members of groups live"
_DEATHS = "take the partitions of members that died"
_TIDYING = "delete events that ran out"

_log = logger("micro_rt.broker")


class EventFileMember(Protocol):
    """A member of a group, as far as its file knows it."""

    id: int
    joined: groups.Joined

    def wake(self) -> None:
        """Has it look."""


class EventFile:
    """What the brokers of one file share in one process.

    Methods that take a connection run in a thread of the database.

    Args:
        path: of the file.
        sync: what survives.
        owner: whose folder and file are accepted too.
        session: seconds after which a silent member is taken for dead.
        clock: what that, and the age of records, is measured with.
    """

    def __init__(self, path: Path, sync: Sync, owner: Owner, session: float, clock: Clock) -> None:
        self.database = Database(
            path,
            log.SCHEMA,
            sync=sync,
            poll=self._poll,
            deliver=self._changed,
            interval=LOOK,
            turns=True,
            disk=Disk(path, FLOOR, "events that need more are refused"),
            owner=owner,
        )
        self.session = session
        self._troubles: dict[str, str] = {}
        """What does not work, and why; each is logged once until it works again."""
        self.prepared: dict[str, tuple[int, float]] = {}
        self._clock = clock
        self._lifetimes = groups.Lifetimes(clock.epoch, session)
        self._topics = log.Topics(self.prepared)
        self._log_time = LogTime(clock)
        self._pauses = Pauses(clock, session / 2)
        self._members: OrderedSet[EventFileMember] = OrderedSet()
        self._readers: dict[int, OrderedSet[EventFileMember]] = {}
        # What the poll reads, in the reader's thread: the groups and the partitions of our members. They are replaced, never changed.
        self._groups: tuple[int, ...] = ()
        self._partitions: tuple[int, ...] = ()
        self._tasks = TaskSet[None]()
        self._heart: asyncio.Task[None] | None = None
        self._tidying: asyncio.Task[None] | None = None
        self._tidy_now = asyncio.Event()
        self._in_trouble = False
        self.queue = WriteQueue(self._append)
        self._removing_dead = False
        self._beaten = clock.now()
        """When members were last said to live."""
        self._mercy = 0.0
        """Until then nobody is taken for dead."""
        # What the reader's thread saw last.
        self._seen: tuple[Connection, int] | None = None
        self._ends: dict[int, int] = {}
        self._revisions: dict[int, int] = {}
        self._next_death = 0.0

    @property
    def problem(self) -> str:
        """What does not work; empty if everything does, as far as it knows."""
        return "; ".join([*filter(None, [self.database.disk.problem]), *self._troubles.values()])

    async def open(self) -> None:
        """Opens the file, and begins to delete what ran out."""
        await self.database.open()
        self._tidying = asyncio.get_running_loop().create_task(self._tidy())

    async def close(self) -> None:
        """Finishes what is being written, and closes the file."""
        for task in (self._tidying, self._heart):
            if task is not None:
                task.cancel()
                await asyncio.wait([task])
        await self.queue.finish()
        await self._tasks.wait()
        await self.database.close()

    async def _append(self, records: Sequence[OutgoingRecord], size: int) -> Sequence[Position | Error]:
        now = wall_time()

        def append(connection: Connection) -> Sequence[Position | Error]:
            self.database.disk.check(connection, size, len(records))
            return log.append(connection, self._topics, records, now)

        try:
            return await self.database.write(append)
        except Error:
            # Events that run out give way on a full disk. Whatever it is, health is to say so, and to notice when it is over.
            if not self._in_trouble:
                self._in_trouble = True
                self._tidy_now.set()
            raise

    # Members

    def join(
        self, member: int, group: str, topics: Mapping[str, Collection[str]], connection: Connection
    ) -> groups.Joined:
        """Makes a member of a group, without any partition yet; it announces the types of each topic."""
        return groups.join(connection, self._topics, self._lifetimes, member, group, topics, self._clock.now())

    def add(self, member: EventFileMember) -> None:
        """Says from now on that a member lives, and wakes it when it may have to do something."""
        if not self._members:
            self._beaten = self._clock.now()
        self._members.add(member)
        self._groups = self._groups_of_members()
        self.database.poll_soon()
        if self._heart is None:
            self._heart = asyncio.get_running_loop().create_task(self._beat())

    def remove(self, member: EventFileMember) -> None:
        """Does no more for a member."""
        self._members.discard(member)
        self._groups = self._groups_of_members()
        self.unwatch(member, list(self._readers))

    def watch(self, member: EventFileMember, partitions: Iterable[int]) -> None:
        """Wakes a member when there is more to read in these partitions."""
        for id in partitions:
            self._readers.setdefault(id, OrderedSet()).add(member)
        self._partitions = tuple(self._readers)

    def unwatch(self, member: EventFileMember, partitions: Iterable[int]) -> None:
        """Wakes it no more for these partitions."""
        for id in partitions:
            if id in self._readers:
                self._readers[id].discard(member)
                if not self._readers[id]:
                    del self._readers[id]
        self._partitions = tuple(self._readers)

    def _groups_of_members(self) -> tuple[int, ...]:
        return tuple({member.joined.group: None for member in self._members})

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
                self._trouble(_HEARTBEAT, error)
                continue
            self._trouble(_HEARTBEAT)
            for id in gone:
                members[id].wake()

    def _renew(self, members: list[int], connection: Connection) -> list[int]:
        self._beaten = self._clock.now()
        return self._lifetimes.renew(connection, members, self._beaten)

    def _remove_dead(self) -> None:
        async def remove() -> None:
            # Not all who see that one is dead at once.
            await asyncio.sleep(between(0, min(0.2, self.session / 10)))
            members = [member.id for member in self._members]

            def write(connection: Connection) -> None:
                now = self._clock.now()
                late = now - self._beaten > self.session / 2
                self._renew(members, connection)
                if late:
                    # It could not say itself that it lives: nobody could write. Others are late for the same reason, and have
                    # time to say so.
                    self._mercy = now + self.session / 2
                if now >= self._mercy:
                    self._lifetimes.remove_dead(connection, self._pauses.end_of_leases())

            try:
                await self.database.write(write)
            except Error as error:
                self._trouble(_DEATHS, error)
            else:
                self._trouble(_DEATHS)
            finally:
                self._removing_dead = False

        self._removing_dead = True
        self._tasks.start(remove())

    # Watching

    def _poll(self, connection: Connection) -> _Changes | None:
        """Looks what changed for our members since the last time; costs two reads of shared memory if nothing did."""
        if not self._members:
            self.database.stop_polling()
            self._pauses.end_of_leases(regular=False)
            if not self._members:
                return None
            self.database.poll_soon()  # One came just now.
        # The version counts the commits of others, as this connection sees them; a new connection begins anew.
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        seen = (connection, version)
        now = self._pauses.end_of_leases(regular=True)
        if seen == self._seen and now < self._next_death:
            return None
        ends = _numbers(connection, "SELECT id, next FROM partitions", self._partitions)
        revisions = _numbers(connection, "SELECT id, revision FROM groups", self._groups)
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
            self._next_death = now + min(0.2, self.session / 10)  # By then they are removed, or it is tried again.
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
        if not changes.dead:
            self._trouble(_DEATHS)  # One that was taken for dead may have said that it lives.
        elif not self._removing_dead:
            self._remove_dead()

    # Housekeeping

    async def _tidy(self) -> None:
        """Deletes the records that ran out, and forgets the groups that were without members for as long."""
        while True:
            pause = TIDY[1]
            try:
                if await self.database.read(self._log_time.due):
                    await self.database.write(self._log_time.advance)
                partitions, shortest = await self.database.read(self._untidy)
                pause = min(max(TIDY[0], shortest / 8), TIDY[1])
                for id in partitions:
                    more = True
                    while more:
                        limit = self.database.disk.rows_at_once(log.DELETED)
                        more = await self.database.write(partial(self._tidy_one, id, limit))
                        await asyncio.sleep(0.02)  # Others write meanwhile.
                for topic in await self.database.read(idle.outlived):
                    more = True
                    while more:
                        more = await self.database.write(partial(idle.forget, topic=topic))
                        await asyncio.sleep(0.02)
                await self.database.read(self.database.disk.look)
            except Error as error:
                self._trouble(_TIDYING, error)
            else:
                self._trouble(_TIDYING)
            self._in_trouble = bool(self.problem)
            if self._in_trouble:
                pause = min(pause, TROUBLED)
            await wait_for_event(self._tidy_now, between(0.75, 1.25) * pause)
            self._tidy_now.clear()

    def _untidy(self, connection: Connection) -> tuple[list[int], float]:
        return log.untidy(connection, self._log_time.now(connection))

    def _tidy_one(self, id: int, limit: int, connection: Connection) -> bool:
        return log.tidy(connection, id, self._log_time.advance(connection), limit)

    def look_for_retention(self) -> None:
        """Has it look now: there may be a topic whose records run out soon."""
        self._tidy_now.set()

    def _trouble(self, what: str, error: Error | None = None) -> None:
        """Notes that something does not work, or works again; logs it once."""
        if error is None:
            if self._troubles.pop(what, None) is not None:
                _log.info("can %s again", what)
        else:
            if what not in self._troubles:
                _log.warning("cannot %s, and will try again: %s", what, error)
            self._troubles[what] = f"cannot {what}: {error}"


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
    """Whether there are members whose session ran out."""


def _numbers(connection: Connection, query: str, ids: Sequence[int]) -> dict[int, int]:
    """Returns the rows of a query, an id and a number each, for these ids; the rows of all ids if these are many."""
    among = f" WHERE id IN ({', '.join(map(str, ids))})" if len(ids) <= _FEW else ""
    return dict(connection.execute(query + among).fetchall())
