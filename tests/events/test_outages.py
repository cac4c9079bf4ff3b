"""What handlers need is away for a while: nothing becomes a dead letter because of that, and health says so meanwhile."""

from __future__ import annotations

import logging
import re
import time
from collections import defaultdict
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.broker.base import TopicOptions
from tests.helpers.shop import Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPlaced

PASSING: list[BaseException] = [
    micro.Unavailable("away"),
    micro.DeadlineExceeded("too slow"),
    micro.ResourceExhausted("too many"),
    micro.Aborted("try again"),
    BaseExceptionGroup("several", [micro.Unavailable("away"), ExceptionGroup("more", [micro.Aborted("again")])]),
]


async def test_an_outage_makes_no_dead_letters_and_keeps_the_order(
    broker: str, shop: Shop, publish: Publishes, caplog: pytest.LogCaptureFixture
) -> None:
    away = True
    attempts: dict[str, int] = defaultdict(int)
    seen: dict[str, list[int]] = defaultdict(list)
    most = 0

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if away:
            attempts[event.order_id] += 1
            raise PASSING[context.attempt % len(PASSING)]
        seen[event.order_id].append(event.total_cents)

    await publish.many([OrderPlaced(order_id=f"k{number % 5}", total_cents=number) for number in range(100)])
    options: Any = {"group": "g", "attempts": 2, "backoff": 0.01, "max_backoff": 0.05, "max_in_flight": 8}
    with caplog.at_level(logging.INFO, "micro_rt.events"):
        async with subscribed(broker, shop.subscriber(order_placed=handle), **options) as (service, subscription):

            def tried_on() -> bool:
                nonlocal most
                most = max([most, *(each.in_flight for each in subscription.status())])
                return len(attempts) == 5 and min(attempts.values()) > 10

            await eventually(tried_on)
            problem = service.health.problems["group g"]
            away = False
            await eventually(lambda: sum(map(len, seen.values())) == 100)
            await eventually(lambda: "cannot be handled" not in service.health.problems.get("group g", ""))
    assert re.search(r" cannot be handled for \d+ s now, and will be tried for 3600 s at most: ", problem), problem
    assert most < 2 * 8, "more is read than may be in flight"
    assert all(numbers == sorted(numbers) for numbers in seen.values()), seen
    assert ".dead" not in caplog.text
    assert sum("others like it are tried on" in record.message for record in caplog.records) == 1


async def test_an_outage_that_is_longer_than_retry_for_makes_dead_letters(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        raise micro.Unavailable("away")

    options: Any = {"attempts": 2, "backoff": 0.01, "max_backoff": 0.05}
    await publish.placed("k")
    for group, retry_for in (("long", 0.5), ("none", 0.0)):
        async with subscribed(
            broker, shop.subscriber(order_placed=handle), group=group, retry_for=retry_for, **options
        ) as (service, _):
            (letter,) = await read_all(service, f"{shop.topic('orders')}.{group}.dead")
        headers = dict(letter.headers)
        assert headers["micro-dead-error"] == b"UNAVAILABLE"
        tried = int(headers["micro-dead-attempts"])
        assert tried == 2 if not retry_for else tried > 5


async def test_other_errors_have_the_attempts_that_they_have(broker: str, shop: Shop, publish: Publishes) -> None:
    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if context.attempt <= 5:
            raise micro.Unavailable("away")
        if context.attempt % 2:
            raise micro.ResourceExhausted("too many")
        raise micro.Internal("broken") if context.attempt % 4 else ExceptionGroup("", [ValueError(), PASSING[0]])  # type: ignore[list-item]

    options: Any = {"group": "g", "attempts": 3, "backoff": 0.01, "max_backoff": 0.02}
    await publish.placed("k")
    async with subscribed(broker, shop.subscriber(order_placed=handle), **options) as (service, _):
        (letter,) = await read_all(service, f"{shop.topic('orders')}.g.dead")
    assert dict(letter.headers)["micro-dead-attempts"] == b"10", "failed for good at 6, 8 and 10"


async def test_it_is_tried_for_half_of_the_retention_at_most(
    broker: str, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        nonlocal calls
        calls += 1
        raise micro.Unavailable("away")

    options: Any = {"group": "g", "attempts": 1, "backoff": 0.05, "max_backoff": 0.05}
    async with micro.Service("maker", registry=f"memory:{shop.mark}", broker=broker) as maker:
        await (await maker.broker()).prepare({shop.topic("orders"): TopicOptions(4, retention=4.0)})
        with caplog.at_level(logging.WARNING, "micro_rt.events"):
            async with subscribed(broker, shop.subscriber(order_placed=handle), **options) as (_, subscription):
                await eventually(lambda: any(each.lag is not None for each in subscription.status()))
                await Publishes(shop, maker).placed("k")
                await eventually(lambda: ".dead after" in caplog.text)
    assert calls > 3
    assert "tried on, for 2 s at most" in caplog.text


async def test_with_on_failure_stop_it_stops_only_when_retry_for_is_over(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    tried = 0

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        nonlocal tried
        tried = context.attempt
        raise micro.Unavailable("away")

    options: Any = {"group": "g", "attempts": 2, "backoff": 0.01, "max_backoff": 0.05, "on_failure": "stop"}
    await publish.placed("k")
    async with subscribed(broker, shop.subscriber(order_placed=handle), retry_for=0.5, **options) as (_, subscription):
        await eventually(lambda: "has stopped at" in subscription.problem)
    assert tried > 5
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log), **options):
        await eventually(lambda: log)


async def test_the_deadline_of_an_event_counts_also_during_an_outage(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        raise micro.Unavailable("away")

    options: Any = {"group": "g", "attempts": 1, "backoff": 0.01, "max_backoff": 0.05}
    async with subscribed(broker, shop.subscriber(order_placed=handle), **options) as (service, subscription):
        await eventually(lambda: subscription.status())
        await publish.placed("k", headers={"micro-deadline": str(time.time() + 3.0)})
        (letter,) = await read_all(service, f"{shop.topic('orders')}.g.dead")
    assert dict(letter.headers)["micro-dead-error"] == b"DEADLINE_EXCEEDED"
    assert b"its deadline passed" in dict(letter.headers)["micro-dead-reason"]


@pytest.mark.parametrize("retry_for", [-1.0, float("inf"), float("nan")])
async def test_an_impossible_retry_for_is_refused(shop: Shop, retry_for: float) -> None:
    with pytest.raises(ValueError, match="retry_for="):
        micro.Service("s").subscribe(shop.subscriber(order_placed=Log()), retry_for=retry_for)
