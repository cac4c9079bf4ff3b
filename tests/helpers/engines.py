"""Our transports over HTTP/2, for tests that both must pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import pytest

from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.transport.base import Transport

__all__ = ["ENGINES", "Engine", "on_each_engine"]

Engine: TypeAlias = Callable[[], Transport]
"""Makes a transport."""

ENGINES: Sequence[Engine] = (GrpcTransport, GrpclibTransport)

on_each_engine = pytest.mark.parametrize("engine", ENGINES, ids=["grpc", "grpclib"])
"""Runs a test with each transport, as its argument ``engine``."""
