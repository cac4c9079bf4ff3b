"""What of the Kafka broker needs no Kafka."""

from __future__ import annotations

import asyncio
import gc
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.backends.kafka import client
from micro_rt.backends.kafka.address import parse_kafka_address
from micro_rt.backends.kafka.client import end_task, failures
from micro_rt.backends.kafka.producer import Producer
from micro_rt.errors import Unavailable

SETTLE = 20.0


async def test_a_task_that_swallows_its_first_cancellation_is_ended() -> None:
    """As aiokafka's coordinator does, which waits for a heartbeat task that takes cancellation for a reason to return."""

    async def heartbeat() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    async def coordinate() -> None:
        while True:
            await asyncio.create_task(heartbeat())
            await asyncio.sleep(3600)

    task = asyncio.create_task(coordinate())
    await asyncio.sleep(0.01)
    async with asyncio.timeout(SETTLE):
        await end_task(task)
    assert task.cancelled()


async def test_a_task_that_never_ends_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    enough = asyncio.Event()

    async def stubborn() -> None:
        while not enough.is_set():
            try:
                await enough.wait()
            except asyncio.CancelledError:
                continue

    task = asyncio.create_task(stubborn(), name="stubborn")
    await asyncio.sleep(0.01)
    try:
        async with asyncio.timeout(SETTLE):
            await end_task(task, 0.3)
        assert "stubborn still runs" in caplog.text
    finally:
        enough.set()
        await task


async def test_what_became_of_a_task_is_looked_at() -> None:
    async def fails() -> None:
        raise ValueError

    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    await end_task(task)
    await end_task(None)
    del task
    gc.collect()
    assert complaints == []  # or else: Task exception was never retrieved


class Starting:
    """A client of aiokafka whose cluster knows no brokers at first."""

    def __init__(self, after: int) -> None:
        self.cluster = self
        self._after = after
        self.asked = 0

    def brokers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(nodeId=7)] if self.asked >= self._after else []

    async def force_metadata_update(self) -> None:
        self.asked += 1


@pytest.mark.parametrize("after", [0, 3])
async def test_a_cluster_that_starts_is_asked_until_it_knows_a_broker(
    monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(client, "NO_BROKERS", 0.01)
    starting = Starting(after)
    assert await client.Cluster(parse_kafka_address("kafka://h:1"))._brokers(starting) == [7]
    assert starting.asked == after


async def test_a_cluster_without_brokers_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "NO_BROKERS", 0.01)
    with pytest.raises(Unavailable, match="has no brokers; is it starting") as failed:
        await client.Cluster(parse_kafka_address("kafka://h:1/?timeout=0.1"))._brokers(Starting(1 << 30))
    assert not failed.value.may_have_run


@pytest.mark.parametrize("sent", ["not sent", "sent", "sent again"])
async def test_a_batch_that_nothing_waits_for_any_more_leaves_no_exception(sent: str) -> None:
    """As when a service stops while Kafka is silent: its lanes are cancelled first, and then the producer ends its batches."""
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    producer = Producer(client.Cluster(parse_kafka_address("kafka://h:1")))
    aiokafkas: Any = producer._producer
    accumulator, partition = aiokafkas._message_accumulator, TopicPartition("t", 0)
    answer = await accumulator.add_batch(producer.batch(), partition, 1.0)
    (batch,) = accumulator._batches[partition]
    if sent != "not sent":
        accumulator._txn_manager.set_pid_and_epoch(1, 0)
        assert accumulator._pop_batch(partition) is batch
    if sent == "sent again":
        accumulator.reenqueue(batch)
    lane = asyncio.create_task(asyncio.wait([answer]))
    await asyncio.sleep(0)
    lane.cancel()
    answer.cancel()
    await asyncio.wait([lane])
    accumulator.fail_all(failures.ProducerClosed())
    await asyncio.sleep(0)
    accumulator._batches.clear()
    accumulator._pending_batches.clear()
    del answer, batch
    gc.collect()
    await aiokafkas.client.close()
    aiokafkas._closed = True
    assert not reports
