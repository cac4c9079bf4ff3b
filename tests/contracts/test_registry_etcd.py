from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest

from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import EtcdClient, new_lease_id
from micro_rt.backends.etcd.messages_pb2 import PutRequest, RequestOp, TxnRequest
from micro_rt.backends.etcd.registry import PREFIX, EtcdRegistry
from micro_rt.registry.base import Registry
from micro_rt.testing.contracts import OtherProcess, RegistryContract
from tests.helpers.cutting import CutOff
from tests.helpers.sizes import Size
from tests.servers.cache import Unobtainable
from tests.servers.etcd import Etcd
from tests.servers.server import Server
from tests.servers.shared import Servers


class _EtcdContract(CutOff, RegistryContract):
    ttl = 2.0  # etcd raises what is less.
    timeout = 120.0
    url = ""

    async def make(self) -> Registry:
        return EtcdRegistry(self.url)

    async def write_raw(self, name: str, id: str, entry: str) -> bool:
        client = EtcdClient(EtcdAddress.parse(self.url))
        await client.open()
        try:
            lease = new_lease_id()
            await client.grant(lease, 60)
            put = PutRequest(key=f"{PREFIX}{name}/{id}".encode(), value=entry.encode(), lease=lease)
            await client.txn(TxnRequest(success=[RequestOp(request_put=put)]))
        finally:
            await client.close()
        return True

    def other_process(self) -> OtherProcess:
        return OtherProcess("micro_rt.backends.etcd.registry:EtcdRegistry", self.url)


@pytest.mark.verify("registry", tests=["test_many_nodes", "test_quick_changes_converge_and_never_go_back"])
class TestEtcdRegistry(_EtcdContract):
    @pytest.fixture(autouse=True)
    def sizes(self, size: Size) -> None:
        self.many, self.changes = size(1500, ci=150), size(200, ci=40)

    @pytest.fixture(autouse=True)
    def server(self, etcd: Server) -> None:
        self.url = etcd.url


@pytest.fixture(scope="module")
def secured(servers: Servers, etcd: Server) -> Iterator[Etcd]:
    try:
        program = servers.program("etcd")
    except Unobtainable as reason:
        pytest.skip(str(reason))  # `etcd` is one that runs elsewhere.
    server = Etcd(program, auth=True, tls="mutual")
    server.start_now()
    yield server
    server.close()


class TestEtcdRegistryWithUsersAndTls(_EtcdContract):
    """As much between the two as there can be: who asks must say so, and show a certificate."""

    many = 64
    changes = 40

    @pytest.fixture(autouse=True)
    def server(self, secured: Etcd) -> None:
        files = secured.certificates
        assert files is not None
        self.url = (
            f"etcd://{secured.user_name}:{quote(secured.password)}@{secured.address}/?ca={files.ca}"
            f"&cert={files.client_certificate}&key={files.client_key}"
        )
