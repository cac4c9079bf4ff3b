"""What lanes to Kafka do that a real Kafka lets happen too seldom to be tested there: beside those tests, not instead."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any, cast

import pytest

from micro_rt.backends.kafka import publisher as kafka_publisher
from micro_rt.backends.kafka.address import parse_kafka_address
from micro_rt.backends.kafka.producer import Gate
from micro_rt.backends.kafka.publisher import Publisher
from micro_rt.broker.base import OutgoingRecord, Position, partition_of
from micro_rt.errors import Unavailable
from tests.helpers.waiting import soon


class Builder:
    def append(self, **_: Any) -> bool:
        return True


class Fake:
    """A producer that accepts a batch when it is let."""

    refused = False

    def __init__(self) -> None:
        self.sent = asyncio.Semaphore(0)
        self.accepts = asyncio.Semaphore(0)

    def batch(self) -> Builder:
        return Builder()

    async def gate(self, topic: str, partition: int) -> Gate:
        gate = Gate()
        await gate.enter()
        return gate

    async def send(self, batch: Builder, topic: str, partition: int) -> int:
        self.sent.release()
        await self.accepts.acquire()
        return 0

    async def stop(self) -> None: ...


class Cluster:
    def __init__(self, parameters: str) -> None:
        self.address = parse_kafka_address(f"kafka://nowhere:9092/?{parameters}")
        self.count = 2

    async def partitions(self, topics: Collection[str]) -> dict[str, int]:
        return dict.fromkeys(topics, self.count)

    partitions_of_new = partitions


def publisher_to(cluster: Cluster, fake: Fake) -> Publisher:
    made = Publisher(cast("Any", cluster))
    made._producer = cast("Any", fake)
    return made


async def test_closing_leaves_no_publish_waiting_whose_batch_is_on_its_way() -> None:
    fake = Fake()
    publisher = publisher_to(Cluster("timeout=0.2"), fake)
    publishing = asyncio.create_task(
        publisher.publish([OutgoingRecord("t", b"", b"k"), OutgoingRecord("t", b"", b"k")])
    )
    await soon(fake.sent.acquire())
    await publisher.close()
    results = await asyncio.wait_for(publishing, 20)
    assert [isinstance(each, Unavailable) and each.may_have_run for each in results] == [True, True]
    assert publisher._bytes == 0


async def test_a_topic_that_grows_is_seen_by_a_call_that_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_publisher, "TOPIC_AGE", 0.0)
    fake, cluster = Fake(), Cluster("max_message=1000&buffer=1500")
    publisher = publisher_to(cluster, fake)
    key = next(b"%d" % each for each in range(99) if partition_of(b"%d" % each, 2) != partition_of(b"%d" % each, 7))
    messages = [OutgoingRecord("t", bytes(900), key)] * 3
    publishing = asyncio.create_task(publisher.publish(messages))
    await soon(fake.sent.acquire())  # The first; the others have no room.
    cluster.count = 7
    for _ in range(3):
        fake.accepts.release()
    results = await asyncio.wait_for(publishing, 20)
    partitions = [each.partition for each in results if isinstance(each, Position)]
    assert partitions == [partition_of(key, 2), partition_of(key, 2), partition_of(key, 7)]
    await publisher.close()
