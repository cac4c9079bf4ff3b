"""One stack that publishes and consumes events, in a process of its own: see ``events``.

python -m benchmarks.event_child STACK ADDRESS
"""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import micro_rt
from benchmarks.children import answer, run
from benchmarks.protos.events_micro import EventsPublisher, EventsSubscriberBase
from benchmarks.protos.events_pb2 import Happened
from micro_rt.event import EventsInfo

# The peers come without types that a strict checker could read.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false

__all__ = ["STACKS", "TEXT"]

TEXT = "x" * 80
KEYS = 1_000
COMMIT_EVERY = 0.5
"""Seconds between commits, of every stack that commits itself."""
HEADERS = (
    ("ce_specversion", b"1.0"),
    ("ce_type", b"bench.events.Happened"),
    ("ce_id", b"0af7651916cd43dd8448eb21-1234567"),
    ("ce_source", b"bench"),
    ("ce_time", b"2026-11-24T12:00:00.000Z"),
    ("content-type", b"application/protobuf"),
)
"""What micro-rt writes; the peers that write headers write these."""

Handle = Callable[[Happened], Awaitable[None]]


def messages(count: int) -> list[Happened]:
    """Returns events to publish."""
    return [Happened(key=f"key-{number % KEYS}", number=number, text=TEXT) for number in range(count)]


class Stack(ABC):
    """One way to publish and to consume."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.servers = address.removeprefix("kafka://")

    @abstractmethod
    async def start(self) -> None:
        """Connects, to publish."""

    @abstractmethod
    async def publish(self, topic: str, events: Sequence[Happened], batch: int) -> None:
        """Publishes events, so many in one go, each go awaited until all are durably accepted."""

    @abstractmethod
    async def consume(self, topic: str, handle: Handle, until: asyncio.Event) -> None:
        """Handles every event of a topic, from the first one on, in order per key, until told."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnects."""


class Micro(Stack):
    """micro-rt, as a user has it."""

    async def start(self) -> None:
        """Starts a service."""
        self._service = micro_rt.Service("bench", registry="memory:", broker=self.address)
        await self._service.__aenter__()
        self._publishers: dict[str, EventsPublisher] = {}

    async def publish(self, topic: str, events: Sequence[Happened], batch: int) -> None:
        """Publishes."""
        if topic not in self._publishers:
            own = type("EventsPublisher", (EventsPublisher,), {"_info_": _info_on(topic)})
            self._publishers[topic] = own(self._service)
        publisher = self._publishers[topic]
        for start in range(0, len(events), batch):
            await publisher.publish_all(events[start : start + batch])

    async def consume(self, topic: str, handle: Handle, until: asyncio.Event) -> None:
        """Consumes."""

        async def happened(_: micro_rt.Subscriber, event: Happened, context: micro_rt.EventContext) -> None:
            await handle(event)

        # As if it were generated, with another topic.
        base = {"_info_": _info_on(topic), "happened": EventsSubscriberBase.happened}
        generated = type("EventsSubscriberBase", (micro_rt.Subscriber,), base)
        service = micro_rt.Service("bench", registry="memory:", broker=self.address)
        service.subscribe(type("Handles", (generated,), {"happened": happened})(), group=uuid.uuid4().hex)
        async with service:
            await until.wait()

    async def close(self) -> None:
        """Stops it."""
        await self._service.__aexit__(None, None, None)


class Aiokafka(Stack):
    """aiokafka as its documentation has it, with the same guarantees: idempotent, acks=all, commits after handling."""

    headers: Sequence[tuple[str, bytes]] = HEADERS

    async def start(self) -> None:
        """Starts a producer."""
        from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

        self._producer: Any = AIOKafkaProducer(bootstrap_servers=self.servers, enable_idempotence=True, acks="all")
        await self._producer.start()

    async def publish(self, topic: str, events: Sequence[Happened], batch: int) -> None:
        """Publishes."""
        send, headers = self._producer.send, list(self.headers)
        for start in range(0, len(events), batch):
            sent = [
                await send(topic, event.SerializeToString(), key=event.key.encode(), headers=headers)
                for event in events[start : start + batch]
            ]
            await asyncio.gather(*sent)

    async def consume(self, topic: str, handle: Handle, until: asyncio.Event) -> None:
        """Consumes."""
        from aiokafka import AIOKafkaConsumer

        consumer = AIOKafkaConsumer(
            topic,
            bootstrap_servers=self.servers,
            group_id=uuid.uuid4().hex,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        await consumer.start()
        committed = time.monotonic()
        try:
            while not until.is_set():
                for records in (await consumer.getmany(timeout_ms=500, max_records=1000)).values():
                    for record in records:
                        await handle(Happened.FromString(record.value or b""))
                if time.monotonic() - committed > COMMIT_EVERY:
                    committed = time.monotonic()
                    await consumer.commit()
        finally:
            await consumer.stop()

    async def close(self) -> None:
        """Stops it."""
        await self._producer.stop()


class AiokafkaBare(Aiokafka):
    """The same without headers."""

    headers = ()


class Confluent(Stack):
    """confluent-kafka: librdkafka, in a thread."""

    async def start(self) -> None:
        """Starts a producer."""
        from confluent_kafka import Producer

        self._producer: Any = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True, "acks": "all"})

    async def publish(self, topic: str, events: Sequence[Happened], batch: int) -> None:
        """Publishes."""
        await asyncio.to_thread(self._publish, topic, events, batch)

    def _publish(self, topic: str, events: Sequence[Happened], batch: int) -> None:
        producer = self._producer
        headers = list(HEADERS)
        for start in range(0, len(events), batch):
            for event in events[start : start + batch]:
                producer.produce(topic, event.SerializeToString(), event.key.encode(), headers=headers)
                producer.poll(0)
            producer.flush()

    async def consume(self, topic: str, handle: Handle, until: asyncio.Event) -> None:
        """Consumes."""
        await asyncio.to_thread(self._consume, topic, handle, until)

    def _consume(self, topic: str, handle: Handle, until: asyncio.Event) -> None:
        from confluent_kafka import Consumer

        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": uuid.uuid4().hex,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        consumer.subscribe([topic])
        committed = time.monotonic()
        try:
            while not until.is_set():
                for record in consumer.consume(1000, timeout=0.1):
                    try:
                        handle(Happened.FromString(record.value() or b"")).__await__().send(None)
                    except StopIteration:
                        continue
                if time.monotonic() - committed > COMMIT_EVERY:
                    committed = time.monotonic()
                    consumer.commit(asynchronous=True)
        finally:
            consumer.close()

    async def close(self) -> None:
        """Sends what is left; there is nothing else to stop."""
        self._producer.flush()


