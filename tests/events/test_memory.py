"""Events in flight have one bound of memory for the process, whatever their handlers and the partitions do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.broker.base import OutgoingRecord, TopicOptions
from tests.helpers.shop import Log, Publishes, Shop
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually
from tests.protos.shop_pb2 import Blob

PARTITIONS = 24


@pytest.mark.verify("events")
async def test_handlers_that_hang_hold_no_more_than_the_bound_and_nobody_else(
    broker: str, shop: Shop, size: Size, figures: Figures
) -> None:
    limit = size(32 << 20, ci=4 << 20)
    hang, handled, log = asyncio.Event(), set[str](), Log()
    value = bytes(64 << 10)
    count = 2 * limit // len(value)

    async def blob(event: Blob, context: micro.EventContext) -> None:
        await hang.wait()
        handled.add(event.id.decode())

    service = micro.Service("s", registry=f"memory:{shop.mark}", broker=broker, grace=1.0, max_memory=limit)
    hangs = service.subscribe(shop.subscriber(blob=blob), group="hangs")
    service.subscribe(shop.subscriber(order_placed=log), group="works")
    async with micro.Service("publisher", registry=f"memory:{shop.mark}", broker=broker) as publisher:
        own = await publisher.broker()
        await own.prepare({shop.topic("blobs"): TopicOptions(partitions=PARTITIONS)})
        headers = (("ce_type", b"shop.Blob"),)
        for start in range(0, count, 16):
            keys = [b"%d" % number for number in range(start, start + 16)]
            blobs = [Blob(id=key, data=value).SerializeToString() for key in keys]
            await own.publish(
                [OutgoingRecord(shop.topic("blobs"), blob, key, headers) for key, blob in zip(keys, blobs, strict=True)]
            )
        async with service:

            def in_flight() -> list[int]:
                return [each.in_flight for each in hangs.status()]

            await eventually(lambda: len(in_flight()) == PARTITIONS and all(in_flight()), in_flight)
            publish = Publishes(shop, publisher)
            most = 0
            for number in range(100):  # Others go on, and meanwhile more would be read if it were.
                await publish.placed(str(number))
                await eventually(lambda expected=number + 1: len(log) == expected)
                most = max(most, sum(in_flight()) * len(value))
            hang.set()
            await eventually(lambda: len(handled) == count, lambda: f"{len(handled)} of {count}")
    figures.add("MiB in flight", most >> 20)
    figures.add("MiB published", count * len(value) >> 20)
    assert most <= 1.5 * limit


@pytest.mark.parametrize("options", [{"max_memory": 0}, {"max_memory": -1}])
async def test_an_impossible_bound_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="max_memory="):
        micro.Service("s", **options)


async def test_the_bound_is_read_from_the_environment(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICRO_MAX_MEMORY", "32 MiB")
    service = micro.Service("s", registry=f"memory:{shop.mark}", broker=f"memory:{shop.mark}")
    subscription = service.subscribe(shop.subscriber(order_placed=Log()))
    with pytest.raises(micro.FailedPrecondition, match=r"MICRO_MAX_MEMORY='32 MiB': .* is not a whole number"):
        await service.__aenter__()
    monkeypatch.setenv("MICRO_MAX_MEMORY", "1234567")
    async with service:
        delivery: Any = subscription._delivery
        assert delivery._allowance.limit == 1234567
