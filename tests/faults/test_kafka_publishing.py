"""What publishers are told when Kafka is away, refuses, or is slow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import aiokafka.admin
import pytest

from micro_rt.backends.kafka.broker import KafkaBroker
from micro_rt.broker.base import OutgoingRecord, Position, TopicOptions
from micro_rt.errors import Error, FailedPrecondition, InvalidArgument, NotFound, Unavailable
from micro_rt.testing.contracts.broker.members import Reader
from tests.helpers.kafka_lab import broker, make_topic, name, proxied
from tests.helpers.waiting import soon
from tests.servers.kafka import Kafka
from tests.servers.server import Server


async def values(one: KafkaBroker, topic: str, count: int) -> list[bytes]:
    """Reads all of a topic that has as many records, and makes sure that it has no more."""
    reader = Reader(one, [topic], name("g"), "earliest", True, 100, None, 60.0)
    await reader.until(count)
    await asyncio.sleep(0.5)
    await reader.stop()
    return [record.value for record in reader.records]


def codes(results: list[Position | Error]) -> list[str]:
    return [result.code.name if isinstance(result, Error) else "OK" for result in results]


async def test_a_message_that_the_topic_does_not_take_harms_no_other(kafka: Server) -> None:
    topic = await make_topic(kafka, {"max.message.bytes": "2000"})
    async with broker(kafka.url) as one:
        # Together they are a batch that is too large; each but two of them is small enough.
        messages = [
            OutgoingRecord(topic, b"%d" % each * (3000 if each in (17, 60) else 1), b"k") for each in range(100)
        ]
        results = await one.publish(messages)
        refused = {number: result for number, result in enumerate(results) if isinstance(result, Error)}
        assert refused.keys() == {17, 60}
        for error in refused.values():
            assert isinstance(error, InvalidArgument)
            assert not error.may_have_run
            assert "max.message.bytes" in error.message
        # An idempotent producer has a gap in its numbers after that, and goes on all the same.
        assert codes(await one.publish([OutgoingRecord(topic, b"after", b"k")])) == ["OK"]
        kept = [b"%d" % each for each in range(100) if each not in (17, 60)]
        assert await values(one, topic, 99) == [*kept, b"after"]


@pytest.mark.parametrize("detailed", [True, False])
async def test_a_record_that_the_topic_does_not_take_harms_no_other(
    kafka: Server, monkeypatch: pytest.MonkeyPatch, detailed: bool
) -> None:
    if not detailed:  # As an older Kafka, which does not say which records it means.
        monkeypatch.setattr("micro_rt.backends.kafka.producer.DETAILED", 99)
    topic = await make_topic(kafka, {"cleanup.policy": "compact"})
    async with broker(kafka.url) as one:
        bad = (3, 40, 41, 97)
        records = [OutgoingRecord(topic, b"%d" % each, None if each in bad else b"k") for each in range(100)]
        # Published together or each alone, they are one batch.
        outcomes = await asyncio.gather(one.publish(records[:50]), *(one.publish([each]) for each in records[50:]))
        results = [result for outcome in outcomes for result in outcome]
        refused = {number: result for number, result in enumerate(results) if isinstance(result, Error)}
        assert tuple(refused) == bad
        for error in refused.values():
            assert isinstance(error, InvalidArgument)
            assert not error.may_have_run
            assert "cleanup.policy=compact" in error.message
            assert ("Compacted topic cannot accept message without key" in error.message) == detailed
        assert one.problem == ""
        kept = [b"%d" % each for each in range(100) if each not in bad]
        assert await values(one, topic, 96) == kept


async def test_all_of_many_records_may_be_refused(kafka: Server) -> None:
    topic = await make_topic(kafka, {"cleanup.policy": "compact"})
    async with broker(kafka.url) as one:
        results = await soon(one.publish([OutgoingRecord(topic, b"") for _ in range(2000)]))
        assert {type(result) for result in results} == {InvalidArgument}


@pytest.mark.parametrize("seconds", [-2 * 86400, 2 * 86400])
async def test_a_publisher_whose_clock_is_wrong_is_told_so(
    kafka: Server, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    topic = await make_topic(kafka, {"message.timestamp.before.max.ms": "86400000"})
    async with broker(kafka.url) as one:
        monkeypatch.setattr("micro_rt.backends.kafka.lane.wall_time", lambda: time.time() + seconds)
        results = await one.publish([OutgoingRecord(topic, b"%d" % each, b"k") for each in range(10)])
        for error in results:
            assert isinstance(error, FailedPrecondition)
            assert not error.may_have_run
            assert "clock of this machine" in error.message
        assert "clock of this machine" in one.problem
        monkeypatch.undo()
        assert codes(await one.publish([OutgoingRecord(topic, b"after", b"k")])) == ["OK"]
        assert one.problem == ""
        assert await values(one, topic, 1) == [b"after"]


async def test_a_message_larger_than_the_address_says_is_not_sent(kafka: Server) -> None:
    async with broker(f"{kafka.url}/?max_message=1000") as one:
        topic = await make_topic(kafka, {})
        large, small = await one.publish([OutgoingRecord(topic, b"x" * 1001), OutgoingRecord(topic, b"x" * 900)])
        assert isinstance(large, InvalidArgument)
        assert "max_message=1000" in large.message
        assert isinstance(small, Position)


async def test_a_topic_that_brokers_do_not_know_yet_is_published_to(kafka: Server) -> None:
    topic, other, missing = name("t"), name("t"), name("missing")
    async with broker(kafka.url) as one, broker(f"{kafka.url}/?create=false") as strict:
        publishing = asyncio.create_task(one.publish([OutgoingRecord(topic, b"x")]))
        preparing = asyncio.create_task(strict.prepare({other: TopicOptions()}))
        await asyncio.sleep(0.3)
        assert not publishing.done()
        for each in (topic, other):
            await make_topic(kafka, {}, named=each)
        (result,) = await publishing
        assert isinstance(result, Position)
        await preparing
        for _ in range(2):
            (result,) = await one.publish([OutgoingRecord(missing, b"x")])
            assert isinstance(result, NotFound)
            assert not result.may_have_run


async def test_a_batch_may_be_as_large_as_the_largest_message(kafka: Server) -> None:
    async with broker(kafka.url) as one:
        topic = await make_topic(kafka, {"max.message.bytes": "10000000"})
        async with broker(f"{kafka.url}/?max_message=8000000") as large:
            assert codes(await large.publish([OutgoingRecord(topic, b"x" * 7_900_000)])) == ["OK"]
        assert [len(value) for value in await values(one, topic, 1)] == [7_900_000]


async def test_a_publisher_is_told_what_is_perhaps_there(own_kafka: Kafka) -> None:
    server = own_kafka
    async with broker(f"{server.url}/?timeout=2") as one:
        topic = name("t")
        await one.prepare({topic: TopicOptions(partitions=1)})
        assert codes(await one.publish([OutgoingRecord(topic, b"before", b"k")])) == ["OK"]
        await server.kill()
        # The first is sent, as far as it can be; the second waits for what becomes of it.
        first = asyncio.create_task(one.publish([OutgoingRecord(topic, b"first", b"k")]))
        await asyncio.sleep(0.2)
        second = asyncio.create_task(one.publish([OutgoingRecord(topic, b"second", b"k")]))
        ((outcome,), (other,)) = await asyncio.gather(first, second)
        assert isinstance(outcome, Unavailable)
        assert outcome.may_have_run
        assert "may be there" in outcome.message
        assert isinstance(other, Unavailable)
        assert not other.may_have_run
        # What is withdrawn is not there later; what was sent is, as soon as Kafka is.
        cancelled = asyncio.create_task(one.publish([OutgoingRecord(topic, b"cancelled", b"k")]))
        await asyncio.sleep(0.2)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        await server.start()
        (last,) = await one.publish([OutgoingRecord(topic, b"last", b"k")])
        while isinstance(last, Unavailable):  # It may take a while until it is connected again.
            assert not last.may_have_run
            (last,) = await one.publish([OutgoingRecord(topic, b"last", b"k")])
        assert await values(one, topic, 3) == [b"before", b"first", b"last"]
        assert one.problem == ""


async def test_no_more_is_kept_than_the_buffer_holds(make_kafka: Callable[..., Kafka]) -> None:
    server = make_kafka()
    await server.start()
    async with broker(f"{server.url}/?timeout=3&buffer=1000000&max_message=100000") as one:
        topic = name("t")
        await one.prepare({topic: TopicOptions(partitions=1)})
        assert codes(await one.publish([OutgoingRecord(topic, b"before")])) == ["OK"]
        await server.pause()
        tasks = [asyncio.create_task(one.publish([OutgoingRecord(topic, b"x" * 90_000)])) for _ in range(50)]
        await asyncio.sleep(0.5)
        assert one._publisher is not None
        assert 900_000 < one._publisher._bytes <= 1_000_000
        tasks[30].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        await server.resume()
        assert isinstance(results.pop(30), asyncio.CancelledError)
        errors = [result[0] for result in results if isinstance(result, list)]
        assert len(errors) == 49
        assert all(isinstance(error, Unavailable) for error in errors)
        assert sum(error.may_have_run for error in errors if isinstance(error, Unavailable)) == 1, "one batch was sent"
        (last,) = await one.publish([OutgoingRecord(topic, b"last")])
        while isinstance(last, Unavailable):
            (last,) = await one.publish([OutgoingRecord(topic, b"last")])
        assert isinstance(last, Position)


async def test_closing_takes_its_time_and_no_longer(make_kafka: Callable[..., Kafka]) -> None:
    server = make_kafka()
    async with proxied(server) as proxy:
        await server.start()
        async with broker(server.url) as near:
            one = KafkaBroker(f"kafka://{proxy.address}/?timeout=2&session=6")
            await one.open()
            topic = name("t")
            await one.prepare({topic: TopicOptions(partitions=2)})
            reader = Reader(one, [topic], name("g"), "earliest", True, 100, None, 60.0)
            await one.publish([OutgoingRecord(topic, b"before", b"k")])
            await reader.until(1)
            under_way = asyncio.create_task(
                one.publish([OutgoingRecord(topic, b"%d" % each, b"k") for each in range(1000)])
            )
            await asyncio.sleep(0)
            await one.close()  # What was begun is finished.
            assert set(codes(await under_way)) == {"OK"}
            with pytest.raises(FailedPrecondition):
                await one.publish([OutgoingRecord(topic, b"")])
            with pytest.raises(FailedPrecondition):
                await reader.stop()
            assert len(await values(near, topic, 1001)) == 1001

            await one.open()
            reader = Reader(one, [topic], name("g"), "earliest", False, 100, None, 60.0)
            await reader.until(1001)
            await proxy.black_hole()
            under_way = asyncio.create_task(one.publish([OutgoingRecord(topic, b"lost", b"k")]))
            async with asyncio.timeout(60):
                await one.close()
            assert codes(await under_way) == ["UNAVAILABLE"]
            await asyncio.gather(reader.stop(), return_exceptions=True)


async def test_nobody_there_says_where_it_was_looked_for(make_kafka: Callable[..., Kafka]) -> None:
    server = make_kafka()
    one = KafkaBroker(f"kafka://{server.address},{server.address}/?timeout=2")
    with pytest.raises(Unavailable, match=f"cannot be reached at {server.address}.*refused.*MICRO_BROKER"):
        await one.open()
    await server.start()
    await one.open()
    await one.close()


async def test_a_topic_that_is_removed_is_missed(make_kafka: Callable[..., Kafka]) -> None:
    # Otherwise a consumer that asks for it, as those of aiokafka do, makes it again.
    kafka = make_kafka(properties={"auto.create.topics.enable": "false"})
    await kafka.start()
    async with broker(f"{kafka.url}/?timeout=1&create=false") as one:
        topic = await make_topic(kafka, {})
        assert codes(await one.publish([OutgoingRecord(topic, b"")])) == ["OK"]
        with pytest.raises(NotFound, match="create=false"):
            await one.prepare({name("t"): TopicOptions()})
        await one.prepare({topic: TopicOptions()})
        reader = Reader(one, [topic], name("g"), "earliest", False, 100, None, 60.0)
        reader.commit_on_revoke = False
        await reader.until(1)
        admin = aiokafka.admin.AIOKafkaAdminClient(bootstrap_servers=kafka.address)
        await admin.start()
        await admin.delete_topics([topic])
        await admin.close()
        with pytest.raises(NotFound, match=topic):
            await reader.until(2)


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_every_compression(kafka: Server, compression: str) -> None:
    async with broker(f"{kafka.url}/?compression={compression}&linger=0.01") as one:
        topic = await make_topic(kafka, {})
        sent = [b"%d" % each * 100 for each in range(500)]
        await one.publish([OutgoingRecord(topic, value) for value in sent])
        assert await values(one, topic, 500) == sent
