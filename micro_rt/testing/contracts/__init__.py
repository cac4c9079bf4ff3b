"""The suites that prove a backend: subclass one in a test module of your own. They need pytest, and nothing else."""

from micro_rt.testing.contracts.broker import BrokerContract
from micro_rt.testing.contracts.codec import CodecContract
from micro_rt.testing.contracts.registry import OtherProcess, RegistryContract
from micro_rt.testing.contracts.selector import SelectorContract
from micro_rt.testing.contracts.suite import Contract
from micro_rt.testing.contracts.transport import TransportContract

__all__ = [
    "BrokerContract",
    "CodecContract",
    "Contract",
    "OtherProcess",
    "RegistryContract",
    "SelectorContract",
    "TransportContract",
]
