"""Topics of Kafka that change under those who use them: they grow, lose records that nobody has read, and are removed."""

from __future__ import annotations

import pytest

import micro_rt as micro
from micro_rt.backends.kafka import client, publisher
from micro_rt.broker.base import Start
from tests.helpers.kafka_lab import grow
from tests.helpers.shop import Log, Publishes, Shop, subscribed
from tests.helpers.waiting import eventually
from tests.servers.server import Server


@pytest.mark.parametrize("start", ["latest", 1000])
async def test_events_of_partitions_that_are_added_are_all_handled(
    kafka: Server, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # They are 60 s and 30 s: so long does it take until a client sees new partitions.
    monkeypatch.setattr(client, "METADATA_AGE", 1.0)
    monkeypatch.setattr(publisher, "TOPIC_AGE", 1.0)
    shop, log = Shop(), Log()
    async with (
        micro.Service("publisher", registry="memory:", broker=kafka.url) as service,
        subscribed(kafka.url, shop.subscriber(order_placed=log), group="g", start=start) as (_, subscription),
    ):
        publish = Publishes(shop, service)
        await eventually(lambda: len(subscription.status()), equals=4)
        await grow(kafka.url, shop.topic("orders"), 12)
        used: set[int] = set()
        published: set[str] = set()
        while len(used) < 12:
            for number in range(40):
                found = await publish.placed(f"order-{number}")
                used.add(found.partition)
                published.add(found.id)
        handled = {context.id for context in log.contexts}
        await eventually(lambda: published - {context.id for context in log.contexts}, equals=set())
        assert handled <= published
