from __future__ import annotations

from typing import ClassVar

import pytest

from micro_rt.backends.kafka.broker import KafkaBroker
from micro_rt.broker.base import Broker
from micro_rt.testing.contracts import BrokerContract, OtherProcess
from tests.helpers.kafka_lab import grow
from tests.helpers.sizes import Size
from tests.servers.server import Server


@pytest.mark.verify("events", tests=["test_many_messages_in_one_call", "test_more_than_can_be_on_its_way_waits"])
class TestKafkaBroker(BrokerContract):
    settle: ClassVar[float] = 40.0
    session: ClassVar[float] = 6.0  # The least that Kafka allows.
    timeout = 120.0

    @pytest.fixture(autouse=True)
    def sizes(self, size: Size) -> None:
        self.many, self.bulk = size((20_000, 256 << 20), ci=(2_000, 40 << 20))

    @pytest.fixture(autouse=True)
    def address(self, kafka: Server) -> None:
        self.url = f"{kafka.url}/?session=6"

    async def make(self) -> Broker:
        return KafkaBroker(self.url)

    async def grow(self, topic: str, partitions: int) -> None:
        await grow(self.url, topic, partitions)

    def other_process(self) -> OtherProcess | None:
        return OtherProcess("micro_rt.backends.kafka.broker:KafkaBroker", self.url)
