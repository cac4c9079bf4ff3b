from __future__ import annotations

import pytest

from micro_rt.registry.base import Registry
from micro_rt.registry.etcd import EtcdRegistry
from micro_rt.testing.contracts import OtherProcess, RegistryContract
from tests.servers.server import Server


class _EtcdContract(RegistryContract):
    ttl = 2.0  # etcd raises what is less.
    timeout = 120.0
    url = ""

    async def make(self) -> Registry:
        return EtcdRegistry(self.url)

    def other_process(self) -> OtherProcess:
        return OtherProcess("micro_rt.registry.etcd:EtcdRegistry", self.url)


class TestEtcdRegistry(_EtcdContract):
    @pytest.fixture(autouse=True)
    def server(self, etcd: Server) -> None:
        self.url = etcd.url
