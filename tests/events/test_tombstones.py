"""Tombstones: records without a value say that what was published with their key is deleted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord
from micro_rt.events.dead_letter import dead_letter_topic
from micro_rt.events.replay import replay
from tests.helpers.shop import Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPaid, OrderPlaced, Ping


def subscriber_with(shop: Shop, tombstone: Any, **methods: Any) -> micro.Subscriber:
    """A subscriber that handles tombstones too."""

    async def handle(self: Any, context: micro.EventContext) -> None:
        await tombstone(context)

    made = shop.subscriber(**methods)
    type(made).tombstone = handle  # type: ignore[assignment]
    return made


async def test_a_tombstone_is_handed_to_its_method_in_the_order_of_its_key(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log: list[Any] = []

    async def placed(event: OrderPlaced, context: micro.EventContext) -> None:
        assert not context.tombstone
        log.append(event.total_cents)

    async def deleted(context: micro.EventContext) -> None:
        assert context.tombstone
        log.append((context.key, context.event.name, context.source, dict(context.headers)["tenant"]))

    async with subscribed(broker, subscriber_with(shop, deleted, order_placed=placed), group="g"):
        await publish.placed("42", 1)
        published = await publish.publisher.tombstone(OrderPlaced, key="42", headers={"tenant": "a"})
        await publish.placed("42", 2)
        await eventually(lambda: len(log) == 3)
    assert log == [1, (b"42", "shop.OrderPlaced", "publisher", b"a"), 2]
    assert published.topic == shop.topic("orders")


async def test_a_subscriber_without_the_method_gets_no_empty_event_and_counts_the_tombstone(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log, ping=log), group="g") as (service, subscription):
        own = await service.broker()
        usual = (
            *(("ce_specversion", b"1.0"), ("ce_type", b"shop.OrderPlaced"), ("ce_id", b"1"), ("ce_source", b"s")),
            *(("ce_time", b"2026-11-28T00:00:00Z"), ("content-type", b"application/protobuf")),
        )
        await publish.publisher.tombstone(OrderPlaced, key="k")
        await own.publish([OutgoingRecord(shop.topic("orders"), b"", b"k", usual, tombstone=True)])
        await own.publish([OutgoingRecord(shop.topic("orders"), b"", b"k", tombstone=True)])
        await own.publish([OutgoingRecord(shop.topic("pings"), b"", b"k", tombstone=True)])
        await publish.placed("k")
        await publish.ping("")  # an event whose value is empty
        await eventually(lambda: len(log) == 2)
        await eventually(lambda: sum(each.tombstones for each in subscription.status()) == 4)
        assert {each.tombstones for each in subscription.status() if each.partition.topic == shop.topic("orders")} == {
            0,
            3,
        }
    assert [type(event) for event in log.events if isinstance(event, Ping)] == [Ping]


async def test_a_tombstone_without_headers_is_no_dead_letter_on_a_topic_of_several_types(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log, deleted = Log(), []

    async def tombstone(context: micro.EventContext) -> None:
        deleted.append((context.topic, context.key, context.event.name))

    async with subscribed(
        broker, subscriber_with(shop, tombstone, order_placed=log, order_paid=log), group="g", on_failure="stop"
    ) as (service, subscription):
        own = await service.broker()
        await own.publish([OutgoingRecord(shop.topic("orders"), b"", b"k", tombstone=True)])
        structured = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)
        await own.publish([OutgoingRecord(shop.topic("orders"), b"", b"k", structured, tombstone=True)])
        await publish.placed("k")
        await eventually(lambda: len(log))
        assert not subscription.problem
    assert deleted == [(shop.topic("orders"), b"k", "")] * 2


async def test_dead_letters_and_replay_carry_a_tombstone_unchanged(broker: str, shop: Shop, publish: Publishes) -> None:
    broken = True
    deleted: list[micro.EventContext] = []

    async def tombstone(context: micro.EventContext) -> None:
        if broken:
            raise RuntimeError("broken")
        deleted.append(context)

    topic = shop.topic("orders")
    async with subscribed(broker, subscriber_with(shop, tombstone, order_placed=Log()), group="g", attempts=1) as (
        service,
        _,
    ):
        await publish.publisher.tombstone(OrderPlaced, key="k", headers={"tenant": "a"})
        (letter,) = await read_all(service, dead_letter_topic(topic, "g"))
        assert (letter.tombstone, letter.value, letter.key) == (True, b"", b"k")
        broken = False
        assert len([each async for each in replay(await service.broker(), topic, "g")]) == 1
        await eventually(lambda: len(deleted))
    (context,) = deleted
    assert context.record.tombstone
    assert (context.key, context.headers["tenant"], context.event.name) == (b"k", b"a", "shop.OrderPlaced")


async def test_interceptors_see_a_tombstone_on_both_sides(broker: str, shop: Shop) -> None:
    seen: list[Any] = []

    class Sees(micro.Interceptor):
        async def publish(self, event: Any, publishing: micro.Publishing, proceed: micro.PublishNext) -> Any:
            seen.append(("publish", event, publishing.tombstone, publishing.key))
            publishing.headers = (*publishing.headers, ("added", b"1"))
            return await proceed(event, publishing)

        async def event(self, event: Any, context: micro.EventContext, proceed: micro.EventNext) -> None:
            seen.append(("event", event, context.tombstone, context.headers["added"]))
            await proceed(event, context)

    handled = asyncio.Event()

    async def tombstone(context: micro.EventContext) -> None:
        handled.set()

    service = micro.Service(
        "s", registry=f"memory:{shop.mark}", broker=broker, interceptors=[Sees()], client_interceptors=[Sees()]
    )
    service.subscribe(subscriber_with(shop, tombstone, order_placed=Log()), group="g")
    async with service:
        await Publishes(shop, service).publisher.tombstone(OrderPlaced, key=42)
        await eventually(handled.is_set)
    assert seen == [("publish", None, True, b"42"), ("event", None, True, b"1")]


async def test_go_micros_envelope_has_no_place_for_a_tombstone_so_its_headers_stay(shop: Shop) -> None:
    deleted: list[str] = []

    async def tombstone(context: micro.EventContext) -> None:
        deleted.append(context.event.name)

    address = f"memory:{shop.mark}?envelope=micro"
    async with subscribed(address, subscriber_with(shop, tombstone, order_placed=Log(), order_paid=Log())) as (
        service,
        _,
    ):
        await Publishes(shop, service).publisher.tombstone(OrderPaid, key="k")
        await eventually(lambda: deleted)
        (record,) = await read_all(service, shop.topic("orders"))
    assert (record.tombstone, record.value, dict(record.headers)["ce_type"]) == (True, b"", b"shop.OrderPaid")
    assert "content-type" not in dict(record.headers), "there is no content"
    assert deleted == ["shop.OrderPaid"]


async def test_a_tombstone_is_published_by_its_own_method_alone(shop: Shop) -> None:
    async with micro.Service("s", registry=f"memory:{shop.mark}", broker=f"memory:{shop.mark}") as service:
        publish = Publishes(shop, service)
        with pytest.raises((TypeError, micro.InvalidArgument)):
            await publish.publisher._publish(shop.events["order_placed"], None, "k", None, None, None)
        with pytest.raises(TypeError, match=r"tombstone\(\) takes the class of an event of shop\.proto.*OrderPlaced"):
            await publish.publisher.tombstone(micro.Service, key="k")
        with pytest.raises(TypeError, match="not an event"):
            await publish.publisher.tombstone(OrderPlaced(), key="k")


async def test_a_method_for_tombstones_that_cannot_be_called_is_refused_at_once(shop: Shop) -> None:
    class Plain(shop.Base):  # type: ignore[name-defined, misc]
        async def ping(self, event: Any, context: Any) -> None: ...
        def tombstone(self, context: Any) -> None: ...

    class Two(shop.Base):  # type: ignore[name-defined, misc]
        async def ping(self, event: Any, context: Any) -> None: ...
        async def tombstone(self, event: Any, context: Any) -> None: ...

    class Misspelled(shop.Base):  # type: ignore[name-defined, misc]
        async def ping(self, event: Any, context: Any) -> None: ...
        async def tombstones(self, context: Any) -> None: ...

    for made, problem in (
        (Plain, r"Plain\.tombstone\(\) must be written as `async def`"),
        (Two, r"Two\.tombstone\(\) must take one argument, \(context\), after self"),
        (Misspelled, r"did you mean tombstone\(\)\?"),
    ):
        with pytest.raises(TypeError, match=problem):
            micro.Service("s").subscribe(made())
