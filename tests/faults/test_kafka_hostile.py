"""Batches of records that Kafka takes and aiokafka cannot parse, and what damages a partition: nothing behind them waits for ever."""

from __future__ import annotations

import gzip
import random
import struct
from collections.abc import Awaitable, Callable, Container, Mapping
from pathlib import Path
from typing import Any

import aiokafka
import aiokafka.codec
import pytest
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.record.util import calc_crc32c

import micro_rt as micro
from micro_rt.backends.kafka import by_hand, compression
from micro_rt.backends.kafka.batch import Batch, batch_at
from micro_rt.broker.base import UNREADABLE, OutgoingRecord, Partition, Position, Record, Subscription, TopicOptions
from tests.helpers.kafka_lab import broker, make_topic, name
from tests.helpers.kafka_raw import RawRecord, Refused, batch_of, produce, varint
from tests.helpers.shop import Ignores, Log, Publishes, Shop, read_all, subscribed
from tests.helpers.sizes import Size
from tests.helpers.waiting import eventually, soon
from tests.protos.shop_pb2 import OrderPlaced
from tests.servers.kafka import Kafka
from tests.servers.server import Server

GOOD = RawRecord(b"good")
PLAIN = b"".join(GOOD.encode(number) for number in range(3))


def of_three(odd: RawRecord) -> list[RawRecord]:
    return [GOOD, odd, GOOD]


def gzipped(*records: RawRecord) -> bytes:
    return gzip.compress(b"".join(record.encode(number) for number, record in enumerate(records)))


HOSTILE: Mapping[str, bytes] = {
    "a name of a header that is not UTF-8": batch_of(of_three(RawRecord(headers=[(b"\xff\x00", b"x")]))),
    "the same, compressed": batch_of(
        of_three(RawRecord(headers=[(b"a", None), (b"\xed\xa0\x80", b"x")])), compress=True
    ),
    "an offset far behind": batch_of([GOOD] * 3, payload=GOOD.encode(0) + GOOD.encode(77) + GOOD.encode(2)),
    "offsets twice": batch_of([GOOD] * 3, payload=GOOD.encode(0) + GOOD.encode(0) + GOOD.encode(2)),
    "an offset before the batch": batch_of([GOOD] * 3, payload=GOOD.encode(0) + GOOD.encode(-5) + GOOD.encode(2)),
    "a stream with something behind it": batch_of([GOOD] * 3, codec=1, payload=gzip.compress(PLAIN) + b"behind it"),
    "streams one after another": batch_of(
        [GOOD] * 3, codec=1, payload=gzipped(GOOD) + gzip.compress(PLAIN[len(GOOD.encode(0)) :])
    ),
    "a time long before": batch_of([GOOD] * 3, timestamp=-(10**15)),
    "no value, by another number": batch_of(of_three(RawRecord(body=varint(-3) + varint(-7) + varint(0)))),
    "a length that is too small": batch_of(of_three(RawRecord(length=5)), compress=True),
    "a length that is too large": batch_of(of_three(RawRecord(length=1 << 30)), compress=True),
    "a count of headers that is too large": batch_of(of_three(RawRecord(header_count=60)), compress=True),
    "a count of headers below 0": batch_of(of_three(RawRecord(header_count=-1)), compress=True),
    "a header without a name": batch_of(
        of_three(RawRecord(body=varint(-1) * 2 + varint(1) + varint(-1) * 2)), compress=True
    ),
    "a key longer than the record": batch_of(of_three(RawRecord(body=varint(1 << 40) + b"x")), compress=True),
    "no records at all": batch_of([GOOD] * 3, codec=1, payload=gzip.compress(b"")),
    "snappy that is none": batch_of([GOOD] * 3, codec=2, payload=b"none"),
    "lz4 that is none": batch_of([GOOD] * 3, codec=3, payload=b"none"),
    "zstd that is none": batch_of([GOOD] * 3, codec=4, payload=b"none"),
    "gzip that is none": batch_of([GOOD] * 3, codec=1, payload=b"none"),
    "a wrong checksum": batch_of([GOOD] * 3, crc=1),
    "a compression that does not exist": batch_of([GOOD] * 3, codec=6),
}


async def ready_topic(server: Server) -> str:
    topic = await make_topic(server, {})

    async def accepts() -> bool:
        try:
            return await produce(server.address, topic, batch_of([GOOD])) >= 0
        except Refused as refused:
            assert refused.code in (3, 5, 6)  # It has no leader yet, or none that knows it.
            return False

    await eventually(accepts)
    return topic


