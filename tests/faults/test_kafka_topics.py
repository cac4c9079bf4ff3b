"""Topics of Kafka that change under those who use them: they grow, lose records that nobody has read, and are removed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection

import aiokafka
import aiokafka.admin
import aiokafka.errors
import pytest

import micro_rt as micro
from micro_rt.backends.kafka import client, consumer_check, publisher
from micro_rt.backends.kafka.consumer import GroupConsumer
from micro_rt.backends.kafka.subscription import KafkaSubscription
from micro_rt.broker.base import Broker, OutgoingRecord, Partition, Position, Start, Subscription, TopicOptions
from micro_rt.errors import Error, NotFound
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.kafka_lab import broker, grow, make_topic, name
from tests.helpers.shop import Log, Publishes, Shop, subscribed
from tests.helpers.waiting import eventually, soon
from tests.servers.kafka import Kafka
from tests.servers.server import Server


@pytest.mark.parametrize("start", ["latest", 1000])
async def test_events_of_partitions_that_are_added_are_all_handled(
    kafka: Server, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They are 60 s and 30 s: so long does it take until a client sees new partitions.
    monkeypatch.setattr(client, "METADATA_AGE", 1.0)
    monkeypatch.setattr(publisher, "TOPIC_AGE", 1.0)
    shop, log = Shop(), Log()
    async with (
        micro.Service("publisher", registry="memory:", broker=kafka.url) as service,
        subscribed(kafka.url, shop.subscriber(order_placed=log), group="g", start=start) as (_, subscription),
    ):
        publish = Publishes(shop, service)
        await eventually(lambda: len(subscription.status()), equals=4)
        await grow(kafka.url, shop.topic("orders"), 12)
        used: set[int] = set()
        published: set[str] = set()
        while len(used) < 12:
            for number in range(40):
                found = await publish.placed(f"order-{number}")
                used.add(found.partition)
                published.add(found.id)
        handled = {context.id for context in log.contexts}
        await eventually(lambda: published - {context.id for context in log.contexts}, equals=set())
        assert handled <= published


async def delete_records(server: Server, topic: str, before: int) -> None:
    """Deletes what is before an offset, as retention does."""
    admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=server.address)
    await admin.start()
    try:
        await admin.delete_records({aiokafka.TopicPartition(topic, 0): aiokafka.admin.RecordsToDelete(before)})
    finally:
        await admin.close()


async def read(member: Subscription, count: int) -> list[int]:
    found: list[int] = []

    async def enough() -> bool:
        for records in (await member.fetch(100, 0.2)).values():
            found.extend(record.offset for record in records)
        return len(found) >= count

    await eventually(enough)
    return found


@pytest.mark.parametrize("start", ["earliest", "latest"])
async def test_records_that_ran_out_before_they_were_read_are_counted_in_the_log(
    kafka: Server, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    async with broker(kafka.url) as one:
        topic, group = name("t"), name("g")
        partition = Partition(topic, 0)
        await one.prepare({topic: TopicOptions(partitions=1)})
        recorder = Recorder()
        member = one.subscribe([topic], group, start, recorder)
        await eventually(lambda: fetched(member, recorder))
        await one.publish([OutgoingRecord(topic, b"") for _ in range(5)])
        assert await read(member, 5) == [0, 1, 2, 3, 4]
        await member.commit({partition: 5})
        # While it is there, and does not read.
        member.pause([partition])
        await one.publish([OutgoingRecord(topic, b"") for _ in range(10)])
        await delete_records(kafka, topic, 12)
        member.resume([partition])
        offsets = await read(member, 3)
        assert offsets[-3:] == [12, 13, 14]
        if offsets == [12, 13, 14]:  # or else they were on their way already
            assert f"7 records of {topic}[0] from offset 5 on ran out before they were read" in caplog.text
        await member.commit({partition: 15})
        await member.close()
        # While no member is there.
        await one.publish([OutgoingRecord(topic, b"") for _ in range(10)])
        await delete_records(kafka, topic, 24)
        member = one.subscribe([topic], group, start, Recorder())
        assert await read(member, 1) == [24]
        await member.close()
        assert f"9 records of {topic}[0] from offset 15 on ran out before they were read" in caplog.text


async def fetched(member: Subscription, recorder: Recorder) -> bool:
    await member.fetch(1, 0.1)
    return bool(recorder.partitions)


async def delete(server: Server, *topics: str) -> None:
    admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=server.address)
    await admin.start()
    try:
        await admin.delete_topics(list(topics))
    finally:
        await admin.close()


@pytest.fixture(scope="module")
def strict_kafka(make_kafkas: Callable[..., Kafka]) -> Kafka:
    """A Kafka that makes no topic only because a client asks for it, as those of aiokafka do."""
    server = make_kafkas(properties={"auto.create.topics.enable": "false"})
    server.start_now()
    return server


async def test_a_topic_that_is_removed_is_missed_and_made_again(
    strict_kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "METADATA_AGE", 3600.0)  # It is seen without that.
    shop, orders, pings = Shop(), Log(), Log()
    topic = shop.topic("orders")
    async with (
        micro.Service("publisher", registry="memory:", broker=strict_kafka.url) as service,
        subscribed(strict_kafka.url, shop.subscriber(order_placed=orders, ping=pings), group="g") as (handler, _),
    ):
        publish = Publishes(shop, service)
        for number in range(10):
            await publish.placed(f"before-{number}")
        await eventually(lambda: len(orders), equals=10)
        await delete(strict_kafka, topic)
        busy = asyncio.create_task(keep_busy(publish))  # What is read of another topic must not hide it.
        try:
            await eventually(lambda: topic in str(handler.health.problems))
            for number in range(10):
                await publish.placed(f"after-{number}")
            expected = {f"after-{number}" for number in range(10)}
            await eventually(lambda: expected - set(orders.orders), equals=set())
            await eventually(lambda: handler.health.problems, equals={})
        finally:
            busy.cancel()
        assert len(pings) > 10


async def keep_busy(publish: Publishes) -> None:
    while True:
        await publish.ping("busy")
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("count", [3, 10])
async def test_a_topic_that_somebody_makes_again_at_once_is_read_from_its_beginning(
    strict_kafka: Kafka, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer_check, "CHECK_EVERY", 3600.0)  # No look at the topics falls between the two.
    async with broker(strict_kafka.url) as one:
        topic, group = name("t"), name("g")
        await one.prepare({topic: TopicOptions(partitions=1)})
        recorder = Recorder()
        member = one.subscribe([topic], group, "earliest", recorder)
        await one.publish([OutgoingRecord(topic, b"before") for _ in range(10)])
        assert await read(member, 10) == list(range(10))
        await member.commit({Partition(topic, 0): 10})
        await delete(strict_kafka, topic)

        async def made_again() -> bool:
            try:
                await make_topic(strict_kafka, {}, named=topic)
            except aiokafka.errors.TopicAlreadyExistsError:
                return False
            return True

        await eventually(made_again)
        results = await one.publish([OutgoingRecord(topic, b"after") for _ in range(count)])
        assert [result.offset for result in results if isinstance(result, Position)] == list(range(count))

        found: list[int] = []

        async def from_the_beginning() -> bool:
            await member.lag()  # As a subscription does from time to time.
            for records in (await member.fetch(100, 0.2)).values():
                found.extend(record.offset for record in records)
            return found[-count:] == list(range(count))

        await eventually(from_the_beginning, lambda: f"{found} were read, and {recorder.history}")
        await member.commit({Partition(topic, 0): count})
        assert await member.lag() == {Partition(topic, 0): 0}
        await member.close()


async def test_a_commit_while_the_lag_is_asked_for_does_not_begin_the_partition_anew(
    kafka: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with broker(kafka.url) as one:
        topic = name("t")
        partition = Partition(topic, 0)
        await one.prepare({topic: TopicOptions(partitions=1)})
        member = one.subscribe([topic], name("g"), "earliest", Recorder())
        await one.publish([OutgoingRecord(topic, b"") for _ in range(5)])
        assert await read(member, 5) == [0, 1, 2, 3, 4]
        ask = GroupConsumer.snapshot

        async def slowly(consumer: GroupConsumer, partitions: Collection[Partition]) -> dict[Partition, int]:
            found = await ask(consumer, partitions)
            await member.commit({partition: 5})
            return found

        monkeypatch.setattr(GroupConsumer, "snapshot", slowly)
        await member.lag()
        await one.publish([OutgoingRecord(topic, b"")])
        assert await read(member, 1) == [5]
        await member.close()


async def test_a_topic_that_is_made_again_after_it_was_missed_is_read_from_its_beginning(strict_kafka: Kafka) -> None:
    async with broker(strict_kafka.url) as one:
        topic = name("t")
        await one.prepare({topic: TopicOptions(partitions=1)})
        member = one.subscribe([topic], name("g"), "earliest", Recorder())
        assert isinstance(member, KafkaSubscription)
        await one.publish([OutgoingRecord(topic, b"before") for _ in range(10)])
        assert await read(member, 10) == list(range(10))
        await member.commit({Partition(topic, 0): 10})
        await delete(strict_kafka, topic)
        found: list[int] = []

        async def fetch() -> list[int]:
            with contextlib.suppress(NotFound):
                for records in (await member.fetch(100, 0.2)).values():
                    found.extend(record.offset for record in records)
            return found

        async def missed() -> bool:
            await fetch()
            return topic in member.problem

        await eventually(missed)
        await make_topic(strict_kafka, {}, named=topic)
        await eventually(lambda: accepted(one, topic))
        await one.publish([OutgoingRecord(topic, b"after") for _ in range(9)])
        # Its end is where the position is: only that the topic was gone says that there is something to read.
        await eventually(fetch, equals=list(range(10)))
        await member.close()


async def test_a_publisher_that_may_not_make_topics_says_that_one_is_gone(strict_kafka: Kafka) -> None:
    async with broker(f"{strict_kafka.url}/?create=false&timeout=600") as one:
        topic = await make_topic(strict_kafka, {})
        await eventually(lambda: accepted(one, topic))
        await delete(strict_kafka, topic)
        result: Position | Error = Position(topic, 0, 0)
        while isinstance(result, Position):  # A broker may accept some more.
            (result,) = await soon(one.publish([OutgoingRecord(topic, b"")]))
        assert isinstance(result, NotFound)
        assert not result.may_have_run


async def accepted(one: Broker, topic: str) -> bool:
    return isinstance((await one.publish([OutgoingRecord(topic, b"")]))[0], Position)


async def test_the_lag_is_0_behind_what_a_transaction_took_back(kafka: Server) -> None:
    async with broker(kafka.url) as one:
        topic, group = name("t"), name("g")
        partition = Partition(topic, 0)
        await one.prepare({topic: TopicOptions(partitions=1)})
        recorder = Recorder()
        member = one.subscribe([topic], group, "earliest", recorder)
        await one.publish([OutgoingRecord(topic, b"") for _ in range(5)])
        assert await read(member, 5) == [0, 1, 2, 3, 4]
        await member.commit({partition: 4})
        await take_back(kafka, topic, 18, times=3)

        async def lag() -> int:
            assert not await member.fetch(10, 0.1)
            return (await member.lag())[partition]

        assert await lag() > 50  # One record is not committed, and what comes behind it is not known.
        await member.commit({partition: 5})
        await eventually(lag, equals=0)
        await one.publish([OutgoingRecord(topic, b"")])
        assert (await member.lag())[partition] == 1
        (offset,) = await read(member, 1)
        assert offset > 54
        await member.commit({partition: offset + 1})
        await take_back(kafka, topic, 1)
        await eventually(lag, equals=0)
        await member.commit({partition: offset + 1})
        await member.close()
        # Whoever reads on has nothing to pass over.
        recorder = Recorder()
        member = one.subscribe([topic], group, "earliest", recorder)
        await eventually(lambda: fetched(member, recorder))
        assert await member.lag() == {partition: 0}
        await member.close()


async def take_back(server: Server, topic: str, count: int, times: int = 1) -> None:
    """Publishes records in transactions that are aborted."""
    producer = aiokafka.AIOKafkaProducer(bootstrap_servers=server.address, transactional_id=name("tx"))
    await producer.start()
    try:
        for _ in range(times):
            await producer.begin_transaction()
            for _ in range(count):
                await producer.send_and_wait(topic, b"taken back")
            await producer.abort_transaction()
    finally:
        await producer.stop()
