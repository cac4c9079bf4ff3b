"""One process that serves, as the registry lists it and a client sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Node"]


@dataclass(frozen=True, slots=True)
class Node:
    """One process that serves."""

    id: str
    """Unique: ``"greeter-0f3c…"``."""
    address: str
    """Where to call it: ``"10.0.0.5:41123"``."""
    transport: str = "grpc"
    version: str = ""
    services: frozenset[str] = frozenset()
    """Full proto names of what it serves; empty if it does not say."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
