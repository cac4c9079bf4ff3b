"""Events on every broker: each test runs on each of them, with topics of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator

import pytest

import micro_rt as micro
from tests.helpers.shop import Publishes, Shop, broker_address


@pytest.fixture(params=["memory", "local", "kafka"])
def broker(request: pytest.FixtureRequest) -> str:
    """The address of a broker."""
    return broker_address(request)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def publish(shop: Shop, broker: str) -> AsyncIterator[Publishes]:
    async with micro.Service("publisher", registry=f"memory:{uuid.uuid4()}", broker=broker) as service:
        yield Publishes(shop, service)
