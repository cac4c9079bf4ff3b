"""Our own engine keeps the contract of transports, each side beside itself and beside grpclib."""

import asyncio

import pytest

from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.testing.contracts import TransportContract
from micro_rt.transport.base import Connection, Dispatch, Listener, Transport
from tests.helpers.sizes import Size

uvloop = pytest.importorskip("uvloop")

FLOODS = [
    "test_a_client_that_does_not_read_stops_its_handler_and_no_other",
    "test_a_handler_that_does_not_read_stops_its_client_and_no_other",
    "test_a_handler_may_end_while_the_client_still_sends",
    "test_what_was_not_read_does_not_use_up_the_connection",
]
LARGEST = 64 << 20


class OwnClient:
    """Our own client, and the server on grpclib."""

    name = "grpc"

    def connection(self, address: str) -> Connection:
        return GrpcTransport(receive=LARGEST, send=LARGEST).connection(address)

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        return await GrpclibTransport().listen(address, dispatch)


@pytest.mark.verify("calls", tests=FLOODS)
class TestOwnClient(TransportContract):
    @pytest.fixture(autouse=True)
    def sizes(self, request: pytest.FixtureRequest) -> None:
        type(self).flood = Size.of(request)(200, ci=32)

    def make(self) -> Transport:
        return OwnClient()


@pytest.mark.verify("calls", tests=FLOODS)
class TestOwnClientOnUvloop(TestOwnClient):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop


@pytest.mark.verify("calls", tests=FLOODS)
class TestBothOwn(TransportContract):
    @pytest.fixture(autouse=True)
    def sizes(self, request: pytest.FixtureRequest) -> None:
        type(self).flood = Size.of(request)(200, ci=32)

    def make(self) -> Transport:
        return GrpcTransport(receive=LARGEST, send=LARGEST)


@pytest.mark.verify("calls", tests=FLOODS)
class TestBothOwnOnUvloop(TestBothOwn):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop
