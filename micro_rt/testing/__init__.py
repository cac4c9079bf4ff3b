"""For users' tests: a service and its clients in one process, and the suites that prove a backend."""

from micro_rt.testing.contract import Contract
from micro_rt.testing.registry import RegistryContract
from micro_rt.testing.serving import serve
from micro_rt.testing.transport import TransportContract

__all__ = ["Contract", "RegistryContract", "TransportContract", "serve"]
