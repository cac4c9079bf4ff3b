"""The cloudevents package, which is the reference for Python: it reads what we publish, and we what it writes."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.core.bindings import kafka as binding
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1 import kafka as before_2
from cloudevents.v1.http import CloudEvent as EventBefore2
from google.protobuf.json_format import MessageToDict

import micro_rt as micro
from tests.helpers.shop import Log, Publishes, Shop, subscribed
from tests.helpers.waiting import eventually
from tests.interop.event_peers import AioKafka, Sent
from tests.protos.shop_pb2 import CHANNEL_WEB, OrderPlaced
from tests.servers.server import Server

WHEN = datetime(2026, 11, 24, 12, 30, 15, 250_000, tzinfo=UTC)
ORDER = OrderPlaced(order_id="☃", total_cents=1 << 60, channel=CHANNEL_WEB)
ORDER.lines.add(article="a", count=2)
ORDER.placed_at.FromDatetime(WHEN)
BINARY = ORDER.SerializeToString()
DICT = MessageToDict(ORDER)
ATTRIBUTES = {
    "type": "shop.OrderPlaced",
    "source": "https://shop.example/orders",
    "id": "abc-1",
    "time": WHEN,
    "partitionkey": "☃",
    "zone": "eu",
}


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def publish(kafka: Server, shop: Shop) -> AsyncIterator[Publishes]:
    async with micro.Service("publisher", registry=f"memory:{uuid.uuid4()}", broker=kafka.url) as service:
        yield Publishes(shop, service)


async def test_it_reads_what_we_publish(kafka: Server, shop: Shop, publish: Publishes) -> None:
    published = await publish.placed("☃", 1999, headers={"Zone": "eu"}, time=WHEN)
    nothing = await publish.ping("")
    (record,) = await AioKafka(kafka.address).consume(shop.topic("orders"), 1)
    event = binding.from_kafka_event(binding.KafkaMessage(dict(record.headers), record.key, record.value))
    assert event.get_attributes() == {
        "specversion": "1.0",
        "type": "shop.OrderPlaced",
        "id": published.id,
        "source": "publisher",
        "time": WHEN,
        "datacontenttype": "application/protobuf",
        "partitionkey": "☃",
    }
    assert OrderPlaced.FromString(_bytes(event.get_data())) == OrderPlaced(order_id="☃", total_cents=1999)

    (record,) = await AioKafka(kafka.address).consume(shop.topic("pings"), 1)
    event = binding.from_kafka_event(binding.KafkaMessage(dict(record.headers), record.key, record.value))
    assert (event.get_id(), event.get_type(), event.get_data()) == (nothing.id, "shop.Ping", None)
    assert "partitionkey" not in event.get_attributes()


async def test_its_releases_before_2_read_what_we_publish(kafka: Server, shop: Shop, publish: Publishes) -> None:
    published = await publish.placed("42", 1 << 60, time=WHEN)
    (record,) = await AioKafka(kafka.address).consume(shop.topic("orders"), 1)
    message = before_2.KafkaMessage(dict(record.headers), record.key, record.value)
    event = before_2.from_binary(message, data_unmarshaller=OrderPlaced.FromString)
    assert dict(event.get_attributes()) == {
        "specversion": "1.0",
        "type": "shop.OrderPlaced",
        "id": published.id,
        "source": "publisher",
        "time": "2026-11-24T12:30:15.250Z",
        "datacontenttype": "application/protobuf",
        "partitionkey": b"42",
    }
    assert event.get_data() == OrderPlaced(order_id="42", total_cents=1 << 60)


def written(content_type: str | None, data: Any, write: Callable[[Any], Any]) -> Any:
    attributes: dict[str, Any] = dict(ATTRIBUTES)
    if content_type is not None:
        attributes["datacontenttype"] = content_type
    return write(CloudEvent(attributes, data))


def written_before_2(content_type: str, data: Any, write: Callable[[Any], Any]) -> Any:
    attributes = {**ATTRIBUTES, "time": WHEN.isoformat(), "specversion": "1.0", "datacontenttype": content_type}
    return write(EventBefore2(attributes, data))


@pytest.mark.parametrize(
    ("by", "write", "content_type", "data"),
    [
        (written, binding.to_binary_event, "application/protobuf", BINARY),
        (written, binding.to_binary_event, "application/json", DICT),
        (written, binding.to_binary_event, "application/vnd.shop+json; charset=utf-8", DICT),
        (written, binding.to_structured_event, "application/protobuf", BINARY),
        (written, binding.to_structured_event, "application/json", DICT),
        (written, binding.to_structured_event, None, DICT),
        (written_before_2, before_2.to_binary, "application/json", DICT),
        (written_before_2, before_2.to_structured, "application/json", DICT),
        (written_before_2, before_2.to_structured, "application/protobuf", BINARY),
    ],
)
async def test_we_read_what_it_writes(
    kafka: Server, shop: Shop, by: Callable[..., Any], write: Callable[[Any], Any], content_type: str | None, data: Any
) -> None:
    message = by(content_type, data, write)
    key = message.key.encode() if isinstance(message.key, str) else message.key
    log = Log()
    async with subscribed(kafka.url, shop.subscriber(order_placed=log, order_paid=log), group="g"):
        await AioKafka(kafka.address).publish(
            shop.topic("orders"), [Sent(message.value, key, tuple(message.headers.items()))]
        )
        await eventually(lambda: log)
    (context,) = log.contexts
    assert log.events == [ORDER]
    assert (context.id, context.source, context.time) == ("abc-1", "https://shop.example/orders", WHEN)
    assert context.key == "☃".encode()
    assert context.headers["ce_zone"] == b"eu"
    assert context.headers["ce_specversion"] == b"1.0"


def _bytes(data: Any) -> bytes:
    """Data as it was: the package gives text wherever bytes happen to be UTF-8."""
    return data.encode() if isinstance(data, str) else data
