"""What a member does when the one before it has ended without a word, on every broker.

The note that such a member leaves is written here by hand, as its process would have. ``tests/faults/test_crashing_handlers.py``
has processes that end.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory import broker as memory
from micro_rt.broker.base import Partition, Record
from micro_rt.events.position_note import PositionNote, Suspect, check_of, decode_note, encode_note
from micro_rt.testing.contracts.broker.members import Recorder
from tests.helpers.shop import SETTLE, Log, Publishes, Shop, read_all, subscribed
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPaid, OrderPlaced

DEAD = "deadbeef"
"""The token of the process that has ended."""


class Crashed:
    """Looks at what the group of a topic has committed, and commits what a process that has ended has left."""

    def __init__(self, broker: str, topic: str, group: str) -> None:
        self._broker = broker
        self._topic = topic
        self._group = group
        self.records: list[Record] = []

    async def read(self, count: int) -> list[Record]:
        """Reads the topic as a group of its own."""
        async with micro.Service("reads", registry=f"memory:{uuid.uuid4()}", broker=self._broker) as service:
            broker = await service.broker()
            member = broker.subscribe([self._topic], uuid.uuid4().hex, "earliest", Recorder())
            async with asyncio.timeout(SETTLE):
                while len(self.records) < count:
                    for found in (await member.fetch(100, 0.2)).values():
                        self.records += found
            await member.close()
        return self.records

    async def leave(self, notes: Mapping[Partition, PositionNote]) -> None:
        """Commits positions with their notes."""
        await self._as_member(notes)

    async def notes(self) -> dict[int, str]:
        """Returns the note of each partition that has one."""
        return await self._as_member({})

    async def _as_member(self, notes: Mapping[Partition, PositionNote]) -> dict[int, str]:
        async with micro.Service("dead", registry=f"memory:{uuid.uuid4()}", broker=self._broker) as service:
            assigned = Recorder()
            member = (await service.broker()).subscribe([self._topic], self._group, "earliest", assigned)
            try:
                async with asyncio.timeout(SETTLE):
                    while len(assigned.partitions) < 4:
                        await member.fetch(1, 0.1)
                if notes:
                    positions = {partition: note.position for partition, note in notes.items()}
                    await member.commit(positions, {each: encode_note(note) for each, note in notes.items()})
                return {each.number: note for each, note in (await member.notes(assigned.partitions)).items()}
            finally:
                await member.close()


class AtOnce:
    """How many handlers run at once, of several subscriptions."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.beside: dict[str, int] = {}
        """For each event: how many ran at most while it ran."""

    def handler(self, log: Log, seconds: float = 0.01) -> Any:
        async def handle(event: Any, context: micro.EventContext) -> None:
            self.running.append(event.order_id)
            for each in self.running:
                self.beside[each] = max(self.beside.get(each, 0), len(self.running))
            await asyncio.sleep(seconds)
            self.running.remove(event.order_id)
            await log(event, context)

        return handle


@pytest.fixture
def crashed(broker: str, shop: Shop) -> Crashed:
    return Crashed(broker, shop.topic("orders"), "g")


async def test_what_a_process_may_have_begun_is_handled_alone_and_the_rest_as_usual(
    broker: str, shop: Shop, publish: Publishes, crashed: Crashed
) -> None:
    await publish.many([OrderPlaced(order_id=f"old{number}") for number in range(20)])
    partitions = {Partition(*record[:2]) for record in await crashed.read(20)}
    await crashed.leave({each: PositionNote(0, used=DEAD) for each in partitions})
    at_once, placed, paid = AtOnce(), Log(), Log()
    async with (
        subscribed(broker, shop.subscriber(order_paid=at_once.handler(paid, 0.05)), group="other"),
        subscribed(broker, shop.subscriber(order_placed=at_once.handler(placed)), group="g") as (_, subscription),
    ):
        await publish.many([OrderPaid(order_id=f"other{number}") for number in range(20)])
        await publish.many([OrderPlaced(order_id=f"new{number}") for number in range(20)])
        await eventually(lambda: len(placed) == 40 and len(paid) == 20)
        assert sum((await subscription.unhandled()).values()) == 0
        assert {at_once.beside[f"old{number}"] for number in range(20)} == {1}
        await publish.many([OrderPlaced(order_id=f"later{number}") for number in range(20)])
        await eventually(lambda: len(placed) == 60)
    assert max(at_once.beside[f"later{number}"] for number in range(20)) > 1
    assert len(set(placed.orders)) == 60
    assert set((await crashed.notes()).values()) == {""}, "it has ended in good order"