async def read(member: Subscription, last: int, limit: int) -> list[Record]:
    found: list[Record] = []
    while not found or found[-1].offset < last:
        for records in (await soon(member.fetch(limit, 0.5))).values():
            found += records
    return found


def expect_all_offsets(records: list[Record], missing: Container[int] = ()) -> None:
    """That every offset is read once and in order, as a record or as one of those that an unreadable one names.

    Args:
        records: what was read.
        missing: offsets of records that claim to have another's offset, which may be passed over.
    """
    expected = 0
    for record in records:
        said = [value.decode() for header, value in record.headers if header == UNREADABLE]
        first = record.offset
        if said and "the records from offset" in said[0]:
            first, last = int(said[0].split()[4]), int(said[0].split()[6])
            assert last == record.offset
        elif said:
            assert f"the record at offset {first} " in said[0]
        assert expected == first or all(each in missing for each in range(expected, first))
        expected = record.offset + 1


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_what_aiokafka_cannot_parse_is_read_or_named_and_the_rest_is_read(kafka: Server, limit: int) -> None:
    topic = await ready_topic(kafka)
    refused: list[str] = []
    places: dict[str, int] = {}
    for what, batch in HOSTILE.items():
        try:
            places[what] = await produce(kafka.address, topic, batch)
        except Refused:
            refused.append(what)  # by Kafka as it is now
    last = await produce(kafka.address, topic, batch_of([RawRecord(b"last")]))
    assert len(places) > 8, refused
    async with broker(kafka.url) as one:
        member = one.subscribe([topic], name("g"), "earliest", Ignores())
        records = await read(member, last, limit)
        await member.close()
        assert not member.problem
        reader = one.read(topic, "earliest")
        seen: list[Record] = []
        while not seen or seen[-1].offset < last:
            for found in (await soon(reader.fetch(limit, 0.5))).values():
                seen += found
        await reader.close()
    assert {record.value for record in seen} >= {b"good", b"value", b"last"}
    expect_all_offsets(records, {places[what] + 1 for what in ("offsets twice", "an offset before the batch")})
    assert records[-1].value == b"last"
    at = {record.offset: record for record in records}
    odd = at[places["a name of a header that is not UTF-8"] + 1]
    assert (odd.value, odd.headers) == (b"value", (("\\xff\x00", b"x"),))
    for what in ("an offset far behind", "a stream with something behind it"):
        if what in places:
            assert [at[places[what] + number].value for number in range(3)] == [b"good"] * 3, what


@pytest.mark.parametrize("codec", [1, 3, 4])
async def test_a_batch_that_would_fill_the_memory_is_not_decompressed(kafka: Server, codec: int) -> None:
    topic = await ready_topic(kafka)
    plain = RawRecord(bytes(compression.MOST)).encode(0)
    payload = bytes({1: gzip.compress, 3: aiokafka.codec.lz4_encode, 4: aiokafka.codec.zstd_encode}[codec](plain))
    assert len(payload) < 512 << 10
    bad = await produce(kafka.address, topic, batch_of([GOOD], codec=codec, payload=payload))
    last = await produce(kafka.address, topic, batch_of([RawRecord(b"last")]))
    async with broker(kafka.url) as one:
        member = one.subscribe([topic], name("g"), "earliest", Ignores())
        records = await read(member, last, 100)
        await member.close()
        reader = one.read(topic, "earliest")
        seen: list[Record] = []
        while not seen or seen[-1].offset < last:
            for found in (await soon(reader.fetch(100, 0.5))).values():
                seen += found
        await reader.close()
    for each in (records, seen):
        assert [record.offset for record in each] == [*range(bad), bad, last]
        said = dict(each[bad].headers)[UNREADABLE]
        assert b"more than %d bytes" % compression.MOST in said
        assert each[-1].value == b"last"


