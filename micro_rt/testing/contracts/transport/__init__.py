"""The contract suite of transports: what every transport promises, as tests.

    class TestMyTransport(TransportContract):
        def make(self) -> Transport:
            return MyTransport()

needs nothing but pytest. Every test waits for events, never for a time to pass: the seconds in here only end what hangs.
"""

from __future__ import annotations

from micro_rt.testing.contracts.transport.calls import CallsContract
from micro_rt.testing.contracts.transport.connections import ConnectionsContract
from micro_rt.testing.contracts.transport.ends import EndsContract
from micro_rt.testing.contracts.transport.limits import LimitsContract

__all__ = ["TransportContract"]


class TransportContract(CallsContract, EndsContract, ConnectionsContract, LimitsContract):
    """Subclass it, and return a transport from ``make``."""
