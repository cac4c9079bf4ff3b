"""The suites that prove a backend: subclass one in a test module of your own. They need pytest, and nothing else."""

# ruff: noqa: E402 - pytest shows what an assertion compares only in modules that it knows before they are imported

import pytest

_SUITES = ("broker", "codec", "config", "processes", "registry", "selector", "store", "suite", "sync", "transport")
pytest.register_assert_rewrite(*[f"{__name__}.{suite}" for suite in _SUITES])

from micro_rt.testing.contracts.broker import BrokerContract
from micro_rt.testing.contracts.codec import CodecContract
from micro_rt.testing.contracts.config import SourceContract
from micro_rt.testing.contracts.registry import OtherProcess, RegistryContract
from micro_rt.testing.contracts.selector import LoadSelectorContract, SelectorContract
from micro_rt.testing.contracts.store import OtherStore, StoreContract
from micro_rt.testing.contracts.suite import Contract
from micro_rt.testing.contracts.sync import OtherSync, SyncContract
from micro_rt.testing.contracts.transport import TransportContract

__all__ = [
    "BrokerContract",
    "CodecContract",
    "Contract",
    "LoadSelectorContract",
    "OtherProcess",
    "OtherStore",
    "OtherSync",
    "RegistryContract",
    "SelectorContract",
    "SourceContract",
    "StoreContract",
    "SyncContract",
    "TransportContract",
]
