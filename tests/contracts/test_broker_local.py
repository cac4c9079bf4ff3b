from pathlib import Path

import pytest

from micro_rt.broker.base import Broker
from micro_rt.broker.local import LocalBroker
from micro_rt.engines.clock import Clock, boot_clock
from micro_rt.testing.contracts import BrokerContract, OtherProcess


class TestLocalBroker(BrokerContract):
    session = 3.0

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path) -> None:
        self.folder = tmp_path

    async def make(self) -> Broker:
        return LocalBroker("local:?session=3", home=self.folder)

    def other_process(self) -> OtherProcess:
        return OtherProcess(
            "micro_rt.broker.local:LocalBroker",
            "local:?session=3",
            {"MICRO_HOME": str(self.folder), "MICRO_NAMESPACE": "default"},
        )


class TestLocalBrokerOfTwoEngines(TestLocalBroker):
    """Each broker has threads and connections of its own, as if it were in another process."""

    async def make(self) -> Broker:
        # Brokers share an engine if they share a clock.
        now = boot_clock()
        return LocalBroker("local:?session=3", home=self.folder, clock=Clock(lambda: now.now(), now.epoch))
