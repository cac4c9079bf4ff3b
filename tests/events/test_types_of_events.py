"""The type that travels: the name of the message, or what the .proto gives for topics that others write too."""

from __future__ import annotations

from typing import Any

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord
from tests.events.test_unknown_types import counted, record
from tests.helpers.shop import Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPlaced

TYPE = "com.example.order.placed"


async def test_an_event_travels_with_the_type_that_the_proto_gives(broker: str) -> None:
    shop = Shop(types={"order_placed": TYPE})
    topic = shop.topic("orders")
    log, deleted = Log(), Log()
    subscriber = shop.subscriber(order_placed=log, order_paid=log)

    async def tombstone(self: Any, context: micro.EventContext) -> None:
        await deleted(None, context)

    type(subscriber).tombstone = tombstone  # type: ignore[method-assign]
    async with subscribed(broker, subscriber, group="g") as (service, subscription):
        publish = Publishes(shop, service)
        own = await service.broker()
        await publish.placed("k", 1)
        await publish.paid("k", 2)
        await own.publish([record(topic, TYPE), record(topic, "shop.OrderPlaced"), record(topic, "shop.OrderPaid")])
        foreign = (("ce_type", TYPE.encode()), ("content-type", b"application/json"))
        await own.publish([OutgoingRecord(topic, b'{"orderId": "k"}', b"k", foreign)])
        await publish.publisher.tombstone(OrderPlaced, key="k")
        await eventually(lambda: len(log) == 6 and len(deleted) == 1)
        records = await read_all(service, topic, 7)
        assert not counted(subscription)
    assert [type(event).__name__ for event in log.events] == [
        *("OrderPlaced", "OrderPaid", "OrderPlaced", "OrderPlaced", "OrderPaid", "OrderPlaced")
    ]
    types = [dict(each.headers)["ce_type"] for each in records]
    assert types == [
        *(TYPE.encode(), b"shop.OrderPaid", TYPE.encode(), b"shop.OrderPlaced", b"shop.OrderPaid"),
        *(TYPE.encode(), TYPE.encode()),
    ]
    assert deleted.contexts[0].event is shop.events["order_placed"]


async def test_members_before_and_after_a_type_is_given_share_a_topic_in_order(broker: str) -> None:
    before, after = Log(), Log()
    old = Shop()
    new = Shop(old.mark, types={"order_placed": TYPE})
    async with (
        subscribed(broker, old.subscriber(order_placed=before), group="g") as (_, one),
        subscribed(broker, new.subscriber(order_placed=after), group="g") as (service, two),
    ):
        await eventually(lambda: len(two.status()) == 4 and not one.status())  # the new one understands both
        await Publishes(new, service).placed("k", 1)
        await Publishes(old, service).placed("k", 2)
        await eventually(lambda: len(after) == 2)
    assert [event.total_cents for event in after.events] == [1, 2]
    assert not before


async def test_a_record_without_a_type_on_a_topic_of_one_event_has_that_type(broker: str) -> None:
    shop = Shop(types={"ping": "com.example.ping"})
    log = Log()
    async with subscribed(broker, shop.subscriber(ping=log), group="g") as (service, _):
        await (await service.broker()).publish([OutgoingRecord(shop.topic("pings"), b"", b"k")])
        await eventually(lambda: log)
