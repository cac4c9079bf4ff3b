"""Events of types that a subscriber has no method for: passed over and counted, or what ``on_unknown`` says."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord
from micro_rt.events.dead_letter import dead_letter_topic
from micro_rt.events.progress import MOST_UNKNOWN, OTHERS
from micro_rt.events.routing import MOST_LOGGED
from tests.helpers.shop import Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually


def record(topic: str, type: str | bytes, key: bytes = b"k") -> OutgoingRecord:
    """A record as micro-rt writes it, of any type."""
    headers = (
        *(("ce_specversion", b"1.0"), ("ce_type", type.encode() if isinstance(type, str) else type), ("ce_id", b"1")),
        *(("ce_source", b"s"), ("ce_time", b"2026-11-28T00:00:00Z"), ("content-type", b"application/protobuf")),
    )
    return OutgoingRecord(topic, b"", key, headers)


def counted(subscription: micro.EventSubscription) -> dict[str, int]:
    found: dict[str, int] = {}
    for status in subscription.status():
        for type, count in status.unknown.items():
            found[type] = found.get(type, 0) + count
    return found


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING and "passes over" in each.msg
    ]


async def test_they_are_logged_once_and_counted(
    broker: str, shop: Shop, publish: Publishes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt.events")
    log = Log()
    topic = shop.topic("orders")
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g") as (service, subscription):
        own = await service.broker()
        await own.publish([record(topic, "com.dapr.event.sent") for _ in range(30)])
        await own.publish([record(topic, "shop.OrderPlacd\n\x1b[31m", b"other") for _ in range(3)])
        await publish.paid("k")  # which is in the .proto, and left out
        await publish.paid("k")
        await publish.placed("k")
        await eventually(lambda: log)
        expected = {"com.dapr.event.sent": 30, "shop.OrderPlacd\n\x1b[31m": 3, "shop.OrderPaid": 2}
        await eventually(lambda: counted(subscription), equals=expected)
        assert not service.health.problems
    dapr, typo = sorted(warnings(caplog))
    assert f"group g passes over events of {topic}: their type 'com.dapr.event.sent' is unknown" in dapr
    assert r"'shop.OrderPlacd\n\x1b[31m'" in typo
    assert [each.levelname for each in caplog.records if "its method is left out" in each.getMessage()] == ["INFO"]


async def test_they_become_dead_letters_where_the_subscription_says_so(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log = Log()
    topic = shop.topic("orders")
    async with subscribed(
        broker, shop.subscriber(order_placed=log), group="g", on_unknown="dead_letter", on_failure="stop"
    ) as (service, subscription):
        await (await service.broker()).publish([record(topic, "shop.OrderPlacd")])
        await publish.paid("k")  # left out: passed over all the same
        await publish.placed("k")
        (letter,) = await read_all(service, dead_letter_topic(topic, "g"))
        await eventually(lambda: log)
        assert not subscription.problem
        assert counted(subscription) == {"shop.OrderPaid": 1}
    headers = dict(letter.headers)
    assert headers["ce_type"] == b"shop.OrderPlacd"
    assert headers["micro-dead-reason"] == (
        b"its type 'shop.OrderPlacd' is unknown: the .proto has no such event of " + topic.encode()
    )
    assert headers["micro-dead-attempts"] == b"0"


async def test_the_subscription_stops_in_front_of_one_where_it_says_so(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log = Log()
    topic = shop.topic("orders")
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g", on_unknown="stop") as (service, each):
        await publish.placed("k", 1)
        await (await service.broker()).publish([record(topic, "shop.OrderPlacd")])
        await publish.placed("k", 2)
        await eventually(lambda: "its type 'shop.OrderPlacd' is unknown" in each.problem)
        assert "group g has stopped at" in each.problem
    assert [event.total_cents for event in log.events] == [1]
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g"):
        await eventually(lambda: len(log) == 2)
    assert [event.total_cents for event in log.events] == [1, 2]


async def test_a_flood_of_types_takes_a_bounded_number_of_lines_and_counters(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    topic = shop.topic("orders")
    flood = MOST_LOGGED + 50
    async with subscribed(f"memory:{shop.mark}", shop.subscriber(order_placed=log), group="g") as (service, each):
        own = await service.broker()
        await own.publish([record(topic, f"type-{number}" + "x" * 500) for number in range(flood)])
        await own.publish([record(topic, b"\xff\xfe")])
        await eventually(lambda: sum(counted(each).values()) == flood + 1)
        assert len(counted(each)) == MOST_UNKNOWN + 1
        assert counted(each)[OTHERS] == flood + 1 - MOST_UNKNOWN
        assert all(len(type) < 210 for type in counted(each))
    assert len(warnings(caplog)) == MOST_LOGGED + 1
    assert all(len(line) < 400 for line in warnings(caplog))


async def test_an_impossible_choice_is_refused_at_once(shop: Shop) -> None:
    choice: Any = "ignore"
    with pytest.raises(ValueError, match="on_unknown='ignore': 'skip', 'dead_letter' or 'stop'"):
        micro.Service("s").subscribe(shop.subscriber(order_placed=Log()), on_unknown=choice)
