"""Delivery: reads the records of one member of a group, hands them to handlers, and commits what is done.

The rules that it keeps, and why:

- Delivery is at least once. What is committed never passes a record that is not done (``progress`` keeps the position),
  so a crash repeats records and loses none. A record is done when its handler has returned, or when it is in the
  dead-letter topic.
- What is done is committed every half second while records become done, before a partition goes to another member, and
  at the end. So a crash repeats what was done since then.
- A record that is not done holds the position, whatever is done after it. So each commit carries a note of what is done after the
  position. The next member reads the note and does not handle these records again. A hand-over in good order repeats nothing that
  was done.
- Before the first record of a partition is handled, a commit notes that this member uses the partition; the last commit says that it
  does not any more. A member that is assigned a partition in use knows that a process has ended without a word. What that process may
  have begun is then handled with care (``careful``), with as many commits as that needs. Otherwise there are no others than these.
- Members announce which types they handle when they join, and the broker gives a topic only to members that handle all of them. So
  a rolling update that adds a handler loses nothing: the members of the old version do not pass over what only the new one handles.
- A commit that is refused because the partition is another member's is no failure: that member repeats the records.
- Reading goes on while handlers wait, up to ``max_in_flight`` records of each partition, and up to a part of the memory that all
  subscriptions of the process share (``memory``). Then only that partition pauses: others are not held up by its handlers, and
  memory is bounded. A fetch asks for as many records as there is memory for, judged by the size of the last ones.
- While handlers do not wait for anything, no more is read than they handle in a moment. Reading far ahead of them would
  cost more, in memory that the processor's cache does not hold, than everything that is done to a record.
- ``fetch`` is called again and again, also while every partition is paused: it is what tells the broker that this
  member is well, and what tells this member which partitions come and go.
- A task of its own asks the broker for the lag and for the retention of topics: while a part of the cluster is
  away, the answer takes long, and the partitions of the other part are read meanwhile.
- An error of the broker never ends the subscription, whatever its type. It is logged once, stays in ``problem`` until
  reading works again, and reading is tried again with back-off: a subscription that ends unseen is worse than one that
  goes on trying. A commit that fails is reported likewise, and does not slow down reading: the next commit covers it.
- A member that sends no heartbeats for the time of its session loses its partitions, and with them what it has handled and
  not committed: most often because a handler blocks the event loop. It remembers how far it was. If it gets such a partition
  back and no other member has committed more, it passes over what it has handled, and does not handle it again and again.
- When a partition goes to another member, nothing more of it begins, handlers get as long as the broker waits for this member,
  but for a last part (``HAND_OVER``), and what then still runs is cancelled. So two members do not handle one key at once, as long as
  handlers can be cancelled. When a partition is lost, another member may have it already: its handlers are cancelled at once, and
  nothing is committed.
- At the end, handlers get the grace period once: it is not given again when the member gives its partitions up. A broker that
  does not answer gets a few seconds after it: what could not be committed is repeated, and the session of the member ends by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from micro_rt.broker.base import Broker, Partition, Record, Subscription
from micro_rt.errors import Aborted, Error, Unavailable
from micro_rt.events.careful import ProcessGate
from micro_rt.events.handling import Handling
from micro_rt.events.memory import MAX_MEMORY, Allowance
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.progress import DoneHere, PartitionProgress, PendingRecord, error_text
from micro_rt.events.sharing import LoopShare
from micro_rt.events.subscriber import Route, types_of
from micro_rt.kit import backoff
from micro_rt.kit.clock import loop_time
from micro_rt.kit.shared import Shared
from micro_rt.kit.tasks import TaskSet, cut_short, observed, wait_for_event
from micro_rt.logs import logger

__all__ = ["Delivery", "PartitionStatus"]

FETCH_TIMEOUT = 0.5
"""Seconds that one fetch waits; with ``READ_ON_AFTER`` the longest that a commit waits for it."""
CAREFUL_FETCH = 0.02
"""Seconds between two fetches while suspected records are handled, unless one of them is about to begin."""
FETCH_LIMIT = 80
"""Records that one fetch brings at most: few enough that they are handled while the processor's cache still holds them."""
READ_ON_AFTER = 0.1
"""Seconds after which more is read although records are being handled in a row: the broker may have something to say."""
COMMIT_EVERY = 0.5
"""Seconds between commits while records become done: what is repeated at most after a crash."""
FIRST_SIZE = 1 << 20
"""Bytes that a record is taken to have before any was read."""
LAG_EVERY = 15.0
"""Seconds between questions after the lag."""
LAG_TIMEOUT = 30.0
"""Seconds that the broker has for the answer."""
RETENTION_EVERY = 600.0
"""Seconds between questions for how long records are kept."""
STUCK_AFTER = 60.0
"""Seconds without progress after which a partition that has work is called stuck."""
HAND_OVER = 5.0
"""Seconds that are kept, at most, of those in which a partition goes to another member: for handlers that are cancelled to end,
and for the last commit."""

