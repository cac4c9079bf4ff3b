"""Several subscriptions of one service."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import micro_rt as micro
from tests.helpers.shop import Log, Publishes, Shop
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPlaced


def service_of(shop: Shop, broker: str) -> micro.Service:
    return micro.Service("s", registry=f"memory:{shop.mark}", broker=broker)


async def test_those_of_one_group_that_would_pass_over_each_others_events_are_refused(shop: Shop) -> None:
    service = micro.Service("s")
    service.subscribe(shop.subscriber(order_placed=Log()))
    with pytest.raises(
        ValueError, match=r"both in group 's'.*one handles shop\.OrderPaid and the other shop\.OrderPlaced"
    ):
        service.subscribe(shop.subscriber(order_paid=Log()))
    service.subscribe(shop.subscriber(order_placed=Log()))  # shares the events
    service.subscribe(shop.subscriber(ping=Log()))  # another topic
    service.subscribe(shop.subscriber(order_paid=Log()), group="other")


async def test_health_tells_of_each_of_one_group(broker: str, shop: Shop, publish: Publishes) -> None:
    async def fails(event: Any, context: micro.EventContext) -> None:
        raise RuntimeError("broken")

    service = service_of(shop, broker)
    service.subscribe(shop.subscriber(order_placed=fails), group="g", attempts=1, on_failure="stop")
    service.subscribe(shop.subscriber(ping=Log()), group="g")
    async with service:
        await publish.placed("1")
        await eventually(lambda: "has stopped at" in service.health.problems.get("group g", ""))


async def test_none_begins_another_event_while_others_finish(broker: str, shop: Shop, publish: Publishes) -> None:
    begun = 0
    stopping = asyncio.Event()

    async def handle(event: Any, context: micro.EventContext) -> None:
        nonlocal begun
        begun += 1
        await stopping.wait()
        await asyncio.sleep(0.5)

    service = service_of(shop, broker)
    for group in ("a", "b", "c"):
        service.subscribe(shop.subscriber(order_placed=handle), group=group, concurrency=1)
    await publish.many([OrderPlaced(order_id=str(number)) for number in range(8)])
    async with service:
        await eventually(lambda: begun == 3)
        stopping.set()
    assert begun == 3
