"""Delivery: from the records that a broker gives one member of a group to handlers, and to the position that is committed.

- Records of one key are handled one after the other, those of different keys side by side.
- A record is done when its handler has returned, or when it is in the dead-letter topic. What is committed never passes a
  record that is not done.
- A failed record waits and is tried again; only its key waits with it. When more than ``max_in_flight`` records of a
  partition are read and not done, no more of it are read.
- A partition that goes to another member: what runs may finish for a while, and what is done is committed before it goes.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Literal

from micro_rt.broker.base import Broker, Partition, Record, Start, Subscription
from micro_rt.context import current_context
from micro_rt.errors import Aborted, DeadlineExceeded, Error
from micro_rt.events.context import EventContext
from micro_rt.events.dead_letter import DEAD_LETTER_OPTIONS, GROUP_HEADER, dead_letter
from micro_rt.events.envelope import Envelope, open_envelope
from micro_rt.events.subscriber import Route

__all__ = ["DEADLINE_HEADER", "Delivery", "DeliveryOptions", "PartitionStatus"]

DEADLINE_HEADER = "micro-deadline"
"""Until when an event means something, in seconds since 1970; handlers get no longer, and none begins later."""
FETCH_TIMEOUT = 0.5
"""Seconds that one fetch waits; and so the longest that a commit waits for it."""
FULL_FETCH_TIMEOUT = 0.02
"""Seconds that it waits while a partition is full."""
COMMIT_EVERY = 0.5
"""Seconds between commits while records become done: what is repeated at most after a crash."""
MAX_BYTES = 16 << 20
"""Bytes of one partition's records that are read and not done, after which no more are read."""
LAG_EVERY = 15.0
"""Seconds between questions after the lag."""
STUCK_AFTER = 60.0
"""Seconds without progress after which a partition that has work is called stuck."""
HAND_OVER = 5.0
"""Seconds that handlers get to finish when their partition goes to another member."""
FAIR_SHARE = 64
"""Records that are handled in a row, where handlers do not wait for anything, before others get their turn."""

_log = logging.getLogger("micro_rt.events")


