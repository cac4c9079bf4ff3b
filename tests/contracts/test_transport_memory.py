from micro_rt.testing.contracts import TransportContract
from micro_rt.transport.base import Transport
from micro_rt.transport.memory import MemoryTransport


class TestMemoryTransport(TransportContract):
    def make(self) -> Transport:
        return MemoryTransport()
