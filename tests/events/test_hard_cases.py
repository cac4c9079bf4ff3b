"""What handlers, records and brokers do that nobody expects, and that must not leave a record behind."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.broker import MemoryBroker, _MemoryMember
from micro_rt.broker.base import OutgoingRecord, Partition, Position, Record
from micro_rt.codec.proto import ProtoCodec
from micro_rt.events.dead_letter import dead_letter_topic
from micro_rt.events.delivery import PartitionStatus
from micro_rt.events.envelope import seal
from micro_rt.events.handling import Handling
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.progress import PartitionProgress
from micro_rt.events.subscriber import routes_of
from tests.helpers.kafka_lab import make_topic
from tests.helpers.shop import SETTLE, Log, Publishes, Shop, read_all, subscribed
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually, soon
from tests.protos import shop_micro
from tests.protos.shop_pb2 import Blob, OrderPlaced
from tests.servers.server import Server


async def test_a_partition_full_of_events_of_others_is_read_on(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g", max_in_flight=10) as (service, _):
        own = await service.broker()
        others = [OutgoingRecord(shop.topic("orders"), b"", b"k", (("ce_type", b"shop.Other"),)) for _ in range(50)]
        await own.publish(others)
        await publish.placed("k")
        await eventually(lambda: log)


async def test_a_full_partition_is_read_on_after_a_handler_that_leaves_context_variables(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable")
    log = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if event.total_cents % 10 == 9:  # the last one that is read before it is full
            variable.set(event.total_cents)
        await log(event, context)

    await publish.many([OrderPlaced(order_id="k", total_cents=number) for number in range(40)])
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", max_in_flight=10):
        await eventually(lambda: len(log) == 40)


async def test_what_a_handler_does_to_its_event_is_gone_at_the_next_attempt(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    seen: list[int] = []

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        seen.append(event.total_cents)
        event.total_cents += 1
        if context.attempt < 3:
            raise RuntimeError("once more")

    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", backoff=0.01):
        await publish.placed("k", 1)
        await eventually(lambda: len(seen) == 3)
    assert seen == [1, 1, 1]


async def test_more_attempts_than_a_float_has_exponents(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if context.attempt < 1100:
            raise micro.Unavailable("for a long time")
        await log(event, context)

    options: Any = {"group": "g", "attempts": 10**9, "backoff": 0.0, "max_backoff": 0.0}
    await publish.placed("k")
    async with subscribed(broker, shop.subscriber(order_placed=handle), **options):
        await eventually(lambda: log)


async def test_status_can_be_asked_for_between_any_two_records(broker: str, shop: Shop, publish: Publishes) -> None:
    log = Log()
    await publish.many([OrderPlaced(order_id="k", total_cents=number) for number in range(64)])  # a fair share, exactly
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g") as (_, subscription):
        in_flight: set[int] = set()

        def look() -> list[PartitionStatus]:
            found = subscription.status()
            in_flight.add(sum(each.in_flight for each in found))
            return found

        async with asyncio.timeout(SETTLE):
            while len(log) < 64:
                look()
                await asyncio.sleep(0)
        await eventually(lambda: {each.partition.topic for each in look()} == {shop.events["order_placed"].topic})
        for _ in range(10):
            assert look(), "it has its partitions"
            await asyncio.sleep(0)
        await eventually(lambda: sum(each.in_flight for each in look()) == 0)
    assert max(in_flight) <= 64


async def test_a_handler_whose_task_is_cancelled_by_others_is_called_again(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    log = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        task = asyncio.current_task()
        if context.attempt == 1 and task is not None:
            task.cancel()
            await asyncio.sleep(SETTLE)
        await log(event, context)

    await publish.many([OrderPlaced(order_id="k", total_cents=number) for number in range(5)])
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", backoff=0.01):
        await eventually(lambda: len(log) == 5)
    assert [event.total_cents for event in log.events] == list(range(5))


@pytest.mark.parametrize("waits", [False, True])
async def test_what_is_no_exception_is_a_failure_too(broker: str, shop: Shop, publish: Publishes, waits: bool) -> None:
    log = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if waits:
            await asyncio.sleep(0.01)
        if context.attempt == 1:
            pytest.fail("which is a BaseException")
        await log(event, context)

    await publish.placed("k")
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", backoff=0.01):
        await eventually(lambda: log)


async def test_a_handler_that_is_cut_short_and_raises_something_else_has_not_failed(
    broker: str, shop: Shop, publish: Publishes
) -> None:
    started = asyncio.Event()
    log = Log()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        started.set()
        try:
            await asyncio.sleep(SETTLE)
        except asyncio.CancelledError:
            raise RuntimeError("as some libraries do") from None

    await publish.placed("k")
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", attempts=1, grace=0.1):
        await asyncio.wait_for(started.wait(), SETTLE)
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g"):
        await eventually(lambda: log)  # and is not a dead letter


async def test_dead_letters_wait_for_a_broker_that_raises_whatever_it_likes(shop: Shop) -> None:
    raised = 0

    class Broken(MemoryBroker):
        async def publish(self, messages: Sequence[OutgoingRecord]) -> list[Position | micro.Error]:
            nonlocal raised
            if messages[0].topic.endswith(".dead") and not raised:
                raised += 1
                raise LookupError("not an error of ours")
            return await super().publish(messages)

    async def handle(event: Any, context: micro.EventContext) -> None:
        raise RuntimeError("never")

    service = micro.Service("s", registry=f"memory:{shop.mark}", broker=Broken(f"memory:{shop.mark}"))
    service.subscribe(shop.subscriber(order_placed=handle), group="g", attempts=1)
    async with service:
        await Publishes(shop, service).placed("k")
        await read_all(service, f"{shop.topic('orders')}.g.dead")
    assert raised == 1


async def test_a_broker_that_cannot_tell_the_lag_is_read_all_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0

    class Reads(_MemoryMember):
        async def lag(self) -> Mapping[Partition, int]:
            nonlocal asked
            asked += 1
            raise micro.PermissionDenied("you may read, and no more")

    monkeypatch.setattr("micro_rt.backends.memory.broker._MemoryMember", Reads)
    monkeypatch.setattr("micro_rt.events.delivery.LAG_EVERY", 0.1)
    log = Log()
    address = f"memory:{shop.mark}"
    async with subscribed(address, shop.subscriber(order_placed=log), group="g") as (service, subscription):
        for number in range(20):
            await Publishes(shop, service).placed("k", number)
            await eventually(lambda expected=number + 1: len(log) == expected)
        await eventually(lambda: asked > 5)
        assert "cannot tell how far behind it is: PERMISSION_DENIED" in subscription.problem
        assert "cannot read" not in subscription.problem


async def test_a_broker_that_never_tells_the_lag_is_read_all_the_same(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, cancelled = asyncio.Event(), asyncio.Event()

    class Reads(_MemoryMember):
        async def lag(self) -> Mapping[Partition, int]:
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()
            return {}

    monkeypatch.setattr("micro_rt.backends.memory.broker._MemoryMember", Reads)
    log = Log()
    async with subscribed(f"memory:{shop.mark}", shop.subscriber(order_placed=log), group="g") as (service, _):
        await soon(asked.wait())
        for number in range(20):
            await Publishes(shop, service).placed("k", number)
            await eventually(lambda expected=number + 1: len(log) == expected)
        assert not cancelled.is_set()
    assert cancelled.is_set()


async def test_why_it_has_stopped_is_told_whatever_the_broker_does_then(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = asyncio.Event()
    fetches = 0

    class Recovers(_MemoryMember):
        async def fetch(self, limit: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:
            nonlocal fetches
            if subscription.status() and any(status.in_flight for status in subscription.status()):
                fetches += 1
                if fetches == 1:
                    raise micro.Unavailable("for a moment")
                await failed.wait()
                await asyncio.sleep(0.1)
                return {}
            return await super().fetch(limit, timeout)

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        if context.attempt == 1:
            await asyncio.sleep(0.01)
            raise RuntimeError("not yet")
        while fetches < 2:
            await asyncio.sleep(0.01)
        failed.set()
        raise RuntimeError("never")

    monkeypatch.setattr("micro_rt.backends.memory.broker._MemoryMember", Recovers)
    options: Any = {"group": "g", "attempts": 2, "backoff": 0.01, "on_failure": "stop"}
    async with subscribed(f"memory:{shop.mark}", shop.subscriber(order_placed=handle), **options) as (
        service,
        subscription,
    ):
        await Publishes(shop, service).placed("k")
        await asyncio.wait_for(failed.wait(), SETTLE)
        await eventually(lambda: subscription.status() == [])
        assert "has stopped at" in subscription.problem


async def test_a_timeout_says_that_it_was_one(broker: str, shop: Shop, publish: Publishes) -> None:
    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await asyncio.sleep(SETTLE)

    options: Any = {"group": "g", "attempts": 1, "timeout": 0.25, "retry_for": 0.0}
    async with subscribed(broker, shop.subscriber(order_placed=handle), **options) as (service, _):
        await publish.placed("k")
        (letter,) = await read_all(service, f"{shop.topic('orders')}.g.dead")
    headers = dict(letter.headers)
    assert headers["micro-dead-error"] == b"DEADLINE_EXCEEDED"
    assert b"did not finish within 0.25 s" in headers["micro-dead-reason"]


@pytest.mark.parametrize(
    ("start", "problem"),
    [("erliest", "not 'earliest', 'latest'"), (-1, "begin at 0"), (datetime(2026, 11, 24), "no time zone")],
)
async def test_an_impossible_start_is_refused_at_once(shop: Shop, start: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        micro.Service("s").subscribe(shop.subscriber(order_placed=Log()), start=start)


async def test_a_handler_that_is_not_async_is_refused_at_once(shop: Shop) -> None:
    class Handles(shop.Base):  # type: ignore[name-defined, misc]
        def order_placed(self, event: Any, context: Any) -> None: ...

    with pytest.raises(TypeError, match=r"Handles\.order_placed\(\) must be written as `async def`"):
        micro.Service("s").subscribe(Handles())


async def test_a_subscriber_of_two_files_is_refused_at_once(shop: Shop) -> None:
    class Both(shop.Base, shop_micro.ShopSubscriberBase):  # type: ignore[name-defined, misc]
        async def ping(self, event: Any, context: Any) -> None: ...

    with pytest.raises(TypeError, match="Both derives from Base and ShopSubscriberBase: make a subscriber for each"):
        micro.Service("s").subscribe(Both())


async def test_a_record_as_large_as_may_be_becomes_a_dead_letter(broker: str, shop: Shop) -> None:
    failed = asyncio.Event()

    async def handle(event: Any, context: micro.EventContext) -> None:
        failed.set()
        raise RuntimeError("why " * 500)

    # All but the largest that Kafka takes, as somebody writes it who is not held back by max_message=.
    event = Blob(id=b"k", data=bytes(1_048_480))
    record = OutgoingRecord(shop.topic("blobs"), event.SerializeToString(), b"k", republished=True)
    async with subscribed(broker, shop.subscriber(blob=handle), group="g", attempts=1) as (service, subscription):
        own = await service.broker()
        (outcome,) = await own.publish([record])
        assert isinstance(outcome, Position)
        dead = dead_letter_topic(record.topic, "g")
        await asyncio.wait_for(failed.wait(), SETTLE)
        await eventually(lambda: not any(each.in_flight for each in subscription.status()))
        (letter,) = await read_all(service, dead)
    assert letter.value == record.value
    assert len(dict(letter.headers)["micro-dead-reason"]) > 2000


async def test_a_dead_letter_for_which_others_left_little_room_has_a_short_reason(kafka: Server, shop: Shop) -> None:
    async def handle(event: Any, context: micro.EventContext) -> None:
        raise RuntimeError("why " * 500)

    await make_topic(kafka, {"max.message.bytes": "2000"}, named=f"{shop.topic('blobs')}.g.dead")
    async with subscribed(kafka.url, shop.subscriber(blob=handle), group="g", attempts=1) as (service, _):
        publisher: Any = shop.Publisher(service)
        await publisher._publish_all([Blob(id=b"k", data=bytes(1200))], None, None)
        (letter,) = await read_all(service, f"{shop.topic('blobs')}.g.dead")
    assert dict(letter.headers)["micro-dead-reason"].startswith(b"RuntimeError: why why")


async def test_status_and_health_say_at_once_why_there_is_no_dead_letter(kafka: Server, shop: Shop) -> None:
    async def handle(event: Any, context: micro.EventContext) -> None:
        raise RuntimeError("broken")

    await make_topic(kafka, {"max.message.bytes": "1000"}, named=f"{shop.topic('blobs')}.g.dead")
    async with subscribed(kafka.url, shop.subscriber(blob=handle), group="g", attempts=1) as (service, subscription):
        publisher: Any = shop.Publisher(service)
        await publisher._publish_all([Blob(id=b"k", data=bytes(1000))], None, None)
        await eventually(lambda: any(".g.dead: INVALID_ARGUMENT" in each.waiting_for for each in subscription.status()))
        assert any("raise max.message.bytes of the topic" in problem for problem in service.health.problems.values())


async def test_a_stop_that_is_cut_short_waits_for_no_handler(
    broker: str, shop: Shop, publish: Publishes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micro_rt.events.delivery.HAND_OVER", 4 * SETTLE)
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    await publish.placed("k")
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", grace=4 * SETTLE) as (
        _,
        subscription,
    ):
        await asyncio.wait_for(started.wait(), SETTLE)
        stopping = asyncio.create_task(subscription.stop())
        await asyncio.wait((stopping,), timeout=1.0)
        assert not cancelled.is_set()
        stopping.cancel()  # as a second signal does
        await asyncio.wait((stopping,), timeout=SETTLE)
        assert stopping.cancelled()
        assert cancelled.is_set()


async def test_a_handler_that_does_not_end_does_not_keep_its_service_from_stopping(
    broker: str, shop: Shop, publish: Publishes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("micro_rt.events.delivery.HAND_OVER", 0.2)
    started, end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        started.set()
        while not end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await end.wait()
        ended.set()

    await publish.placed("k")
    async with asyncio.timeout(SETTLE):
        async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", grace=0.1):
            await started.wait()
        assert not ended.is_set()
        end.set()
        await ended.wait()
    assert "go on although they were cancelled" in caplog.text


async def test_a_partition_that_goes_before_a_worker_has_begun_is_not_handled(shop: Shop) -> None:
    log = Log()
    routes = routes_of(shop.subscriber(order_placed=log), ProtoCodec(), ())
    handling = Handling(MemoryBroker(), routes, DeliveryOptions("g"), lambda progress: None, lambda why: None)
    (event,) = [each.event for each in routes]
    headers = seal(event.name.encode(), b"1", b"test", b"", ())
    progress = PartitionProgress(Partition(event.topic, 0))
    handling.take(progress, [Record(event.topic, 0, offset, 0.0, b"k", b"", headers) for offset in range(100)])
    await handling.release([progress], 1.0, 1.0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (len(log), progress.position, handling.fast_batches) == (0, -1, 0)
    await handling.close(1.0)


@pytest.mark.verify("events")
async def test_a_handler_finishes_although_members_come_and_go(
    broker: str, shop: Shop, publish: Publishes, size: Size, figures: Figures
) -> None:
    seconds, changes = size(12.0, ci=6.5), size(4, ci=1)
    started, cancelled, finished = 0, 0, 0

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        nonlocal started, cancelled, finished
        started += 1
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            cancelled += 1
            raise
        finished += 1

    orders = 16 * changes
    await publish.many([OrderPlaced(order_id=str(number)) for number in range(orders)])
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", concurrency=16, grace=2 * seconds):
        await eventually(lambda: started >= 16)
        for _ in range(changes):
            async with subscribed(
                broker, shop.subscriber(order_placed=handle), group="g", concurrency=16, grace=2 * seconds
            ) as (_, comes):
                await eventually(lambda: comes.status())
        await eventually(lambda: finished >= orders)
    figures.add("cancelled", cancelled)
    assert (cancelled, finished) == (0, orders)
