"""Handling: what becomes of the records of this member's partitions, from the moment they are read until they are done.

- A worker handles one record at a time; there are never more than ``concurrency`` of them.
- The records of a partition are handled in a row by one worker, for as long as no handler waits for anything. As soon as one
  does, the others go their ways by key: one of a key at a time, those behind it in line.
- A failed record waits without a worker, and its key with it; after the last attempt it becomes a dead letter.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from typing import Any

from micro_rt.broker.base import Broker, Record
from micro_rt.context import current_context
from micro_rt.errors import DeadlineExceeded, Error
from micro_rt.events.context import EventContext
from micro_rt.events.dead_letter import DEADLINE_HEADER, GROUP_HEADER, dead_letter_topic, publish_dead_letter
from micro_rt.events.envelope import Envelope, open_envelope, usual_type
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.parts import Item, Part, Run, error_text
from micro_rt.events.subscriber import Route
from micro_rt.kit import backoff
from micro_rt.kit.clock import loop_time, wall_time

__all__ = ["FAIR_SHARE", "Handling"]

FAIR_SHARE = 80
"""Records that are handled in a row, where handlers do not wait for anything, before others get their turn."""

_CANCELLED = "something that the handler waited for was cancelled"
_log = logging.getLogger("micro_rt.events")


class Handling:
    """The workers of one member of a group.

    Args:
        broker: open; takes the dead letters.
        routes: the events that are handled.
        options: how.
        moved: called when records of a partition are done.
        stop: called with the reason why no more are to be handled, where the options say that a failure stops the subscription.
    """

    def __init__(
        self,
        broker: Broker,
        routes: Sequence[Route],
        options: DeliveryOptions,
        moved: Callable[[Part], None],
        stop: Callable[[str], None],
    ) -> None:
        self.options = options
        self._broker = broker
        self._moved = moved
        self._stop = stop
        self._by_topic: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._by_topic.setdefault(route.event.topic, {})[route.event.name] = route
        self._usual = {
            topic: {name.encode(): route for name, route in routes.items()} for topic, routes in self._by_topic.items()
        }
        self._group = options.group.encode()
        self._ready: deque[Item] = deque()
        self._workers: set[asyncio.Task[None]] = set()
        self._more = False
        self._stopped = False
        self.in_a_row = 0
        """Partitions whose records are being handled in a row."""
        self._clean = copy_context()

    def take(self, part: Part, records: Sequence[Record]) -> None:
        """Handles records that were read of a partition, after those before them."""
        if not part.in_flight:
            part.moved_at = loop_time()
        part.bytes += sum([len(record.value) for record in records])
        if part.run is not None:
            part.run.records.extend(records)
        elif not part.items and len(self._workers) < self.options.concurrency:
            part.run = Run(part, records)
            self.in_a_row += 1
            self._start_worker(part.run)
        else:
            for record in records:
                self._add(part, record)
            part.advance()
            self._moved(part)
            self._spawn()

    def begin_no_more(self) -> None:
        """Lets what runs end, and begins nothing new."""
        self._stopped = True

    async def release(self, parts: Sequence[Part], patience: float, more: float) -> None:
        """Begins nothing more of these partitions, and waits for what runs; cancels what runs longer.

        Args:
            parts: the partitions.
            patience: seconds until what still runs is cancelled.
            more: seconds that it gets to end then.
        """
        for part in parts:
            if part.run is not None:
                self._end_run(part.run)
            part.gone = True
            for item in part.items:
                if item.timer is not None:
                    item.timer.cancel()
        until = loop_time() + patience
        cancelled = False
        while running := [item for part in parts for item in part.items if item.task is not None]:
            if loop_time() >= until and not cancelled:
                cancelled = True
                for item in running:
                    if item.task is not None:
                        item.task.cancel()
            elif cancelled and loop_time() >= until + more:
                _log.error("group %s: %d handlers go on although they were cancelled", self.options.group, len(running))
                break
            await asyncio.sleep(0.01)
        for part in parts:
            part.advance()

    async def close(self, timeout: float) -> None:
        """Ends the workers, when there is nothing more to do.

        Args:
            timeout: seconds until those that do not end are left behind.
        """
        for task in self._workers:
            task.cancel()
        if self._workers:
            await asyncio.wait(self._workers, timeout=timeout)

    # Where a record goes

    def _add(self, part: Part, record: Record) -> None:
        """Has a record go its own way."""
        item = Item(part, record)
        part.items.append(item)
        routes = self._by_topic[part.id.topic]
        try:
            envelope = item.envelope = open_envelope(record)
        except Exception as error:
            item.unreadable = str(error) if isinstance(error, ValueError) else error_text(error)
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

    # Workers

    def _spawn(self) -> None:
        """Starts a worker if there is something to do and one more is allowed; each starts the next one if it must wait."""
        self._more = False
        if self._ready and not self._stopped and len(self._workers) < self.options.concurrency:
            self._start_worker(None)

    def _start_worker(self, run: Run | None) -> None:
        task = asyncio.get_running_loop().create_task(
            self._work(run), name=f"events of {self.options.group}", context=self._clean.copy()
        )
        self._workers.add(task)
        task.add_done_callback(functools.partial(self._worker_done, run))

    def _worker_done(self, run: Run | None, task: asyncio.Task[None]) -> None:
        self._workers.discard(task)
        if run is not None:
            self._end_run(run)  # It may have been cancelled before it began.
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
        while ready and not self._stopped and copy_context() == self._clean:
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
        if not (item.done or item.timer is not None or item.part.gone or self._stopped):
            if item.error is None:
                item.error = Error(_CANCELLED)
            self._later(item, self._backoff(item))

    async def _handle_run(self, run: Run) -> None:
        """Handles records in a row, as most handlers let it: without an item, a place in line or a task for each.

        As soon as a handler waits, or something is not as usual, the records go their ways one by one.
        """
        if run.over:
            return  # Its partition went before its worker began.
        part, records = run.part, run.records
        routes = self._usual[part.id.topic]
        group, timeout, clean = self.options.group, self.options.timeout, self._clean
        loop = asyncio.get_running_loop()
        loop.call_soon(self._look_at, run)
        index = 0
        while index < len(records) and not self._stopped:
            record = records[index]
            type = usual_type(record.headers)
            if type is None:
                break
            route = routes.get(type)
            if route is not None:
                try:
                    event = route.decode(record.value)
                except Exception:
                    break
                deadline = None if timeout is None else loop.time() + timeout
                context = EventContext(route.event, group, 1, deadline, record)
                token = current_context.set(context)
                run.route = route
                try:
                    if timeout is None:
                        await route.handle(event, context)
                    else:
                        await _within(timeout, deadline, route.handle(event, context))
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
                run.route = None
                if item is not None:
                    # Its way has become its own while it was at work.
                    if failure is None:
                        self._done(item)
                    else:
                        await self._failed_attempt(item, failure)
                    return
            index += 1
            run.index = index
            if copy_context() != clean:
                break
            if index == FAIR_SHARE:
                run.settle()
                index = 0
                self._moved(part)  # more can be on their way before these are done
                await asyncio.sleep(0)
                if run.over:
                    return
                loop.call_soon(self._look_at, run)
        self._end_run(run)

    def _look_at(self, run: Run) -> None:
        """Runs when a worker gives way: if that is because the handler of its run waits, the rest need not wait for it."""
        if run.route is not None and not run.over:
            self._end_run(run)

    def _end_run(self, run: Run) -> Item | None:
        """Has the records of a run go their ways one by one; returns the one that is at work, if one is."""
        if run.over:
            return run.item
        run.over = True
        run.settle()
        part, records = run.part, run.records
        part.run = None
        self.in_a_row -= 1
        if run.route is not None:
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
        self._moved(part)  # There may be nothing left to do: records can be passed over.
        self._spawn()
        return run.item

    async def _handle(self, item: Item) -> None:
        """Makes one attempt at a record."""
        if item.unreadable:
            await self._give_up(item, item.unreadable, None)
            return
        if item.given_up is not None:
            await self._dead_letter(item, *item.given_up)
            return
        route, envelope = item.route, item.envelope
        assert route is not None
        assert envelope is not None
        try:
            # Anew for each attempt: the one before may have changed what it was given.
            event = (route.decode_json if envelope.is_json else route.decode)(envelope.data)
        except Exception as error:
            await self._give_up(item, str(error) if isinstance(error, ValueError) else error_text(error), None)
            return
        item.attempts += 1
        try:
            timeout = self._timeout(envelope)
            deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
            context = EventContext(route.event, self.options.group, item.attempts, deadline, item.record)
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
            if item.part.gone or task is None or task.cancelling():
                raise
            await self._failed_attempt(item, Error(_CANCELLED))
        except (GeneratorExit, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            await self._failed_attempt(item, error)
        else:
            self._done(item)

    def _timeout(self, envelope: Envelope) -> float | None:
        """Returns how many seconds an attempt may take that begins now."""
        timeout = self.options.timeout
        # A replayed record is to be handled now, whatever its deadline was.
        text = None if GROUP_HEADER in envelope.headers else envelope.headers.get(DEADLINE_HEADER)
        if text is not None:
            try:
                left = float(text) - wall_time()
            except ValueError:
                _log.info("%s=%r is no number of seconds since 1970, and is passed over", DEADLINE_HEADER, text)
            else:
                if left <= 0:
                    raise _Expired(f"its deadline passed {-left:.1f} s ago")
                timeout = left if timeout is None else min(timeout, left)
        return timeout

    async def _failed_attempt(self, item: Item, error: BaseException) -> None:
        options = self.options
        task = asyncio.current_task()
        if item.part.gone and task is not None and task.cancelling():
            # It was cut short, whatever its handler made of that: who reads the partition next tries it again.
            return
        item.error = error
        if isinstance(error, _Expired):
            await self._dead_letter(item, error_text(error), error)
            return
        if item.attempts >= options.attempts:
            await self._give_up(item, error_text(error), error)
            return
        delay = self._backoff(item)
        _log.log(
            logging.WARNING if item.attempts == 1 else logging.INFO,
            "%s: attempt %d of %d failed, the next one in %.1f s: %s",
            item,
            item.attempts,
            options.attempts,
            delay,
            error_text(error),
            exc_info=error if item.attempts == 1 and not isinstance(error, Error) else None,
        )
        self._later(item, delay)

    async def _give_up(self, item: Item, reason: str, error: BaseException | None) -> None:
        """Makes a dead letter of a record that cannot be handled, or stops in front of it, as the options say."""
        if self.options.on_failure == "stop":
            _log.error(
                "group %s stops at %s after %d attempts", self.options.group, item, item.attempts, exc_info=error
            )
            self._stop(f"group {self.options.group} has stopped at {item}: {reason}")
        else:
            await self._dead_letter(item, reason, error)

    def _backoff(self, item: Item) -> float:
        """Returns how many seconds a record waits before it is tried again."""
        options = self.options
        return backoff.delay(item.attempts, options.backoff, options.max_backoff)

    def _later(self, item: Item, delay: float) -> None:
        item.timer = asyncio.get_running_loop().call_later(delay, self._again, item)

    def _again(self, item: Item) -> None:
        item.timer = None
        if not item.part.gone:
            self._ready.append(item)
            self._spawn()

    async def _dead_letter(self, item: Item, reason: str, error: BaseException | None) -> None:
        """Puts a record into the dead-letter topic; then it is done. If that fails, tries again for as long as it takes."""
        item.given_up = (reason, error)
        topic = dead_letter_topic(item.record.topic, self.options.group)
        try:
            await publish_dead_letter(self._broker, item.record, self.options.group, reason, error, item.attempts)
        except Exception as failure:
            item.dead_letter_failures += 1
            item.dead_letter_problem = f"cannot be put into {topic}: {error_text(failure)}"
            delay = backoff.delay(item.dead_letter_failures + 1, 0.5, 30.0, jitter=0.5)
            _log.error("%s cannot be put into %s, and waits %.1f s: %s", item, topic, delay, error_text(failure))
            self._later(item, delay)
            return
        _log.error("%s is in %s after %d attempts: %s", item, topic, item.attempts, reason, exc_info=error)
        self._done(item)

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
            self._moved(part)


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


class _Expired(DeadlineExceeded):
    """The deadline of an event passed before it could be handled."""