@dataclass(frozen=True, slots=True)
class DeliveryOptions:
    """How a subscription handles its events.

    Attributes:
        group: whose members share the records.
        start: where the group begins when it is new.
        concurrency: how many events are handled at once.
        attempts: how many times a record is tried at most, the first time included.
        backoff: seconds; the wait before the second try is a random part of it, and it doubles with each try.
        max_backoff: seconds; the longest wait.
        timeout: seconds that one attempt may take; None for as long as it takes.
        on_failure: what becomes of a record whose last attempt failed: it goes to the dead-letter topic, or the
            subscription stops in front of it.
        max_in_flight: records of one partition that are read and not done at most.
    """

    group: str
    start: Start = "earliest"
    concurrency: int = 32
    attempts: int = 5
    backoff: float = 0.2
    max_backoff: float = 30.0
    timeout: float | None = None
    on_failure: Literal["dead_letter", "stop"] = "dead_letter"
    max_in_flight: int = 1000

    def __post_init__(self) -> None:
        if not self.group:
            raise ValueError('a subscription needs a group: service.subscribe(Billing(), group="billing")')
        for name in ("concurrency", "attempts", "max_in_flight"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: at least 1")
        if self.backoff < 0 or self.max_backoff < self.backoff:
            raise ValueError(f"backoff={self.backoff}, max_backoff={self.max_backoff}: 0 <= backoff <= max_backoff")
        if self.timeout is not None and self.timeout <= 0:
            raise ValueError(f"timeout={self.timeout}: more than 0 seconds, or None")
        if self.on_failure not in ("dead_letter", "stop"):
            raise ValueError(f"on_failure={self.on_failure!r}: 'dead_letter' or 'stop'")


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """How far one partition is."""

    partition: Partition
    lag: int | None
    """Records behind the committed position, when it was asked for last; None if it was not yet."""
    in_flight: int
    """Records that are read and not done."""
    idle: float
    """Seconds since the last record became done, or since there was work."""
    waiting_for: str
    """What the position waits for, such as ``"offset 17, attempt 3 failed: …"``; empty if it does not wait."""
    stuck: bool
    """Whether it has work and has not moved for a minute."""


class Delivery:
    """One member of a group at work; the listener of its own subscription.

    Args:
        broker: open.
        routes: the events that are handled; their topics are there.
        options: how.
    """

    def __init__(self, broker: Broker, routes: Sequence[Route], options: DeliveryOptions) -> None:
        self.options = options
        self.problem = ""
        """What keeps records from being read or committed now, or why the subscription has stopped; empty if nothing does."""
        self._broker = broker
        self._by_topic: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._by_topic.setdefault(route.event.topic, {})[route.event.name] = route
        self._group = options.group.encode()
        self._parts: dict[Partition, _Part] = {}
        self._ready: deque[_Item] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._more = False
        self._clean = copy_context()
        self._paused = False
        self._stopping = asyncio.Event()
        self._failed: BaseException | None = None
        self._lag: Mapping[Partition, int] = {}
        self._member: Subscription | None = None

    # What its owner says

    async def run(self, grace: float) -> None:
        """Handles events until ``stop``; then lets handlers finish, commits, and leaves the group.

        Args:
            grace: seconds that running handlers get at the end.
        """
        member = self._member = self._broker.subscribe(
            tuple(self._by_topic), self.options.group, self.options.start, self
        )
        try:
            await self._read(member)
        finally:
            await self._leave(member, grace)

    def stop(self) -> None:
        """Reads no more; ``run`` ends when what runs has ended."""
        self._stopping.set()

    def pause(self) -> None:
        """Reads no more until ``resume``, and stays in the group; what is read already is handled."""
        self._paused = True
        if self._member is not None:
            self._member.pause(list(self._parts))

    def resume(self) -> None:
        """Reads again."""
        self._paused = False
        if self._member is not None:
            self._member.resume([part.id for part in self._parts.values() if not part.full])

    def status(self) -> list[PartitionStatus]:
        """Returns how far each partition of this member's is."""
        now = time.monotonic()
        return [
            PartitionStatus(
                part.id,
                self._lag.get(part.id),
                len(part.items),
                now - part.moved_at if part.items else 0.0,
                part.items[0].told() if part.items else "",
                bool(part.items) and now - part.moved_at > STUCK_AFTER,
            )
            for _, part in sorted(self._parts.items())
        ]

    @property
    def trouble(self) -> str:
        """What is wrong with it; empty if nothing is."""
        stuck = [
            f"{status.partition.topic}/{status.partition.number} has not moved for {status.idle:.0f} s: {status.waiting_for}"
            for status in self.status()
            if status.stuck
        ]
        return "; ".join(filter(None, (self.problem, *stuck)))

    # Reading

    async def _read(self, member: Subscription) -> None:
        committed_at = asked_at = time.monotonic()
        failures = 0
        while not self._stopping.is_set():
            try:
                # A partition that is full is to be read again soon after it is not.
                full = any(part.full for part in self._parts.values())
                fetched = await member.fetch(self.options.max_in_flight, FULL_FETCH_TIMEOUT if full else FETCH_TIMEOUT)
                for partition, records in fetched.items():
                    self._take(member, partition, records)
                now = time.monotonic()
                if now - committed_at >= COMMIT_EVERY:
                    committed_at = now
                    await self._commit(member, self._parts)
                if self._parts and (now - asked_at >= LAG_EVERY or not self._lag):
                    asked_at = now
                    self._lag = await member.lag()
            except Exception as error:
                # Whatever a broker raises: a subscription that ends unseen is worse than one that goes on trying.
                failures += 1
                if failures == 1:
                    _log.warning(
                        "group %s cannot read, and will go on trying: %s",
                        self.options.group,
                        _text(error),
                        exc_info=None if isinstance(error, Error) else error,
                    )
                self.problem = f"group {self.options.group} cannot read: {_text(error)}"
                await self._pause_for(min(5.0, 0.1 * 2.0 ** min(failures, 10)))
                continue
            if failures:
                _log.info("group %s reads again after %d failures", self.options.group, failures)
                failures = 0
                self.problem = ""
            await asyncio.sleep(0)  # handlers get their turn although a full broker never lets a fetch wait

    def _take(self, member: Subscription, partition: Partition, records: Sequence[Record]) -> None:
        part = self._parts.get(partition)
        if part is None:
            return  # it went while these were on their way
        routes = self._by_topic[partition.topic]
        if not part.items:
            part.moved_at = time.monotonic()
        for record in records:
            item = _Item(part, record)
            part.items.append(item)
            part.bytes += len(record.value)
            try:
                envelope = item.envelope = open_envelope(record)
            except ValueError as error:
                item.unreadable = str(error)
                self._line_up(part, item)
                continue
            route = routes.get(envelope.type)
            if route is None:
                route = self._other_type(routes, envelope, item)
                if route is None and not item.unreadable:
                    item.done = True  # an event that this subscriber does not handle
                    continue
            item.route = route
            for_group = envelope.headers.get(GROUP_HEADER)
            if for_group is not None and for_group != self._group:
                item.done = True  # replayed for another group
                continue
            self._line_up(part, item)
        part.advance()
        if not part.full and (len(part.items) >= self.options.max_in_flight or part.bytes >= MAX_BYTES):
            part.full = True
            member.pause((partition,))
        self._spawn()

    def _line_up(self, part: _Part, item: _Item) -> None:
        key = item.record.key
        if key is None:
            self._ready.append(item)
            return
        lanes = part.lanes
        if key not in lanes:
            lanes[key] = None
            self._ready.append(item)
        elif (lane := lanes[key]) is None:
            lanes[key] = deque((item,))
        else:
            lane.append(item)

    def _other_type(self, routes: Mapping[str, Route], envelope: Envelope, item: _Item) -> Route | None:
        if envelope.type:
            return None
        if len(routes) == 1:
            return next(iter(routes.values()))
        item.unreadable = f"it does not say its type (header ce_type), and {item.record.topic} has several: {', '.join(sorted(routes))}"
        return None

    # Handling

    def _spawn(self) -> None:
        """Starts a worker if there is something to do and one more is allowed; each starts the next one if it must wait."""
        self._more = False
        if self._ready and len(self._workers) < self.options.concurrency:
            task = asyncio.get_running_loop().create_task(
                self._work(), name=f"events of {self.options.group}", context=self._clean.copy()
            )
            self._workers.add(task)
            task.add_done_callback(self._worker_done)

    def _worker_done(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("a worker of group %s failed: this is a bug of micro-rt", self.options.group, exc_info=error)
        self._spawn()

    async def _work(self) -> None:
        """Handles what is ready, one record after the other, until nothing is."""
        ready = self._ready
        task = asyncio.current_task()
        clean = self._clean
        loop = asyncio.get_running_loop()
        handled = 0
        while ready:
            item = ready.popleft()
            if item.part.gone:
                continue
            if ready and not self._more:
                self._more = True
                loop.call_soon(self._spawn)  # runs when this record's handler waits, or when all of them are done
            item.task = task
            try:
                await self._handle(item)
            except asyncio.CancelledError:
                # Cancelled because the partition goes, which is no reason for this worker to end.
                if task is None or not item.part.gone or task.uncancel():
                    raise
            finally:
                item.task = None
            handled += 1
            if not handled % FAIR_SHARE:
                await asyncio.sleep(0)
            if copy_context() != clean:
                return  # a handler left something in its context variables, which is not the next one's business

    async def _handle(self, item: _Item) -> None:
        """Makes one attempt at a record."""
        if item.unreadable:
            await self._bury(item, item.unreadable, None)
            return
        if item.buried is not None:
            await self._bury(item, *item.buried)
            return
        route, envelope = item.route, item.envelope
        assert route is not None
        assert envelope is not None
        if item.event is None:
            try:
                item.event = (route.decode_json if envelope.is_json else route.decode)(envelope.data)
            except ValueError as error:
                await self._bury(item, str(error), None)
                return
        item.attempts += 1
        try:
            deadline = self._deadline(envelope)
            context = EventContext(route.event, self.options.group, item.attempts, deadline, item.record, envelope)
            token = current_context.set(context)
            try:
                if deadline is None:
                    await route.handle(item.event, context)
                else:
                    async with asyncio.timeout_at(deadline):
                        await route.handle(item.event, context)
            finally:
                current_context.reset(token)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if item.part.gone or task is None or task.cancelling():
                raise
            await self._failed_attempt(item, Error("something that the handler waited for was cancelled"))
        except Exception as error:
            await self._failed_attempt(item, error)
        else:
            self._done(item)

    def _deadline(self, envelope: Envelope) -> float | None:
        timeout = self.options.timeout
        told = envelope.headers.get(DEADLINE_HEADER)
        if told is not None:
            try:
                left = float(told) - time.time()
            except ValueError:
                _log.info("%s=%r is no number of seconds since 1970, and is passed over", DEADLINE_HEADER, told)
            else:
                if left <= 0:
                    raise _Expired(f"its deadline passed {-left:.1f} s ago")
                timeout = left if timeout is None else min(timeout, left)
        return None if timeout is None else asyncio.get_running_loop().time() + timeout

    async def _failed_attempt(self, item: _Item, error: BaseException) -> None:
        options = self.options
        item.error = error
        if isinstance(error, _Expired):
            await self._bury(item, _text(error), error)
            return
        if item.attempts >= options.attempts:
            if options.on_failure == "stop":
                self._stop_at(item, error)
            else:
                await self._bury(item, _text(error), error)
            return
        delay = random.uniform(0.0, min(options.max_backoff, options.backoff * 2.0 ** (item.attempts - 1)))
        _log.log(
            logging.WARNING if item.attempts == 1 else logging.INFO,
            "%s: attempt %d of %d failed, the next one in %.1f s: %s",
            item,
            item.attempts,
            options.attempts,
            delay,
            _text(error),
            exc_info=error if item.attempts == 1 and not isinstance(error, Error) else None,
        )
        self._later(item, delay)

    def _later(self, item: _Item, delay: float) -> None:
        item.timer = asyncio.get_running_loop().call_later(delay, self._again, item)

    def _again(self, item: _Item) -> None:
        item.timer = None
        if not item.part.gone:
            self._ready.append(item)
            self._spawn()

    async def _bury(self, item: _Item, reason: str, error: BaseException | None) -> None:
        """Puts a record into the dead-letter topic; then it is done. If that fails, tries again for as long as it takes."""
        item.buried = (reason, error)
        message = dead_letter(item.record, self.options.group, reason, error, item.attempts)
        try:
            await self._broker.prepare({message.topic: DEAD_LETTER_OPTIONS})
            (outcome,) = await self._broker.publish([message])
            if isinstance(outcome, Error):
                raise outcome
        except Error as failure:
            item.burials += 1
            delay = min(30.0, 0.5 * 2.0 ** min(item.burials, 10)) * random.uniform(0.5, 1.0)
            _log.error("%s cannot be put into %s, and waits %.1f s: %s", item, message.topic, delay, failure)
            self._later(item, delay)
            return
        _log.error("%s is in %s after %d attempts: %s", item, message.topic, item.attempts, reason, exc_info=error)
        self._done(item)

    def _stop_at(self, item: _Item, error: BaseException) -> None:
        self.problem = f"group {self.options.group} has stopped at {item}: {_text(error)}"
        _log.error("group %s stops at %s after %d attempts", self.options.group, item, item.attempts, exc_info=error)
        self.stop()

    def _done(self, item: _Item) -> None:
        item.done = True
        part = item.part
        key = item.record.key
        if key is not None:
            lane = part.lanes[key]
            if lane:
                self._ready.append(lane.popleft())
            else:
                del part.lanes[key]
        if part.items and part.items[0] is item:
            part.advance()
            if part.full and len(part.items) <= self.options.max_in_flight // 2 and part.bytes <= MAX_BYTES // 2:
                part.full = False
                if not self._paused and self._member is not None:
                    self._member.resume((part.id,))

    # Committing, and partitions that come and go

    async def _commit(self, member: Subscription, partitions: Collection[Partition]) -> None:
        parts = [self._parts[partition] for partition in partitions if partition in self._parts]
        moved = {part.id: part.position for part in parts if part.position > part.committed}
        if not moved:
            return
        try:
            await member.commit(moved)
        except Aborted as error:
            _log.info("group %s: %s", self.options.group, error)
        else:
            for part in parts:
                part.committed = moved.get(part.id, part.committed)

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """Reads these partitions from now on."""
        for partition in partitions:
            self._parts[partition] = _Part(partition)
        if self._paused and self._member is not None:
            self._member.pause(partitions)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Lets what runs finish for a while, commits what is done, and gives the partitions up."""
        await self._let_go(partitions, HAND_OVER)
        if self._member is not None:
            try:
                await self._commit(self._member, partitions)
            except Error as error:
                _log.warning("group %s: what was done last will be repeated: %s", self.options.group, error)
        for partition in partitions:
            self._parts.pop(partition, None)

    async def lost(self, partitions: Collection[Partition]) -> None:
        """Drops what is left of these partitions: others may have it already."""
        await self._let_go(partitions, 0.0)
        for partition in partitions:
            self._parts.pop(partition, None)

    async def _let_go(self, partitions: Collection[Partition], patience: float) -> None:
        """Begins nothing more of these partitions, and waits for what runs; cancels what runs longer."""
        parts = [self._parts[partition] for partition in partitions if partition in self._parts]
        for part in parts:
            part.gone = True
            for item in part.items:
                if item.timer is not None:
                    item.timer.cancel()
        until = time.monotonic() + patience
        cancelled = False
        while running := [item for part in parts for item in part.items if item.task is not None]:
            if time.monotonic() >= until and not cancelled:
                cancelled = True
                for item in running:
                    if item.task is not None:
                        item.task.cancel()
            elif cancelled and time.monotonic() >= until + HAND_OVER:
                _log.error("group %s: %d handlers go on although they were cancelled", self.options.group, len(running))
                break
            await asyncio.sleep(0.01)
        for part in parts:
            part.advance()

    async def _leave(self, member: Subscription, grace: float) -> None:
        try:
            await self._let_go(list(self._parts), grace)
            if self._parts:
                try:
                    await self._commit(member, self._parts)
                except Error as error:
                    _log.warning("group %s: what was done last will be repeated: %s", self.options.group, error)
        finally:
            await member.close()
            self._member = None
            for task in self._workers:
                task.cancel()
            if self._workers:
                await asyncio.wait(self._workers)

    async def _pause_for(self, delay: float) -> None:
        try:
            async with asyncio.timeout(delay):
                await self._stopping.wait()
        except TimeoutError:
            pass


class _Expired(DeadlineExceeded):
    """The deadline of an event passed before it could be handled."""


class _Part:
    """One partition of this member's."""

    __slots__ = ("bytes", "committed", "full", "gone", "id", "items", "lanes", "moved_at", "position")

    def __init__(self, id: Partition) -> None:
        self.id = id
        self.items: deque[_Item] = deque()
        """What is read, up to the first record that is not done at the left."""
        self.lanes: dict[bytes, deque[_Item] | None] = {}
        """The keys of which a record is ready, running or waiting, and the records behind it if there are any."""
        self.bytes = 0
        self.position = -1
        self.committed = -1
        self.full = False
        self.gone = False
        self.moved_at = time.monotonic()

    def advance(self) -> None:
        """Moves the position over what is done."""
        items = self.items
        position = self.position
        while items and items[0].done:
            record = items.popleft().record
            position = record.offset + 1
            self.bytes -= len(record.value)
        if position != self.position:
            self.position = position
            self.moved_at = time.monotonic()


class _Item:
    """One record on its way."""

    __slots__ = (
        "attempts",
        "burials",
        "buried",
        "done",
        "envelope",
        "error",
        "event",
        "part",
        "record",
        "route",
        "task",
        "timer",
        "unreadable",
    )

    def __init__(self, part: _Part, record: Record) -> None:
        self.part = part
        self.record = record
        self.attempts = 0
        self.burials = 0
        self.buried: tuple[str, BaseException | None] | None = None
        self.done = False
        self.envelope: Envelope | None = None
        self.error: BaseException | None = None
        self.event: Any = None
        self.route: Route | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.unreadable = ""

    def __str__(self) -> str:
        return f"{self.record.topic}/{self.record.partition}@{self.record.offset}"

    def told(self) -> str:
        """Says what is happening to it."""
        if self.task is not None:
            return f"offset {self.record.offset}, attempt {self.attempts} is running"
        if self.error is not None:
            return f"offset {self.record.offset}, attempt {self.attempts} failed: {_text(self.error)}"
        return f"offset {self.record.offset}"


def _text(error: BaseException) -> str:
    return str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