async def test_only_an_event_that_was_alone_becomes_a_dead_letter(
    broker: str, shop: Shop, publish: Publishes, crashed: Crashed
) -> None:
    await publish.many([OrderPlaced(order_id=f"o{number}") for number in range(30)])
    records = await crashed.read(30)
    notes: dict[Partition, PositionNote] = {}
    four = [f"{number:08x}" for number in range(1, 5)]
    expected: set[bytes] = set()
    for number in range(4):
        mine = sorted((record for record in records if record.partition == number), key=lambda each: each.offset)
        run = [Suspect(record.offset, check_of(record), four) for record in mine[:3]]
        if number == 0:  # One was alone for the fifth time.
            notes[Partition(mine[0].topic, 0)] = PositionNote(0, used=DEAD, alone=True, run=run[1:2], died=run[:1])
            expected.add(mine[1].value)
        elif number == 1:  # Several were running, each of which has been alone four times.
            notes[Partition(mine[0].topic, 1)] = PositionNote(0, used=DEAD, run=run)
        elif number == 2:  # The one that was alone is another record by now.
            wrong = [Suspect(mine[0].offset, check_of(mine[0]) ^ 1, four)]
            notes[Partition(mine[0].topic, 2)] = PositionNote(0, used=DEAD, alone=True, run=wrong)
        elif mine:  # It was given up in good order, with one that had ended enough processes before.
            died = [Suspect(mine[0].offset, check_of(mine[0]), [*four, DEAD])]
            notes[Partition(mine[0].topic, 3)] = PositionNote(0, died=died)
            expected.add(mine[0].value)
    await crashed.leave(notes)
    log = Log()
    async with subscribed(broker, shop.subscriber(order_placed=log), group="g") as (service, subscription):
        letters = await read_all(service, f"{shop.topic('orders')}.g.dead", 2)
        await eventually(lambda: len(log) == 28)
        assert sum((await subscription.unhandled()).values()) == 0
    assert {letter.value for letter in letters} == expected
    assert len(set(log.orders)) == 28
    for letter in letters:
        assert dict(letter.headers)["micro-dead-attempts"] == b"5"
        assert dict(letter.headers)["micro-dead-reason"].startswith(
            b"the process ended 5 times while this was the only"
        )


async def test_on_failure_stop_stops_in_front_of_what_ends_the_process(
    broker: str, shop: Shop, publish: Publishes, crashed: Crashed
) -> None:
    await publish.many([OrderPlaced(order_id="k", total_cents=number) for number in range(3)])
    records = sorted(await crashed.read(3), key=lambda each: each.offset)
    partition = Partition(*records[0][:2])
    run = [Suspect(records[1].offset, check_of(records[1]))]
    await crashed.leave({partition: PositionNote(records[1].offset, used=DEAD, alone=True, run=run)})
    log = Log()
    options: Any = {"group": "g", "on_failure": "stop", "crash_attempts": 1}
    async with subscribed(broker, shop.subscriber(order_placed=log), **options) as (service, subscription):
        await eventually(lambda: "has stopped at" in subscription.problem)
        assert "the process ended 1 times" in service.health.problems["group g"]
    assert not log
    # Started again, it begins there, as if nothing had ended.
    async with subscribed(broker, shop.subscriber(order_placed=log), **options):
        await eventually(lambda: len(log) == 2)
    assert [event.total_cents for event in log.events] == [1, 2]


