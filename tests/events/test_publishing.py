"""What a publisher promises, on every broker."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.broker import MemoryBroker
from micro_rt.broker.base import OutgoingRecord, Partition, TopicOptions, partition_of
from tests.helpers.shop import SETTLE, Log, Publishes, Shop, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_micro import ShopPublisher, ShopSubscriberBase
from tests.protos.shop_pb2 import Blob, OrderPaid, OrderPlaced, Ping, Shipment, Shipped


async def test_the_generated_stubs_publish_and_handle(tmp_path: Any) -> None:
    seen: list[Any] = []

    class Handles(ShopSubscriberBase):
        async def order_placed(self, event: OrderPlaced, context: micro.EventContext) -> None:
            seen.append(event)

        async def shipped(self, event: Shipped, context: micro.EventContext) -> None:
            seen.append(event)

    service = micro.Service("shop", registry="memory:", broker=f"memory:{uuid.uuid4()}")
    service.subscribe(Handles())
    async with service:
        shop = ShopPublisher(service)
        published = await shop.order_placed(OrderPlaced(order_id="42"))
        assert published.topic == "orders"
        await shop.publish_all([Shipped(shipment=Shipment(id=7)), Ping(text="nobody listens")])
        await eventually(lambda: len(seen) == 2)


async def test_the_key_is_that_of_the_field(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log, shipped=log, ping=log, blob=log), group="g"):
        await publish.many(
            [
                OrderPlaced(order_id="ä"),
                Shipped(shipment=Shipment(id=-5)),
                Ping(),
                Blob(id=b"\0\xff"),
                OrderPlaced(),
            ]
        )
        await publish.placed("field", key="given")
        await publish.ping("x", key=b"raw")
        await eventually(lambda: len(log) == 7)
    keys = [(type(event).__name__, context.key) for event, context in zip(log.events, log.contexts, strict=True)]
    assert sorted(keys, key=str) == sorted(
        [
            ("OrderPlaced", "ä".encode()),
            ("Shipped", b"-5"),
            ("Ping", None),
            ("Blob", b"\0\xff"),
            ("OrderPlaced", b""),
            ("OrderPlaced", b"given"),
            ("Ping", b"raw"),
        ],
        key=str,
    )


async def test_a_key_has_the_partition_that_kafkas_partitioner_gives_it(publish: Publishes) -> None:
    for number in range(50):
        key = f"order-{number}"
        assert (await publish.placed(key)).partition == partition_of(key.encode(), 4)


async def test_many_at_once_come_back_in_order(publish: Publishes) -> None:
    events = [OrderPlaced(order_id=str(number % 7)) for number in range(500)]
    published = await publish.many(events)
    assert len({each.id for each in published}) == 500
    last: dict[Partition, int] = {}
    for event, each in zip(events, published, strict=True):
        partition = Partition(each.topic, each.partition)
        assert each.partition == partition_of(event.order_id.encode(), 4)
        assert each.offset > last.get(partition, -1)
        last[partition] = each.offset
    assert await publish.many([]) == []


async def test_what_is_no_event_of_the_file_is_a_type_error(publish: Publishes) -> None:
    with pytest.raises(TypeError, match=r"Shipment is not an event of shop\.proto; those are: OrderPlaced"):
        await publish.many([OrderPlaced(), Shipment()])
    with pytest.raises(TypeError, match=r"order_placed\(\) takes OrderPlaced, not OrderPaid"):
        await publish._one("order_placed", OrderPaid())


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"ce_id": "1"}, "ce_id"),
        ({"content-type": "x"}, "content-type"),
        ({"micro-dead-topic": "x"}, "micro-dead-topic"),
        ({"a b": "x"}, "a b"),
    ],
)
async def test_headers_that_cannot_be_are_refused(publish: Publishes, headers: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        await publish.placed("1", headers=headers)


async def test_an_event_may_say_any_time(broker: str, shop: Shop, publish: Publishes) -> None:
    times = [datetime.now(UTC) + timedelta(days=days) for days in (0, -8, 1, -20_000, 200_000)] * 4
    published = await asyncio.gather(*(publish.placed(str(number), time=time) for number, time in enumerate(times)))
    assert len(published) == 20
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g"):
        await eventually(lambda: len(log) == 20)
    for event, context in zip(log.events, log.contexts, strict=True):
        assert abs(context.time - times[int(event.order_id)]) < timedelta(milliseconds=2)


async def test_a_time_without_a_zone_is_refused(publish: Publishes) -> None:
    with pytest.raises(ValueError, match="time zone"):
        await publish.placed("1", time=datetime(2026, 1, 1))


async def test_what_is_too_large_is_refused_and_the_rest_is_not(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log, blob=log), group="g"):
        with pytest.raises(micro.InvalidArgument) as caught:
            await publish._one("blob", Blob(data=bytes(80 << 20)))
        assert not caught.value.may_have_run
        with pytest.raises(micro.NotAllPublished) as partly:
            await publish.many([OrderPlaced(order_id="1"), Blob(data=bytes(80 << 20)), OrderPlaced(order_id="2")])
        first, second, third = partly.value.outcomes
        assert isinstance(first, micro.Published)
        assert isinstance(second, micro.InvalidArgument)
        assert isinstance(third, micro.Published)
        await eventually(lambda: len(log) == 2)


async def test_publishing_needs_a_service_that_runs(shop: Shop, broker: str) -> None:
    service = micro.Service("s", registry="memory:", broker=broker)
    with pytest.raises(micro.FailedPrecondition, match="not started"):
        await Publishes(shop, service).placed("1")


async def test_cancelled_it_says_that_it_may_be_there(publish: Publishes) -> None:
    task = asyncio.create_task(publish.placed("1"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError) as caught:
        await task
    notes = getattr(caught.value, "__notes__", ["may be there"])
    assert "may be there" in notes[0]
    await publish.placed("2")


async def test_a_deadline_ends_it(publish: Publishes) -> None:
    await publish.placed("1")
    with pytest.raises(micro.DeadlineExceeded):
        await publish.placed("1", timeout=0.0)


async def test_the_envelope_of_go_micro_is_written_and_read(broker: str, shop: Shop) -> None:
    import json
    from base64 import b64decode

    log = Log()
    address = f"{broker}?envelope=micro"
    async with subscribed(address, shop.subscriber(order_placed=log), group="g") as (service, _):
        await Publishes(shop, service).placed("42", headers={"zone": "eu"})
        await eventually(lambda: log)
    (context,) = log.contexts
    assert context.record.headers == ()
    value = json.loads(context.record.value)
    assert value["Header"]["Content-Type"] == "application/protobuf"
    assert value["Header"]["Micro-Topic"] == shop.topic("orders")
    assert OrderPlaced.FromString(b64decode(value["Body"])).order_id == "42"
    assert context.headers["zone"] == b"eu"
    assert context.record.key == b"42"


async def test_records_of_others_are_understood(broker: str, shop: Shop) -> None:
    import json
    from base64 import b64encode

    log = Log()
    data = OrderPlaced(order_id="a").SerializeToString()
    structured = {"specversion": "1.0", "id": "7", "source": "/s", "type": "shop.OrderPlaced"}
    async with subscribed(broker, shop.subscriber(order_placed=log, ping=log), group="g") as (service, _):
        orders, pings = shop.topic("orders"), shop.topic("pings")
        outcomes = await (await service.broker()).publish(
            [
                OutgoingRecord(orders, b'{"orderId":"json"}', None, (("ce_type", b"shop.OrderPlaced"), ("content-type", b"application/json; charset=utf-8"))),
                OutgoingRecord(orders, json.dumps({**structured, "data": {"orderId": "s-json", "unknown": 1}}).encode(), None, (("Content-Type", b"application/cloudevents+json"),)),
                OutgoingRecord(orders, json.dumps({**structured, "datacontenttype": "application/protobuf", "data_base64": b64encode(data).decode()}).encode(), None, (("content-type", b"application/cloudevents+json; charset=UTF-8"),)),
                OutgoingRecord(pings, Ping(text="plain").SerializeToString()),
                OutgoingRecord(pings, json.dumps({"Header": {"Content-Type": "application/json"}, "Body": b64encode(b'{"text":"go"}').decode()}).encode()),
            ]
        )  # fmt: skip
        assert not [outcome for outcome in outcomes if isinstance(outcome, micro.Error)]
        await eventually(lambda: len(log) == 5)
    handled = sorted(event.order_id if isinstance(event, OrderPlaced) else event.text for event in log.events)
    assert handled == ["a", "go", "json", "plain", "s-json"]


class Dawdles(micro.Interceptor):
    """Takes now longer, now shorter."""

    def __init__(self) -> None:
        self._count = 0

    async def publish(self, event: Any, publishing: Any, proceed: micro.PublishNext) -> Any:
        self._count += 1
        await asyncio.sleep(0.03 if self._count % 2 else 0.0)
        return await proceed(event, publishing)


async def test_many_at_once_keep_their_order_and_headers_whatever_interceptors_do(broker: str, shop: Shop) -> None:
    log = Log()
    service = micro.Service("s", registry=f"memory:{shop.mark}", broker=broker, client_interceptors=[Dawdles()])
    service.subscribe(shop.subscriber(order_placed=log), group="g")
    events = [OrderPlaced(order_id=str(number % 3), total_cents=number) for number in range(15)]
    async with service:
        published = await shop.Publisher(service)._publish_all(events, iter([("zone", "eu")]), None)
        await eventually(lambda: len(log) == 15)
    for key in "012":
        seen = [event.total_cents for event in log.events if event.order_id == key]
        assert seen == sorted(seen)
    assert len({(each.partition, each.offset) for each in published}) == 15
    assert {context.headers.get("zone") for context in log.contexts} == {b"eu"}


async def test_a_timeout_bounds_what_comes_before_publishing_too(shop: Shop) -> None:
    class Slow(MemoryBroker):
        async def prepare(self, topics: Mapping[str, TopicOptions]) -> None:
            await asyncio.sleep(SETTLE)

    async with micro.Service("s", registry=f"memory:{shop.mark}", broker=Slow(f"memory:{shop.mark}")) as service:
        with pytest.raises(micro.DeadlineExceeded, match="not ready before the deadline") as caught:
            await Publishes(shop, service).placed("1", timeout=0.1)
    assert not caught.value.may_have_run
