"""Handlers that raise what ends a program: the service stops in good order, and no other event is cut off."""

from __future__ import annotations

import asyncio
import uuid

import pytest

import micro_rt as micro
from tests.helpers.shop import Publishes, Shop, subscribed
from tests.helpers.waiting import eventually, soon
from tests.protos.shop_pb2 import OrderPlaced


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()], ids=["exit", "interrupt"])
@pytest.mark.parametrize("first", [True, False], ids=["at once", "while others wait"])
async def test_a_handler_that_wants_to_end_the_process_stops_it_in_good_order(
    broker: str, shop: Shop, publish: Publishes, error: BaseException, first: bool
) -> None:
    begun = asyncio.Event()
    handled: list[str] = []

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if event.order_id == "exit":
            if not first:
                await begun.wait()
            raise error
        begun.set()
        await asyncio.sleep(0.3)
        handled.append(event.order_id)

    service = micro.Service("shop", registry=f"memory:{uuid.uuid4()}", broker=broker)
    service.subscribe(shop.subscriber(order_placed=handle), group="g")
    if first:
        await publish.placed("exit")
    else:
        for key in ("other", "exit"):
            await publish.placed(key)
    with pytest.raises(type(error)) as caught:
        await soon(service.serve())
    assert caught.value is error
    assert handled == ([] if first else ["other"])

    again: list[str] = []

    async def take(event: OrderPlaced, context: micro.EventContext) -> None:
        again.append(event.order_id)

    async with subscribed(broker, shop.subscriber(order_placed=take), group="g"):
        await eventually(lambda: again, equals=["exit"])


async def test_a_service_that_is_not_run_by_serve_goes_on(broker: str, shop: Shop, publish: Publishes) -> None:
    attempts: list[int] = []

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        attempts.append(context.attempt)
        if context.attempt == 1:
            raise SystemExit(3)

    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g"):
        await publish.placed("k")
        await eventually(lambda: attempts, equals=[1, 2])
