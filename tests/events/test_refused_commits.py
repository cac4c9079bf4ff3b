"""What a member does when the broker refuses a commit or a dead letter, or does not answer."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory import broker as memory
from micro_rt.broker.base import OutgoingRecord, Partition, Position, Record
from micro_rt.codec.proto import ProtoCodec
from micro_rt.events.careful import CarefulWork
from micro_rt.events.delivery import Delivery
from micro_rt.events.envelope import seal
from micro_rt.events.handling import Handling
from micro_rt.events.options import DeliveryOptions
from micro_rt.events.position_note import PositionNote, Suspect, check_of, encode_note
from micro_rt.events.progress import PartitionProgress, PendingRecord
from micro_rt.events.recollection import Suspicion
from micro_rt.events.subscriber import routes_of
from micro_rt.events.subscription import EventSubscription
from tests.events.test_careful import Crashed
from tests.helpers.shop import SETTLE, Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPlaced


async def test_no_position_passes_an_event_that_runs_after_the_first_commit_was_refused(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker refuses a commit of several partitions if one of them has gone, and whenever a group is rebalanced."""
    broker, log, end = f"memory:{uuid.uuid4()}", Log(), asyncio.Event()
    commit = memory._MemoryMember.commit
    asked = 0
    committed: list[int] = []

    async def refuses_once(member: Any, positions: Mapping[Partition, int], notes: Mapping[Partition, str]) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise micro.Aborted("a rebalance is under way")
        await commit(member, positions, notes)
        committed.extend(positions.values())

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await log(event, context)
        await end.wait()

    monkeypatch.setattr(memory._MemoryMember, "commit", refuses_once)
    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g") as (service, subscription):
        publish = Publishes(shop, service)
        await publish.placed("k", 0)
        await eventually(lambda: len(log) == 1)
        await publish.placed("k", 1)
        await eventually(lambda: sum(status.in_flight for status in subscription.status()) == 2)
        assert not any(committed)
        end.set()
        await eventually(lambda: committed[-1:] == [2])


