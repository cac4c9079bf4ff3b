"""Handlers that block the event loop: everything else in it goes on between them, and their member stays in its group."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.kit.clock import pause_thread
from tests.helpers.shop import Log, Publishes, Shop, subscribed
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import PATIENCE, eventually
from tests.protos.shop_pb2 import OrderPlaced

BLOCK = 0.02
"""Seconds: more than handlers have in one turn of the loop."""


@pytest.mark.parametrize("waits", ["never", "first", "always"])
async def test_everything_else_has_its_turn_after_each_handler_that_blocks(
    broker: str, shop: Shop, publish: Publishes, waits: str
) -> None:
    turns = 0
    blocks: list[int] = []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if waits == "always" or (waits == "first" and event.total_cents == 0):
            await asyncio.sleep(0.001)
        pause_thread(BLOCK)
        blocks.append(turns)

    await publish.many([OrderPlaced(order_id=str(number % 7), total_cents=number) for number in range(40)])
    async with (
        subscribed(broker, shop.subscriber(order_placed=handle), group="a"),
        subscribed(broker, shop.subscriber(order_placed=handle), group="b"),
    ):
        counting = asyncio.create_task(others())
        await eventually(lambda: len(blocks) == 80)
        counting.cancel()
    # Two, since what counts may be the first of one turn and the last of the next.
    assert max(Counter(blocks).values()) <= 2, "handlers blocked the loop one after the other"


@pytest.mark.parametrize("one_by_one", [False, True])
async def test_a_handler_that_blocks_is_named_in_the_log_once(
    broker: str, shop: Shop, publish: Publishes, caplog: pytest.LogCaptureFixture, one_by_one: bool
) -> None:
    log = Log()

    async def placed(event: OrderPlaced, context: micro.EventContext) -> None:
        pause_thread(0.15)
        await log(event, context)

    async def paid(event: Any, context: micro.EventContext) -> None:
        await asyncio.sleep(0.001)
        pause_thread(0.15)
        await log(event, context)

    with caplog.at_level(logging.WARNING, "micro_rt.events"):
        async with subscribed(broker, shop.subscriber(order_placed=placed, order_paid=paid), group="g"):
            for number in range(3):
                await publish.placed("k", number)
                if one_by_one:  # Then nothing follows in the step that the handler ends.
                    await eventually(lambda: len(log), equals=2 * number + 1)
                await publish.paid("k", number)
                if one_by_one:
                    await eventually(lambda: len(log), equals=2 * number + 2)
            await eventually(lambda: len(log) == 6)
    found = [record.getMessage() for record in caplog.records if "blocked the event loop" in record.getMessage()]
    assert len(found) == 2, "each event's handler is named once a minute"
    for name in ("OrderPlaced", "OrderPaid"):
        (line,) = [each for each in found if f"the handler of shop.{name} at {shop.topic('orders')}/" in each]
        assert "group g: " in line
        assert "asyncio.to_thread" in line


@contextlib.asynccontextmanager
async def another_loop(broker: str, subscriber: micro.Subscriber, **options: Any) -> AsyncIterator[None]:
    """Runs one more member in a loop of its own, which goes on while the loop of the test is blocked."""
    stop, started = threading.Event(), threading.Event()

    async def serve() -> None:
        async with subscribed(broker, subscriber, **options):
            started.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert await asyncio.to_thread(started.wait, PATIENCE)
        yield
    finally:
        stop.set()
        await asyncio.to_thread(thread.join)


@pytest.mark.verify("events")
@pytest.mark.parametrize("broker", ["local", "kafka"], indirect=True)
async def test_a_member_whose_handlers_block_stays_in_its_group(
    broker: str, shop: Shop, publish: Publishes, size: Size, figures: Figures
) -> None:
    """At the defaults, 80 of these handlers take longer than the session of the member."""
    seconds, count = size(0.45, ci=0.1), size(400, ci=100)
    calls: Counter[int] = Counter()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        pause_thread(seconds)
        calls[event.total_cents] += 1

    await publish.many([OrderPlaced(order_id="k", total_cents=number) for number in range(count)])
    address = size(broker, ci=f"{broker}{'/' if broker.startswith('kafka') else ''}?session=6")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(subscribed(address, shop.subscriber(order_placed=handle), group="g"))
        if not broker.startswith("kafka"):  # There, members find out which of them are dead.
            await eventually(lambda: calls)
            await stack.enter_async_context(another_loop(address, shop.subscriber(order_placed=handle), group="g"))
        await eventually(lambda: len(calls) == count, within=10 * PATIENCE)
    figures.add("calls", calls.total())
    assert len(calls) / calls.total() >= 0.9, f"{calls.total()} calls for {count} events"


@pytest.mark.verify("events")
@pytest.mark.parametrize("broker", ["kafka"], indirect=True)
async def test_one_block_longer_than_the_session_is_named_and_repeats_nothing(
    broker: str, shop: Shop, publish: Publishes, size: Size, caplog: pytest.LogCaptureFixture
) -> None:
    calls: Counter[int] = Counter()
    blocks = size(5, ci=1)

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        calls[event.total_cents] += 1
        if 5 <= event.total_cents < 5 + blocks:
            pause_thread(9.0)

    count = 20 + blocks
    await publish.many([OrderPlaced(order_id="k", total_cents=number) for number in range(count)])
    with caplog.at_level(logging.WARNING, "micro_rt.events"):
        async with subscribed(f"{broker}/?session=6", shop.subscriber(order_placed=handle), group="g"):
            await eventually(lambda: len(calls) == count)
    assert set(calls.values()) == {1}, f"handled more than once: {calls}"
    lost = [record.getMessage() for record in caplog.records if "to others" in record.getMessage()]
    assert lost
    assert f"The handler of shop.OrderPlaced at {shop.topic('orders')}/" in lost[0]
    assert "blocked the event loop for 9." in lost[0]
