"""What a member commits after the broker has refused a commit of its."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory import broker as memory
from micro_rt.broker.base import Partition
from tests.helpers.shop import Log, Publishes, Shop, subscribed
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