class FastStream(Stack):
    """FastStream on its Kafka broker."""

    async def start(self) -> None:
        """Starts a broker."""
        from faststream.kafka import KafkaBroker

        self._broker: Any = KafkaBroker(self.servers, enable_idempotence=True, acks="all", logger=None)
        await self._broker.connect()

    async def publish(self, topic: str, events: Sequence[Happened], batch: int) -> None:
        """Publishes."""
        headers = {name: value.decode() for name, value in HEADERS}
        publish = self._broker.publish
        for start in range(0, len(events), batch):
            await asyncio.gather(
                *(
                    publish(event.SerializeToString(), topic, key=event.key.encode(), headers=headers)
                    for event in events[start : start + batch]
                )
            )

    async def consume(self, topic: str, handle: Handle, until: asyncio.Event) -> None:
        """Consumes."""
        from faststream import AckPolicy
        from faststream.kafka import KafkaBroker

        broker = KafkaBroker(self.servers, logger=None)

        @broker.subscriber(
            topic, group_id=uuid.uuid4().hex, auto_offset_reset="earliest", ack_policy=AckPolicy.ACK_FIRST
        )
        async def happened(body: bytes) -> None:
            await handle(Happened.FromString(body))

        async with broker:
            await broker.start()
            await until.wait()

    async def close(self) -> None:
        """Stops it."""
        await self._broker.stop()


STACKS: Mapping[str, Callable[[str], Stack]] = {
    "micro": Micro,
    "local": Micro,
    "aiokafka": Aiokafka,
    "bare": AiokafkaBare,
    "confluent": Confluent,
    "faststream": FastStream,
}


def _info_on(topic: str) -> EventsInfo:
    """Returns what the .proto says, with another topic: each measurement has one of its own."""
    (event,) = EventsPublisher._info_.events  # pyright: ignore[reportPrivateUsage]
    return EventsInfo("events.proto", (replace(event, topic=topic),))


async def ask(stack: Stack, question: dict[str, Any]) -> dict[str, Any]:
    """Does what is asked, and says how long it took."""
    topic, count = question["topic"], question["count"]
    if question["do"] == "publish":
        events = messages(count)
        await stack.publish(topic, events[:1], 1)  # connects
        started, used = time.perf_counter(), time.process_time()
        await stack.publish(topic, events, question["batch"])
        return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - used}
    if question["do"] == "consume":
        return await _consume(stack, topic, count)
    return {"latencies": await _latencies(stack, topic, count)}


async def _consume(stack: Stack, topic: str, count: int) -> dict[str, Any]:
    """Measures from the first event that is handled to the last, so that joining a group is not counted."""
    loop = asyncio.get_running_loop()
    until = asyncio.Event()
    handled = 0
    first = last = (0.0, 0.0)

    async def handle(event: Happened) -> None:
        nonlocal handled, first, last
        handled += 1
        if handled == 1:
            first = (time.perf_counter(), time.process_time())
        elif handled == count:
            last = (time.perf_counter(), time.process_time())
            loop.call_soon_threadsafe(until.set)

    async with asyncio.timeout(120):
        await stack.consume(topic, handle, until)
    return {"seconds": last[0] - first[0], "cpu": last[1] - first[1]}


async def _latencies(stack: Stack, topic: str, count: int) -> list[float]:
    """Publishes one event after the other, each when the one before was handled; returns seconds from call to handler."""
    loop = asyncio.get_running_loop()
    until = asyncio.Event()
    arrived: asyncio.Queue[float] = asyncio.Queue()

    async def handle(event: Happened) -> None:
        loop.call_soon_threadsafe(arrived.put_nowait, time.perf_counter())

    consuming = asyncio.create_task(stack.consume(topic, handle, until))
    latencies: list[float] = []
    try:
        async with asyncio.timeout(120):
            for event in messages(count + 10):
                started = time.perf_counter()
                await stack.publish(topic, [event], 1)
                latencies.append(await arrived.get() - started)
    finally:
        until.set()
        await consuming
    return latencies[10:]


async def main() -> None:
    """Answers what is asked of one stack."""
    stack = STACKS[sys.argv[1]](sys.argv[2])
    await stack.start()
    try:
        await answer(lambda question: ask(stack, question))
    finally:
        await stack.close()


if __name__ == "__main__":
    run(main())
