"""Handling: the workers that handle the records of this member's partitions, from the moment they are read until they are done.

``routing`` decides which method handles a record, and ``failures`` what becomes of one that cannot be handled.

The rules that this module keeps, and why:

- Records of one key are handled one after another, in order. Records of different keys, and records without a key, are
  handled side by side. A failed record waits for its next attempt without a worker, and only its key waits with it.
- A worker is a task that handles one record at a time; there are never more than ``concurrency`` of them. A worker
  starts the next one only when it has to wait, so handlers that do not wait cost one task and not ``concurrency`` of
  them.
- The fast path: as long as no handler of a partition waits for anything, one worker handles its records one after
  another, as a ``FastBatch``, without an object, a place in line or a task for each. Nearly all records and most
  handlers are like that.
- The fast path ends as soon as a handler waits, fails or changes context variables, or a record is not as micro-rt
  itself writes it. Its records then go their own ways, by key; the one at work goes on as a record whose first attempt
  is running.
- Workers run in turns (``turns``), which all subscriptions of the loop share: after some milliseconds of handlers, everything
  else in the loop gets its turn. A worker looks at the clock after each record, and steps of handlers that wait are measured
  from outside. A handler that blocks the loop is named in the log.
- Each attempt decodes the message anew and gets a context of its own: an attempt that failed may have changed what it
  was given. A handler that leaves its context variables changed ends its worker, and the next record runs in a clean
  one.
- A handler may raise anything. It counts as a failed attempt, and so does a cancellation that is not this worker's. In a task of
  asyncio's, ``SystemExit`` would end the event loop and every handler in it. So ``exits`` is called, and the service stops in good order.
- Of a partition that is released, nothing more begins; handlers that run past their patience are cancelled, which does
  not count as a failed attempt: the member that reads the partition next tries the record again.
- A record that may have ended a process is handled by ``careful``, one at a time. While it does so, nothing else begins here: a
  fast batch ends with its turn, and what is ready waits.
- Only ``progress`` changes the position and the order of keys. This module decides when a record is done, never what
  follows.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextvars import copy_context
from typing import Any

from micro_rt.broker.base import Broker, Record
from micro_rt.context import current_context
from micro_rt.errors import DeadlineExceeded, Error
from micro_rt.events.careful import CarefulWork, ProcessGate
from micro_rt.events.context import EventContext
from micro_rt.events.dead_letter import DEADLINE_HEADER, GROUP_HEADER
from micro_rt.events.envelope import Envelope, open_envelope, seconds_of, usual_type
from micro_rt.events.failures import Expired, Failures
from micro_rt.events.framing import framing_of
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.progress import FastBatch, PartitionProgress, PendingRecord, error_text
from micro_rt.events.routing import Routing
from micro_rt.events.subscriber import Route
from micro_rt.events.turns import Block, Blocks, LoopTurns, Steps
from micro_rt.kit.clock import loop_time, monotonic, wall_time
from micro_rt.kit.ordered import OrderedSet
from micro_rt.logs import logger, sparsely

__all__ = ["Handling"]

_CANCELLED = "something that the handler waited for was cancelled"
_log = logger("micro_rt.events")


class Handling:
    """The workers of one member of a group.

    Args:
        broker: open; takes the dead letters.
        routes: the events that are handled.
        options: how.
        moved: called when records of a partition are done.
        stop: called with the reason why no more are to be handled, where the options say that a failure stops the subscription.
        exits: called with the ``SystemExit`` or ``KeyboardInterrupt`` of a handler.
        tombstones: what handles the tombstones of each topic, by the type that they say; empty if nothing does.
        announce: commits what is known of suspected records; returns whether it was committed.
        turns: the time that handlers of this loop share; None for time of its own.
        left_out: the types of each topic that the .proto has and the subscriber has no method for.
        elsewhere: returns whether another member of the group handles a type of a topic, which this one does not.
    """

    def __init__(
        self,
        broker: Broker,
        routes: Sequence[Route],
        options: DeliveryOptions,
        moved: Callable[[PartitionProgress], None],
        stop: Callable[[str], None],
        *,
        exits: Callable[[BaseException], None] | None = None,
        tombstones: Mapping[str, Mapping[str, Route]] | None = None,
        announce: Callable[[], Awaitable[bool]] | None = None,
        turns: LoopTurns | None = None,
        left_out: Mapping[str, Collection[str]] | None = None,
        elsewhere: Callable[[str, str], bool] | None = None,
    ) -> None:
        self.options = options
        self.failures = Failures(broker, options, again=self._again, done=self._done, stop=stop)
        self._routing = Routing(
            routes,
            options,
            tombstones=tombstones or {},
            left_out=left_out or {},
            elsewhere=elsewhere or _never,
            framed=broker.framing == "confluent",
        )
        self._framing = broker.framing
        self._turns = turns or LoopTurns()
        self._blocks = Blocks(options.group)
        self._exits = exits
        self._careful = CarefulWork(
            options.concurrency,
            self._start_alone,
            announce or _refused,
            self._give_up_killer,
            options.crash_attempts,
        )
        self._gate = self._careful.gate
        self._moved = moved
        self._name = f"events of {options.group}"
        self._ready: deque[PendingRecord] = deque()
        self._workers: OrderedSet[asyncio.Task[None]] = OrderedSet()
        self._more = False
        self._in_line = 0
        """The number of workers that wait for their turn to handle whatever is ready."""
        self._stopped = False
        self.fast_batches = 0
        """The number of partitions that have a batch."""
        self._clean = copy_context()

    def join(self, gate: ProcessGate) -> None:
        """Handles nothing beside the suspected records of other subscriptions; called before the first records."""
        self._gate = self._careful.gate = gate
        gate.join(self)

    @property
    def busy(self) -> bool:
        """Whether handlers run."""
        return bool(self._workers)

    @property
    def careful(self) -> bool:
        """Whether suspected records are being handled."""
        return self._careful.active

    def suspect(self) -> None:
        """Notes that a process has ended without a word, so that records to come are suspected."""
        self._careful.renew()

    def go_on(self) -> None:
        """Begins in the usual way what is ready."""
        self._spawn()

    def take(self, progress: PartitionProgress, records: Sequence[Record]) -> None:
        """Handles records that were read of a partition, after those before them."""
        if progress.arrive(records):
            return
        usual = not (progress.pending or progress.told or self._gate.closed)
        if usual and len(self._workers) < self.options.concurrency:
            self.fast_batches += 1
            self._start_worker(progress.begin_batch(records))
        else:
            for record in records:
                self._add(progress, record)
            progress.advance()
            self._moved(progress)
            self._spawn()

    @property
    def blocked(self) -> Block | None:
        """The handler that blocked the event loop longest within the last minute; None if none did."""
        return self._blocks.recent()

    def begin_no_more(self) -> None:
        """Lets what runs end, and begins nothing new."""
        self._stopped = True

    async def release(self, partitions: Sequence[PartitionProgress], patience: float, more: float) -> None:
        """Begins nothing more of these partitions, and waits for what runs; cancels what runs longer.

        Args:
            partitions: the partitions.
            patience: seconds until what still runs is cancelled.
            more: seconds that it gets to end then.
        """
        for progress in partitions:
            if progress.batch is not None:
                self._end_batch(progress.batch)
            progress.release()
            for pending in progress.pending:
                if pending.timer is not None:
                    pending.timer.cancel()
        until = loop_time() + patience
        cancelled = False
        while running := [each for progress in partitions for each in progress.pending if each.task is not None]:
            if loop_time() >= until and not cancelled:
                cancelled = True
                for pending in running:
                    if pending.task is not None:
                        pending.task.cancel()
            elif cancelled and loop_time() >= until + more:
                _log.error("group %s: %d handlers go on although they were cancelled", self.options.group, len(running))
                break
            await asyncio.sleep(0.01)
        for progress in partitions:
            progress.advance()

    async def close(self, timeout: float) -> None:
        """Ends the workers, when there is nothing more to do.

        Args:
            timeout: seconds until those that do not end are left behind.
        """
        self._gate.leave(self)
        await self._careful.close()
        for task in self._workers:
            task.cancel()
        if self._workers:
            await asyncio.wait(self._workers, timeout=timeout)

    # Where a record goes

    def _add(self, progress: PartitionProgress, record: Record) -> None:
        """Lets a record go its own way."""
        pending = progress.add(record)
        # One that is done already was handled by the member that has read the partition before.
        if not pending.done and self._routing.find(pending):
            self._line_up(pending)

    def _line_up(self, pending: PendingRecord) -> None:
        if pending.progress.line_up(pending):
            self._push(pending)

    def _push(self, pending: PendingRecord) -> None:
        """Has a record handled as soon as there is a worker for it."""
        if pending.suspicion is None:
            self._ready.append(pending)
        elif not self._stopped:
            self._careful.add(pending)

    # Workers

    def _spawn(self) -> None:
        """Starts a worker if there is something to do and one more is allowed; each starts the next one if it must wait."""
        self._more = False
        if not self._ready or self._stopped or self._gate.closed or self._in_line:
            return
        if len(self._workers) < self.options.concurrency:
            self._start_worker(None)

    def _start_worker(self, batch: FastBatch | None) -> None:
        worker = _Worker(self._turns, self._work, self._blocked_by, batch)
        self._start(worker)
        if batch is None:
            self._lines_up(worker, True)

    def _start_alone(self, pending: PendingRecord) -> asyncio.Task[None]:
        """Starts a worker for one suspected record."""
        worker = _Worker(self._turns, self._work_alone, self._blocked_by, None)
        worker.own = pending
        return self._start(worker)

    def _give_up_killer(self, pending: PendingRecord) -> asyncio.Task[None]:
        """Starts a worker that makes a dead letter of a record that has ended too many processes."""
        deaths = 0 if pending.suspicion is None else len(pending.suspicion.deaths)
        pending.attempts = deaths
        pending.unreadable = f"the process ended {deaths} times while this was the only event that it was handling"
        return self._start_alone(pending)

    def _start(self, worker: _Worker) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(worker.run(), name=self._name, context=self._clean.copy())
        self._workers.add(task)
        task.add_done_callback(functools.partial(self._worker_done, worker))
        return task

    async def _work_alone(self, worker: _Worker) -> None:
        pending = worker.own
        assert pending is not None  # noqa: S101  # for type checkers: called for a worker that has one
        if pending.progress.released:
            pending.progress.cut_short(pending)  # Its partition went before its worker began.
            return
        pending.task = asyncio.current_task()
        try:
            await self._cancellable(pending.progress, self._handle(pending))
        finally:
            # Whatever its handler has done, it has not ended the process; unless it was cut short, or not called because the record
            # has ended too many processes. That is known until the record is a dead letter.
            refused = pending.unreadable and pending.given_up is not None and not pending.done
            if pending.progress.released or refused:
                pending.progress.cut_short(pending)
            else:
                pending.progress.survive(pending)
            self._left(pending)

    def _lines_up(self, worker: _Worker, free: bool) -> None:
        """Takes note whether a worker handles the next record that is ready, as soon as it is its turn."""
        worker.free = free
        self._in_line += 1 if free else -1

    def _worker_done(self, worker: _Worker, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        if worker.free:
            self._lines_up(worker, False)
        if worker.row is not None:
            self._end_batch(worker.row)  # It may have been cancelled before it began.
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.critical("a worker of group %s failed: this is a bug of micro-rt", self.options.group, exc_info=error)
        self._spawn()

    def _blocked_by(self, worker: _Worker, seconds: float) -> None:
        """Says which handler has blocked the loop."""
        route, record = worker.at_work()
        if route is not None and record is not None:
            self._blocks.note(route.event.name, f"{record.topic}/{record.partition}@{record.offset}", seconds)

    async def _work(self, worker: _Worker) -> None:
        """Handles a batch, and then what is ready, one record after the other, until nothing is."""
        ready, turns, batch = self._ready, self._turns, worker.row
        if worker.free:
            self._lines_up(worker, False)
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        if batch is not None:
            batch.task = task
            try:
                await self._cancellable(batch.progress, self._handle_batch(batch, worker))
            finally:
                self._left(self._end_batch(batch))
            if monotonic() >= turns.until:  # Otherwise the next record would begin in the step that this one used up.
                await self._give_way(worker)
            worker.row = None
        # What a handler leaves in its context variables is not the next one's business: then another worker goes on.
        while ready and not self._stopped and not self._gate.closed and copy_context() == self._clean:
            pending = ready.popleft()
            if pending.progress.released:
                continue
            if ready and not self._more:
                self._more = True
                loop.call_soon(self._spawn)  # runs when this record's handler waits, or when all of them are done
            pending.task = task
            worker.own = pending
            try:
                await self._cancellable(pending.progress, self._handle(pending))
            finally:
                self._left(pending)
            if monotonic() >= turns.until:
                await self._give_way(worker)

    async def _give_way(self, worker: _Worker) -> None:
        """Ends the step of a worker; the next one begins when the loop has time for it."""
        self._lines_up(worker, True)
        await asyncio.sleep(0)
        self._lines_up(worker, False)

    async def _cancellable(self, progress: PartitionProgress, handling: Coroutine[Any, Any, None]) -> None:
        """Awaits handling that is cancelled when its partition goes, which is no reason for its worker to end."""
        task = asyncio.current_task()
        try:
            await handling
        except asyncio.CancelledError:
            if task is None or not progress.released or task.uncancel():
                raise
        else:
            # A handler may have swallowed its cancellation: what this worker does next is not cancelled.
            while task is not None and progress.released and task.cancelling():
                task.uncancel()

    def _left(self, pending: PendingRecord | None) -> None:
        """Has a record that its worker has left tried again, if nothing else has become of it.

        A handler's task may be cancelled by somebody whose it is not, and then its worker ends; nothing may wait for that record
        in vain.
        """
        if pending is None:
            return
        pending.task = None
        if not (pending.done or pending.timer is not None or pending.progress.released or self._stopped):
            self.failures.interrupted(pending, Error(_CANCELLED))

    async def _handle_batch(self, batch: FastBatch, worker: _Worker) -> None:
        """Handles records one after another, as most handlers let it: without an object, a place in line or a task for each.

        As soon as a handler waits, or something is not as usual, the records go their ways one by one.
        """
        if batch.ended:
            return  # Its partition went before its worker began.
        if self._gate.closed:
            self._end_batch(batch)
            return
        progress, records = batch.progress, batch.records
        routes = self._routing.usual[progress.id.topic]
        group, timeout, clean = self.options.group, self.options.timeout, self._clean
        set_context, reset_context = current_context.set, current_context.reset
        until = self._turns.until  # Nobody else changes it in this step.
        loop = asyncio.get_running_loop()
        loop.call_soon(self._look_at, batch)
        index = 0
        while index < len(records) and not self._stopped:
            record = records[index]
            type = usual_type(record.headers)
            if type is None:
                break
            route = routes.get(type)
            if route is not None:
                value = record.value
                if not value and record.tombstone:
                    break
                try:
                    event = route.decode(value)
                except Exception:
                    break
                deadline = None if timeout is None else loop.time() + timeout
                context = EventContext(route.event, group, 1, deadline, record)
                token = set_context(context)
                batch.route = route
                try:
                    if timeout is None:
                        await route.handle(event, context)
                    else:
                        await _within(timeout, deadline, route.handle(event, context))
                except asyncio.CancelledError:
                    if progress.released or batch.task is None or batch.task.cancelling():
                        raise
                    failure: BaseException | None = Error(_CANCELLED)
                except GeneratorExit:
                    raise
                except BaseException as error:  # pytest.fail() does not raise an Exception, nor do task groups always
                    failure = self._noted(error)
                else:
                    failure = None
                finally:
                    reset_context(token)
                at_work = batch.at_work if failure is None else self._end_batch(batch)
                if at_work is not None:
                    # The batch has ended while the record was at work.
                    if failure is None:
                        self._done(at_work)
                    else:
                        await self._failed_attempt(at_work, failure)
                    return
                batch.route = None
            elif not self._routing.passes_over(progress, type):
                break
            index = batch.handled()
            if copy_context() != clean:
                break
            if monotonic() >= until:
                worker.before = (route, record)
                batch.settle()
                index = 0
                self._moved(progress)  # more can be on their way before these are done
                await asyncio.sleep(0)
                if batch.ended:
                    return
                if self._gate.closed:
                    break
                until = self._turns.until
                loop.call_soon(self._look_at, batch)
        self._end_batch(batch)

    def _look_at(self, batch: FastBatch) -> None:
        """Runs when a worker gives way: if that is because the handler of its batch waits, the rest need not wait for it."""
        if batch.route is not None and not batch.ended:
            self._end_batch(batch)

    def _end_batch(self, batch: FastBatch) -> PendingRecord | None:
        """Lets the records of a batch go their own ways; returns the one that is at work, if one is."""
        if batch.ended:
            return batch.at_work
        rest = batch.end()
        self.fast_batches -= 1
        progress, at_work = batch.progress, batch.at_work
        if at_work is not None:
            at_work.attempts, at_work.route, at_work.task = 1, batch.route, batch.task
            at_work.envelope = open_envelope(at_work.record)
        for record in rest:
            self._add(progress, record)
        progress.advance()
        self._moved(progress)  # There may be nothing left to do: records can be passed over.
        self._spawn()
        return at_work

    async def _handle(self, pending: PendingRecord) -> None:
        """Makes one attempt at a record."""
        if pending.unreadable:
            await self.failures.give_up(pending, pending.unreadable, None)
            return
        if pending.given_up is not None:
            await self.failures.dead_letter(pending, *pending.given_up)
            return
        route, envelope = pending.route, pending.envelope
        assert route is not None  # noqa: S101  # for type checkers: what is handled has a route
        assert envelope is not None  # noqa: S101  # for type checkers: and an envelope
        try:
            # Anew for each attempt: the one before may have changed what it was given.
            event = (route.decode_json if envelope.is_json else route.decode)(envelope.data)
        except Exception as error:
            reason = str(error) if isinstance(error, ValueError) else error_text(error)
            if framing := framing_of(envelope.data):
                how = "" if self._framing == "confluent" else ", which ?framing=confluent in the broker's address reads"
                reason = f"its value is in {framing}{how}: {reason}"
            await self.failures.give_up(pending, reason, None)
            return
        pending.attempts += 1
        try:
            timeout = self._timeout(envelope, pending.record.topic)
            deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
            context = EventContext(route.event, self.options.group, pending.attempts, deadline, pending.record)
            token = current_context.set(context)
            try:
                if timeout is None:
                    await route.handle(event, context)
                else:
                    await _within(timeout, deadline, route.handle(event, context))
            finally:
                current_context.reset(token)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if pending.progress.released or task is None or task.cancelling():
                raise
            await self._failed_attempt(pending, Error(_CANCELLED))
        except GeneratorExit:
            raise
        except BaseException as error:
            await self._failed_attempt(pending, self._noted(error))
        else:
            self._done(pending)

    def _noted(self, error: BaseException) -> BaseException:
        """Returns what a handler raised, and passes on that it wants the process to end.

        In a task of asyncio's, ``SystemExit`` and ``KeyboardInterrupt`` would end the event loop, and everything in it.
        """
        if isinstance(error, SystemExit | KeyboardInterrupt) and self._exits is not None:
            self._exits(error)
        return error

    def _timeout(self, envelope: Envelope, topic: str) -> float | None:
        """Returns how many seconds an attempt may take that begins now."""
        timeout = self.options.timeout
        # A replayed record is to be handled now, whatever its deadline was.
        text = "" if GROUP_HEADER in envelope.headers else envelope.text(DEADLINE_HEADER)
        if not text:
            return timeout
        until = seconds_of(text, math.nan)
        if math.isnan(until):
            what = "%s=%.40r is not a number of seconds since 1970, and is ignored"
            _log.info(what, DEADLINE_HEADER, text, extra=sparsely(topic))
            return timeout
        left = until - wall_time()
        if left <= 0:
            raise Expired(f"its deadline passed {-left:.1f} s ago")
        return left if timeout is None else min(timeout, left)

    async def _failed_attempt(self, pending: PendingRecord, error: BaseException) -> None:
        task = asyncio.current_task()
        if pending.progress.released and task is not None and task.cancelling():
            return  # It was cut short, whatever its handler made of that: the member that reads the partition next tries it again.
        await self.failures.attempt_failed(pending, error)

    def _again(self, pending: PendingRecord) -> None:
        """Has a record tried again, whose wait is over."""
        self._ready.append(pending)
        self._spawn()

    def _done(self, pending: PendingRecord) -> None:
        progress = pending.progress
        following = progress.finish(pending)
        if following is not None:
            self._push(following)
        if progress.advance():
            self._moved(progress)


async def _refused() -> bool:
    """Announces nothing."""
    return False


class _Worker(Steps):
    """One worker, and what it is at."""

    __slots__ = ("_blocked", "_work", "before", "free", "own", "row")

    def __init__(
        self,
        turns: LoopTurns,
        work: Callable[[_Worker], Coroutine[Any, Any, None]],
        blocked: Callable[[_Worker, float], None],
        batch: FastBatch | None,
    ) -> None:
        super().__init__(turns)
        self._work = work
        self._blocked = blocked
        self.row = batch
        """What it handles in a row; None once that has ended."""
        self.own: PendingRecord | None = None
        """The record that it handles, or has handled last, outside of a batch."""
        self.before: tuple[Route | None, Record | None] = (None, None)
        """What it has handled last in its batch, if the budget was used up then."""
        self.free = False
        """Whether it waits for its turn to handle whatever is ready."""

    def work(self) -> Coroutine[Any, Any, None]:
        """Returns what it does."""
        return self._work(self)

    def blocked(self, seconds: float) -> None:
        """Says that what it is at has blocked the loop."""
        self._blocked(self, seconds)

    def at_work(self) -> tuple[Route | None, Record | None]:
        """Returns the route and the record that it handles, or has handled last."""
        own, batch = self.own, self.row
        if batch is not None and batch.at_work is not None:
            own = batch.at_work
        if own is not None:
            return own.route, own.record
        if batch is not None and batch.route is not None:
            return batch.route, batch.records[batch.index]
        return self.before


def _never(_: str, __: str) -> bool:
    """Returns that nobody has announced a type."""
    return False


async def _within(timeout: float, deadline: float | None, handling: Awaitable[None]) -> None:
    """Awaits a handler that has so many seconds, until its deadline."""
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            await handling
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise DeadlineExceeded(f"its handler did not finish within {timeout:.3g} s") from error
