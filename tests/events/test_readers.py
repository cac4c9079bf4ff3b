"""Readers outside of groups, on every broker: how much is left for them to read."""

from __future__ import annotations

import uuid

import micro_rt as micro
from tests.helpers.shop import Publishes, Shop


async def test_a_reader_says_how_much_is_left(broker: str, shop: Shop, publish: Publishes) -> None:
    count = 10
    for number in range(count):
        await publish.placed(str(number))
    async with micro.Service("reader", registry=f"memory:{uuid.uuid4()}", broker=broker) as service:
        own = await service.broker()
        reader, late = own.read(shop.topic("orders"), "earliest"), own.read(shop.topic("orders"), "latest")
        assert await reader.remaining() == count
        assert await late.remaining() == 0
        left = count
        while left:
            left -= sum(map(len, (await reader.fetch(3, 1.0)).values()))
            assert await reader.remaining() == left
        await publish.placed("more")
        assert await reader.remaining() == 1
        assert await late.remaining() == 1
        await reader.close()
        await late.close()
