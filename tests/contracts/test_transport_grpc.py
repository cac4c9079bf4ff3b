import asyncio

import pytest

from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.testing.contracts import TransportContract
from micro_rt.transport.base import Transport

uvloop = pytest.importorskip("uvloop")


class TestGrpcTransport(TransportContract):
    def make(self) -> Transport:
        return GrpclibTransport()


class TestGrpcTransportOnUvloop(TransportContract):
    def make_loop(self) -> asyncio.AbstractEventLoop:
        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop

    def make(self) -> Transport:
        return GrpclibTransport()
