from micro_rt.backends.memory.transport import MemoryTransport
from micro_rt.testing.contracts import TransportContract
from micro_rt.transport.base import Transport
from micro_rt.transport.limits import ServiceLimits

LARGEST = 64 << 20
"""Bytes of a message; the suite sends larger ones than services take."""


class TestMemoryTransport(TransportContract):
    unsendable = 0

    def make(self) -> Transport:
        return MemoryTransport().limited(ServiceLimits(max_message=LARGEST))
