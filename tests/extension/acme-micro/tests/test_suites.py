"""Every part of acme-micro keeps the promises of its part."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from acme_micro.broker import AcmeBroker
from acme_micro.codec import AcmeCodec
from acme_micro.registry import AcmeRegistry
from acme_micro.selector import LongestIdle
from acme_micro.transport import AcmeTransport

from micro_rt.broker.base import Broker
from micro_rt.codec.base import Codec
from micro_rt.registry.base import Registry
from micro_rt.selector.base import Selector
from micro_rt.testing.contracts import (
    BrokerContract,
    CodecContract,
    OtherProcess,
    RegistryContract,
    SelectorContract,
    TransportContract,
)
from micro_rt.transport.base import Transport


class TestAcmeRegistry(RegistryContract):
    many = 100
    changes = 50

    @pytest.fixture(autouse=True)
    def file(self, tmp_path: Path) -> None:
        self.address = f"acme:{tmp_path}/registry.json"

    async def make(self) -> Registry:
        return AcmeRegistry(self.address)

    def other_process(self) -> OtherProcess:
        return OtherProcess("acme_micro.registry:AcmeRegistry", self.address)


class TestAcmeBroker(BrokerContract):
    session = 0.2
    many = 1000
    bulk = 8 << 20

    @pytest.fixture(autouse=True)
    def place(self) -> None:
        self.address = f"acme:{uuid.uuid4()}"

    async def make(self) -> Broker:
        return AcmeBroker(self.address)


class TestLongestIdle(SelectorContract):
    def make(self) -> Selector:
        return LongestIdle()


class TestAcmeCodec(CodecContract):
    def make(self) -> Codec:
        return AcmeCodec()


class TestAcmeTransport(TransportContract):
    def make(self) -> Transport:
        return AcmeTransport()
