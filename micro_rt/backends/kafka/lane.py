"""Lanes to Kafka: the queue of each partition, with one batch on its way at a time."""

from __future__ import annotations

import asyncio
import copy
import struct
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from micro_rt.backends.kafka.address import KafkaAddress
from micro_rt.backends.kafka.client import KafkaError, error_of, failures, reason_of
from micro_rt.backends.kafka.producer import BATCH, Gate, Producer, Refusal
from micro_rt.broker.base import OutgoingRecord, Position
from micro_rt.errors import Error, FailedPrecondition, InvalidArgument, PermissionDenied, Unavailable
from micro_rt.kit.clock import wall_time
from micro_rt.logs import logger

__all__ = ["Call", "Entry", "Lane", "LaneHost"]

RETRY = 0.2
"""Seconds until the next attempt to connect."""
ATTEMPTS = 5
"""How often a batch is sent that the broker refuses because of its sequence number, each time by another producer."""

_CORRUPT_MESSAGE, _INVALID_TIMESTAMP, _INVALID_RECORD = 2, 32, 87
"""Kafka's errors about single records; before Kafka 2.4, the first one stands for the last one too."""
_TOO_LARGE = ("MessageSizeTooLargeError", "RecordListTooLargeError")
_SEQUENCE = (
    "OutOfOrderSequenceNumber",
    "UnknownProducerId",
    "InvalidProducerIdMapping",
    "InvalidProducerEpoch",
    "ProducerFenced",
    "ProducerClosed",
)

_log = logger("micro_rt.broker")


class LaneHost(Protocol):
    """What lanes ask of the publisher that has them."""

    problem: str
    """What keeps messages from being accepted, as far as is known; empty if nothing does."""

    async def producer(self) -> Producer:
        """Returns a producer that can be used; raises what aiokafka raises."""
        ...

    def leave(self, size: int) -> None:
        """Frees the bytes of messages that are accepted, refused or withdrawn."""
        ...

    def answered(self) -> None:
        """Takes note that the cluster has accepted or refused something."""
        ...


class Call:
    """Messages that were published together."""

    __slots__ = ("began", "done", "lanes", "missing", "results")

    def __init__(self, messages: int) -> None:
        self.results: list[Position | Error | None] = [None] * messages
        self.missing = messages
        self.began = 0.0
        self.lanes: dict[Lane, None] = {}
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def finish(self, index: int, result: Position | Error) -> None:
        """Takes the result of a message; the first one stands."""
        if self.results[index] is None:
            self.results[index] = result
            self.missing -= 1
            if not self.missing and not self.done.done():
                self.done.set_result(None)


class Entry:
    """A message in a lane."""

    __slots__ = ("attempts", "call", "index", "record", "size")

    def __init__(self, call: Call, index: int, record: OutgoingRecord, size: int) -> None:
        self.call = call
        self.index = index
        self.record = record
        self.size = size
        self.attempts = 0