async def test_a_group_that_cannot_commit_reads_on_and_reports_it_once(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    commit, log = memory._MemoryMember.commit, Log()
    refused = 0
    refuses = True

    async def commits(member: Any, positions: Mapping[Partition, int], notes: Mapping[Partition, str]) -> None:
        nonlocal refused
        if refuses:
            refused += 1
            raise micro.Unavailable("no coordinator")
        await commit(member, positions, notes)

    async def is_refused_again() -> None:
        before = refused
        await eventually(lambda: refused > before + 1)

    monkeypatch.setattr(memory._MemoryMember, "commit", commits)
    monkeypatch.setattr("micro_rt.events.delivery.COMMIT_EVERY", 0.05)
    async with subscribed(f"memory:{shop.mark}", shop.subscriber(order_placed=log), group="g") as (
        service,
        subscription,
    ):
        publish = Publishes(shop, service)
        for number in range(5):
            await publish.placed("k", number)
            await eventually(partial(len, log), equals=number + 1)
            await is_refused_again()
            assert "cannot commit what is done: UNAVAILABLE" in subscription.problem
            assert "cannot read" not in subscription.problem
        refuses = False
        await eventually(lambda: not subscription.problem)
    warnings = [record for record in caplog.records if "group g cannot" in record.getMessage()]
    assert [record.levelname for record in warnings if "cannot commit" in record.getMessage()] == ["WARNING"]
    assert not [record for record in warnings if "cannot read" in record.getMessage()]


def reports(subscription: EventSubscription, problem: str) -> bool:
    return problem in subscription.problem


async def test_a_record_that_has_ended_processes_is_not_forgotten_before_it_is_a_dead_letter(shop: Shop) -> None:
    refuses = True

    class Broken(memory.MemoryBroker):
        async def publish(self, records: Sequence[OutgoingRecord]) -> list[Position | micro.Error]:
            if refuses and records[0].topic.endswith(".dead"):
                raise micro.Unavailable("no dead letters now")
            return await super().publish(records)

    address, log = f"memory:{shop.mark}", Log()
    async with micro.Service("publisher", registry=f"memory:{uuid.uuid4()}", broker=address) as service:
        await Publishes(shop, service).placed("k")
        crashed = Crashed(address, shop.topic("orders"), "g")
        (record,) = await crashed.read(1)
        partition = Partition(*record[:2])
        died = Suspect(record.offset, check_of(record), ["0000000a", "0000000b"])
        await crashed.leave({partition: PositionNote(0, died=[died])})
        for refuses in (True, False):
            member = micro.Service("s", registry=f"memory:{uuid.uuid4()}", broker=Broken(address))
            subscription = member.subscribe(shop.subscriber(order_placed=log), group="g", crash_attempts=2)
            async with member:
                if refuses:
                    await eventually(partial(reports, subscription, "cannot be put into"))
                else:
                    await read_all(member, f"{shop.topic('orders')}.g.dead")
            assert bool((await crashed.notes())[partition.number]) == refuses
    assert not log


async def test_a_suspected_record_of_a_partition_that_has_gone_does_not_begin(shop: Shop) -> None:
    log = Log()
    routes = routes_of(shop.subscriber(order_placed=log), ProtoCodec(), ())
    (event,) = [each.event for each in routes]
    record = Record(event.topic, 0, 0, 0.0, b"k", b"", seal(event.name.encode(), b"1", b"test", b"", ()))
    progress = PartitionProgress(Partition(event.topic, 0))
    progress.recall(encode_note(PositionNote(0, used="0000000a")))
    progress.suspect(1)

    async def announce() -> bool:
        return True

    handling = Handling(
        memory.MemoryBroker(), routes, DeliveryOptions("g"), lambda progress: None, lambda why: None, announce=announce
    )
    handling.take(progress, [record])
    async with asyncio.timeout(SETTLE):
        while not handling.busy:
            await asyncio.sleep(0)
    assert not log, "its worker has not begun"
    await handling.release([progress], 0.0, 0.0)
    await eventually(lambda: not handling.busy)
    assert not log
    await handling.close(1.0)


async def test_others_are_handled_for_half_of_the_time_while_a_broker_does_not_answer_about_suspected_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The gate, which holds up every subscription of the process, is open for as long as it was closed."""
    monkeypatch.setattr("micro_rt.events.careful.ANNOUNCED_WITHIN", 0.3)
    waits: list[float] = []
    sleep = asyncio.sleep

    async def sleeps(seconds: float) -> None:
        assert not work.gate.closed
        waits.append(seconds)
        await sleep(0)

    async def announce() -> bool:
        await asyncio.Event().wait()
        return False

    def nothing(pending: PendingRecord) -> Any:
        raise AssertionError(f"{pending} was not announced")

    work = CarefulWork(1, nothing, announce, nothing, 5)
    progress = PartitionProgress(Partition("t", 0))
    pending = progress.add(Record("t", 0, 0, 0.0, None, b"", ()))
    pending.suspicion = Suspicion((), True)
    monkeypatch.setattr("micro_rt.events.careful.asyncio.sleep", sleeps)
    work.add(pending)
    async with asyncio.timeout(SETTLE):
        while len(waits) < 2:
            await sleep(0.01)
    await work.close()
    assert all(seconds >= 0.3 for seconds in waits)


async def test_what_ends_late_of_a_partition_that_has_gone_does_not_resume_it(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The member may read the partition anew by then, and have paused it because it is full."""
    routes = routes_of(shop.subscriber(order_placed=Log()), ProtoCodec(), ())
    broker = memory.MemoryBroker(f"memory:{shop.mark}")
    resumed: list[Partition] = []
    monkeypatch.setattr(memory._MemoryMember, "resume", lambda _, partitions: resumed.extend(partitions))
    await broker.open()
    delivery = Delivery(broker, routes, DeliveryOptions("g", max_in_flight=2))
    delivery._member = broker.subscribe([shop.topic("orders")], "g", "earliest", delivery)
    for gone in (False, True):
        progress = PartitionProgress(Partition(shop.topic("orders"), 0))
        records = [Record(shop.topic("orders"), 0, offset, 0.0, None, b"", ()) for offset in range(2)]
        progress.arrive(records)
        pending = [progress.add(record) for record in records]
        assert progress.becomes_full(2)
        if gone:
            progress.release()
        for each in pending:
            progress.finish(each)
        progress.advance()
        delivery._make_room(progress)
        assert bool(resumed) != gone
        resumed.clear()
    await broker.close()
