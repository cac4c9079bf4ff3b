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
from collections.abc import Awaitable, Collection, Coroutine, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, Literal

from micro_rt.broker.base import Broker, Partition, Record, Start, Subscription, checked_start
from micro_rt.context import current_context
from micro_rt.errors import Aborted, DeadlineExceeded, Error, InvalidArgument
from micro_rt.events.context import EventContext
from micro_rt.events.dead_letter import DEAD_LETTER_OPTIONS, GROUP_HEADER, dead_letter
from micro_rt.events.envelope import Envelope, open_envelope, usual_type
from micro_rt.events.parts import Item, Part, Run, told
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
SHORT_REASON = 100
"""Characters that are said of the reason where there is no room for more."""
FAIR_SHARE = 64
"""Records that are handled in a row, where handlers do not wait for anything, before others get their turn."""

_CANCELLED = "something that the handler waited for was cancelled"
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
        checked_start(self.start)
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
        self._usual = {
            topic: {name.encode(): route for name, route in routes.items()} for topic, routes in self._by_topic.items()
        }
        self._group = options.group.encode()
        self._parts: dict[Partition, Part] = {}
        self._ready: deque[Item] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._more = False
        self._clean = copy_context()
        self._paused = False
        self._patience = HAND_OVER
        self._stopping = asyncio.Event()
        self._failed: BaseException | None = None
        self._lag: Mapping[Partition, int] = {}
        self._lag_problem = ""
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
        found: list[PartitionStatus] = []
        for _, part in sorted(self._parts.items()):
            idle = now - part.moved_at if part.in_flight else 0.0
            found.append(
                PartitionStatus(
                    part.id, self._lag.get(part.id), part.in_flight, idle, part.waiting_for(), idle > STUCK_AFTER
                )
            )
        return found

    @property
    def trouble(self) -> str:
        """What is wrong with it; empty if nothing is."""
        stuck = [
            f"{status.partition.topic}/{status.partition.number} has not moved for {status.idle:.0f} s: {status.waiting_for}"
            for status in self.status()
            if status.stuck
        ]
        return "; ".join(filter(None, (self.problem, self._lag_problem, *stuck)))

    # Reading

    async def _read(self, member: Subscription) -> None:
        committed_at = ask_at = time.monotonic()
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
                if self._parts and now >= ask_at:
                    ask_at = now + await self._ask_for_lag(member)
            except Exception as error:
                # Whatever a broker raises: a subscription that ends unseen is worse than one that goes on trying.
                failures += 1
                if failures == 1:
                    _log.warning(
                        "group %s cannot read, and will go on trying: %s",
                        self.options.group,
                        told(error),
                        exc_info=None if isinstance(error, Error) else error,
                    )
                if not self._stopping.is_set():  # or else it may say why it has stopped
                    self.problem = f"group {self.options.group} cannot read: {told(error)}"
                await self._pause_for(min(5.0, 0.1 * 2.0 ** min(failures, 10)))
                continue
            if failures:
                _log.info("group %s reads again after %d failures", self.options.group, failures)
                failures = 0
                if not self._stopping.is_set():
                    self.problem = ""
            await asyncio.sleep(0)  # handlers get their turn although a full broker never lets a fetch wait

    async def _ask_for_lag(self, member: Subscription) -> float:
        """Asks how far behind this member is; returns after how many seconds to ask again."""
        try:
            self._lag = await member.lag()
        except Exception as error:
            # Who cannot know how much there is can handle what there is.
            if not self._lag_problem:
                _log.warning("group %s cannot tell how far behind it is: %s", self.options.group, told(error))
            self._lag_problem = f"group {self.options.group} cannot tell how far behind it is: {told(error)}"
            return LAG_EVERY
        self._lag_problem = ""
        return LAG_EVERY if self._lag else 0.0

    def _take(self, member: Subscription, partition: Partition, records: Sequence[Record]) -> None:
        part = self._parts.get(partition)
        if part is None:
            return  # it went while these were on their way
        if not part.in_flight:
            part.moved_at = time.monotonic()
        part.bytes += sum([len(record.value) for record in records])
        if part.run is not None:
            part.run.records.extend(records)
        elif not part.items and len(self._workers) < self.options.concurrency:
            part.run = Run(part, records)
            self._start_worker(part.run)
        else:
            for record in records:
                self._add(part, record)
            part.advance()
            self._make_room(part)
            self._spawn()
        if not part.full and (part.in_flight >= self.options.max_in_flight or part.bytes >= MAX_BYTES):
            part.full = True
            member.pause((partition,))

    def _add(self, part: Part, record: Record) -> None:
        """Has a record go its own way."""
        item = Item(part, record)
        part.items.append(item)
        routes = self._by_topic[part.id.topic]
        try:
            envelope = item.envelope = open_envelope(record)
        except Exception as error:
            item.unreadable = str(error) if isinstance(error, ValueError) else told(error)
            self._line_up(part, item)
            return
        item.route = routes.get(envelope.type) or self._route_without_type(routes, envelope, item)
        for_group = envelope.headers.get(GROUP_HEADER)
        if item.route is None and not item.unreadable:
            item.done = True  # an event that this subscriber does not handle
        elif for_group is not None and for_group != self._group:
            item.done = True  # replayed for another group
        else:
            self._line_up(part, item)

    def _line_up(self, part: Part, item: Item) -> None:
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

    def _route_without_type(self, routes: Mapping[str, Route], envelope: Envelope, item: Item) -> Route | None:
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
            self._start_worker(None)

    def _start_worker(self, run: Run | None) -> None:
        task = asyncio.get_running_loop().create_task(
            self._work(run), name=f"events of {self.options.group}", context=self._clean.copy()
        )
        self._workers.add(task)
        task.add_done_callback(self._worker_done)

    def _worker_done(self, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("a worker of group %s failed: this is a bug of micro-rt", self.options.group, exc_info=error)
        self._spawn()

    async def _work(self, run: Run | None) -> None:
        """Handles a run, and then what is ready, one record after the other, until nothing is."""
        ready = self._ready
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        if run is not None:
            run.task = task
            try:
                await self._cancellable(run.part, self._handle_run(run))
            finally:
                self._left(self._end_run(run))
        handled = 0
        # What a handler leaves in its context variables is not the next one's business: then another worker goes on.
        while ready and copy_context() == self._clean:
            item = ready.popleft()
            if item.part.gone:
                continue
            if ready and not self._more:
                self._more = True
                loop.call_soon(self._spawn)  # runs when this record's handler waits, or when all of them are done
            item.task = task
            try:
                await self._cancellable(item.part, self._handle(item))
            finally:
                self._left(item)
            handled += 1
            if not handled % FAIR_SHARE:
                await asyncio.sleep(0)

    async def _cancellable(self, part: Part, handling: Coroutine[Any, Any, None]) -> None:
        """Awaits handling that is cancelled when its partition goes, which is no reason for its worker to end."""
        task = asyncio.current_task()
        try:
            await handling
        except asyncio.CancelledError:
            if task is None or not part.gone or task.uncancel():
                raise
        else:
            # A handler may have swallowed its cancellation: what this worker does next is not cancelled.
            while task is not None and part.gone and task.cancelling():
                task.uncancel()

    def _left(self, item: Item | None) -> None:
        """Has a record that its worker has left tried again, if nothing else has become of it.

        A handler's task may be cancelled by somebody whose it is not, and then its worker ends; nothing may wait for that record
        in vain.
        """
        if item is None:
            return
        item.task = None
        if not (item.done or item.timer is not None or item.part.gone or self._stopping.is_set()):
            if item.error is None:
                item.error = Error(_CANCELLED)
            self._later(item, self._backoff(item))

    async def _handle_run(self, run: Run) -> None:
        """Handles records in a row, as most handlers let it: without an item, a place in line or a task for each.

        As soon as a handler waits, or something is not as usual, the records go their ways one by one.
        """
        part, records = run.part, run.records
        routes = self._usual[part.id.topic]
        group, timeout, clean = self.options.group, self.options.timeout, self._clean
        loop = asyncio.get_running_loop()
        loop.call_soon(self._look_at, run)
        handled = 0
        while not run.over and run.index < len(records):
            record = records[run.index]
            type = usual_type(record)
            if type is None:
                self._end_run(run)
                return
            route = routes.get(type)
            if route is not None:
                try:
                    event = route.decode(record.value)
                except Exception:
                    self._end_run(run)
                    return
                run.route = route
                deadline = None if timeout is None else loop.time() + timeout
                context = EventContext(route.event, group, 1, deadline, record)
                token = current_context.set(context)
                run.busy = True
                try:
                    if deadline is None:
                        await route.handle(event, context)
                    else:
                        await _within(deadline, route.handle(event, context))
                except asyncio.CancelledError:
                    if part.gone or run.task is None or run.task.cancelling():
                        raise
                    failure: BaseException | None = Error(_CANCELLED)
                except (GeneratorExit, KeyboardInterrupt, SystemExit):
                    raise
                except BaseException as error:  # pytest.fail() does not raise an Exception, nor do task groups always
                    failure = error
                else:
                    failure = None
                finally:
                    current_context.reset(token)
                item = run.item if failure is None else self._end_run(run)
                run.busy = False
                if item is not None:
                    # Its way has become its own while it was at work.
                    if failure is None:
                        self._done(item)
                    else:
                        await self._failed_attempt(item, failure)
                    return
            run.index += 1
            part.position = record.offset + 1
            part.bytes -= len(record.value)
            handled += 1
            if copy_context() != clean:
                self._end_run(run)
                return
            if not handled % FAIR_SHARE:
                part.moved_at = time.monotonic()
                del records[: run.index]
                run.index = 0
                await asyncio.sleep(0)
                loop.call_soon(self._look_at, run)
        if not run.over:
            run.over = True
            part.run = None
            part.moved_at = time.monotonic()
            self._make_room(part)

    def _look_at(self, run: Run) -> None:
        """Runs when a worker gives way: if that is because the handler of its run waits, the rest need not wait for it."""
        if run.busy and not run.over:
            self._end_run(run)

    def _end_run(self, run: Run) -> Item | None:
        """Has the records of a run go their ways one by one; returns the one that is at work, if one is."""
        if run.over:
            return run.item
        run.over = True
        part, records = run.part, run.records[run.index :]
        part.run = None
        part.moved_at = time.monotonic()
        if run.busy:
            record = records.pop(0)
            item = run.item = Item(part, record)
            item.attempts, item.route, item.task = 1, run.route, run.task
            item.envelope = open_envelope(record)
            part.items.append(item)
            if record.key is not None:
                part.lanes[record.key] = None
        for record in records:
            self._add(part, record)
        part.advance()
        self._make_room(part)  # There may be nothing left to do: records can be passed over.
        self._spawn()
        return run.item

    async def _handle(self, item: Item) -> None:
        """Makes one attempt at a record."""
        if item.unreadable:
            await self._give_up(item, item.unreadable, None)
            return
        if item.buried is not None:
            await self._bury(item, *item.buried)
            return
        route, envelope = item.route, item.envelope
        assert route is not None
        assert envelope is not None
        try:
            # Anew for each attempt: the one before may have changed what it was given.
            event = (route.decode_json if envelope.is_json else route.decode)(envelope.data)
        except Exception as error:
            await self._give_up(item, str(error) if isinstance(error, ValueError) else told(error), None)
            return
        item.attempts += 1
        try:
            deadline = self._deadline(envelope)
            context = EventContext(route.event, self.options.group, item.attempts, deadline, item.record)
            token = current_context.set(context)
            try:
                if deadline is None:
                    await route.handle(event, context)
                else:
                    await _within(deadline, route.handle(event, context))
            finally:
                current_context.reset(token)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if item.part.gone or task is None or task.cancelling():
                raise
            await self._failed_attempt(item, Error(_CANCELLED))
        except (GeneratorExit, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
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

    async def _failed_attempt(self, item: Item, error: BaseException) -> None:
        options = self.options
        task = asyncio.current_task()
        if item.part.gone and task is not None and task.cancelling():
            # It was cut short, whatever its handler made of that: who reads the partition next tries it again.
            return
        item.error = error
        if isinstance(error, _Expired):
            await self._bury(item, told(error), error)
            return
        if item.attempts >= options.attempts:
            await self._give_up(item, told(error), error)
            return
        delay = self._backoff(item)
        _log.log(
            logging.WARNING if item.attempts == 1 else logging.INFO,
            "%s: attempt %d of %d failed, the next one in %.1f s: %s",
            item,
            item.attempts,
            options.attempts,
            delay,
            told(error),
            exc_info=error if item.attempts == 1 and not isinstance(error, Error) else None,
        )
        self._later(item, delay)

    async def _give_up(self, item: Item, reason: str, error: BaseException | None) -> None:
        """Puts a record aside that cannot be handled, or stops in front of it, as the options say."""
        if self.options.on_failure == "stop":
            self._stop_at(item, reason, error)
        else:
            await self._bury(item, reason, error)

    def _backoff(self, item: Item) -> float:
        """Returns how many seconds a record waits before it is tried again."""
        options = self.options
        # 2.0**1024 is no float any more, and there are those who try for ever.
        return random.uniform(0.0, min(options.max_backoff, options.backoff * 2.0 ** min(item.attempts - 1, 100)))

    def _later(self, item: Item, delay: float) -> None:
        item.timer = asyncio.get_running_loop().call_later(delay, self._again, item)

    def _again(self, item: Item) -> None:
        item.timer = None
        if not item.part.gone:
            self._ready.append(item)
            self._spawn()

    async def _bury(self, item: Item, reason: str, error: BaseException | None) -> None:
        """Puts a record into the dead-letter topic; then it is done. If that fails, tries again for as long as it takes."""
        item.buried = (reason, error)
        message = dead_letter(item.record, self.options.group, reason, error, item.attempts)
        try:
            await self._broker.prepare({message.topic: DEAD_LETTER_OPTIONS})
            (outcome,) = await self._broker.publish([message])
            if isinstance(outcome, InvalidArgument):
                # The record was as large as may be, and with a reason it is larger.
                message = dead_letter(item.record, self.options.group, reason[:SHORT_REASON], error, item.attempts)
                (outcome,) = await self._broker.publish([message])
            if isinstance(outcome, Error):
                raise outcome
        except Exception as failure:
            item.burials += 1
            item.unburied = f"cannot be put into {message.topic}: {told(failure)}"
            delay = min(30.0, 0.5 * 2.0 ** min(item.burials, 10)) * random.uniform(0.5, 1.0)
            _log.error("%s cannot be put into %s, and waits %.1f s: %s", item, message.topic, delay, told(failure))
            self._later(item, delay)
            return
        _log.error("%s is in %s after %d attempts: %s", item, message.topic, item.attempts, reason, exc_info=error)
        self._done(item)

    def _stop_at(self, item: Item, reason: str, error: BaseException | None) -> None:
        self.problem = f"group {self.options.group} has stopped at {item}: {reason}"
        _log.error("group %s stops at %s after %d attempts", self.options.group, item, item.attempts, exc_info=error)
        self.stop()

    def _done(self, item: Item) -> None:
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
            self._make_room(part)

    def _make_room(self, part: Part) -> None:
        """Reads a partition again that was full, if it has room."""
        if part.full and part.in_flight <= self.options.max_in_flight // 2 and part.bytes <= MAX_BYTES // 2:
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
            self._parts[partition] = Part(partition)
        if self._paused and self._member is not None:
            self._member.pause(partitions)

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """Lets what runs finish for a while, commits what is done, and gives the partitions up."""
        await self._let_go(partitions, self._patience)
        if self._member is not None:
            try:
                await self._commit(self._member, partitions)
            except Exception as error:
                _log.warning("group %s: what was done last will be repeated: %s", self.options.group, told(error))
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
            if part.run is not None:
                self._end_run(part.run)
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
        # Handlers get this time once: not again when the member gives its partitions up, nor if somebody is in a hurry.
        self._patience = 0.0
        try:
            await self._let_go(list(self._parts), grace)
            if self._parts:
                try:
                    await self._commit(member, self._parts)
                except Exception as error:
                    _log.warning("group %s: what was done last will be repeated: %s", self.options.group, told(error))
        finally:
            await member.close()
            self._member = None
            for task in self._workers:
                task.cancel()
            if self._workers:
                await asyncio.wait(self._workers, timeout=HAND_OVER)

    async def _pause_for(self, delay: float) -> None:
        try:
            async with asyncio.timeout(delay):
                await self._stopping.wait()
        except TimeoutError:
            pass


async def _within(deadline: float, handling: Awaitable[None]) -> None:
    """Awaits a handler until its deadline."""
    seconds = deadline - asyncio.get_running_loop().time()
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            await handling
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineExceeded(f"its handler did not finish within {seconds:.3g} s") from error


class _Expired(DeadlineExceeded):
    """The deadline of an event passed before it could be handled."""
