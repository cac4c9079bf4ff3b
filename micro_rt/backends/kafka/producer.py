"""An idempotent producer of aiokafka, which sends the batches that it is given; closed for good whatever is on its way."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, cast

import aiokafka  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.produce  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.backends.kafka.client import STOP, Cluster, abandon, connection_options, end_task, failures, keeping
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.tasks import observed, wait_for_event

__all__ = ["BATCH", "Gate", "Producer", "Refusal"]

BATCH = 128 << 10
"""Bytes of a batch before compression; a larger message is a batch of its own."""
TOGETHER = 0.02
"""Seconds that a batch waits at most, and collects messages, while its broker is busy."""

DETAILED = 8
"""The first version of the produce request whose answer names the refused records and the reasons."""

_MOST_TEXT = 300
"""Characters that are kept of what Kafka says."""
_library: Any = cast("Any", aiokafka)


class Refusal(NamedTuple):
    """Kafka's answer to a batch that it did not accept."""

    code: int
    """Of the error, in Kafka's protocol."""
    text: str
    """What Kafka says of it; empty if it says nothing."""
    records: Mapping[int, str]
    """What Kafka says of each record that it refuses, by its number in the batch; empty if it names none."""


class Gate:
    """Has the batches for one broker go together: aiokafka asks a broker one thing at a time."""

    __slots__ = ("_boarding", "_opened", "_under_way")

    def __init__(self) -> None:
        self._under_way = 0
        self._boarding = False
        self._opened: asyncio.Future[None] | None = None

    async def enter(self) -> None:
        """Waits while the broker is busy, but not for long: what it is busy with may be another partition's trouble."""
        loop = asyncio.get_running_loop()
        if self._under_way and not self._boarding:
            if self._opened is None:
                self._opened = loop.create_future()
            await asyncio.wait((self._opened,), timeout=TOGETHER)
        self._under_way += 1
        if not self._boarding:
            self._boarding = True
            loop.call_soon(self._close)  # When all who wait by now have entered.

    def leave(self) -> None:
        """Notes that a batch is answered, or was not sent."""
        self._under_way -= 1
        if not self._under_way and self._opened is not None:
            self._opened.set_result(None)
            self._opened = None

    def _close(self) -> None:
        self._boarding = False


