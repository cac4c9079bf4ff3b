from micro_rt.backends.memory.transport import MemoryTransport
from micro_rt.testing.contracts import TransportContract
from micro_rt.transport.base import Transport


class TestMemoryTransport(TransportContract):
    unsendable = 0

    def make(self) -> Transport:
        return MemoryTransport()
