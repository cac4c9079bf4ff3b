"""``micro_rt.testing.serve`` with events."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

import micro_rt as micro
import micro_rt.testing
from tests.helpers.handlers import Lab
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Text
from tests.protos.shop_micro import ShopPublisher, ShopSubscriberBase
from tests.protos.shop_pb2 import OrderPaid, OrderPlaced, Ping


class Orders(LabBase):
    """A handler that needs its service."""

    def __init__(self, service: micro.Service) -> None:
        self._shop = ShopPublisher(service)
        self._lab = LabClient(service)

    async def act(self, request: Text, context: micro.Context) -> Text:
        await self._shop.order_placed(OrderPlaced(order_id=request.value), headers={"x-from": "orders"})
        return request

    async def look(self, request: Text, context: micro.Context) -> Text:
        return await self._lab.act(request)


class Billing(ShopSubscriberBase):
    """Takes its time, and answers each event with another."""

    def __init__(self, service: micro.Service) -> None:
        self._shop = ShopPublisher(service)
        self.handled: list[str] = []

    async def order_placed(self, event: OrderPlaced, context: micro.EventContext) -> None:
        await asyncio.sleep(0.02)
        await self._shop.order_paid(OrderPaid(order_id=event.order_id))
        self.handled.append(event.order_id)


class Shipping(ShopSubscriberBase):
    """Does not wait for anything."""

    def __init__(self) -> None:
        self.handled: list[str] = []

    async def order_paid(self, event: OrderPaid, context: micro.EventContext) -> None:
        self.handled.append(event.order_id)


async def test_what_handlers_and_subscribers_publish_is_handled_when_it_is_settled() -> None:
    billing: list[Billing] = []

    def make_billing(service: micro.Service) -> Billing:
        billing.append(Billing(service))
        return billing[0]

    def make_shipping(service: micro.Service) -> Sequence[micro.Handler]:
        service.subscribe(shipping, group="shipping")
        return ()

    shipping = Shipping()
    numbers = [str(number) for number in range(50)]
    async with micro_rt.testing.serve(
        lambda service: [Orders(service)], make_shipping, subscribers=[make_billing]
    ) as service:
        lab = LabClient(service)
        for number in numbers[:-1]:
            await lab.act(Text(value=number))
        await lab.look(Text(value=numbers[-1]))
        await service.settled()
        assert sorted(billing[0].handled) == sorted(numbers)
        assert sorted(shipping.handled) == sorted(numbers)
        placed = [event for event in service.published if isinstance(event.message, OrderPlaced)]
        assert [event.message.order_id for event in placed] == numbers
        assert {(event.topic, event.headers["x-from"]) for event in placed} == {("orders", b"orders")}
        assert placed[0].key == b"0"
        assert len(service.published) == 100
        await service.settled()


async def test_a_handler_is_made_of_a_function_and_of_a_class() -> None:
    for make in (Orders, lambda service: Orders(service), lambda service: iter([Orders(service)])):
        async with micro_rt.testing.serve(make) as service:
            await LabClient(service).act(Text(value="1"))
            assert [event.message for event in service.published] == [OrderPlaced(order_id="1")]
            await service.settled()


async def test_what_the_broker_refuses_is_not_published() -> None:
    async with micro_rt.testing.serve() as service:
        shop = ShopPublisher(service)
        with pytest.raises(micro.InvalidArgument):
            await shop.ping(Ping(text="x" * (2 << 20)))
        await shop.ping(Ping(text="small"))
        assert [event.message for event in service.published] == [Ping(text="small")]


async def test_a_handler_and_a_subscriber_that_are_none_are_refused() -> None:
    wrong: Any = 5
    for arguments in ({"subscribers": [wrong]}, {}):
        with pytest.raises(TypeError, match=r"serve\(\) takes handlers and subscribers.*not 5"):
            async with micro_rt.testing.serve(*(() if arguments else (wrong,)), **arguments):
                pass
    with pytest.raises(TypeError, match="derives from a generated base"):
        async with micro_rt.testing.serve(lambda service: [wrong]):
            pass


async def test_an_event_that_fails_is_handled_when_it_is_a_dead_letter() -> None:
    class Failing(ShopSubscriberBase):
        tried = 0

        async def ping(self, event: Ping, context: micro.EventContext) -> None:
            Failing.tried += 1
            raise ValueError("no")

    def subscribe(service: micro.Service) -> list[micro.Handler]:
        service.subscribe(Failing(), attempts=3, backoff=0.01)
        return []

    async with micro_rt.testing.serve(subscribe) as service:
        await ShopPublisher(service).ping(Ping())
        await service.settled()
        assert Failing.tried == 3


async def test_what_is_never_handled_is_named() -> None:
    class Stuck(ShopSubscriberBase):
        async def ping(self, event: Ping, context: micro.EventContext) -> None:
            await asyncio.Event().wait()

    async with micro_rt.testing.serve(Lab(), subscribers=[Stuck()]) as service:
        await ShopPublisher(service).ping(Ping())
        with pytest.raises(TimeoutError, match=r"not handled after 0\.1 s: 1 of pings in group test"):
            await soon(service.settled(timeout=0.1), within=9)  # Without the argument, it takes 10 s.


async def test_a_subscription_that_has_stopped_is_named() -> None:
    class Stopping(ShopSubscriberBase):
        async def ping(self, event: Ping, context: micro.EventContext) -> None:
            raise ValueError("no")

    def subscribe(service: micro.Service) -> list[micro.Handler]:
        service.subscribe(Stopping(), attempts=1, on_failure="stop")
        return []

    async with micro_rt.testing.serve(subscribe) as service:
        await ShopPublisher(service).ping(Ping())
        with pytest.raises(RuntimeError, match="EventSubscription of Stopping in group 'test'"):
            await service.settled()


async def test_events_before_a_group_that_begins_with_the_latest_are_not_waited_for() -> None:
    begun = asyncio.Event()

    class Late(ShopSubscriberBase):
        async def ping(self, event: Ping, context: micro.EventContext) -> None:
            begun.set()

    def subscribe(service: micro.Service) -> list[micro.Handler]:
        service.subscribe(Late(), start="latest")
        return []

    async with micro_rt.testing.serve(subscribe) as service:
        await ShopPublisher(service).ping(Ping())
        await service.settled()


async def test_two_services_of_tests_do_not_share_events() -> None:
    shippings = [Shipping(), Shipping()]
    async with (
        micro_rt.testing.serve(subscribers=[shippings[0]]) as first,
        micro_rt.testing.serve(subscribers=[shippings[1]]) as second,
    ):
        await ShopPublisher(first).publish_all([OrderPaid(order_id="1"), OrderPaid(order_id="2")])
        await first.settled()
        await second.settled()
        assert sorted(shippings[0].handled) == ["1", "2"]
        assert shippings[1].handled == []
        assert second.published == []


async def test_what_is_published_while_it_looks_is_waited_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks at one group after the other: a later one may publish what an earlier one has to handle."""
    go, released = asyncio.Event(), asyncio.Event()
    handled: list[str] = []

    class Last(ShopSubscriberBase):
        async def order_paid(self, event: OrderPaid, context: micro.EventContext) -> None:
            await released.wait()
            handled.append("paid")

    class First(ShopSubscriberBase):
        def __init__(self, service: micro.Service) -> None:
            self._shop = ShopPublisher(service)

        async def ping(self, event: Ping, context: micro.EventContext) -> None:
            await go.wait()
            await self._shop.order_paid(OrderPaid(order_id="1"))
            handled.append("ping")

    def subscribe(service: micro.Service) -> list[micro.Handler]:
        service.subscribe(Last(), group="looked at first")
        subscription = service.subscribe(First(service), group="looked at last")
        look = subscription.unhandled

        async def unhandled() -> Any:
            if go.is_set():
                released.set()
            go.set()
            while sum((await look()).values()):
                await asyncio.sleep(0.005)
            return await look()

        monkeypatch.setattr(subscription, "unhandled", unhandled)
        return []

    async with micro_rt.testing.serve(subscribe) as service:
        await ShopPublisher(service).ping(Ping())
        await eventually(lambda: service.published)
        await service.settled()
        assert handled == ["ping", "paid"]


async def test_events_of_a_partition_that_nobody_reads_yet_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = asyncio.Event()
    handled: list[str] = []

    class Waiting(ShopSubscriberBase):
        async def ping(self, event: Ping, context: micro.EventContext) -> None:
            await released.wait()
            handled.append(event.text)

    def subscribe(service: micro.Service) -> list[micro.Handler]:
        subscription = service.subscribe(Waiting())
        look, looks = subscription.unhandled, itertools.count()

        async def unhandled() -> Any:
            if not next(looks):
                return {}  # As before it has been assigned any.
            released.set()
            return await look()

        monkeypatch.setattr(subscription, "unhandled", unhandled)
        return []

    async with micro_rt.testing.serve(subscribe) as service:
        await ShopPublisher(service).ping(Ping(text="1"))
        await service.settled()
        assert handled == ["1"]
