import asyncio

import pytest

from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.testing.contracts import TransportContract
from micro_rt.transport.base import Transport
from tests.helpers.sizes import Size

uvloop = pytest.importorskip("uvloop")

FLOODS = [
    "test_a_client_that_does_not_read_stops_its_handler_and_no_other",
    "test_a_handler_that_does_not_read_stops_its_client_and_no_other",
    "test_a_handler_may_end_while_the_client_still_sends",
    "test_what_was_not_read_does_not_use_up_the_connection",
]


@pytest.mark.verify("calls", tests=FLOODS)
class TestGrpclibTransport(TransportContract):
    @pytest.fixture(autouse=True)
    def sizes(self, request: pytest.FixtureRequest) -> None:
        self.flood = Size.of(request)(200, ci=64)

    def make(self) -> Transport:
        return GrpclibTransport()


@pytest.mark.verify("calls", tests=FLOODS)
class TestGrpclibTransportOnUvloop(TransportContract):
    @pytest.fixture(autouse=True)
    def sizes(self, request: pytest.FixtureRequest) -> None:
        self.flood = Size.of(request)(200, ci=64)

    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop

    def make(self) -> Transport:
        return GrpclibTransport()
