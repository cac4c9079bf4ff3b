"""Others who publish and consume on Kafka: FastStream, aiokafka and confluent-kafka, each as its own documentation has it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple, Protocol

import aiokafka
import confluent_kafka
from faststream.kafka import KafkaBroker, KafkaMessage

import micro_rt as micro
from tests.helpers.shop import subscribed
from tests.helpers.waiting import PATIENCE, eventually

__all__ = ["PEERS", "AioKafka", "Confluent", "FastStream", "Peer", "Sent", "both_share"]


class Sent(NamedTuple):
    """A record, as the peers see it."""

    value: bytes
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()

    def header(self, name: str) -> bytes:
        """The only header of a name."""
        (value,) = [value for each, value in self.headers if each == name]
        return value


class Peer(Protocol):
    """One of the others."""

    def __init__(self, address: str) -> None: ...

    async def publish(self, topic: str, records: Iterable[Sent]) -> None:
        """Publishes one after the other, and returns when all are accepted."""
        ...

    async def consume(self, topic: str, count: int) -> Sequence[Sent]:
        """Reads from the beginning, by a group of its own, until there are so many."""
        ...


class AioKafka:
    """aiokafka."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def publish(self, topic: str, records: Iterable[Sent]) -> None:
        async with aiokafka.AIOKafkaProducer(bootstrap_servers=self._address) as producer:
            for value, key, headers in records:
                await producer.send_and_wait(topic, value, key, headers=list(headers))

    async def consume(self, topic: str, count: int) -> Sequence[Sent]:
        async with (
            asyncio.timeout(PATIENCE),
            aiokafka.AIOKafkaConsumer(
                topic, bootstrap_servers=self._address, group_id=_group(), auto_offset_reset="earliest"
            ) as consumer,
        ):
            found = [await consumer.getone() for _ in range(count)]
        return [Sent(each.value or b"", each.key, tuple(each.headers)) for each in found]


class Confluent:
    """confluent-kafka."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def publish(self, topic: str, records: Iterable[Sent]) -> None:
        # Its own default puts keys elsewhere than everybody else does.
        producer = confluent_kafka.Producer({"bootstrap.servers": self._address, "partitioner": "murmur2_random"})
        failed: list[object] = []

        def delivered(error: object, _: object) -> None:
            if error is not None:
                failed.append(error)

        for value, key, headers in records:
            producer.produce(topic, value, key, headers=list(headers), on_delivery=delivered)
        assert await asyncio.to_thread(producer.flush, PATIENCE) == 0
        assert not failed

    async def consume(self, topic: str, count: int) -> Sequence[Sent]:
        return await asyncio.to_thread(self._consume, topic, count)

    def _consume(self, topic: str, count: int) -> Sequence[Sent]:
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": self._address, "group.id": _group(), "auto.offset.reset": "earliest"}
        )
        consumer.subscribe([topic])
        found: list[Sent] = []
        try:
            while len(found) < count:
                message = consumer.poll(PATIENCE)
                assert message is not None, f"only {len(found)} of {count}"
                assert message.error() is None
                found.append(Sent(message.value() or b"", message.key(), tuple(message.headers() or ())))
        finally:
            consumer.close()
        return found


class FastStream:
    """FastStream, whose headers are text."""

    def __init__(self, address: str) -> None:
        self._address = address

    async def publish(self, topic: str, records: Iterable[Sent]) -> None:
        async with KafkaBroker(self._address) as broker:
            for value, key, headers in records:
                await broker.publish(value, topic, key=key, headers={name: header.decode() for name, header in headers})

    async def consume(self, topic: str, count: int) -> Sequence[Sent]:
        found: list[Sent] = []
        broker = KafkaBroker(self._address)

        @broker.subscriber(topic, group_id=_group(), auto_offset_reset="earliest")
        async def handle(message: KafkaMessage) -> None:
            body = await message.decode()
            assert isinstance(body, bytes)
            headers = tuple((name, str(value).encode()) for name, value in message.headers.items())
            raw = message.raw_message
            assert not isinstance(raw, tuple)
            found.append(Sent(body, raw.key, headers))

        async with broker:
            await broker.start()
            await eventually(lambda: len(found) >= count, f"only {len(found)} of {count}")
        return found


PEERS: list[type[Peer]] = [FastStream, AioKafka, Confluent]


@asynccontextmanager
async def both_share(
    address: str, group: str, make: Callable[[], micro.Subscriber]
) -> AsyncIterator[list[micro.EventSubscription]]:
    """Two members of ours in one group, each of which has partitions."""
    async with AsyncExitStack() as stack:
        members = [(await stack.enter_async_context(subscribed(address, make(), group=group)))[1] for _ in range(2)]
        await eventually(lambda: all(member.status() for member in members), "both have partitions")
        yield members


def _group() -> str:
    return f"peer-{uuid.uuid4().hex[:8]}"
