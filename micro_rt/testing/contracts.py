"""The suites that prove a backend: subclass one in a test module of your own. They need pytest, and nothing else."""

from micro_rt.testing.broker import BrokerContract
from micro_rt.testing.contract import Contract
from micro_rt.testing.registry import OtherProcess, RegistryContract
from micro_rt.testing.transport import TransportContract

__all__ = ["BrokerContract", "Contract", "OtherProcess", "RegistryContract", "TransportContract"]
