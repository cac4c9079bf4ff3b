"""Our own server of gRPC under the client on grpclib, and under our own."""

import asyncio

import pytest

from micro_rt.backends.grpc.server import listen
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.testing.contracts import TransportContract
from micro_rt.transport.base import Connection, Dispatch, Listener, Transport
from tests.helpers.sizes import Size

uvloop = pytest.importorskip("uvloop")

LARGEST = 64 << 20
LIMITS = ServerLimits(receive=LARGEST, send=LARGEST)
FLOODS = [
    "test_a_client_that_does_not_read_stops_its_handler_and_no_other",
    "test_a_handler_that_does_not_read_stops_its_client_and_no_other",
    "test_a_handler_may_end_while_the_client_still_sends",
    "test_what_was_not_read_does_not_use_up_the_connection",
]


class OwnServer:
    name = "grpc"

    def connection(self, address: str) -> Connection:
        return GrpclibTransport().connection(address)

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        return await listen(address, dispatch, LIMITS)


@pytest.mark.verify("calls", tests=FLOODS)
class TestOwnServer(TransportContract):
    @pytest.fixture(autouse=True)
    def sizes(self, request: pytest.FixtureRequest) -> None:
        self.flood = Size.of(request)(200, ci=64)

    def make(self) -> Transport:
        return OwnServer()


@pytest.mark.verify("calls", tests=FLOODS)
class TestOwnServerOnUvloop(TestOwnServer):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop


@pytest.mark.verify("calls", tests=FLOODS)
class TestOwnEngine(TransportContract):
    """Both sides are our own."""

    @pytest.fixture(autouse=True)
    def sizes(self, request: pytest.FixtureRequest) -> None:
        self.flood = Size.of(request)(200, ci=64)

    def make(self) -> Transport:
        return GrpcTransport(receive=LARGEST, send=LARGEST)


@pytest.mark.verify("calls", tests=FLOODS)
class TestOwnEngineOnUvloop(TestOwnEngine):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