async def test_a_batch_that_aiokafka_cannot_parse_is_requested_once(
    kafka: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def look(data: bytes, offset: int) -> Batch | None:
        asked.append(offset)
        return batch_at(data, offset)

    monkeypatch.setattr(by_hand, "batch_at", look)
    topic = await ready_topic(kafka)
    odd = batch_of([*[GOOD] * 50, RawRecord(headers=[(b"\xff", b"x")]), *[GOOD] * 50])
    first = await produce(kafka.address, topic, odd)
    last = await produce(kafka.address, topic, batch_of([RawRecord(b"last")]))
    async with broker(kafka.url) as one:
        member = one.subscribe([topic], name("g"), "earliest", Ignores())
        records = await read(member, last, 1)
        await member.close()
    expect_all_offsets(records)
    assert [offset for offset in asked if offset >= first] == [first + 50]


async def test_other_partitions_lose_nothing_to_what_cannot_be_parsed(kafka: Server) -> None:
    """aiokafka drops what it has taken of other partitions when it fails."""
    topics = [await ready_topic(kafka) for _ in range(6)]
    bad = HOSTILE["a name of a header that is not UTF-8"]
    async with broker(kafka.url) as one:
        member = one.subscribe(topics, name("g"), "earliest", Ignores())
        found: list[Record] = []
        for wave in range(4):
            for number, topic in enumerate(topics):
                await produce(kafka.address, topic, bad if number % 2 else batch_of([GOOD] * 3))

            async def all_read(count: int = (1 + 3 * (wave + 1)) * len(topics)) -> bool:
                for records in (await member.fetch(1000, 0.5)).values():
                    found.extend(records)
                return len(found) >= count

            await eventually(all_read, lambda: f"{len(found)} are read")
        await member.close()
    for topic in topics:
        assert [record.offset for record in found if record.topic == topic] == list(range(13))


async def test_what_cannot_be_read_becomes_a_dead_letter(kafka: Server) -> None:
    shop, log = Shop(), Log()
    topic = shop.topic("orders")
    hostile = {what: batch for what, batch in HOSTILE.items() if what.startswith(("a count", "a length", "a header"))}
    async with (
        micro.Service("publisher", registry="memory:", broker=kafka.url) as service,
        subscribed(kafka.url, shop.subscriber(order_placed=log), group="g") as (handler, _),
    ):
        publish = Publishes(shop, service)
        before = [await publish.placed(f"before-{number}") for number in range(20)]
        accepted = 0
        for batch in hostile.values():
            try:
                await produce(kafka.address, topic, batch, before[0].partition)
            except Refused:
                continue
            accepted += 1
        assert accepted
        good = RawRecord(
            OrderPlaced(order_id="odd").SerializeToString(),
            headers=[(b"\xfe", b"x"), (b"ce_type", shop.events["order_placed"].name.encode())],
        )
        await produce(kafka.address, topic, batch_of([good]), before[0].partition)
        after = [await publish.placed(f"after-{number}") for number in range(20)]
        assert before[0].partition in {each.partition for each in after}
        await eventually(lambda: len(log), equals=41)
        assert {each.order_id for each in log.events} >= {"odd", *(f"after-{number}" for number in range(20))}
        letters = await read_all(handler, f"{topic}.g.dead", accepted)
        said = [dict(letter.headers)["micro-dead-reason"].decode() for letter in letters]
        assert any("cannot be read: " in reason for reason in said), said
        assert {dict(letter.headers)["micro-dead-partition"] for letter in letters} == {b"%d" % before[0].partition}
        assert not handler.health.problems


def mutated(rng: random.Random) -> bytes:
    """A batch with a few bytes changed, and a checksum that is right all the same."""
    records = [
        RawRecord(rng.randbytes(rng.randrange(9)), headers=[(b"name", b"v")] * rng.randrange(3))
        for _ in range(rng.randrange(1, 4))
    ]
    data = b"".join(record.encode(number) for number, record in enumerate(records))
    codec = rng.choice([0, 0, 0, 1, 2, 3, 4])
    where = rng.choice(["records", "stream", "head"])
    if where == "records":
        data = changed(rng, data)
    pack: Callable[[bytes], bytes] = (
        bytes,
        gzip.compress,
        aiokafka.codec.snappy_encode,
        aiokafka.codec.lz4_encode,
        aiokafka.codec.zstd_encode,
    )[codec]
    data = pack(data)
    if where == "stream":
        data = changed(rng, data)
    batch = bytearray(batch_of(records, codec=codec, payload=data))
    if where == "head":
        batch[rng.randrange(21, 61)] = rng.randrange(256)
    struct.pack_into(">I", batch, 17, calc_crc32c(bytes(batch[21:])))
    return bytes(batch)


def changed(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        at, end = rng.choice([(0, 1), (0, 1), (0, 0), (1, 0)])
        place = rng.randrange(len(changed) or 1)
        changed[place + at : place + end] = rng.randbytes(1) if end or not at else b""
    return bytes(changed)


@pytest.mark.verify("events")
async def test_whatever_kafka_takes_is_read_or_named(kafka: Server, size: Size) -> None:
    topic = await ready_topic(kafka)
    rng = random.Random(13)
    accepted, last = 0, 0
    hostile: set[int] = set()
    for _ in range(size(5_000, ci=300)):
        try:
            base = await produce(kafka.address, topic, mutated(rng))
        except Refused:
            continue
        hostile.update(range(base, base + 3))
        accepted += 1
        last = await produce(kafka.address, topic, batch_of([RawRecord(b"%d" % accepted)]))
    async with broker(kafka.url) as one:
        member = one.subscribe([topic], name("g"), "earliest", Ignores())
        records = await read(member, last, 50)
        await member.close()
    expect_all_offsets(records, hostile)
    values = {record.value for record in records}
    assert values >= {b"%d" % number for number in range(1, accepted + 1)}


async def test_what_a_transaction_took_back_is_not_read(kafka: Server) -> None:
    topic = await ready_topic(kafka)
    for number, ends in enumerate(("abort_transaction", "commit_transaction")):
        identifier = name("tx")
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id=identifier)
        await producer.start()
        try:
            await producer.begin_transaction()
            await producer.send_and_wait(topic, b"first of %d" % number)
            manager = producer._txn_manager
            odd = batch_of(
                [RawRecord(b"odd of %d" % number, headers=[(b"\xff", b"")])],
                attributes=0x10,
                producer=(manager.producer_id, manager.producer_epoch, 1),
            )
            await produce(kafka.address, topic, odd, transaction=identifier)
            end: Callable[[], Awaitable[None]] = getattr(producer, ends)
            await end()
        finally:
            await producer.stop()
    last = await produce(kafka.address, topic, batch_of([RawRecord(b"last")]))
    async with broker(kafka.url) as one:
        member = one.subscribe([topic], name("g"), "earliest", Ignores())
        records = await read(member, last, 10)
        await member.close()
    assert [record.value for record in records[1:]] == [b"first of 1", b"odd of 1", b"last"]


class Claims(RoundRobinPartitionAssignor):
    """Gives each member partitions that do not exist, too."""

    name = "claims"

    @classmethod
    def assign(cls, cluster: Any, members: Any) -> Any:
        made = super().assign(cluster, members)
        for assignment in made.values():
            assignment.assignment = [(topic, [*numbers, -7, 99]) for topic, numbers in assignment.assignment]
        return made


async def test_offsets_of_a_group_whose_members_claim_partitions_that_do_not_exist(kafka: Server) -> None:
    topic, group = await ready_topic(kafka), name("g")
    foreign = aiokafka.AIOKafkaConsumer(
        topic, bootstrap_servers=kafka.address, group_id=group, partition_assignment_strategy=(Claims,)
    )
    async with broker(kafka.url) as one:
        await foreign.start()
        try:
            for topics in ((), (topic,)):
                found = await soon(one.offsets(group, topics))
                assert found.keys() == {Partition(topic, 0)}
                assert found[Partition(topic, 0)].member
        finally:
            await foreign.stop()


async def test_damage_of_the_broker_blocks_its_partition_alone_and_health_says_so(
    own_kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(by_hand, "BLOCKED", 0.5)
    topic = name("damaged")
    async with broker(own_kafka.url) as one:
        await one.prepare({topic: TopicOptions(partitions=2)})
        keys = [b"21", b"foobar", b"abc", b"1", b"2", b"3"]
        places = await one.publish([OutgoingRecord(topic, b"fragile", key) for key in keys])
        assert {place.partition for place in places if isinstance(place, Position)} == {0, 1}
    await own_kafka.stop()
    log = Path(own_kafka.data) / f"{topic}-0" / f"{0:020}.log"
    log.write_bytes(log.read_bytes().replace(b"fragile", b"gragile", 1))
    await own_kafka.start()
    async with broker(own_kafka.url) as one:
        member = one.subscribe([topic], name("g"), "earliest", Ignores())
        whole: list[Record] = []

        async def blocked() -> bool:
            for records in (await member.fetch(10, 0.2)).values():
                whole.extend(records)
            return bool(one.problem) and len(whole) > 0

        await eventually(blocked)
        assert {record.partition for record in whole} == {1}
        assert f"{topic}[0] cannot be read on from offset 0: " in one.problem
        assert "the checksum of its batch is wrong" in one.problem
        await one.publish([OutgoingRecord(topic, b"later", key) for key in keys])

        async def goes_on() -> bool:
            for records in (await member.fetch(10, 0.2)).values():
                whole.extend(records)
            return b"later" in {record.value for record in whole}

        await eventually(goes_on)
        assert {record.partition for record in whole} == {1}
        # As when another broker with a whole copy leads the partition.
        log.write_bytes(log.read_bytes().replace(b"gragile", b"fragile", 1))

        async def mended() -> bool:
            for records in (await member.fetch(10, 0.2)).values():
                whole.extend(records)
            return len(whole) == 2 * len(keys)

        await eventually(mended)
        assert not one.problem
        await member.close()
