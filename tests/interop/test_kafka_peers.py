"""On the wire of Kafka: what kcat, librdkafka and aiokafka write is read as it is, and what we write they read."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import aiokafka
import aiokafka.coordinator.assignors.sticky.sticky_assignor
import confluent_kafka
import pytest

from micro_rt.backends.kafka.broker import KafkaBroker
from micro_rt.broker.base import OutgoingRecord, Position, Record, TopicOptions, partition_of
from micro_rt.errors import InvalidArgument
from micro_rt.testing.contracts.broker.members import Reader
from tests.helpers.kafka_lab import broker, make_topic, name
from tests.helpers.missing import missing
from tests.helpers.waiting import eventually
from tests.servers.server import Server

HEADERS = (("ce_id", b"1"), ("twice", b"a"), ("twice", b"b"), ("empty", b""), ("ä", "☃".encode()))
SAID = 1_700_000_000.123


@pytest.fixture
async def one(kafka: Server) -> AsyncGenerator[KafkaBroker]:
    async with broker(f"{kafka.url}/?session=6") as made:
        yield made


async def topic_of(one: KafkaBroker, partitions: int = 1) -> str:
    topic = name("t")
    await one.prepare({topic: TopicOptions(partitions=partitions)})
    return topic


async def read(one: KafkaBroker, topic: str, count: int) -> list[Record]:
    reader = Reader(one, [topic], name("g"), "earliest", True, 100, None, 60.0)
    await reader.until(count)
    await reader.stop()
    return reader.records


async def published(one: KafkaBroker, *messages: OutgoingRecord) -> list[Position]:
    results = await one.publish(messages)
    assert all(isinstance(result, Position) for result in results), results
    return [result for result in results if isinstance(result, Position)]


async def kcat(*arguments: str, stdin: bytes = b"") -> bytes:
    program = shutil.which("kcat")
    if program is None:
        missing("kcat is not installed (Debian has it)")
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate(stdin)
    assert process.returncode == 0
    return output


async def test_kcat_reads_what_we_publish(kafka: Server, one: KafkaBroker) -> None:
    topic = await topic_of(one)
    began = time.time()
    await published(
        one,
        OutgoingRecord(topic, b"value", b"key", HEADERS[:3]),
        OutgoingRecord(topic, b"no key"),
        OutgoingRecord(topic, b"", b"k"),
    )
    output = await kcat("-C", "-q", "-b", kafka.address, "-t", topic, "-o", "beginning", "-e", "-J")
    found = [json.loads(line) for line in output.splitlines()]
    assert [(each["key"], each["payload"]) for each in found] == [("key", "value"), (None, "no key"), ("k", "")]
    assert found[0]["headers"] == ["ce_id", "1", "twice", "a", "twice", "b"]
    assert found[0]["tstype"] == "create"
    assert began - 1 < found[0]["ts"] / 1000 < time.time() + 1
    assert [each["offset"] for each in found] == [0, 1, 2]


async def test_we_read_what_kcat_writes(kafka: Server, one: KafkaBroker) -> None:
    topic = await topic_of(one)
    arguments = ["-P", "-b", kafka.address, "-t", topic, "-K", ":", "-H", "a=1", "-H", "a=2", "-z", "zstd"]
    await kcat(*arguments, stdin=b"key:value\nk2:v2\n")
    await kcat("-P", "-b", kafka.address, "-t", topic, stdin=b"plain\n")
    records = await read(one, topic, 3)
    assert [(record.key, record.value, record.headers) for record in records] == [
        (b"key", b"value", (("a", b"1"), ("a", b"2"))),
        (b"k2", b"v2", (("a", b"1"), ("a", b"2"))),
        (None, b"plain", ()),
    ]


async def test_a_key_goes_where_librdkafka_and_aiokafka_put_it(kafka: Server, one: KafkaBroker) -> None:
    topic = await topic_of(one, partitions=7)
    dice = random.Random(1)
    keys = [b"", b"a", *(dice.randbytes(dice.randrange(1, 40)) for _ in range(300))]
    ours = {position.partition for position in await published(one, OutgoingRecord(topic, b"", keys[1]))}
    ours_by_key = dict(zip(keys, await published(one, *(OutgoingRecord(topic, b"", key) for key in keys)), strict=True))
    assert {ours_by_key[keys[1]].partition} == ours

    theirs: dict[bytes, int] = {}
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.address, "partitioner": "murmur2_random"})

    def delivered(error: object, message: confluent_kafka.Message) -> None:
        assert error is None
        theirs[message.key() or b""] = message.partition() or 0

    for key in keys:
        producer.produce(topic, b"", key, on_delivery=delivered)
    await asyncio.to_thread(producer.flush, 30)
    # An empty key is none for librdkafka.
    assert {key: theirs[key] for key in keys[1:]} == {key: ours_by_key[key].partition for key in keys[1:]}

    async with aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.address) as other:
        for key in keys[:50]:
            assert (await other.send_and_wait(topic, b"", key)).partition == ours_by_key[key].partition


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_librdkafka_reads_and_writes_what_we_do(kafka: Server, one: KafkaBroker, compression: str) -> None:
    topic = await topic_of(one)
    began = time.time()
    async with broker(f"{kafka.url}/?compression={compression}") as writer:
        await published(writer, *(OutgoingRecord(topic, b"%d" % each * 50, b"k", HEADERS) for each in range(100)))
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.address, "compression.type": compression})
    for each in range(100, 200):
        producer.produce(topic, b"%d" % each * 50, b"k", headers=list(HEADERS), timestamp=int(SAID * 1000))
    await asyncio.to_thread(producer.flush, 30)

    def consume() -> list[tuple[Any, ...]]:
        consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": kafka.address, "group.id": name("g"), "auto.offset.reset": "earliest"}
        )
        consumer.subscribe([topic])
        found: list[tuple[Any, ...]] = []
        while len(found) < 200:
            message = consumer.poll(30)
            assert message is not None
            assert message.error() is None
            found.append(
                (
                    message.offset(),
                    message.key(),
                    message.value(),
                    tuple(message.headers() or ()),
                    message.timestamp()[1],
                )
            )
        consumer.close()
        return found

    found = await asyncio.to_thread(consume)
    stamps = [stamp for *_, stamp in found]
    assert [each[:4] for each in found] == [(each, b"k", b"%d" % each * 50, HEADERS) for each in range(200)]
    assert all(began - 1 < stamp / 1000 < time.time() + 1 for stamp in stamps[:100]), "when they were accepted"
    assert stamps[100:] == [1_700_000_000_123] * 100, "as their publisher says"
    records = await read(one, topic, 200)
    assert [
        (record.offset, record.key, record.value, record.headers, round(record.timestamp * 1000)) for record in records
    ] == found


async def test_aiokafka_goes_on_where_we_committed_and_we_where_it_did(kafka: Server, one: KafkaBroker) -> None:
    topic, group = await topic_of(one), name("g")
    await published(one, *(OutgoingRecord(topic, b"%d" % each) for each in range(30)))

    async def ours(count: int) -> Sequence[bytes]:
        reader = Reader(one, [topic], group, "earliest", True, count, None, 60.0)
        await reader.until(count)
        await reader.stop()
        return [record.value for record in reader.records]

    async def theirs(count: int) -> Sequence[bytes]:
        async with aiokafka.AIOKafkaConsumer(
            topic,
            bootstrap_servers=kafka.address,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            partition_assignment_strategy=(
                aiokafka.coordinator.assignors.sticky.sticky_assignor.StickyPartitionAssignor,
            ),
        ) as consumer:
            found = [await consumer.getone() for _ in range(count)]
            await consumer.commit()
        return [message.value for message in found]

    first = await theirs(10)
    second = await ours(5)
    rest = await theirs(30 - len(first) - len(second))
    assert [*first, *second, *rest] == [b"%d" % each for each in range(30)]


@pytest.mark.parametrize(("isolation", "expected"), [("committed", [b"kept"]), ("uncommitted", [b"gone", b"kept"])])
async def test_what_a_transaction_takes_back_is_not_read(
    kafka: Server, one: KafkaBroker, isolation: str, expected: Sequence[bytes]
) -> None:
    topic = await topic_of(one)
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.address, "transactional.id": name("tx")})

    def write() -> None:
        producer.init_transactions(30)
        for value, end in ((b"gone", producer.abort_transaction), (b"kept", producer.commit_transaction)):
            producer.begin_transaction()
            producer.produce(topic, value)
            producer.flush(30)
            end(30)

    await asyncio.to_thread(write)
    async with broker(f"{kafka.url}/?isolation={isolation}") as reading:
        records = await read(reading, topic, len(expected))
        assert [record.value for record in records] == expected


async def test_a_record_without_value_and_headers_without_one(kafka: Server, one: KafkaBroker) -> None:
    topic = await topic_of(one)
    producer = confluent_kafka.Producer({"bootstrap.servers": kafka.address})
    producer.produce(topic, None, b"k", headers=[("none", None), ("some", b"1")])
    await asyncio.to_thread(producer.flush, 30)
    (record,) = await read(one, topic, 1)
    assert (record.key, record.value, record.headers) == (b"k", b"", (("none", b""), ("some", b"1")))
    assert record.tombstone


async def test_a_tombstone_of_ours_has_no_value_for_others_and_compaction_knows_it(
    kafka: Server, one: KafkaBroker
) -> None:
    topic = await make_topic(kafka, {"cleanup.policy": "compact"}, partitions=1)
    with_value = OutgoingRecord(topic, b"x", b"k", tombstone=True)
    await published(one, OutgoingRecord(topic, b"v", b"k"), OutgoingRecord(topic, b"", b"k", (), tombstone=True))
    (refused,) = await one.publish([with_value])  # also where the topic is known
    assert isinstance(refused, InvalidArgument)
    async with aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.address, auto_offset_reset="earliest"
    ) as consumer:
        values = [(await consumer.getone()).value for _ in range(2)]
    assert values == [b"v", None]


@pytest.mark.parametrize("assignor", ["range", "roundrobin"])
async def test_a_group_is_shared_with_librdkafka(kafka: Server, assignor: str) -> None:
    async with broker(f"{kafka.url}/?session=6&assignor={assignor}") as one:
        topic, group = await topic_of(one, partitions=4), name("g")
        # It announces its types, which others know nothing of.
        reader = Reader(one, [topic], group, "earliest", True, 10, None, 60.0, {topic: ["a", "b"]})
        await eventually(lambda: len(reader.partitions) == 4)
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": kafka.address,
                "group.id": group,
                "session.timeout.ms": 6000,
                "auto.offset.reset": "earliest",
                "partition.assignment.strategy": assignor,
            }
        )
        consumer.subscribe([topic])
        found: list[bytes | None] = []
        going = True

        def consume() -> None:
            while going:
                message = consumer.poll(0.1)
                if message is not None and message.error() is None:
                    found.append(message.value())
            consumer.close()

        consuming = asyncio.create_task(asyncio.to_thread(consume))
        await eventually(lambda: len(reader.partitions) == 2)
        await published(one, *(OutgoingRecord(topic, b"%d" % each, b"%d" % each) for each in range(100)))
        await eventually(lambda: len(found) + len(reader.records) >= 100)
        going = False
        await consuming
        assert found
        assert {*found, *(record.value for record in reader.records)} == {b"%d" % each for each in range(100)}
        await eventually(lambda: len(reader.partitions) == 4)
        await reader.stop()


async def test_an_assignor_that_the_group_does_not_have_is_told(kafka: Server, one: KafkaBroker) -> None:
    topic, group = await topic_of(one), name("g")
    reader = Reader(one, [topic], group, "earliest", True, 10, None, 60.0)
    await eventually(lambda: len(reader.partitions) == 1)
    async with broker(f"{kafka.url}/?session=6&assignor=range") as other:
        stranger = Reader(other, [topic], group, "earliest", True, 10, None, 60.0)
        with pytest.raises(Exception, match="assignor=range"):
            await stranger.until(1)
    await reader.stop()


async def test_most_records_are_made_without_those_of_aiokafka(
    one: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What spares them is nothing that aiokafka promises: this says so when it goes."""
    made = 0

    def count(*values: object) -> aiokafka.ConsumerRecord[bytes, bytes]:
        nonlocal made
        made += 1
        return aiokafka.ConsumerRecord(*values)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    topic = await topic_of(one)
    await published(one, *(OutgoingRecord(topic, b"%d" % number, b"k", HEADERS) for number in range(1000)))
    monkeypatch.setattr("aiokafka.consumer.fetcher.ConsumerRecord", count)
    records = await read(one, topic, 1000)
    assert [record.value for record in records] == [b"%d" % number for number in range(1000)]
    assert {(record.key, record.headers) for record in records} == {(b"k", HEADERS)}
    assert made <= 200


async def test_a_partition_with_much_to_read_does_not_keep_another_waiting(one: KafkaBroker) -> None:
    topic = await topic_of(one, 2)
    first, second = (next(b"%d" % each for each in range(99) if partition_of(b"%d" % each, 2) == at) for at in (0, 1))
    await published(one, *(OutgoingRecord(topic, bytes(100), first) for _ in range(3000)))
    await published(one, *(OutgoingRecord(topic, bytes(100), second) for _ in range(3000)))
    reader = Reader(one, [topic], name("g"), "earliest", True, 100, None, 60.0)
    await reader.until(3000)
    await reader.stop()
    counts = Counter(record.partition for record in reader.records[:3000])
    assert min(counts[0], counts[1]) > 500, counts
