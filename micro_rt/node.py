"""One process that serves, as the registry lists it and a client sees it; and which of them a client calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast

__all__ = ["SAME_ZONE", "ZONE_KEY", "EndpointInfo", "Node", "NodeFilter", "ValueInfo"]

ZONE_KEY = "zone"
"""The key of a node's zone in its metadata."""

SAME_ZONE = "same"
"""As the zone of a ``NodeFilter``: that of the service whose client calls."""


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


@dataclass(frozen=True, slots=True)
class NodeFilter:
    """Which nodes a client calls, for ``nodes=`` of a client or of a service.

    Nodes of another version or with other metadata get no calls. If no node is left, a call fails as it does if nobody serves the
    name. A zone is a preference: nodes of other zones get the calls while every node of the zone is set aside or gone.

    Raises:
        TypeError: the version or the zone is not text, or the metadata is not a mapping of text to text.
    """

    version: str = ""
    """The version of the nodes; empty for every version."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    """What the metadata of the nodes has, among other things."""
    zone: str = ""
    """The zone (``metadata["zone"]``) whose nodes come first, ``"same"`` for that of the service itself; empty for no preference."""

    def __post_init__(self) -> None:
        for name, value in (("version", self.version), ("zone", self.zone)):
            if not isinstance(cast("object", value), str):
                raise TypeError(f"{name}={value!r}: it is text")
        given = cast("object", self.metadata)
        if not isinstance(given, Mapping) or not all(
            isinstance(text, str) for pair in cast("Mapping[object, object]", given).items() for text in pair
        ):
            raise TypeError(f"metadata={given!r}: it is a mapping of text to text")
        object.__setattr__(self, "metadata", dict(self.metadata))  # the caller may change its own

    def matches(self, node: Node) -> bool:
        """Returns whether a node has the version and the metadata, whatever its zone is."""
        if self.version and node.version != self.version:
            return False
        return all(node.metadata.get(key) == value for key, value in self.metadata.items())

    def prefers(self, node: Node) -> bool:
        """Returns whether a node is in the zone; True if no zone is preferred."""
        return not self.zone or node.metadata.get(ZONE_KEY) == self.zone

    def of_zone(self, own: str) -> NodeFilter:
        """Returns this filter with the name of the service's own zone in place of ``"same"``.

        Args:
            own: the zone of the service; empty if it has none.

        Raises:
            ValueError: ``"same"`` is the zone, and the service has none.
        """
        if self.zone != SAME_ZONE:
            return self
        if not own:
            raise ValueError(
                'zone="same", and the service does not say its own zone: pass metadata={"zone": ...} to micro.Service'
            )
        return replace(self, zone=own)
