"""Values in the framing of a schema registry: named where they cannot be read, and read where the address says so."""

from __future__ import annotations

import pytest

from micro_rt.broker.base import OutgoingRecord
from micro_rt.events.dead_letter import dead_letter_topic
from micro_rt.events.framing import framing_of, reads_framed
from tests.helpers.shop import Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import Ping

SCHEMA = b"\x00\x00\x00\x00\x2a"
"""A byte 0, and the id 42."""


async def test_the_reason_of_the_dead_letter_names_the_framing(broker: str, shop: Shop) -> None:
    topic = shop.topic("pings")
    value = SCHEMA + b"\x00" + Ping(text="hello").SerializeToString()
    async with subscribed(broker, shop.subscriber(ping=Log()), group="g") as (service, _):
        await (await service.broker()).publish([OutgoingRecord(topic, value, b"k")])
        (letter,) = await read_all(service, dead_letter_topic(topic, "g"))
    assert letter.value == value
    reason = dict(letter.headers)["micro-dead-reason"].decode()
    assert reason.startswith("its value is in the framing of a schema registry (magic byte 0, schema id 42), which ")
    assert "?framing=confluent in the broker's address reads" in reason


async def test_it_is_read_where_the_address_says_so(broker: str, shop: Shop) -> None:
    log = Log()
    topic = shop.topic("pings")
    message = Ping(text="hello").SerializeToString()
    json = (("content-type", b"application/json"),)
    records = [
        OutgoingRecord(topic, SCHEMA + b"\x00" + message, b"k"),
        OutgoingRecord(topic, SCHEMA + b"\x02\x02" + message, b"k"),  # the second message of the file
        OutgoingRecord(topic, SCHEMA + b"\x04\x02\xb0\x09" + message, b"k"),  # one that lies in another
        OutgoingRecord(topic, SCHEMA + b'{"text": "hello"}', b"k", json),
        OutgoingRecord(topic, message, b"k"),
    ]
    damaged = [SCHEMA + b"\x7f" + message, SCHEMA + b"\x01" + message, SCHEMA + b"\x04\x80", SCHEMA, b"\x00"]
    async with subscribed(f"{broker}?framing=confluent", shop.subscriber(ping=log), group="g") as (service, _):
        own = await service.broker()
        await own.publish(records)
        await own.publish([OutgoingRecord(topic, value, b"k") for value in damaged])
        await Publishes(shop, service).ping("hello", key="k")
        await Publishes(shop, service).ping("", key="k")
        await eventually(lambda: len(log) == len(records) + 2)
        letters = await read_all(service, dead_letter_topic(topic, "g"), len(damaged))
    assert [event.text for event in log.events] == ["hello"] * 6 + [""]
    assert {letter.value for letter in letters} == set(damaged)
    reasons = [dict(letter.headers)["micro-dead-reason"] for letter in letters]
    assert all(b"the framing of its value is damaged" in reason for reason in reasons)
    assert not any(b"?framing" in reason for reason in reasons)


def test_what_is_not_framed_is_not_called_so() -> None:
    for data in (b"", b"\x00", SCHEMA, b"\x0a\x00", b"{}", Ping(text="x").SerializeToString()):
        assert framing_of(data) == ""
    read = reads_framed(bytes, json=False)
    assert read(b"\x0a\x00") == b"\x0a\x00"
    with pytest.raises(ValueError, match="ends within the message indexes"):
        read(SCHEMA + b"\x80" * 9)
