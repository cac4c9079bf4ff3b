"""What fault tests of events have in common. A module that publishes has a fixture ``broker``: the address."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import micro_rt as micro
from tests.helpers.shop import Publishes, Shop


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def publish(shop: Shop, broker: str) -> AsyncIterator[Publishes]:
    async with micro.Service("publisher", registry="memory:", broker=broker) as service:
        yield Publishes(shop, service)
