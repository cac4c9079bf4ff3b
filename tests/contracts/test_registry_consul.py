"""Consul, the real one, keeps what every registry promises: as it comes, and with everything that its address can ask for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from micro_rt.backends.consul.address import parse_consul_address
from micro_rt.backends.consul.http import ConsulHttp
from micro_rt.backends.consul.registry import ConsulRegistry
from micro_rt.go_micro.nodes import deflate
from micro_rt.registry.base import Registry
from micro_rt.testing.contracts import OtherProcess, RegistryContract
from tests.helpers.cutting import CutOff
from tests.helpers.missing import missing
from tests.helpers.sizes import Size
from tests.helpers.waiting import eventually
from tests.servers.cache import Unobtainable
from tests.servers.consul import Consul
from tests.servers.shared import Servers


class ConsulContract(CutOff, RegistryContract):
    """Subclasses say where Consul is."""

    url: str
    settle = 60.0
    timeout = 300.0
    many = 64
    changes = 40

    async def make(self) -> Registry:
        return ConsulRegistry(self.url)

    async def write_raw(self, name: str, id: str, entry: str) -> bool:
        # What go-micro writes as tags, and what micro-rt writes as metadata; Consul takes 512 characters of a value.
        tags = [f"{kind}-{deflate(entry)}" for kind in "tev"]
        service = {"Name": name, "ID": id, "Address": "10.0.0.1", "Port": 1, "Tags": [*tags, entry[:512]]}
        check = {"TTL": "60s", "Status": "passing", "DeregisterCriticalServiceAfter": "1m"}
        address, _ = parse_consul_address(self.url)
        http = ConsulHttp(address)

        async def listed() -> bool:
            answer = await http.get(f"/v1/health/service/{name}", timeout=30)
            return id in {each["Service"]["ID"] for each in answer.data}

        try:
            body = service | {"Meta": {"micro-id": entry[:512]}, "Check": check}
            await http.put("/v1/agent/service/register", body, timeout=30)
            await eventually(listed)
        finally:
            await http.close()
        return True

    def other_process(self) -> OtherProcess:
        return OtherProcess("micro_rt.backends.consul.registry:ConsulRegistry", self.url)


@pytest.mark.verify("registry", tests=["test_many_nodes", "test_quick_changes_converge_and_never_go_back"])
class TestConsul(ConsulContract):
    @pytest.fixture(autouse=True)
    def sizes(self, size: Size) -> None:
        self.many, self.changes = size(1000, ci=100), size(200, ci=40)

    @pytest.fixture(autouse=True)
    def server(self, consul: Any) -> None:
        self.url = consul.url


class TestConsulWithoutStaleReads(ConsulContract):
    @pytest.fixture(autouse=True)
    def server(self, consul: Any) -> None:
        self.url = f"{consul.url}/?stale=false"


RULES = """
service_prefix "" { policy = "write" }
node_prefix "" { policy = "read" }
"""
"""What the documentation says that a token needs."""


@pytest.fixture(scope="module")
def guarded(servers: Servers) -> Iterator[str]:
    with started(servers, acl=True) as server:
        yield f"{server.url}/?token={asyncio.run(server.make_token(RULES))}"


class TestConsulWithAToken(ConsulContract):
    @pytest.fixture(autouse=True)
    def server(self, guarded: str) -> None:
        self.url = guarded


@pytest.fixture(scope="module")
def private(servers: Servers) -> Iterator[str]:
    with started(servers, tls="mutual") as server:
        files = server.certificates
        assert files is not None
        yield f"{server.url}/?tls=true&ca={files.ca}&cert={files.client_certificate}&key={files.client_key}"


class TestConsulWithClientCertificates(ConsulContract):
    @pytest.fixture(autouse=True)
    def server(self, private: str) -> None:
        self.url = private


@contextlib.contextmanager
def started(servers: Servers, **options: Any) -> Iterator[Consul]:
    try:
        program = servers.program("consul")
    except Unobtainable as reason:
        missing(reason)
    server = Consul(program, **options)
    try:
        server.start_now()
        yield server
    finally:
        server.close()
