"""Events on a cluster of three brokers while brokers are restarted, killed and silent; everything is counted."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord, TopicOptions
from micro_rt.errors import Unavailable
from tests.faults.test_events_faults import Publishing, all_handled
from tests.helpers.kafka_lab import broker, make_topic, name
from tests.helpers.shop import Publishes, Shop, subscribed
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import OrderPlaced
from tests.servers.kafka import Kafka, KafkaCluster


async def leader(cluster: KafkaCluster, topic: str) -> Kafka:
    """Returns the broker that leads the first partition of a topic, when one does."""
    found: list[Kafka] = []

    async def led() -> bool:
        with contextlib.suppress(LookupError):
            found.append(await cluster.leader(topic))
        return bool(found)

    await eventually(led)
    return found[0]


@pytest.mark.verify("events")
@pytest.mark.parametrize("fault", ["restarted", "killed", "silent", "two killed"])
async def test_a_cluster_whose_brokers_go_away_in_turn_loses_nothing(
    kafka_cluster: KafkaCluster, fault: str, size: Size, figures: Figures
) -> None:
    """Two of three replicas must have an event (min.insync.replicas=2): with one broker away, everything goes on."""
    shop = Shop()
    topic = shop.topic("orders")
    address = f"{kafka_cluster.url}/?session=6&timeout={size(8, ci=4)}"
    handled: list[tuple[str, int]] = []

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await asyncio.sleep(0.001)
        handled.append((event.order_id, event.total_cents))

    async def more(count: int = 200) -> None:
        wanted = len(handled) + count
        await eventually(lambda: len(handled) >= wanted, lambda: f"only {len(handled)} of {wanted} are handled")

    options: Any = {"group": "g"}
    async with (
        micro.Service("publisher", registry="memory:", broker=address) as publisher,
        subscribed(address, shop.subscriber(order_placed=handle), **options) as (one, _),
        subscribed(address, shop.subscriber(order_placed=handle), **options) as (two, _),
    ):
        publishing = Publishing(Publishes(shop, publisher), 0.01)
        await more()
        turns = size(2 if fault == "restarted" else 6, ci=1)  # A full turn restarts all three, one after the other.
        for turn in range(turns):
            if turn:
                await kafka_cluster.until_in_sync()  # Otherwise the next fault would take the last replica.
            first = await leader(kafka_cluster, topic) if turn % 2 == 0 else kafka_cluster.brokers[turn % 3]
            if fault == "restarted":
                for each in kafka_cluster.brokers if turns > 1 else [first]:
                    await kafka_cluster.restart(each)
            elif fault == "killed":
                await first.kill()
                await more()
            elif fault == "silent":
                await first.pause()
                await more()
            else:
                others = [each for each in kafka_cluster.brokers if each is not first]
                await asyncio.gather(*(each.kill() for each in (first, others[0])))
                await eventually(
                    lambda: publisher.health.problems, "its health says nothing of the brokers that are away"
                )
            await asyncio.to_thread(kafka_cluster.start_now)
            await more()
        count = await all_handled(await publishing.stop(), lambda: handled)
        figures.add_all(count)
        figures.add("published again", publishing.failures)
        assert (count.lost, count.out_of_order) == (0, 0), count
        for service in (publisher, one, two):
            await eventually(lambda service=service: service.health.problems, equals={})


async def test_an_error_says_what_kafka_answered(kafka_cluster: KafkaCluster) -> None:
    topic = name("t")
    async with broker(f"{kafka_cluster.url}/?timeout=4&replication=3") as one:
        await one.prepare({name("another"): TopicOptions(partitions=1)})
        await make_topic(kafka_cluster.brokers[0], {"min.insync.replicas": "3"}, named=topic, replicas=3)
        await (await leader(kafka_cluster, topic)).kill()
        said: list[str] = []

        async def answered() -> bool:
            (result,) = await one.publish([OutgoingRecord(topic, b"")])
            assert isinstance(result, Unavailable)
            said.append(result.message)
            return "NOT_ENOUGH_REPLICAS" in result.message

        await eventually(answered, lambda: said)
        assert "(fewer replicas are in sync than the topic's min.insync.replicas)" in said[-1]
        assert "did not answer" not in said[-1]
        assert topic in one.problem
        assert "NOT_ENOUGH_REPLICAS" in one.problem