async def test_a_suspected_event_that_takes_long_holds_up_the_others_for_a_while_only(
    broker: str, shop: Shop, publish: Publishes, crashed: Crashed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NAMED_FOR", "ALONE_FOR", "QUIET_WITHIN"):
        monkeypatch.setattr(f"micro_rt.events.careful.{name}", 0.1)
    await publish.many([OrderPlaced(order_id=f"hangs{number}") for number in range(3)])
    await publish.many([OrderPlaced(order_id=f"o{number}") for number in range(10)])
    records = await crashed.read(13)
    await crashed.leave({Partition(*each[:2]): PositionNote(0, used=DEAD) for each in records})
    log, end = Log(), asyncio.Event()
    running: list[str] = []

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        running.append(event.order_id)
        if event.order_id.startswith("hangs"):
            await end.wait()
        await log(event, context)

    async with subscribed(broker, shop.subscriber(order_placed=handle), group="g") as (_, subscription):
        await eventually(lambda: len(log) == 10 and len(running) == 13)
        end.set()
        await eventually(lambda: len(log) == 13)
        assert sum((await subscription.unhandled()).values()) == 0


async def test_handlers_that_hang_do_not_hold_up_what_is_suspected_nor_other_subscriptions(
    broker: str, shop: Shop, publish: Publishes, crashed: Crashed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ALONE_FOR", "ALONE_IN_ALL", "QUIET_WITHIN"):
        monkeypatch.setattr(f"micro_rt.events.careful.{name}", 0.1)
    await publish.many([OrderPlaced(order_id=f"o{number}") for number in range(20)])
    await publish.many([OrderPlaced(order_id=f"hangs{number}") for number in range(3)])
    records = await crashed.read(23)
    placed, paid, hanging, end = Log(), Log(), set[str](), asyncio.Event()

    def handler(log: Log) -> Any:
        async def handle(event: Any, context: micro.EventContext) -> None:
            if event.order_id.startswith("hangs"):
                hanging.add(event.order_id)
                await end.wait()
            await log(event, context)

        return handle

    async with subscribed(broker, shop.subscriber(order_paid=handler(paid)), group="other"):
        # A handler of another subscription hangs when the suspected events come, so that none of them can be alone.
        await publish.paid("hangs-too")
        await eventually(lambda: hanging)
        await crashed.leave({Partition(*each[:2]): PositionNote(0, used=DEAD) for each in records})
        async with subscribed(broker, shop.subscriber(order_placed=handler(placed)), group="g", concurrency=3):
            # In the end, those that hang take every place there is, whatever still waits behind them.
            await eventually(lambda: len(hanging) == 4)
            await publish.many([OrderPaid(order_id=f"other{number}") for number in range(20)])
            await eventually(lambda: len(paid) == 20)
            end.set()
            await eventually(lambda: len(placed) == 23)


class Commits:
    """What the members of a broker in memory commit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all: list[dict[Partition, tuple[int, PositionNote | None]]] = []
        self.notes: dict[Partition, PositionNote | None] = {}
        """The last note of each partition."""
        commit = memory._MemoryMember.commit

        async def spy(member: Any, positions: Mapping[Partition, int], notes: Mapping[Partition, str]) -> None:
            found = {each: (offset, decode_note(notes.get(each, ""))) for each, offset in positions.items()}
            await commit(member, positions, notes)
            self.all.append(found)
            self.notes.update({each: note for each, (_, note) in found.items()})

        monkeypatch.setattr(memory._MemoryMember, "commit", spy)

    def running(self) -> set[tuple[int, int]]:
        """Returns the partition and offset of each record that runs, as the notes say."""
        return {(each.number, run.offset) for each, note in self.notes.items() if note for run in note.run}

    def alone(self) -> int:
        """Returns how many partitions have a record that is alone."""
        return sum(note is not None and note.alone for note in self.notes.values())


@pytest.mark.parametrize("alone", [True, False])
async def test_suspected_events_are_named_before_they_begin(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, alone: bool
) -> None:
    if not alone:
        monkeypatch.setattr("micro_rt.events.careful.ALONE_IN_ALL", 0.0)
    broker = f"memory:{uuid.uuid4()}"
    commits, log, failed = Commits(monkeypatch), Log(), set[str]()
    most = 0

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        nonlocal most
        if event.total_cents and event.order_id not in failed:  # It is suspected.
            assert (context.partition, context.offset) in commits.running()
            assert commits.alone() == int(alone)
            assert not alone or len(commits.running()) == 1
            most = max(most, len(commits.running()))
            await asyncio.sleep(0.1)
            if event.order_id.endswith("1"):
                failed.add(event.order_id)
                raise RuntimeError("a fault")  # A second attempt is as good as any other.
        elif event.order_id.startswith("later"):
            assert not commits.alone()
        await log(event, context)

    async with micro.Service("publisher", registry=f"memory:{uuid.uuid4()}", broker=broker) as service:
        publish = Publishes(shop, service)
        crashed = Crashed(broker, shop.topic("orders"), "g")
        await publish.many([OrderPlaced(order_id=f"o{number}", total_cents=1) for number in range(20)])
        await crashed.read(20)
        await crashed.leave({Partition(shop.topic("orders"), each): PositionNote(0, used=DEAD) for each in range(4)})
        async with subscribed(broker, shop.subscriber(order_placed=handle), group="g", concurrency=8, backoff=0.01):
            await eventually(lambda: len(log) == 20)
            await publish.many([OrderPlaced(order_id=f"later{number}") for number in range(20)])
            await eventually(lambda: len(log) == 40)
            await eventually(lambda: not commits.running())
    assert len(set(log.orders)) == 40
    assert most == 1 if alone else most > 4


async def test_in_normal_operation_nothing_more_is_committed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """One commit before the first records of a partition, those that say what is done, and one at the end."""
    broker = f"memory:{uuid.uuid4()}"
    commits, log = Commits(monkeypatch), Log()
    async with micro.Service("publisher", registry=f"memory:{uuid.uuid4()}", broker=broker) as service:
        publish = Publishes(shop, service)
        async with subscribed(broker, shop.subscriber(order_placed=log), group="g"):
            for turn in range(3):
                await publish.placed("k", turn)
                await eventually(lambda turn=turn: len(log) == turn + 1 and len(commits.all) == turn + 2)
    found = [each for committed in commits.all for each in committed.values()]
    assert [offset for offset, _ in found] == [0, 1, 2, 3, 3]
    assert all(note is not None and note.used for _, note in found[:-1])
    assert found[-1] == (3, None), "it was given up in good order"
