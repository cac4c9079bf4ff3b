"""Our own engine keeps the contract of transports, both of its sides together, and each beside grpclib."""

import asyncio

import pytest

from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.testing.contracts import TransportContract
from micro_rt.transport.base import Connection, Dispatch, Listener, Transport
from micro_rt.transport.tls import Tls, TlsFiles
from tests.helpers.sizes import Size
from tests.servers.certificates import Certificates

uvloop = pytest.importorskip("uvloop")

FLOODS = [
    "test_a_client_that_does_not_read_stops_its_handler_and_no_other",
    "test_a_handler_that_does_not_read_stops_its_client_and_no_other",
    "test_a_handler_may_end_while_the_client_still_sends",
    "test_what_was_not_read_does_not_use_up_the_connection",
]
LARGEST = 64 << 20
"""Bytes of a message: the contract sends larger ones than services do."""


def own() -> GrpcTransport:
    return GrpcTransport(receive=LARGEST, send=LARGEST)


class OwnClient:
    """Our own client, and the server on grpclib."""

    name = "grpc"
    capabilities = GrpclibTransport.capabilities

    def connection(self, address: str) -> Connection:
        return own().connection(address)

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        return await GrpclibTransport().listen(address, dispatch)


class OwnServer:
    """Our own server, and the client on grpclib."""

    name = "grpc"
    capabilities = GrpclibTransport.capabilities

    def connection(self, address: str) -> Connection:
        return GrpclibTransport().connection(address)

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        GrpclibTransport().connection(address)  # It refuses what the client cannot reach.
        return await own().listen(address, dispatch)


@pytest.mark.verify("calls", tests=FLOODS)
class TestGrpcTransport(TransportContract):
    @pytest.fixture(autouse=True)
    def sizes(self, request: pytest.FixtureRequest) -> None:
        self.flood = Size.of(request)(200, ci=64)

    def make(self) -> Transport:
        return own()


@pytest.mark.verify("calls", tests=FLOODS)
class TestGrpcTransportOnUvloop(TestGrpcTransport):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    made = Certificates(tmp_path_factory.mktemp("tls"), "::1")
    return TlsFiles(Tls(cert=str(made.certificate), key=str(made.key), roots=str(made.ca)), serves=True)


@pytest.mark.verify("calls", tests=FLOODS)
class TestGrpcTransportWithTls(TestGrpcTransport):
    @pytest.fixture(autouse=True)
    def contexts(self, tls_files: TlsFiles) -> None:
        self._contexts = tls_files

    def make(self) -> Transport:
        return own().secured(self._contexts)


@pytest.mark.verify("calls", tests=FLOODS)
class TestGrpcTransportWithTlsOnUvloop(TestGrpcTransportWithTls, TestGrpcTransportOnUvloop):
    pass


@pytest.mark.verify("calls", tests=FLOODS)
class TestOwnClient(TestGrpcTransport):
    def make(self) -> Transport:
        return OwnClient()


@pytest.mark.verify("calls", tests=FLOODS)
class TestOwnServer(TestGrpcTransport):
    def make(self) -> Transport:
        return OwnServer()
