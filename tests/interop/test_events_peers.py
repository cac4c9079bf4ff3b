"""FastStream, aiokafka and confluent-kafka on the topics of ours: each handles what the others publish."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from faststream.kafka import KafkaBroker
from pydantic import BaseModel

import micro_rt as micro
from tests.helpers.shop import Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.interop.event_peers import PEERS, Peer, Sent, both_share
from tests.protos.shop_pb2 import OrderPaid, OrderPlaced, Ping
from tests.servers.server import Server

TYPES: dict[bytes, Any] = {b"shop.OrderPlaced": OrderPlaced, b"shop.OrderPaid": OrderPaid}
KEYS = 5
EACH = 60
"""Events of each publisher."""


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def publish(kafka: Server, shop: Shop) -> AsyncIterator[Publishes]:
    async with micro.Service("publisher", registry=f"memory:{uuid.uuid4()}", broker=kafka.url) as service:
        yield Publishes(shop, service)


def numbered(who: str) -> list[OrderPlaced | OrderPaid]:
    """Events of two types and several keys; the number says where in the row of its publisher each is."""
    return [
        OrderPlaced(order_id=f"{number % KEYS}", total_cents=number, lines=[{"article": who}])
        if number % 2
        else OrderPaid(order_id=f"{number % KEYS}", paid_cents=number)
        for number in range(EACH)
    ]


def in_order_per_key(found: list[tuple[str, str, int]]) -> None:
    """Checks that there is each event of each publisher once, and of each key in the order of its publisher."""
    assert Counter(found).most_common(1)[0][1] == 1, "an event came twice"
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for who, key, number in found:
        rows[who, key].append(number)
    expected = {
        (who, str(key)): [number for number in range(EACH) if number % KEYS == key]
        for who in {who for who, _, _ in found}
        for key in range(KEYS)
    }
    assert rows == expected


def sent(event: Any, *, who: str = "", **headers: str) -> Sent:
    """An event as a peer publishes it: with the type, and what it likes to say."""
    own = (("ce_type", event.DESCRIPTOR.full_name.encode()), ("who", who.encode()))
    key = event.order_id.encode()
    return Sent(event.SerializeToString(), key, (*own, *((name, text.encode()) for name, text in headers.items())))


async def test_each_event_on_a_topic_of_all_publishers_is_handled_once_and_in_order(
    kafka: Server, shop: Shop, publish: Publishes
) -> None:
    found: list[tuple[str, str, int]] = []
    running: set[str] = set()

    async def handle(event: OrderPlaced | OrderPaid, context: micro.EventContext) -> None:
        assert event.order_id not in running, "two events of one key at once"
        running.add(event.order_id)
        await asyncio.sleep(0.001)
        running.remove(event.order_id)
        number = event.total_cents if isinstance(event, OrderPlaced) else event.paid_cents
        found.append((context.headers["who"].decode(), event.order_id, number))

    async def ours() -> None:
        for event in numbered("ours"):
            publishing = publish.placed if isinstance(event, OrderPlaced) else publish.paid
            number = event.total_cents if isinstance(event, OrderPlaced) else event.paid_cents
            await publishing(event.order_id, number, headers={"who": "ours"})

    async def theirs(peer: type[Peer]) -> None:
        who = peer.__name__
        await peer(kafka.address).publish(shop.topic("orders"), [sent(event, who=who) for event in numbered(who)])

    everybody = 1 + len(PEERS)
    async with both_share(
        kafka.url, "billing", lambda: shop.subscriber(order_placed=handle, order_paid=handle)
    ) as members:
        await asyncio.gather(ours(), *(theirs(peer) for peer in PEERS))
        await eventually(lambda: len(found) >= everybody * EACH)
        await eventually(lambda: not any(part.in_flight for member in members for part in member.status()))
    assert len(found) == everybody * EACH
    in_order_per_key(found)


@pytest.mark.parametrize("peer", PEERS)
async def test_a_peer_consumes_what_we_publish(kafka: Server, shop: Shop, publish: Publishes, peer: type[Peer]) -> None:
    events = numbered("ours")
    published = await publish.many(events)
    found: list[tuple[str, str, int]] = []
    ids: set[bytes] = set()
    for record in await peer(kafka.address).consume(shop.topic("orders"), len(events)):
        event = TYPES[record.header("ce_type")].FromString(record.value)
        number = event.total_cents if isinstance(event, OrderPlaced) else event.paid_cents
        assert event == events[number]
        assert record.key == event.order_id.encode()
        assert record.header("ce_source") == b"publisher"
        assert record.header("ce_specversion") == b"1.0"
        assert record.header("content-type") == b"application/protobuf"
        ids.add(record.header("ce_id"))
        found.append(("ours", event.order_id, number))
    in_order_per_key(found)
    assert ids == {each.id.encode() for each in published}


@pytest.mark.parametrize("peer", PEERS)
async def test_a_topic_of_one_type_needs_no_headers(kafka: Server, shop: Shop, peer: type[Peer]) -> None:
    log = Log()
    async with subscribed(kafka.url, shop.subscriber(ping=log), group="g"):
        value = Ping(text="hello").SerializeToString()
        await peer(kafka.address).publish(shop.topic("pings"), [Sent(value), Sent(value, b"key"), Sent(b"")])
        await eventually(lambda: len(log) == 3)
    assert sorted(event.text for event in log.events) == ["", "hello", "hello"]
    assert {context.key for context in log.contexts} == {None, b"key"}
    assert {(context.id, context.source) for context in log.contexts} == {("", "")}


@pytest.mark.parametrize("peer", PEERS)
async def test_a_topic_of_several_types_needs_the_type(kafka: Server, shop: Shop, peer: type[Peer]) -> None:
    log = Log()
    data = OrderPlaced(order_id="1").SerializeToString()
    nobodys = Sent(b"whatever", b"1", (("ce_type", b"shop.NeverHeardOf"),))
    async with subscribed(kafka.url, shop.subscriber(order_placed=log, order_paid=log), group="billing") as (
        service,
        subscription,
    ):
        published = sent(OrderPlaced(order_id="1"))
        await peer(kafka.address).publish(shop.topic("orders"), [Sent(data, b"1"), nobodys, published])
        (letter,) = await read_all(service, f"{shop.topic('orders')}.billing.dead")
        await eventually(lambda: log)
        await eventually(lambda: not any(part.in_flight for part in subscription.status()))
    assert log.orders == ["1"]
    assert (letter.key, letter.value) == (b"1", data)
    assert b"does not say its type (header ce_type)" in dict(letter.headers)["micro-dead-reason"]


class PingModel(BaseModel):
    text: str


async def test_the_models_of_faststream_are_messages_of_ours(kafka: Server, shop: Shop) -> None:
    log = Log()
    async with (
        subscribed(kafka.url, shop.subscriber(ping=log, order_placed=log), group="g"),
        KafkaBroker(kafka.address) as broker,
    ):
        await broker.publish(PingModel(text="model"), shop.topic("pings"))
        await broker.publish({"text": "dict", "unknown": 1}, shop.topic("pings"), correlation_id="c")
        order = {"order_id": "json", "totalCents": "3"}
        await broker.publish(order, shop.topic("orders"), key=b"k", headers={"ce_type": "shop.OrderPlaced"})
        await eventually(lambda: len(log) == 3)
    assert {event.text for event in log.events if isinstance(event, Ping)} == {"model", "dict"}
    assert [event for event in log.events if isinstance(event, OrderPlaced)] == [
        OrderPlaced(order_id="json", total_cents=3)
    ]
    assert b"c" in {context.headers.get("correlation_id") for context in log.contexts}
