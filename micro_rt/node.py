"""One process that serves, as the registry lists it and a client sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["EndpointInfo", "Node", "ValueInfo"]


@dataclass(frozen=True, slots=True)
class ValueInfo:
    """A message or a field, as go-micro's registry describes it (``registry.Value``)."""

    name: str
    """Of the field, or of the message."""
    type: str
    """Its type in Go: ``"string"``, ``"[]int32"``, the name of a message …"""
    values: tuple[ValueInfo, ...] = ()
    """The fields, if it is a message."""


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """A method that a node serves, as go-micro's registry describes it (``registry.Endpoint``)."""

    name: str
    """Without the package: ``"Greeter.SayHello"``."""
    request: ValueInfo | None = None
    response: ValueInfo | None = None
    metadata: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    """``{"stream": "true"}`` for the streaming kinds."""


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
    endpoints: tuple[EndpointInfo, ...] = ()
    """The methods that it serves, for those who look at it; empty if it does not say. Calls do not need them."""
    registered: int = field(default=0, compare=False)
    """Set by the registry: of two nodes at one address, the one with the larger number was registered later. 0 if it is not
    known. It does not count when nodes are compared."""

    @property
    def go_micro(self) -> bool:
        """Whether go-micro registered it: it puts these two keys into the metadata of every node."""
        return "protocol" in self.metadata and "server" in self.metadata