AnswerT = TypeVar("AnswerT")

LEAVE = 4.0
"""Seconds after the grace in which a member has left its group, also if the broker does not answer."""
CANCELLED = 2.0
"""Seconds of these that handlers get to end when they are cancelled."""
CLOSE = 1.5
"""Seconds of these that are left for leaving, after the last commit."""
END_READING = 1.0
"""Seconds that a fetch gets to return when it is to stop; more than ``FETCH_TIMEOUT``."""
AT_LEAST = 0.5
"""Seconds that a broker has for an answer, whatever else took the time."""

_log = logger("micro_rt.events")


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How far one partition is."""

    partition: Partition
    lag: int | None
    """Records after the committed position, when the broker was asked last; None before the first answer."""
    in_flight: int
    """Records that are read and not done."""
    idle: float
    """Seconds since the last record became done, or since there was work."""
    waiting_for: str
    """What the position waits for, such as ``"offset 17, attempt 3 failed: …"``; empty if it does not wait."""
    stuck: bool
    """Whether it has work and has not moved for a minute."""
    tombstones: int = 0
    """Tombstones that were passed over since this member reads the partition: the subscriber has no method ``tombstone``."""
    unknown: Mapping[str, int] = field(default_factory=dict[str, int])
    """Records that were passed over since this member reads the partition, by type: the subscriber has no method for them."""


class Delivery:
    """One member of a group at work; the listener of its own subscription.

    Args:
        broker: open.
        routes: the events that are handled; their topics are there.
        options: how.
        exits: called with the ``SystemExit`` or ``KeyboardInterrupt`` of a handler.
        tombstones: what handles the tombstones of each topic, by the type that they say; empty if nothing does.
        share: what it shares with the other subscriptions of the loop; None if there are no others.
        max_memory: bytes of events that may be in flight at most, those of the other subscriptions included.
        left_out: the types of each topic that the .proto has and the subscriber has no method for.
    """

    def __init__(
        self,
        broker: Broker,
        routes: Sequence[Route],
        options: DeliveryOptions,
        *,
        exits: Callable[[BaseException], None] | None = None,
        tombstones: Mapping[str, Mapping[str, Route]] | None = None,
        share: LoopShare | None = None,
        max_memory: int = MAX_MEMORY,
        left_out: Mapping[str, Collection[str]] | None = None,
    ) -> None:
        self.options = options
        self.problem = ""
        """What keeps records from being read now, or why the subscription has stopped; empty if nothing does."""
        self._commit_problem = ""
        self._broker = broker
        self._topics = tuple(dict.fromkeys(route.event.topic for route in routes))
        share = share or LoopShare()
        self._types = types_of(routes, tombstones or {})
        self._handling = Handling(
            broker,
            routes,
            options,
            self._make_room,
            self._stop_because,
            exits=exits,
            tombstones=tombstones,
            announce=self._announce,
            turns=share.turns,
            left_out=left_out,
            elsewhere=self._handled_elsewhere,
        )
        self._allowance = Allowance(share.memory, max_memory)
        self._record_size: float = FIRST_SIZE
        """Bytes of a record, as the last ones were."""
        self._gate = Shared(("events", "process"), ProcessGate)
        self._token = ""
        self._announcements: list[asyncio.Future[bool]] = []
        """The futures of those that wait for a commit of what is known of suspected records."""
        self._announced = asyncio.Event()
        """Set when one waits."""
        self._partitions: dict[Partition, PartitionProgress] = {}
        self._done_here: dict[Partition, DoneHere] = {}
        """What was handled and not committed of partitions that were lost."""
        self._paused = False
        self._grace = 0.0
        self._stopped_at = 0.0
        self._leaving = False
        self._giving_up = False
        self._last_commit = False
        """Whether everything that it does was committed, or could not be."""
        self._stopping = asyncio.Event()
        self._lag: Mapping[Partition, int] = {}
        self._lag_problem = ""
        self._watching = TaskSet[None]()
        self._assigned = asyncio.Event()
        """Set when it has got partitions, until their lag is asked for."""
        self._member: Subscription | None = None

    # What its owner says

    async def run(self, grace: float) -> None:
        """Handles events until ``stop``; then lets handlers finish, commits, and leaves the group.

        Args:
            grace: seconds that running handlers get at the end.
        """
        gate = await self._gate.acquire()
        try:
            self._grace = grace
            self._token = gate.token
            member = self._member = self._broker.subscribe(
                self._topics, self.options.group, self.options.start, self, types=self._types
            )
            self._handling.join(gate)
            self._allowance.memory.add(self._look_for_room)
            self._watching.start(self._watch(member), name=f"lag of group {self.options.group}")
            reading = asyncio.get_running_loop().create_task(
                self._read(member), name=f"reading of group {self.options.group}"
            )
            try:
                await self._until_read(reading)
            finally:
                self._watching.cancel()
                ended = await cut_short(reading, END_READING)
                await self._leave(member)
            if ended and not reading.cancelled():
                reading.result()
        finally:
            await self._gate.release()

    def stop(self) -> None:
        """Reads no more and begins nothing more; ``run`` ends when what runs has ended, or the grace and a few seconds later."""
        self._stopping.set()
        self._handling.begin_no_more()
        if not self._stopped_at:
            self._stopped_at = loop_time()

    def pause(self) -> None:
        """Reads no more until ``resume``, and stays in the group; what is read already is handled."""
        self._paused = True
        if self._member is not None:
            self._member.pause(list(self._partitions))

    def resume(self) -> None:
        """Reads again."""
        self._paused = False
        if self._member is not None:
            self._member.resume([id for id, progress in self._partitions.items() if not progress.full])

    def status(self) -> list[PartitionStatus]:
        """Returns how far each partition of this member's is."""
        found: list[PartitionStatus] = []
        for id in sorted(self._partitions):
            progress = self._partitions[id]
            idle = progress.idle()
            found.append(
                PartitionStatus(
                    id,
                    self._lag.get(id),
                    progress.in_flight,
                    idle,
                    progress.waiting_for(),
                    idle > STUCK_AFTER,
                    progress.tombstones,
                    dict(progress.unknown),
                )
            )
        return found

    async def unhandled(self) -> Mapping[Partition, int]:
        """Commits what is done, and returns how many records of each of this member's partitions are not."""
        member = self._member
        if member is None:
            return {}
        await self._commit(member, self._partitions)
        return await member.lag()

    @property
    def trouble(self) -> str:
        """What is wrong with it; empty if nothing is."""
        stuck = [
            f"{status.partition.topic}/{status.partition.number} has not moved for {status.idle:.0f} s: {status.waiting_for}"
            for status in self.status()
            if status.stuck
        ]
        problems = [
            f"{pending} {pending.dead_letter_problem}"
            for progress in self._partitions.values()
            for pending in progress.pending
            if pending.dead_letter_problem
        ]
        return "; ".join(
            filter(
                None, (self.problem, self._commit_problem, self._lag_problem, *problems[:1], *self._tried_on(), *stuck)
            )
        )

    def _tried_on(self) -> list[str]:
        """Says of each topic which records are tried on because what their handlers need is away."""
        by_topic: dict[str, list[PendingRecord]] = {}
        for progress in self._partitions.values():
            for pending in progress.pending:
                if pending.retried and not pending.done:
                    by_topic.setdefault(progress.id.topic, []).append(pending)
        now = loop_time()
        texts: list[str] = []
        for topic, found in by_topic.items():
            first = min(found, key=lambda pending: pending.failed_at)
            more = f" and {len(found) - 1} more of {topic}" if len(found) > 1 else ""
            texts.append(
                f"{first}{more} cannot be handled for {now - first.failed_at:.0f} s now, and will be tried for "
                f"{self._handling.failures.retry_for(topic):.0f} s at most: {first.failure}"
            )
        return texts

    # Reading

    async def _read(self, member: Subscription) -> None:
        committed_at = loop_time()
        failures = 0
        while not self._stopping.is_set():
            try:
                # Handlers that wait are read ahead of anyway.
                waiting = any(progress.pending for progress in self._partitions.values())
                limit = self.options.max_in_flight if waiting else min(self.options.max_in_flight, FETCH_LIMIT)
                limit = max(1, min(limit, int(self._allowance.free / self._record_size)))
                fetched = await member.fetch(limit, 0.0 if self._handling.careful else FETCH_TIMEOUT)
                await self._open(member, fetched)
                for partition, records in fetched.items():
                    self._take(member, partition, records)
                if self._announcements:
                    await self._commit_announced(member)
                now = loop_time()
                if now - committed_at >= COMMIT_EVERY:
                    committed_at = now
                    await self._commit_regularly(member)
            except Exception as error:
                # Whatever a broker raises: a subscription that ends unseen is worse than one that goes on trying.
                failures += 1
                if failures == 1:
                    _log.warning(
                        "group %s cannot read, and will go on trying: %s",
                        self.options.group,
                        error_text(error),
                        exc_info=None if isinstance(error, Error) else error,
                    )
                if not self._stopping.is_set():  # or else it may say why it has stopped
                    self.problem = f"group {self.options.group} cannot read: {error_text(error)}"
                await wait_for_event(self._stopping, backoff.delay(failures, 0.2, 5.0, jitter=0.5))
                continue
            if failures:
                _log.info("group %s reads again after %d failures", self.options.group, failures)
                failures = 0
                if not self._stopping.is_set():
                    self.problem = ""
            if self._handling.careful:
                await wait_for_event(self._announced, CAREFUL_FETCH)
            else:
                await self._give_way()

    async def _give_way(self) -> None:
        """Lets handlers have their turn, although a full broker never lets a fetch wait."""
        loop = asyncio.get_running_loop()
        until = loop.time() + READ_ON_AFTER
        while True:
            await asyncio.sleep(0)
            # Handlers that do not wait are done with all that was read in no time, and reading ahead of them would cost memory
            # for nothing. When one waits, its partition is not handled in a row any more.
            if not self._handling.fast_batches or self._stopping.is_set() or loop.time() >= until:
                return

    async def _watch(self, member: Subscription) -> None:
        """Asks for the lag and for the retention of topics, beside the reading, which waits for neither."""
        ask_retention_at = loop_time()
        while True:
            await wait_for_event(self._assigned, LAG_EVERY)
            self._assigned.clear()
            if not self._partitions:
                continue
            if loop_time() >= ask_retention_at:
                retention = await self._asked(self._broker.retention(self._topics))
                if not isinstance(retention, Exception):
                    self._handling.failures.retention = retention
                    ask_retention_at = loop_time() + RETENTION_EVERY
            lag = await self._asked(member.lag())
            if isinstance(lag, Aborted):
                continue  # The next fetch reports that the partitions have changed.
            if isinstance(lag, Exception):
                # Lag is informational: reading continues without it.
                problem = f"group {self.options.group} cannot tell how far behind it is: {error_text(lag)}"
                if not self._lag_problem:
                    _log.warning("%s", problem)
                self._lag_problem = problem
            else:
                self._lag, self._lag_problem = lag, ""

    async def _asked(self, question: Awaitable[AnswerT]) -> AnswerT | Exception:
        """Awaits an answer, for a while; returns what went wrong otherwise, whatever a broker raises."""
        asked = asyncio.ensure_future(question)
        try:
            await asyncio.wait((asked,), timeout=LAG_TIMEOUT)
        finally:
            asked.cancel()
            observed(asked)
        await asyncio.sleep(0)
        if not asked.done() or asked.cancelled():
            return Unavailable(f"no answer in {LAG_TIMEOUT:g} s")
        error = asked.exception()
        if error is None:
            return asked.result()
        return error if isinstance(error, Exception) else Unavailable(error_text(error))

    def _take(self, member: Subscription, partition: Partition, records: Sequence[Record]) -> None:
        progress = self._partitions.get(partition)
        if progress is None:
            return  # it went while these were on their way
        if self._done_here and (done := self._done_here.pop(partition, None)) is not None:
            records = progress.pass_over(done, records)
        if not records:
            return
        self._handling.take(progress, records)
        # What is large is believed at once, and what is small by and by.
        self._record_size = max(1.0, progress.arrived / len(records), self._record_size / 2)
        if progress.becomes_full(self.options.max_in_flight):
            member.pause((partition,))

    # What handling says

    def _stop_because(self, problem: str) -> None:
        self.problem = problem
        self.stop()

    def _handled_elsewhere(self, topic: str, type: str) -> bool:
        """Returns whether another member of the group handles a type that this one does not."""
        return self._member is not None and self._member.announced(topic, type)

    def _make_room(self, progress: PartitionProgress) -> None:
        """Resumes reading a partition that was full, if half of what may be in flight is done."""
        if not progress.has_room_again(self.options.max_in_flight) or progress.released:
            return  # A handler of a partition that has gone may end when this member reads that partition anew.
        if not self._paused and self._member is not None:
            self._member.resume((progress.id,))

    def _look_for_room(self) -> None:
        """Looks at the partitions that are full: others have given memory back."""
        for progress in self._partitions.values():
            if progress.full:
                self._make_room(progress)

    # Committing, and partitions that come and go

    async def _open(self, member: Subscription, fetched: Mapping[Partition, Sequence[Record]]) -> None:
        """Notes that this member uses partitions whose first records are about to be handled."""
        due = {
            progress: progress.open(records)
            for partition, records in fetched.items()
            if (progress := self._partitions.get(partition)) is not None and not progress.opened
        }
        if not due:
            return
        try:
            noted = await self._commit_due(member, due)
        except Exception as error:
            _log.info("group %s cannot note that it begins: %s", self.options.group, error_text(error))
            noted = False
        if not noted:
            # The next regular commit notes it. Another attempt here would commit the offset of later records, and so pass these.
            for progress in due:
                progress.stay_unopened()

    async def _announce(self) -> bool:
        """Waits until what is known of suspected records is committed; returns whether it was."""
        if self._stopping.is_set():
            return False
        announced: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._announcements.append(announced)
        self._announced.set()
        return await announced

    async def _commit_announced(self, member: Subscription) -> None:
        waiting, self._announcements = self._announcements, []
        self._announced.clear()
        try:
            committed = await self._commit(member, self._partitions, marks=True)
        except BaseException:
            self._announcements = waiting + self._announcements  # It is tried again.
            raise
        self._answer(waiting, committed)

    def _answer(self, waiting: Iterable[asyncio.Future[bool]], committed: bool) -> None:
        for announced in waiting:
            if not announced.done():
                announced.set_result(committed)

    async def _commit_regularly(self, member: Subscription) -> None:
        """Commits what is done. If that fails, the next commit covers it, and reading continues meanwhile."""
        try:
            await self._commit(member, self._partitions)
        except Exception as error:
            problem = f"group {self.options.group} cannot commit what is done: {error_text(error)}"
            if not self._commit_problem:
                _log.warning("%s", problem, exc_info=None if isinstance(error, Error) else error)
            self._commit_problem = problem
        else:
            if self._commit_problem:
                _log.info("group %s commits again", self.options.group)
            self._commit_problem = ""

    async def _commit(
        self,
        member: Subscription,
        partitions: Collection[Partition],
        *,
        last: bool = False,
        marks: bool = False,
    ) -> bool:
        """Commits what is done.

        Args:
            member: of the group.
            partitions: what to commit.
            last: whether these partitions go to another member then.
            marks: whether to commit also where only the note has changed.

        Returns:
            Whether everything was committed.
        """
        known = self._known(partitions)
        due = {progress: found for progress in known if (found := progress.due(last=last, marks=marks)) is not None}
        return not due or await self._commit_due(member, due)

    async def _commit_due(self, member: Subscription, due: Mapping[PartitionProgress, tuple[int, str]]) -> bool:
        positions = {progress.id: position for progress, (position, _) in due.items()}
        try:
            await member.commit(positions, {progress.id: note for progress, (_, note) in due.items() if note})
        except Aborted as error:
            _log.info("group %s: %s", self.options.group, error)
            return False
        for progress, (position, note) in due.items():
            progress.note_commit(position, note)
        return True

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Reads these partitions from now on; first reads what the members before this one have noted."""
        member = self._member
        notes: Mapping[Partition, str] = {} if member is None else await member.notes(partitions)
        found = {partition: PartitionProgress(partition, self._token, self._allowance) for partition in partitions}
        unclean = [each for each in found.values() if each.recall(notes.get(each.id, ""))]
        if unclean and member is not None:
            # Only so many can have begun: no more than may be in flight, nor than are there.
            self._handling.suspect()
            lag = await member.lag()
            suspected = {each: min(lag.get(each.id, 0), self.options.max_in_flight) for each in unclean}
            for progress, count in suspected.items():
                progress.suspect(count)
            if names := [f"{each.id.topic}/{each.id.number}" for each, count in suspected.items() if count]:
                _log.warning(
                    "group %s: a process has ended, or has lost its place, without giving up %s: what it may have begun is handled "
                    "one at a time",
                    self.options.group,
                    ", ".join(names),
                )
        self._partitions.update(found)
        self._assigned.set()
        if self._paused and self._member is not None:
            self._member.pause(partitions)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Lets what runs finish for a while, commits what is done, and gives the partitions up."""
        whole = 0.0 if self._leaving or self._member is None else self._member.hand_over
        rest = min(HAND_OVER, whole / 2)
        self._giving_up = True
        try:
            # Handlers have had their time if this member leaves, and the service may be in a hurry to stop.
            await self._release(partitions, whole - rest, rest / 2 if whole else CANCELLED)
            if self._member is not None and not self._last_commit:
                try:
                    await self._commit(self._member, partitions, last=True)
                except Exception as error:
                    self._warn_of_repetition(error)
        finally:
            self._giving_up = False
        self._forget(partitions)

    async def lost(self, partitions: Collection[Partition]) -> None:
        """Drops what is left of these partitions: others may have it already."""
        names = ", ".join(f"{topic}/{number}" for topic, number in sorted(partitions))
        if block := self._handling.blocked:
            _log.warning(
                "group %s has given %s to others, because this member sent no heartbeat in time. The handler of %s blocked the "
                "event loop for %.1f s: run blocking code in a thread, or raise session= in the address of the broker",
                self.options.group,
                names,
                block.name,
                block.seconds,
            )
        else:
            _log.warning("group %s has lost %s: this member was not heard in time", self.options.group, names)
        await self._release(partitions, 0.0, HAND_OVER)
        self._forget(partitions)

    def _forget(self, partitions: Collection[Partition]) -> None:
        """Forgets partitions that are not this member's any more, but for what it has handled of them and not committed."""
        for partition in partitions:
            progress = self._partitions.pop(partition, None)
            if progress is None:
                continue
            progress.drop()
            if (done := progress.done_here()) is not None:
                self._done_here[partition] = done

    async def _release(self, partitions: Collection[Partition], patience: float, more: float) -> None:
        """Begins nothing more of these partitions, and waits for what runs; cancels what runs longer."""
        await self._handling.release(self._known(partitions), patience, more)

    def _known(self, partitions: Iterable[Partition]) -> list[PartitionProgress]:
        return [self._partitions[partition] for partition in partitions if partition in self._partitions]

    # The end

    async def _until_read(self, reading: asyncio.Task[None]) -> None:
        """Waits until no more is read; ends what waits for a broker that does not answer once this is to stop."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        while not reading.done():
            await asyncio.wait((reading,), timeout=END_READING)
            # What gives partitions up waits for handlers, which have the grace.
            if not self._giving_up or loop_time() >= self._stopped_at + self._grace:
                return

    async def _leave(self, member: Subscription) -> None:
        """Lets handlers finish, commits, and leaves the group: all of it before the grace and ``LEAVE`` seconds are over."""
        self.stop()
        handlers_until = self._stopped_at + self._grace
        until = handlers_until + LEAVE
        # Handlers get this time once: not again when the member gives its partitions up, nor if the service is in a hurry to stop.
        self._leaving = True
        member.pause(
            list(self._partitions)
        )  # Its reading has ended: this call shows the broker that the member is still in use.
        self._answer(self._announcements, False)
        try:
            await self._release(list(self._partitions), handlers_until - loop_time(), CANCELLED)
            if self._partitions:
                self._last_commit = True
                commit = await self._within(self._commit(member, self._partitions, last=True), until - CLOSE)
                if not commit.done() or commit.cancelled():
                    self._warn_of_repetition(Unavailable("the broker has not answered by the end of the grace"))
                elif (error := commit.exception()) is not None:
                    self._warn_of_repetition(error)
        finally:
            closing = await self._within(member.close(), until)
            closed = closing.done() and not closing.cancelled()
            if not closed:
                _log.warning("group %s: the broker has not answered that this member leaves", self.options.group)
            self._member = None
            self._forget(list(self._partitions))
            self._allowance.memory.remove(self._look_for_room)
            await self._watching.wait(CLOSE)
            await self._handling.close(min(CANCELLED, HAND_OVER))
        if closed:
            closing.result()

    async def _within(self, work: Coroutine[Any, Any, AnswerT], until: float) -> asyncio.Task[AnswerT]:
        """Awaits what a broker does, until some time; returns its task, which has ended or is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        try:
            await asyncio.wait((task,), timeout=max(until - loop_time(), AT_LEAST))
        finally:
            await cut_short(task, AT_LEAST)
        return task

    def _warn_of_repetition(self, error: BaseException) -> None:
        _log.warning("group %s: what was done last will be repeated: %s", self.options.group, error_text(error))
