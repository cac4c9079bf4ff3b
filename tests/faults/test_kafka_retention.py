"""Retention on Kafka counts from acceptance: whatever an event says of its time, and whatever time a foreign record has."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import confluent_kafka
import pytest

import micro_rt as micro
from micro_rt.events.dead_letter import dead_letter_topic
from micro_rt.events.replay import replay
from tests.helpers.kafka_lab import make_topic, name
from tests.helpers.shop import Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPlaced, Ping
from tests.servers.kafka import Kafka
from tests.servers.server import Server

DAY = 86400.0


@pytest.fixture(scope="module")
def tidy_kafka(make_kafkas: Callable[..., Kafka]) -> Kafka:
    """A server that looks for records to delete ten times a second, not every five minutes."""
    server = make_kafkas(properties={"log.retention.check.interval.ms": "100", "log.initial.task.delay.ms": "0"})
    server.start_now()
    return server


async def produce(server: Server, topic: str, *values: bytes, at: float) -> None:
    """Writes records as a foreign program does: without headers, with a timestamp of its own."""
    producer = confluent_kafka.Producer({"bootstrap.servers": server.address})
    for value in values:
        producer.produce(topic, value, b"k", timestamp=int(at * 1000))
    assert await asyncio.to_thread(producer.flush, 30) == 0


async def until_tidied(server: Server) -> None:
    """Waits until the server has deleted what is too old in each topic."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": server.address, "group.id": name("g")})
    with contextlib.closing(consumer):
        # The second one is deleted by a look that began after the first one was: the look between them is complete.
        for _ in range(2):
            topic = await make_topic(server, {})
            await produce(server, topic, b"old", at=time.time() - 8 * DAY)
            await eventually(partial(_is_empty, consumer, topic))


def _is_empty(consumer: confluent_kafka.Consumer, topic: str) -> bool:
    first, _ = consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), timeout=10)
    return first == 1


async def test_an_event_of_last_week_is_kept_and_so_is_its_dead_letter(tidy_kafka: Kafka) -> None:
    shop, failed, handled = Shop(), Log(), Log()
    broken = True

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await (failed if broken else handled)(event, context)
        if broken:
            raise RuntimeError("broken")

    topic, when = shop.topic("orders"), datetime.now(UTC) - timedelta(days=8)
    async with micro.Service("publisher", registry=f"memory:{shop.mark}", broker=tidy_kafka.url) as publisher:
        for number in range(5):
            await Publishes(shop, publisher).placed(str(number), time=when)
    await until_tidied(tidy_kafka)
    async with subscribed(tidy_kafka.url, shop.subscriber(order_placed=handle), group="g", attempts=1) as (service, _):
        await read_all(service, dead_letter_topic(topic, "g"), expected=5)
        await until_tidied(tidy_kafka)
        broken = False
        assert len([letter async for letter in replay(await service.broker(), topic, "g")]) == 5
        await eventually(lambda: len(handled) == 5)
    assert len(failed) == 5
    assert all(abs(context.time - when) < timedelta(seconds=1) for context in handled.contexts)


@pytest.mark.parametrize("days", [-30, 30])
async def test_a_foreign_event_of_another_time_that_fails_is_kept_and_blocks_nothing(
    tidy_kafka: Kafka, days: int
) -> None:
    shop, log = Shop(), Log()

    async def handle(event: Ping, context: micro.EventContext) -> None:
        if event.text == "bad" and context.attempt == 1 and context.record.headers == ():
            raise RuntimeError("broken")
        await log(event, context)

    topic, when = shop.topic("pings"), int(time.time() + days * DAY)
    # Only this topic takes such records: Kafka's own limits hold for the topic of dead letters.
    takes_all = {"retention.ms": "-1", "message.timestamp.after.max.ms": str(2**60)}
    await make_topic(tidy_kafka, takes_all, named=topic)
    await produce(tidy_kafka, topic, *(Ping(text=text).SerializeToString() for text in ("bad", "good")), at=when)
    async with subscribed(tidy_kafka.url, shop.subscriber(ping=handle), group="g", attempts=1) as (service, _):
        await eventually(lambda: [event.text for event in log.events] == ["good"])
        await read_all(service, dead_letter_topic(topic, "g"))
        await until_tidied(tidy_kafka)
        assert [letter.published async for letter in replay(await service.broker(), topic, "g")] == [when]
        await eventually(lambda: len(log) == 2)
    assert [context.time.timestamp() for context in log.contexts] == [when, when]
    assert abs(log.contexts[1].record.timestamp - time.time()) < 600