class Producer:
    """An idempotent producer of aiokafka."""

    def __init__(self, cluster: Cluster) -> None:
        self.refused = False
        """Whether a batch of it was refused: its sequence numbers have a gap now."""
        self._cluster = cluster
        self._gates: dict[int, Gate] = {}
        self._refusals: dict[tuple[str, int], Refusal] = {}
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        address = cluster.address
        self._producer: Any = _library.AIOKafkaProducer(
            **connection_options(address, cluster.tls),
            enable_idempotence=True,
            acks="all",
            compression_type=address.compression or None,
            max_batch_size=2 * BATCH,  # Ours are closed before that.
            max_request_size=max(address.max_message, 2 * BATCH),
            request_timeout_ms=int(cluster.timeout * 1000),
        )

        # aiokafka gives a batch up after the time of one request if its partition has no leader, as while a broker starts. That
        # is sooner than timeout=, and may be after the batch was sent. The publisher applies timeout= instead.
        self._producer._message_accumulator._batch_ttl = math.inf
        # Of an answer, aiokafka keeps the class of the error, and has none for some errors.
        client = self._producer.client
        self._ask: Callable[..., Awaitable[Any]] = client.send
        client.send = self._ask_in_detail

        # When it is closed, it forgets all but one of the requests that are on their way, and what waits for them.
        self._requests: OrderedSet[asyncio.Task[Any]] = OrderedSet()
        sender, waiting = self._producer._sender, self._producer._message_accumulator
        sender._send_produce_req = keeping(sender._send_produce_req, self._requests)
        waiting.close = keeping(waiting.close, self._requests)
        _end_silently(waiting)

    async def start(self) -> None:
        """Connects; raises what aiokafka raises."""
        try:
            async with asyncio.timeout(self._cluster.timeout):
                await self._producer.start()
        except BaseException:
            await self.stop()
            raise

    async def gate(self, topic: str, partition: int) -> Gate:
        """Returns the gate to the broker that leads a partition, when it may be passed."""
        leader = self._producer.client.cluster.leader_for_partition(_library.TopicPartition(topic, partition))
        gate = self._gates.get(leader)
        if gate is None:
            gate = Gate()
            if leader is not None and leader >= 0:
                self._gates[leader] = gate
        await gate.enter()
        return gate

    def batch(self) -> Any:
        """Returns an empty batch."""
        return self._producer.create_batch()

    async def send(self, batch: Any, topic: str, partition: int) -> int:
        """Sends a batch until it is accepted or refused; returns the offset of its first record."""
        self._busy += 1
        self._idle.clear()
        try:
            batch.close()
            try:
                answer = await self._producer.send_batch(batch, topic, partition=partition)
            except AssertionError:  # The topic has got this partition since it was asked for.
                await self._producer.client.force_metadata_update()
                answer = await self._producer.send_batch(batch, topic, partition=partition)
            answer.add_done_callback(_look_at)
            return cast("int", (await answer).offset)
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    def refusal(self, topic: str, partition: int) -> Refusal | None:
        """Returns Kafka's last answer to a batch of a partition. Returns None if Kafka accepted the batch, or has not answered yet.

        The answer is available while aiokafka sends the batch again because of it.
        """
        return self._refusals.get((topic, partition))

    async def _ask_in_detail(self, node: int, request: Any, **options: Any) -> Any:
        """Sends a request of aiokafka's; one to write in the version whose answer has details, and remembers those."""
        if not isinstance(request, _library.protocol.produce.ProduceRequest):
            return await self._ask(node, request, **options)
        plain = request.prepare

        def prepare(versions: Mapping[int, tuple[int, int]]) -> Any:
            lowest, highest = versions.get(request.API_KEY, (0, 0))
            if lowest <= DETAILED <= highest:
                return request.build(_library.protocol.produce.ProduceRequest_v8)
            return plain(versions)

        request.prepare = prepare
        answer = await self._ask(node, request, **options)
        for topic, partitions in answer.topics:
            for partition, code, *rest in partitions:
                if code:
                    records, text = rest[3:5] if len(rest) >= 5 else (None, None)
                    self._refusals[topic, partition] = Refusal(
                        code, _shown(text), {number: _shown(why) for number, why in records or ()}
                    )
                elif self._refusals:
                    self._refusals.pop((topic, partition), None)
        return answer

    async def retire(self, timeout: float) -> None:
        """Disconnects when nothing is on its way any more, or after that many seconds."""
        try:
            await wait_for_event(self._idle, timeout)
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Disconnects; never raises, and takes seconds at most, whatever is on its way. Cancelled, it ends everything at once."""
        producer = self._producer
        if self._busy:
            # An idempotent producer retries for ever, and no call waits for these batches any more.
            producer._message_accumulator.fail_all(failures.ProducerClosed())
            for connection in list(producer.client._conns.values()):
                connection.close()
        stopping = asyncio.create_task(producer.stop())
        try:
            await asyncio.wait((stopping,), timeout=STOP)
            if not stopping.done():
                producer._message_accumulator.fail_all(failures.ProducerClosed())
            for task in (stopping, producer._sender.sender_task, *self._requests):
                await end_task(task)
            await producer.client.close()
        finally:
            abandon(producer.client, stopping, producer._sender.sender_task, *self._requests)


def _shown(text: str | None) -> str:
    """Returns what Kafka says in one line that can be logged."""
    return "".join(each if each.isprintable() else " " for each in (text or "")[:_MOST_TEXT]).strip()


class _PendingBatches(set[Any]):
    """The batches that aiokafka has sent. When one ends that it is to send again, aiokafka removes it although it is not there."""

    def remove(self, batch: Any, /) -> None:
        self.discard(batch)


def _end_silently(accumulator: Any) -> None:
    """Keeps asyncio from logging how batches end that nothing waits for.

    A lane that is cancelled no longer waits for its batch. aiokafka's shield then no longer retrieves its exception either.

    Args:
        accumulator: aiokafka's, which has no batches yet.
    """
    append, fail_all = accumulator._append_batch, accumulator.fail_all

    def append_batch(builder: Any, partition: Any) -> Any:
        batch = append(builder, partition)
        observed(batch.future)
        return batch

    def fail(error: BaseException) -> None:
        for batches in accumulator._batches.values():
            for batch in batches:
                observed(batch._drain_waiter)  # A batch that is to be sent again has a new one.
        fail_all(error)

    accumulator._append_batch, accumulator.fail_all = append_batch, fail
    accumulator._pending_batches = _PendingBatches()


def _look_at(answer: asyncio.Future[Any]) -> None:
    """Retrieves the exception of an answer: the call that waited for it may be gone."""
    if not answer.cancelled():
        answer.exception()
