"""Stopping a service while Kafka is silent or dead: it takes the grace and a few seconds, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

import micro_rt as micro
from tests.helpers.shop import Log, Publishes, Shop
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually, soon
from tests.protos.shop_pb2 import OrderPlaced
from tests.servers.kafka import Kafka


@contextlib.asynccontextmanager
async def nothing_is_lost(caplog: pytest.LogCaptureFixture) -> AsyncIterator[None]:
    """Fails if asyncio reports an exception that nobody looked at, or a task that was left behind."""
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    tasks = asyncio.all_tasks()
    try:
        yield

        def left() -> list[Any]:
            return [task for task in asyncio.all_tasks() - tasks if not task.done()]

        await eventually(lambda: not left(), left, within=20.0)
        gc.collect()
    finally:
        asyncio.get_running_loop().set_exception_handler(None)
    assert not reports, reports
    assert not [record for record in caplog.records if record.name == "asyncio" and record.levelno >= logging.WARNING]


@pytest.mark.verify("events")
@pytest.mark.parametrize("how", ["pause", "kill"])
@pytest.mark.parametrize("subscriptions", [1, 3])
async def test_a_service_stops_while_kafka_does_not_answer(
    own_kafka: Kafka,
    shop: Shop,
    subscriptions: int,
    how: str,
    size: Size,
    figures: Figures,
    caplog: pytest.LogCaptureFixture,
) -> None:
    grace = size(10.0, ci=1.0)
    started, cancelled, logs = 0, 0, [Log() for _ in range(subscriptions)]

    def subscriber(log: Log) -> micro.Subscriber:
        async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
            nonlocal started, cancelled
            await log(event, context)
            if event.order_id == "slow":
                started += 1
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    cancelled += 1
                    raise

        return shop.subscriber(order_placed=handle)

    service = micro.Service("s", registry=f"memory:{shop.mark}", broker=own_kafka.url, grace=grace)
    for number, log in enumerate(logs):
        service.subscribe(subscriber(log), group=f"g{number}-{shop.mark}")
    loop = asyncio.get_running_loop()
    try:
        async with nothing_is_lost(caplog):
            await service.__aenter__()
            publish = Publishes(shop, service)
            for number in range(20):
                await publish.placed(str(number))
            await publish.placed("slow")
            await eventually(lambda: all(len(log) == 21 for log in logs))
            await (own_kafka.pause() if how == "pause" else own_kafka.kill())
            publishing = asyncio.create_task(publish.placed("late"))
            await asyncio.sleep(0.1)
            began = loop.time()
            await soon(service.__aexit__(None, None, None), within=grace + 30)
            took = loop.time() - began
            with pytest.raises(micro.Error):
                await soon(publishing)
            del publishing
        figures.add("seconds beyond the grace", round(took - grace, 1))
        assert started == cancelled == subscriptions
        assert took < grace + 30
    finally:
        if how == "pause":  # One that is dead is started for the next test.
            await own_kafka.resume()
