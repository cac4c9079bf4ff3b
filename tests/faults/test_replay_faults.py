"""Replaying dead letters when the broker is slow, refuses some, or has deleted some: none is lost, and none replayed twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiokafka.admin
import confluent_kafka
import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

import micro_rt as micro
from micro_rt.backends.kafka.broker import KafkaBroker
from micro_rt.broker.base import Broker, OutgoingRecord, Position, Record, TopicOptions
from micro_rt.events.dead_letter import DeadLetter, dead_letter, dead_letter_topic
from micro_rt.events.replay import replay
from micro_rt.testing.contracts.broker.members import Reader
from tests.helpers.kafka_lab import broker, make_topic, name, proxied
from tests.servers.kafka import Kafka
from tests.servers.server import Server


@pytest.fixture
async def one(kafka: Server) -> AsyncIterator[KafkaBroker]:
    async with broker(kafka.url) as made:
        yield made


async def fill(one: Broker, topic: str, *values: bytes, group: str = "g") -> str:
    """Makes dead letters of one key, as a group makes them; returns their topic."""
    letters = dead_letter_topic(topic, group)
    await one.prepare({topic: TopicOptions(partitions=1), letters: TopicOptions(partitions=1)})
    records = [Record(topic, 0, number, 1.5, b"k", value, ()) for number, value in enumerate(values)]
    results = await one.publish([dead_letter(record, group, "broken", None, 5) for record in records])
    assert all(isinstance(result, Position) for result in results)
    return letters


async def values(one: KafkaBroker, topic: str, count: int) -> list[bytes]:
    reader = Reader(one, [topic], name("g"), "earliest", True, 100, None, 60.0)
    await reader.until(count)
    await reader.stop()
    return [record.value for record in reader.records]


async def test_from_far_away_it_finds_and_replays_all(make_kafka: Callable[..., Kafka]) -> None:
    server = make_kafka()
    async with proxied(server) as proxy:
        await server.start()
        async with broker(server.url) as near, broker(f"kafka://{proxy.address}") as far:
            shown, replayed = name("shown"), name("replayed")
            for topic in (shown, replayed):
                await fill(near, topic, *(b"%d" % number for number in range(5)))

            async def offsets(one: Broker, topic: str, *, dry_run: bool) -> list[int]:
                return [letter.offset async for letter in replay(one, topic, "g", dry_run=dry_run)]

            await proxy.delay(0.1)
            found = await asyncio.gather(offsets(far, shown, dry_run=True), offsets(far, replayed, dry_run=False))
            assert found == [[0, 1, 2, 3, 4]] * 2
            await proxy.restore()
            assert await offsets(near, shown, dry_run=True) == [0, 1, 2, 3, 4]
            assert await offsets(near, replayed, dry_run=True) == []
            assert await values(near, replayed, 5) == [b"0", b"1", b"2", b"3", b"4"]


async def test_one_that_is_refused_is_named_and_keeps_no_other_back(kafka: Server, one: KafkaBroker) -> None:
    topic = name("t")
    await make_topic(kafka, {"max.message.bytes": "2000"}, named=topic)
    await fill(one, topic, *(b"%d" % number * (3000 if number in (3, 7) else 1) for number in range(10)))

    async def replayed() -> tuple[list[int], str]:
        found: list[int] = []
        try:
            async for letter in replay(one, topic, "g"):
                found.append(letter.offset)
        except micro.InvalidArgument as error:
            assert not error.may_have_run
            return found, error.message
        return found, ""

    found, problem = await replayed()
    assert found == [0, 1, 2, 4, 5, 6, 8, 9]
    assert problem.startswith(f"{topic}/0@3 and 1 more cannot be replayed: ")
    assert "max.message.bytes" in problem
    for _ in range(2):  # They stay dead letters, and nothing is replayed twice.
        found, problem = await replayed()
        assert found == []
        assert problem.startswith(f"{topic}/0@3 and 1 more cannot be replayed: ")
    admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=kafka.address)
    await admin.start()
    larger = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"max.message.bytes": "200000"})
    await admin.alter_configs([larger])
    await admin.close()
    assert await replayed() == ([3, 7], "")
    assert await replayed() == ([], "")
    numbers = [int(value[:1]) for value in await values(one, topic, 10)]
    assert numbers == [0, 1, 2, 4, 5, 6, 8, 9, 3, 7]


@pytest.mark.parametrize("dry_run", [True, False])
async def test_records_that_were_taken_back_are_not_waited_for(
    kafka: Server, one: KafkaBroker, monkeypatch: pytest.MonkeyPatch, dry_run: bool
) -> None:
    monkeypatch.setattr("micro_rt.events.replay.PATIENCE", 1.0)
    topic = name("t")
    letters = await fill(one, topic, b"0", b"1")
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.address, "transactional.id": name("tx")})

    def take_back() -> None:
        producer.begin_transaction()
        for _ in range(10):
            producer.produce(letters, b"aborted", b"k")
        producer.flush(30)
        producer.abort_transaction(30)

    await asyncio.to_thread(producer.init_transactions, 30)
    await asyncio.to_thread(take_back)
    await fill(one, topic, b"2")
    await asyncio.to_thread(take_back)
    found: list[DeadLetter] = [letter async for letter in replay(one, topic, "g", dry_run=dry_run)]
    assert [letter.record.value for letter in found] == [b"0", b"1", b"2"]


async def test_many_are_replayed_in_order_and_a_limit_is_kept(one: KafkaBroker) -> None:
    topic = name("t")
    numbers = [b"%d" % number for number in range(1200)]
    await fill(one, topic, *numbers)
    assert len([letter async for letter in replay(one, topic, "g", limit=700)]) == 700
    assert len([letter async for letter in replay(one, topic, "g")]) == 500
    assert await values(one, topic, 1200) == numbers


async def test_records_of_others_are_passed_over(one: KafkaBroker) -> None:
    topic = name("t")
    letters = await fill(one, topic, b"0", group="a b")
    await one.publish([OutgoingRecord(letters, b"no dead letter", b"k")])
    await fill(one, topic, b"1", group="a_b")
    await fill(one, topic, b"2", group="a b")
    assert [letter.record.value async for letter in replay(one, topic, "a b")] == [b"0", b"2"]