class Lane:
    """The messages that wait for one partition, and the batch that is on its way."""

    def __init__(self, host: LaneHost, address: KafkaAddress, topic: str, partition: int) -> None:
        self.task: asyncio.Task[None] | None = None
        self.progress = 0.0
        """When the broker answered last."""
        self._host = host
        self._address = address
        self.topic = topic
        self._partition = partition
        self._queue: deque[Entry] = deque()
        self._sent: list[Entry] = []
        self._limit = BATCH
        self._parts: list[int] = []
        """The sizes of the next batches, in reverse order, while the message that Kafka refuses is being searched for."""
        self._producer: Producer | None = None
        """The producer that sent the last batch."""

    def add(self, entry: Entry) -> None:
        """Appends a message."""
        self._queue.append(entry)
        entry.call.lanes[self] = None
        if self.task is None:
            self._start()

    def withdraw(self, call: Call, reason: str | None) -> bool:
        """Takes back what is not sent, and ends the waiting for what is.

        Args:
            call: whose messages.
            reason: for their errors; None if the caller was cancelled.

        Returns:
            Whether the call had messages here that were not finished.
        """
        missing = call.missing
        kept: deque[Entry] = deque()
        for entry in self._queue:
            if entry.call is not call:
                kept.append(entry)
                continue
            self._host.leave(entry.size)
            call.finish(entry.index, Unavailable(reason or "cancelled", may_have_run=False))
        self._queue = kept
        for entry in self._sent:
            if entry.call is call:
                text = f"{reason or 'cancelled'}; the message may be there"
                call.finish(entry.index, Unavailable(text, may_have_run=True))
        return call.missing < missing

    @property
    def busy(self) -> bool:
        """Whether messages wait here, or are on their way."""
        return bool(self._queue or self._sent)

    @property
    def answer(self) -> str:
        """Why the broker does not accept what is on its way, as it answers each time; empty if it does not answer."""
        refusal = None if self._producer is None else self._producer.refusal(self.topic, self._partition)
        if refusal is None or not self._sent:
            return ""
        return f"it answers {reason_of(failures.for_code(refusal.code)())}"

    async def abandon(self, error: Error) -> None:
        """Ends all messages with an error, because the partition does not exist."""
        for entry in self._sent:
            entry.call.finish(entry.index, copy.copy(error))
        while self._queue:
            self._settle(self._queue.popleft(), copy.copy(error))
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait((self.task,))
        if self._queue and self.task is None:  # Messages were added meanwhile.
            self._start()

    def give_up(self) -> None:
        """Ends all messages and cancels ``task``; does not wait for it."""
        reason = f"Kafka at {self._address.place} did not accept it before the broker was closed"
        for call in dict.fromkeys(entry.call for entry in (*self._queue, *self._sent)):
            self.withdraw(call, reason)
        if self.task is not None:
            self.task.cancel()

    def _start(self) -> None:
        self.task = asyncio.create_task(self._run(), name=f"publishing to {self.topic}[{self._partition}]")

    async def _run(self) -> None:
        try:
            # The task starts one turn of the loop after the first message, so messages published in one turn share a batch.
            if self._address.linger:
                await asyncio.sleep(self._address.linger)
            while self._queue:
                try:
                    producer = await self._host.producer()
                except (KafkaError, OSError, TimeoutError) as failure:
                    await self._cannot(failure)
                else:
                    await self._send(producer, await producer.gate(self.topic, self._partition))
        finally:
            self._parts.clear()
            self.task = None

    async def _cannot(self, failure: BaseException) -> None:
        doing = f"Kafka at {self._address.place} takes no message for {self.topic}"
        error = error_of(failure, doing, may_have_run=False)
        if isinstance(error, PermissionDenied):  # Kafka names neither the topic nor the right that is missing.
            error = PermissionDenied(f"{doing}: its ACLs do not let this client: it needs Write", may_have_run=False)
        self._host.problem = str(error)
        if isinstance(error, Unavailable):
            await asyncio.sleep(RETRY)  # The publisher ends calls that have waited for too long.
            return
        while self._queue:
            self._settle(self._queue.popleft(), copy.copy(error))

    async def _send(self, producer: Producer, gate: Gate) -> None:
        """Sends a batch, and waits for the answer."""
        builder, size = producer.batch(), 0
        append = builder.append
        queue, sent = self._queue, self._sent
        most = min(self._parts.pop(), len(queue)) if self._parts else len(queue)
        now = round(wall_time() * 1000)
        for _ in range(most):
            entry = queue[0]
            if sent and size + entry.size > self._limit:
                break
            record = entry.record
            try:
                value: bytes | None = record.value
                if record.tombstone:
                    if value:
                        raise ValueError("a tombstone has no value")
                    value = None
                fits = append(timestamp=now, key=record.key, value=value, headers=list(record.headers))
            except (TypeError, ValueError, OverflowError, struct.error) as failure:
                self._settle(queue.popleft(), InvalidArgument(f"no message for Kafka: {failure}", may_have_run=False))
                continue
            if fits is None:
                break
            size += entry.size
            sent.append(queue.popleft())
        if not sent:
            gate.leave()
            return
        self._producer = producer
        try:
            offset = await producer.send(builder, self.topic, self._partition)
        except (KafkaError, OSError, TimeoutError) as failure:
            self._refused(producer, size, failure)
        except asyncio.CancelledError:  # The calls have their results already.
            producer.refused = True  # It keeps trying to send this batch.
            self._host.leave(size)
            raise
        else:
            self._host.problem = ""
            # Kafka gives no offset for a duplicate of an old batch.
            for number, entry in enumerate(sent):
                at = Position(self.topic, self._partition, offset + number if offset >= 0 else -1)
                entry.call.finish(entry.index, at)
            self._host.leave(size)
        finally:
            gate.leave()
            self.progress = asyncio.get_running_loop().time()
            self._host.answered()
            sent.clear()

    def _refused(self, producer: Producer, size: int, failure: BaseException) -> None:
        sent = self._sent
        producer.refused = True
        name = type(failure).__name__
        doing = f"Kafka at {self._address.place} did not accept a message for {self.topic}"
        if name in _TOO_LARGE:
            if len(sent) > 1:
                self._limit = size // 2
                self._again(sent)
                return
            error: Error = InvalidArgument(
                f"{doing}: its {size} bytes are more than the topic takes; raise max.message.bytes of the topic, or "
                "message.max.bytes of the brokers",
                may_have_run=False,
            )
        elif name in _SEQUENCE and all(entry.attempts < ATTEMPTS for entry in sent):
            _log.info("%s[%d]: %s; sending again with another producer", self.topic, self._partition, name)
            for entry in sent:
                entry.attempts += 1
            self._again(sent)
            return
        else:
            refusal = producer.refusal(self.topic, self._partition)
            if refusal is not None and refusal.code == _INVALID_TIMESTAMP:  # All records of a batch have one timestamp.
                error = _wrong_clock(next(iter(refusal.records.values()), refusal.text), doing)
            elif refusal is not None and (refusal.records or refusal.code in (_CORRUPT_MESSAGE, _INVALID_RECORD)):
                self._single_out(refusal, doing)
                return
            else:
                unknown = isinstance(failure, failures.UnknownError)  # Kafka's own, or one that aiokafka does not know.
                if refusal is not None and unknown:
                    failure = failures.UnknownError(f"error {refusal.code} of Kafka {refusal.text}")
                # Kafka answers with any other error before it writes anything of the batch.
                refused = isinstance(failure, failures.BrokerResponseError) and not unknown
                error = error_of(failure, doing, may_have_run=not refused)
            self._host.problem = str(error)
        for entry in sent:
            self._settle(entry, copy.copy(error))

    def _single_out(self, refusal: Refusal, doing: str) -> None:
        """Ends the messages that Kafka refuses, and sends the others again. If Kafka names none, sends the batch again in halves."""
        sent = self._sent
        refused = {number: why for number, why in refusal.records.items() if 0 <= number < len(sent)}
        if not refused:
            if len(sent) > 1:
                half = len(sent) // 2
                self._parts += (len(sent) - half, half)
                self._again(sent)
                return
            refused = {0: ""}
        for number, entry in enumerate(sent):
            if number in refused:
                reason = refused[number] or refusal.text
                self._settle(entry, _invalid(entry.record, reason, doing))
        self._again([entry for number, entry in enumerate(sent) if number not in refused])

    def _again(self, entries: Sequence[Entry]) -> None:
        """Puts messages back at the front of the queue, except those that have a result already."""
        for entry in reversed(entries):
            if entry.call.results[entry.index] is None:
                self._queue.appendleft(entry)
            else:
                self._host.leave(entry.size)

    def _settle(self, entry: Entry, result: Position | Error) -> None:
        self._host.leave(entry.size)
        entry.call.finish(entry.index, result)


def _wrong_clock(reason: str, doing: str) -> Error:
    text = (
        "the clock of this machine is further ahead or behind than message.timestamp.after.max.ms and "
        "message.timestamp.before.max.ms of the topic allow"
    )
    return FailedPrecondition(f"{doing}: {text}{_said(reason)}", may_have_run=False)


def _invalid(record: OutgoingRecord, reason: str, doing: str) -> Error:
    rule = "the topic takes no such record"
    if record.key is None:
        rule = "it has no key, and a compacted topic (cleanup.policy=compact) takes only records with one"
    return InvalidArgument(f"{doing}: {rule}{_said(reason)}", may_have_run=False)


def _said(reason: str) -> str:
    return f"; Kafka says: {reason}" if reason else ""
