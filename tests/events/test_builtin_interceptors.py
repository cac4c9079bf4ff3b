"""The interceptors that come with the runtime, around events that are published and handled."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.broker import MemoryBroker
from micro_rt.broker.base import OutgoingRecord, Position
from tests.helpers.shop import Log, Publishes, Shop
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPlaced


@asynccontextmanager
async def shopping(
    shop: Shop, subscriber: micro.Subscriber | None, *, broker: Any = None, interceptors: Any = (), outgoing: Any = ()
) -> AsyncIterator[Publishes]:
    """A service that publishes, and handles what it publishes in the group ``g``."""
    service = micro.Service(
        "s",
        registry=f"memory:{shop.mark}",
        broker=broker or f"memory:{shop.mark}",
        interceptors=interceptors,
        client_interceptors=outgoing,
    )
    if subscriber is not None:
        service.subscribe(subscriber, group="g", backoff=0.001, max_backoff=0.01)
    async with service:
        yield Publishes(shop, service)


class FailsOnce:
    """Fails the first attempt at each event with an error, and handles the second one."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.handled = Log()

    async def __call__(self, event: Any, context: micro.EventContext) -> None:
        if context.attempt == 1:
            raise self.error
        await self.handled(event, context)


class Refuses(MemoryBroker):
    """Accepts nothing."""

    async def publish(self, records: Any) -> list[Position | micro.Error]:
        return [micro.Unavailable("no room") for _ in records]


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Returns the level and the text of each line of the access log, without the time that it says."""
    found = [record for record in caplog.records if record.name == "micro_rt.access"]
    return [(record.levelno, re.sub(r" \d+\.\d ms", " T", record.getMessage())) for record in found]


async def test_the_access_log_tells_each_event_that_is_published_and_each_attempt(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt.access")
    fails = FailsOnce(micro.ResourceExhausted("secret"))
    log = [micro.AccessLog()]
    async with shopping(shop, shop.subscriber(order_placed=fails), interceptors=log, outgoing=log) as publish:
        published = await publish.placed("hidden", headers={"x-token": "hidden"})
        await eventually(lambda: len(fails.handled) == 1)
        await eventually(lambda: len(lines(caplog)) == 3)
    where = f"{published.topic}/{published.partition}@{published.offset}"
    assert sorted(lines(caplog)) == sorted(
        [
            (logging.INFO, f"publisher shop.OrderPlaced OK T {where}"),
            (logging.INFO, f"subscriber shop.OrderPlaced RESOURCE_EXHAUSTED T {where} in group g, attempt 1"),
            (logging.INFO, f"subscriber shop.OrderPlaced OK T {where} in group g, attempt 2"),
        ]
    )
    assert "hidden" not in "".join(text for _, text in lines(caplog))


async def test_the_access_log_tells_tombstones_and_what_no_broker_takes(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt.access")
    deleted: list[micro.EventContext] = []

    async def handle(_: Any, context: micro.EventContext) -> None:
        deleted.append(context)

    subscriber = shop.subscriber(order_placed=Log())

    async def tombstone(self: Any, context: micro.EventContext) -> None:
        deleted.append(context)

    type(subscriber).tombstone = tombstone  # type: ignore[method-assign]
    log = [micro.AccessLog()]
    broker = MemoryBroker(f"memory:{shop.mark}")
    topic = shop.topic("orders")
    async with shopping(shop, subscriber, broker=broker, interceptors=log, outgoing=log) as publish:
        published = await publish.publisher.tombstone(OrderPlaced, key="hidden")
        await broker.publish([OutgoingRecord(topic, b"", b"hidden", (), tombstone=True)])
        await eventually(lambda: len(lines(caplog)) == 3)
    async with shopping(shop, None, broker=Refuses(f"memory:{uuid.uuid4()}"), outgoing=log) as publish:
        with pytest.raises(micro.Unavailable):
            await publish.placed("1")
    where = f"{topic}/{published.partition}"
    assert sorted(lines(caplog)) == sorted(
        [
            (logging.INFO, f"publisher shop.OrderPlaced OK T {where}@0, tombstone"),
            (logging.INFO, f"subscriber shop.OrderPlaced OK T {where}@0 in group g, attempt 1, tombstone"),
            (logging.INFO, f"subscriber - OK T {where}@1 in group g, attempt 1, tombstone"),
            (logging.WARNING, f"publisher shop.OrderPlaced UNAVAILABLE T {topic}"),
        ]
    )


async def test_an_attempt_that_takes_longer_than_it_may_is_told_as_late(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "micro_rt.access")
    told: list[micro.Timed] = []

    async def hang(event: Any, context: micro.EventContext) -> None:
        await asyncio.Event().wait()

    service = micro.Service(
        "s",
        registry=f"memory:{shop.mark}",
        broker=f"memory:{shop.mark}",
        interceptors=[micro.AccessLog(), micro.Timing(told.append)],
    )
    service.subscribe(shop.subscriber(order_placed=hang), group="g", timeout=0.05)
    async with service:
        await Publishes(shop, service).placed("1")
        await eventually(lambda: lines(caplog) and told)
    assert "subscriber shop.OrderPlaced DEADLINE_EXCEEDED" in lines(caplog)[0][1]
    assert told[0].code is micro.Code.DEADLINE_EXCEEDED


async def test_the_access_log_takes_an_event_that_another_interceptor_did_not_publish(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    class Swallows(micro.ClientInterceptor):
        async def publish(self, event: Any, publishing: micro.Publishing, proceed: micro.PublishNext) -> Any:
            return None

    caplog.set_level(logging.INFO, "micro_rt.access")
    async with shopping(shop, None, outgoing=[micro.AccessLog(), Swallows()]) as publish:
        await publish.placed("1")
    assert lines(caplog) == [(logging.INFO, f"publisher shop.OrderPlaced OK T {shop.topic('orders')}")]


async def test_timing_tells_of_each_event_and_each_attempt(shop: Shop) -> None:
    told: list[micro.Timed] = []
    fails = FailsOnce(ZeroDivisionError("once"))
    timing = [micro.Timing(told.append)]
    async with shopping(shop, shop.subscriber(order_placed=fails), interceptors=timing, outgoing=timing) as publish:
        await publish.placed("1")
        await publish.many([OrderPlaced(order_id="1")])
        await eventually(lambda: len(told) == 6)
    async with shopping(shop, None, broker=Refuses(f"memory:{uuid.uuid4()}"), outgoing=timing) as publish:
        with pytest.raises(micro.Unavailable):
            await publish.placed("1")
    assert all(timed.seconds >= 0 and timed.kind is None and timed.name == "shop.OrderPlaced" for timed in told)
    assert [(t.code.name, t.attempts) for t in told if t.side == "publisher"] == [
        ("OK", 1),
        ("OK", 1),
        ("UNAVAILABLE", 1),
    ]
    handled = [("UNKNOWN", 1), ("OK", 2)]
    assert [(t.code.name, t.attempts) for t in told if t.side == "subscriber"] == handled * 2


async def test_what_a_report_raises_fails_no_event(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    def report(timed: micro.Timed) -> None:
        raise KeyError("no such metric")

    log = Log()
    timing = [micro.Timing(report)]
    async with shopping(shop, shop.subscriber(order_placed=log), interceptors=timing, outgoing=timing) as publish:
        await publish.placed("1")
        await eventually(lambda: len(log) == 1)
    assert [context.attempt for context in log.contexts] == [1]
    assert "no such metric" in caplog.text


async def test_headers_are_added_to_events_unless_the_event_has_them(shop: Shop) -> None:
    log = Log()
    numbers = iter("12345")

    async def numbered() -> dict[str, str]:
        return {"x-number": next(numbers)}

    adds = [micro.AddMetadata({"X-App": "web", "x-raw-bin": b"\xff"}), micro.AddMetadata(numbered)]
    async with shopping(shop, shop.subscriber(order_placed=log), outgoing=adds) as publish:
        await publish.placed("1")
        await publish.placed("1", headers={"x-app": "own", "x-number": "own"})
        await publish.publisher._publish_all([OrderPlaced(order_id="1")], None, None)
        await eventually(lambda: len(log) == 3)
    seen = [(each.headers["x-app"], each.headers["x-raw-bin"], each.headers["x-number"]) for each in log.contexts]
    assert seen == [(b"web", b"\xff", b"1"), (b"own", b"\xff", b"own"), (b"web", b"\xff", b"3")]


@pytest.mark.parametrize("given", [{"ce_id": "forged"}, {"content-type-": "a", "micro-dead-x": "a"}, {"x": 1}])
async def test_headers_that_micro_rt_writes_itself_are_refused(shop: Shop, given: Any) -> None:
    log = Log()
    adds = [micro.AddMetadata(lambda: given)]
    async with shopping(shop, shop.subscriber(order_placed=log), outgoing=adds) as publish:
        with pytest.raises(micro.InvalidArgument, match=r"micro\.AddMetadata adds cannot be sent") as caught:
            await publish.placed("1")
    assert not caught.value.may_have_run
    assert not log


async def test_recovery_says_what_becomes_of_an_event(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[tuple[Exception, str, int]] = []

    def on_error(error: Exception, call: micro.Context | micro.EventContext) -> micro.Error | None:
        assert isinstance(call, micro.EventContext)
        seen.append((error, call.event.name, call.attempt))
        return micro.Unavailable("the store is away") if isinstance(error, ConnectionError) else None

    lost = ConnectionError("secret")
    fails = FailsOnce(lost)
    recovery = [micro.Recovery(on_error)]
    async with shopping(shop, shop.subscriber(order_placed=fails), interceptors=recovery) as publish:
        await publish.placed("1")
        await eventually(lambda: len(fails.handled) == 1)
    assert seen == [(lost, "shop.OrderPlaced", 1)]
    assert "the store is away" in caplog.text
    assert "secret" not in caplog.text


async def test_recovery_leaves_an_exception_of_an_event_that_it_does_not_know(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    fails = FailsOnce(ZeroDivisionError("mine"))
    recovery = [micro.Recovery(lambda error, call: None)]
    async with shopping(shop, shop.subscriber(order_placed=fails), interceptors=recovery) as publish:
        await publish.placed("1")
        await eventually(lambda: len(fails.handled) == 1)
    assert "ZeroDivisionError: mine" in caplog.text
