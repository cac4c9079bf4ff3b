"""The type that travels: the name of the message, or what the .proto gives for topics that others write too."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord, Record
from micro_rt.cli.events_common import EventTypes, decoded, known_events
from micro_rt.cli.events_publish import _chosen
from micro_rt.events.envelope import open_envelope
from tests.codegen.tools import ROOT, SCRIPTS, run
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


def test_commands_know_an_event_by_its_type_and_by_its_name(tmp_path: Path) -> None:
    shop = Shop(types={"order_placed": TYPE})
    types = EventTypes("shop", shop.info.events)
    value = b"\x00\x00\x00\x00\x07\x00" + OrderPlaced(order_id="42").SerializeToString()
    for said in (TYPE, "shop.OrderPlaced"):
        headers = (("ce_type", said.encode()), ("content-type", b"application/protobuf"))
        read = Record(shop.topic("orders"), 0, 0, 0.0, b"k", value, headers)  # in the framing of a schema registry
        assert decoded(open_envelope(read), read, types) == (said, {"orderId": "42"})
    assert _chosen(TYPE, types) is _chosen("OrderPlaced", types) is shop.events["order_placed"]
    protos = ROOT / "tests" / "codegen" / "protos"
    described = tmp_path / "events.binpb"
    arguments = ["--include_imports", f"-I{ROOT}", f"-I{protos}", f"-o{described}", "order_events.proto"]
    run(SCRIPTS / "protoc", *arguments)
    known = known_events(argparse.Namespace(module="", descriptors=described))
    assert [event.type for event in known.on_topic("orders.placed")] == [
        *("order_events.Placed", "com.example.order.part-returned")
    ]


async def test_a_record_without_a_type_on_a_topic_of_one_event_has_that_type(broker: str) -> None:
    shop = Shop(types={"ping": "com.example.ping"})
    log = Log()
    async with subscribed(broker, shop.subscriber(ping=log), group="g") as (service, _):
        await (await service.broker()).publish([OutgoingRecord(shop.topic("pings"), b"", b"k")])
        await eventually(lambda: log)
