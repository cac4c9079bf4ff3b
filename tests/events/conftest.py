"""Events on every broker: each test runs on each of them, with topics of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import micro_rt as micro
from tests.helpers.shop import Publishes, Shop


@pytest.fixture(params=["memory", "local", "kafka"])
def broker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a broker."""
    if request.param == "memory":
        return f"memory:{uuid.uuid4()}"
    if request.param == "kafka":
        address: str = request.getfixturevalue("kafka").url
        return address
    monkeypatch.setenv("MICRO_HOME", str(tmp_path))
    return "local:"


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def publish(shop: Shop, broker: str) -> AsyncIterator[Publishes]:
    async with micro.Service("publisher", registry=f"memory:{uuid.uuid4()}", broker=broker) as service:
        yield Publishes(shop, service)
