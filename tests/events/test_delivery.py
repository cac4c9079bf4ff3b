"""What a subscription promises, on every broker: at least once, in order per key, side by side across keys."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
import uuid
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.shop import SETTLE, Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPaid, OrderPlaced


async def test_an_event_arrives_with_all_that_is_known_of_it(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()
    when = datetime(2026, 11, 24, 12, 30, 15, 250_000, tzinfo=UTC)
    began = time.time()
    async with subscribed(broker, shop.subscriber(order_placed=log), group="billing"):
        published = await publish.placed("42", 1999, headers={"Zone": "eu", "raw": b"\xff\0"}, time=when)
        await eventually(lambda: log)
    (context,) = log.contexts
    assert log.events == [OrderPlaced(order_id="42", total_cents=1999)]
    assert (context.topic, context.partition, context.offset) == published[1:]
    assert context.topic == shop.topic("orders")
    assert context.id == published.id
    assert (context.source, context.group, context.attempt, context.key) == ("publisher", "billing", 1, b"42")
    assert context.time == when
    assert began - 1 < context.record.timestamp < time.time() + 1
    assert context.headers["zone"] == b"eu"
    assert context.headers["raw"] == b"\xff\0"
    assert context.headers["ce_type"] == b"shop.OrderPlaced"
    assert context.headers["content-type"] == b"application/protobuf"
    assert context.event.name == "shop.OrderPlaced"
    assert context.deadline is None


async def test_one_topic_carries_several_types_and_each_goes_to_its_method(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    placed, paid, everything = Log(), Log(), Log()
    async with (
        subscribed(broker, shop.subscriber(order_placed=placed), group="a"),
        subscribed(broker, shop.subscriber(order_paid=paid), group="b"),
        subscribed(broker, shop.subscriber(order_placed=everything, order_paid=everything), group="c"),
    ):
        for number in range(10):
            await publish.placed(str(number))
            await publish.paid(str(number))
        await eventually(lambda: len(placed) == 10 and len(paid) == 10 and len(everything) == 20)
    assert {type(event) for event in placed.events} == {OrderPlaced}
    assert {type(event) for event in paid.events} == {OrderPaid}


async def test_events_of_one_key_are_handled_in_order_and_those_of_others_side_by_side(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    running: dict[str, int] = defaultdict(int)
    seen: dict[str, list[int]] = defaultdict(list)
    at_once = 0

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        nonlocal at_once
        running[event.order_id] += 1
        assert running[event.order_id] == 1, "two events of one key at once"
        at_once = max(at_once, sum(running.values()))
        await asyncio.sleep(0.002 if event.total_cents % 3 else 0.01)
        seen[event.order_id].append(event.total_cents)
        running[event.order_id] -= 1

    await publish.many(
        [OrderPlaced(order_id=str(key), total_cents=number) for number in range(20) for key in range(10)]
    )
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="a", concurrency=8):
        await eventually(lambda: sum(map(len, seen.values())) == 200)
    assert all(numbers == list(range(20)) for numbers in seen.values()), seen
    assert 1 < at_once <= 8


async def test_concurrency_is_a_bound(broker: str, shop: Shop, publish: Publishes) -> None:
    running = most = handled = 0

    async def handle(event: Any, context: micro.EventContext) -> None:
        nonlocal running, most, handled
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        handled += 1

    await publish.many([OrderPlaced(order_id=str(number)) for number in range(50)])
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="a", concurrency=3):
        await eventually(lambda: handled == 50)
    assert most == 3


async def test_a_failure_is_tried_again_and_only_its_key_waits(broker: str, shop: Shop, publish: Publishes) -> None:
    seen: list[tuple[str, int]] = []
    attempts: list[int] = []

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if event.order_id == "bad" and event.total_cents == 0 and (len(seen) < 30 or context.attempt < 3):
            attempts.append(context.attempt)
            raise RuntimeError("not before all others are handled")
        seen.append((event.order_id, event.total_cents))

    await publish.many([OrderPlaced(order_id="bad", total_cents=number) for number in range(3)])
    await publish.many([OrderPlaced(order_id=f"good-{number}") for number in range(30)])
    options: Any = {"group": "a", "attempts": 10_000, "backoff": 0.01, "max_backoff": 0.1}
    async with subscribed(broker, shop.subscriber(order_placed=handle), **options):
        await eventually(lambda: len(seen) == 33)
    assert attempts == list(range(1, len(attempts) + 1))
    assert [number for order, number in seen if order == "bad"] == [0, 1, 2]


async def test_what_fails_for_good_becomes_a_dead_letter_with_the_reason(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if event.order_id == "poison":
            raise micro.FailedPrecondition("it is poison")
        await log(event, context)

    async with subscribed(broker, shop.subscriber(order_placed=handle), group="billing", attempts=3, backoff=0.01) as (
        service,
        _,
    ):
        published = await publish.placed("poison", headers={"zone": "eu"})
        await publish.placed("poison-not")
        await eventually(lambda: log)
        letters = await read_all(service, f"{shop.topic('orders')}.billing.dead")
    assert log.orders == ["poison-not"]
    (letter,) = letters
    headers = dict(letter.headers)
    assert OrderPlaced.FromString(letter.value).order_id == "poison"
    assert letter.key == b"poison"
    assert headers["zone"] == b"eu"
    assert headers["ce_id"] == published.id.encode()
    assert headers["micro-dead-topic"] == shop.topic("orders").encode()
    assert headers["micro-dead-partition"] == str(published.partition).encode()
    assert headers["micro-dead-offset"] == str(published.offset).encode()
    assert headers["micro-dead-group"] == b"billing"
    assert headers["micro-dead-attempts"] == b"3"
    assert headers["micro-dead-error"] == b"FAILED_PRECONDITION"
    assert b"it is poison" in headers["micro-dead-reason"]


async def test_what_cannot_be_read_becomes_a_dead_letter_at_once(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()
    topic = shop.topic("orders")
    async with subscribed(
        broker, shop.subscriber(order_placed=log, order_paid=log), group="g", backoff=100.0, max_backoff=100.0
    ) as (service, _):
        own = await service.broker()
        good = ("ce_type", b"shop.OrderPlaced")
        await own.publish(
            [
                OutgoingRecord(topic, b"\xff\xff\xff", b"k", (good,)),
                OutgoingRecord(topic, b"{", b"k", (("content-type", b"application/cloudevents+json"),)),
                OutgoingRecord(topic, b"{]", b"k", (good, ("content-type", b"application/json"))),
                OutgoingRecord(topic, b"", b"k"),  # no type, and the topic has two
                OutgoingRecord(topic, b"", b"k", (("ce_type", b"shop.SomethingElse"),)),  # not subscribed: passed over
                OutgoingRecord(topic, OrderPlaced(order_id="ok").SerializeToString(), b"k", (good,)),
            ]
        )
        await eventually(lambda: log)
        letters = await read_all(service, f"{topic}.g.dead", expected=4)
    assert log.orders == ["ok"]
    reasons = [dict(letter.headers)["micro-dead-reason"].decode() for letter in letters]
    assert "not a valid shop.OrderPlaced" in reasons[0]
    assert "not JSON" in reasons[1]
    assert "not the JSON of a OrderPlaced" in reasons[2]
    assert "ce_type" in reasons[3]
    assert {dict(letter.headers)["micro-dead-attempts"] for letter in letters} == {b"0"}


async def test_on_failure_stop_stops_in_front_of_it(broker: str, shop: Shop, publish: Publishes) -> None:
    broken = True
    log = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if broken and event.total_cents == 3:
            raise RuntimeError("broken")
        await log(event, context)

    await publish.many([OrderPlaced(order_id="one", total_cents=number) for number in range(6)])
    options: Any = {"group": "g", "attempts": 2, "backoff": 0.01, "on_failure": "stop"}
    async with subscribed(broker, shop.subscriber(order_placed=handle), **options) as (service, subscription):
        await eventually(lambda: "has stopped at" in subscription.problem)
        assert "RuntimeError: broken" in service.health.problems["group g"]
    assert [event.total_cents for event in log.events] == [0, 1, 2]
    broken = False
    async with subscribed(broker, shop.subscriber(order_placed=handle), **options):
        await eventually(lambda: len(log) == 6)
    assert [event.total_cents for event in log.events] == [0, 1, 2, 3, 4, 5]


async def test_on_failure_stop_stops_in_front_of_what_cannot_be_read(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log = Log()
    topic = shop.topic("orders")
    options: Any = {"group": "g", "on_failure": "stop"}
    async with subscribed(broker, shop.subscriber(order_placed=log), **options) as (service, subscription):
        await publish.placed("k", 1)
        await (await service.broker()).publish(
            [OutgoingRecord(topic, b"\xff", b"k", (("ce_type", b"shop.OrderPlaced"),))]
        )
        await publish.placed("k", 2)
        await eventually(lambda: "has stopped at" in subscription.problem)
        assert "not a valid shop.OrderPlaced" in service.health.problems["group g"]
    assert [event.total_cents for event in log.events] == [1]


async def test_what_is_done_is_not_handled_again_and_what_is_not_is(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    first, second = Log(), Log()
    stuck = asyncio.Event()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if event.order_id == "slow":
            await stuck.wait()
        await first(event, context)

    placed = [await publish.placed(order) for order in ("a", "b")]
    slow = await publish.placed("slow")
    after = [await publish.placed(f"c{number}") for number in range(20)]
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", grace=0.1) as (_, subscription):
        await eventually(lambda: len(first) == 22)
        assert not stuck.is_set()
        await asyncio.sleep(1.2)  # a commit that passed the slow one would be made by now
        (waiting,) = [status for status in subscription.status() if status.in_flight]
        assert waiting.partition.number == slow.partition
        assert waiting.waiting_for.startswith(f"offset {slow.offset}, attempt 1 is running")
    async with subscribed(broker, shop.subscriber(order_placed=second), group="g"):
        await eventually(lambda: "slow" in second.orders)
        await publish.placed("last")
        await eventually(lambda: "last" in second.orders)
    assert second.orders == ["slow", "last"], "what was done behind the slow one is handled again"
    assert any(each.partition == slow.partition for each in after)
    assert all(each.offset < slow.offset for each in placed if each.partition == slow.partition)


async def test_a_member_that_leaves_in_good_order_leaves_nothing_to_repeat(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    first, second = Log(), Log()

    def handle(log: Log) -> Any:
        async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
            if event.order_id == "slow":
                await asyncio.sleep(0.3)
            await log(event, context)

        return handle

    events = [OrderPlaced(order_id="slow", total_cents=number) for number in range(3)]
    events += [OrderPlaced(order_id=f"other{number}") for number in range(100)]
    await publish.many(events)
    async with subscribed(broker, shop.subscriber(order_placed=handle(first)), group="g"):
        await eventually(lambda: len(first) >= 100)
    assert len(first) < 103, "it leaves while events of the slow key wait"
    async with subscribed(broker, shop.subscriber(order_placed=handle(second)), group="g") as (_, subscription):
        await eventually(lambda: len(first) + len(second) >= 103)
        await eventually(lambda: sum(status.in_flight for status in subscription.status()), equals=0)
        assert sum((await subscription.unhandled()).values()) == 0
    handled = [(event.order_id, event.total_cents) for event in first.events + second.events]
    assert len(handled) == len(set(handled)) == 103
    assert [cents for order, cents in handled if order == "slow"] == [0, 1, 2]


async def test_what_is_done_behind_the_position_passes_from_member_to_member(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    gate = asyncio.Event()
    log = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if event.order_id == "waits":
            await gate.wait()
        await log(event, context)

    await publish.placed("waits")
    for turn in range(3):
        await publish.many([OrderPlaced(order_id=f"{turn}-{number}") for number in range(20)])
        async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", grace=0.1):
            await eventually(lambda turn=turn: len(log) >= 20 * (turn + 1))
    gate.set()
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g") as (_, subscription):
        await eventually(lambda: "waits" in log.orders)
        assert sum((await subscription.unhandled()).values()) == 0
    assert len(log) == len(set(log.orders)) == 61


async def test_positions_that_an_operator_sets_back_have_everything_handled_again(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log = Log()
    waits = True

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if waits and event.order_id == "waits":
            await asyncio.Event().wait()
        await log(event, context)

    await publish.many([OrderPlaced(order_id="before"), OrderPlaced(order_id="waits"), OrderPlaced(order_id="behind")])
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", grace=0.1):
        await eventually(lambda: len(log) == 2)
    waits = False
    async with micro.Service("operator", registry=f"memory:{uuid.uuid4()}", broker=broker) as service:
        operator = Recorder()
        member = (await service.broker()).subscribe([shop.topic("orders")], "g", "earliest", operator)
        try:
            async with asyncio.timeout(SETTLE):
                while len(operator.partitions) < 4:
                    await member.fetch(1, 0.1)
            await member.commit(dict.fromkeys(operator.partitions, 0))  # as tools do it, without a note
        finally:
            await member.close()
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g"):
        await eventually(lambda: len(log) == 5)
    assert sorted(log.orders) == ["before", "before", "behind", "behind", "waits"]


async def test_stopping_finishes_what_runs_and_commits_it(broker: str, shop: Shop, publish: Publishes) -> None:
    log, again = Log(), Log()
    started = asyncio.Event()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        started.set()
        await asyncio.sleep(0.5)
        await log(event, context)

    await publish.placed("1")
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g"):
        await asyncio.wait_for(started.wait(), SETTLE)
    assert log.orders == ["1"]
    await publish.placed("2")
    async with subscribed(broker, shop.subscriber(order_placed=again), group="g"):
        await eventually(lambda: again)
    assert again.orders == ["2"]


@pytest.mark.parametrize("address", ["memory:long-grace?session=0.3", "local:?session=0.5"])
async def test_a_grace_that_is_longer_than_the_session_loses_no_partition(
    address: str, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICRO_HOME", str(tmp_path))
    log, again = Log(), Log()
    started = asyncio.Event()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        started.set()
        await asyncio.sleep(1.5)
        await log(event, context)

    async with micro.Service("publisher", registry=f"memory:{uuid.uuid4()}", broker=address) as service:
        publish = Publishes(shop, service)
        await publish.placed("1")
        async with subscribed(address, shop.subscriber(order_placed=handle), group="g", grace=60.0):
            await started.wait()
        assert log.orders == ["1"]
        await publish.placed("2")
        async with subscribed(address, shop.subscriber(order_placed=again), group="g"):
            await eventually(lambda: "2" in again.orders)
    assert again.orders == ["2"], "what was handled within the grace was not committed"


async def test_two_groups_get_all_and_members_of_one_share(broker: str, shop: Shop, publish: Publishes) -> None:
    one, two, other = Log(), Log(), Log()
    async with (
        subscribed(broker, shop.subscriber(order_placed=one), group="g"),
        subscribed(broker, shop.subscriber(order_placed=two), group="g"),
        subscribed(broker, shop.subscriber(order_placed=other), group="other"),
    ):
        numbers = 0
        async with asyncio.timeout(SETTLE):
            while not (one and two):  # until both have partitions
                await publish.placed(str(numbers))
                numbers += 1
                await asyncio.sleep(0.01)
        for number in range(numbers, numbers + 100):
            await publish.placed(str(number))
        numbers += 100
        await eventually(lambda: len(set(one.orders) | set(two.orders)) == numbers and len(other) == numbers)
    assert len(one) + len(two) == numbers, "handled twice without a reason"


async def test_members_that_come_and_go_lose_and_repeat_nothing(broker: str, shop: Shop, publish: Publishes) -> None:
    seen: dict[str, list[int]] = defaultdict(list)

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await asyncio.sleep(0.001)
        seen[event.order_id].append(event.total_cents)

    sent = 0
    done = False

    async def publishing() -> None:
        nonlocal sent
        while not done:
            await publish.many([OrderPlaced(order_id=str(key), total_cents=sent) for key in range(8)])
            sent += 1
            await asyncio.sleep(0.01)

    task = asyncio.create_task(publishing())
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g"):
        for _ in range(4):
            async with subscribed(broker, shop.subscriber(order_placed=handle), group="g"):
                await asyncio.sleep(0.5)
        done = True
        await task
        await eventually(lambda: all(len(set(seen[str(key)])) == sent for key in range(8)))
    for key, numbers in seen.items():
        assert numbers == list(range(sent)), f"key {key}: lost, repeated or out of order"


@pytest.mark.parametrize("start", ["earliest", "latest", "time"])
async def test_where_a_new_group_begins(broker: str, shop: Shop, publish: Publishes, start: str) -> None:
    # What events say of themselves does not matter here: it is the time of their acceptance that does.
    for number in range(3):
        await publish.placed("k", number, time=datetime.now(UTC) + timedelta(hours=2))
    now = time.time()
    await eventually(lambda: time.time() > now + 0.01)
    for number in range(3, 6):
        await publish.placed("k", number, time=datetime.now(UTC) - timedelta(hours=2))
    log = Log()
    at: Any = datetime.fromtimestamp(now + 0.005, UTC) if start == "time" else start
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g", start=at) as (_, subscription):
        await eventually(lambda: subscription.status())
        if start == "latest":
            await eventually(lambda: any(status.lag is not None for status in subscription.status()))
        await publish.placed("k", 6)
        await eventually(lambda: log and log.events[-1].total_cents == 6)
    expected = {"earliest": [0, 1, 2, 3, 4, 5, 6], "latest": [6], "time": [3, 4, 5, 6]}[start]
    assert [event.total_cents for event in log.events] == expected


async def test_slow_handlers_bound_what_is_read(broker: str, shop: Shop, publish: Publishes) -> None:
    gate = asyncio.Event()
    log = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await gate.wait()
        await log(event, context)

    await publish.many([OrderPlaced(order_id="k", total_cents=number) for number in range(300)])
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", max_in_flight=20) as (
        _,
        subscription,
    ):
        await eventually(lambda: any(status.in_flight >= 20 for status in subscription.status()))
        await asyncio.sleep(0.3)
        assert sum(status.in_flight for status in subscription.status()) <= 40
        gate.set()
        await eventually(lambda: len(log) == 300)
    assert [event.total_cents for event in log.events] == list(range(300))


async def test_pausing_keeps_its_place(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g") as (_, subscription):
        await publish.placed("1")
        await eventually(lambda: len(log) == 1)
        subscription.pause()
        await asyncio.sleep(0.6)  # what was being fetched then has come
        await publish.placed("2")
        await asyncio.sleep(0.6)
        assert len(log) == 1
        subscription.resume()
        await eventually(lambda: len(log) == 2)


async def test_a_timeout_is_a_failure(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()

    async def handle(event: Any, context: micro.EventContext) -> None:
        if context.attempt == 1:
            remaining = context.deadline
            assert remaining is not None
            await asyncio.sleep(60)
        await log(event, context)

    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", timeout=0.2, backoff=0.01):
        await publish.placed("1")
        await eventually(lambda: log)
    assert [context.attempt for context in log.contexts] == [2]


async def test_a_deadline_in_the_headers_bounds_the_handler(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g") as (service, _):
        await publish.placed("late", headers={"micro-deadline": str(time.time() - 5)})
        await publish.placed("in time", headers={"micro-deadline": str(time.time() + 3600)})
        await eventually(lambda: log)
        (letter,) = await read_all(service, f"{shop.topic('orders')}.g.dead")
    assert log.orders == ["in time"]
    assert log.contexts[0].deadline is not None
    assert b"deadline passed" in dict(letter.headers)["micro-dead-reason"]


@pytest.mark.parametrize("deadline", ["nan", "inf", "1e300", "tomorrow"])
async def test_a_deadline_that_is_not_a_time_is_ignored(
    broker: str, shop: Shop, publish: Publishes, deadline: str
) -> None:
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g"):
        await publish.placed("k", headers={"micro-deadline": deadline})
        await eventually(lambda: log)
    assert log.contexts[0].deadline is None


async def test_trace_context_goes_from_event_to_event(broker: str, shop: Shop, publish: Publishes) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    paid = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await publish.paid(event.order_id)

    async with (
        subscribed(broker, shop.subscriber(order_placed=handle), group="a"),
        subscribed(broker, shop.subscriber(order_paid=paid), group="b"),
    ):
        await publish.placed("1", headers={"traceparent": trace})
        await eventually(lambda: paid)
    assert paid.contexts[0].headers["traceparent"] == trace.encode()
    assert dict(paid.contexts[0].trace) == {"traceparent": trace}


async def test_what_a_handler_leaves_in_context_variables_is_gone_for_the_next(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
    seen: list[str] = []

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        seen.append(variable.get())
        variable.set(event.order_id)

    await publish.many([OrderPlaced(order_id=str(number % 3)) for number in range(12)])
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g"):
        await eventually(lambda: len(seen) == 12)
    assert set(seen) == {"clean"}


class Records(micro.Interceptor):
    def __init__(self, name: str, log: list[str]) -> None:
        self._name = name
        self._log = log

    async def event(self, event: Any, context: Any, proceed: micro.EventNext) -> None:
        self._log.append(f"{self._name} {context.event.python_name} {context.attempt}")
        await proceed(event, context)

    async def publish(self, event: Any, publishing: Any, proceed: micro.PublishNext) -> Any:
        publishing.headers += ((self._name, b"yes"),)
        published = await proceed(event, publishing)
        self._log.append(f"{self._name} at {published.offset}")
        return published


async def test_interceptors_run_around_publishing_and_handling(broker: str, shop: Shop) -> None:
    log: list[str] = []
    handled = Log()

    async def handle(event: Any, context: micro.EventContext) -> None:
        if context.attempt == 1:
            raise RuntimeError("once more")
        await handled(event, context)

    service = micro.Service(
        "s",
        registry=f"memory:{shop.mark}",
        broker=broker,
        interceptors=[Records("outer", log)],
        client_interceptors=[Records("sending", log)],
    )
    service.subscribe(
        shop.subscriber(order_placed=handle), group="g", backoff=0.01, interceptors=[Records("inner", log)]
    )
    async with service:
        await Publishes(shop, service).placed("1")
        await eventually(lambda: handled)
    assert handled.contexts[0].headers["sending"] == b"yes"
    assert sorted(log) == sorted(
        ["outer order_placed 1", "inner order_placed 1", "outer order_placed 2", "inner order_placed 2", "sending at 0"]
    )


async def test_status_tells_lag_and_health_tells_of_stuck_partitions(
    broker: str, shop: Shop, publish: Publishes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("micro_rt.events.delivery.STUCK_AFTER", 0.5)
    monkeypatch.setattr("micro_rt.events.delivery.LAG_EVERY", 0.1)

    async def handle(event: Any, context: micro.EventContext) -> None:
        raise RuntimeError("never")

    with caplog.at_level(logging.INFO):
        await publish.placed("1")
        published = await publish.placed("1")
        async with subscribed(
            broker, shop.subscriber(order_placed=handle), group="g", backoff=100.0, max_backoff=100.0
        ) as (service, subscription):
            await eventually(lambda: "failed: RuntimeError: never" in service.health.problems.get("group g", ""))
            problem = service.health.problems["group g"]
            (status,) = [each for each in subscription.status() if each.in_flight]
            await eventually(lambda: max(each.lag or 0 for each in subscription.status()) == 2)
    assert "has not moved for" in problem
    assert "offset 0, attempt" in problem
    assert status.stuck
    assert status.partition.number == published.partition
    assert "attempt 1 of 5 failed" in caplog.text


async def test_start_replays_nothing_to_a_group_that_has_a_position(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    first, second = Log(), Log()
    await publish.placed("1")
    async with subscribed(broker, shop.subscriber(order_placed=first), group="g"):
        await eventually(lambda: first)
    async with subscribed(broker, shop.subscriber(order_placed=second), group="g", start="earliest"):
        await publish.placed("2")
        await eventually(lambda: second)
    assert second.orders == ["2"]
