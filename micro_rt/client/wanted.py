"""The nodes that a client wants: the filter as it is given, and what an error says if no node matches it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from micro_rt.node import Node, NodeFilter

__all__ = ["EVERY_NODE", "unmatched", "wanted_nodes"]

EVERY_NODE = NodeFilter()
"""The filter of a client that does not say which nodes it wants."""
SHOWN = 10
"""Versions or values that an error lists at most."""


def wanted_nodes(given: NodeFilter, zone: str) -> NodeFilter:
    """Returns a filter as it is used.

    Args:
        given: as a user has written it.
        zone: of the service whose clients use it; empty if it has none.

    Raises:
        TypeError: it is not a ``NodeFilter``.
        ValueError: it prefers the zone of the service, which has none.
    """
    if not isinstance(cast("object", given), NodeFilter):
        raise TypeError(f"nodes={given!r}: it is a micro.NodeFilter")
    return given.of_zone(zone)


def unmatched(wanted: NodeFilter, nodes: Sequence[Node]) -> str:
    """Returns what a filter wants that no node has, and what there is instead: ``"of version '2'; there is '1'"``.

    Args:
        wanted: the filter; it matches none of the nodes.
        nodes: those that there are, at least one.
    """
    if wanted.version:
        left = [node for node in nodes if node.version == wanted.version]
        if not left:
            return f"of version {wanted.version!r}; there is {_listed([node.version for node in nodes])}"
        nodes = left
    for key, value in wanted.metadata.items():
        left = [node for node in nodes if node.metadata.get(key) == value]
        if not left:
            there = _listed([node.metadata.get(key, "") for node in nodes])
            of_version = f"of version {wanted.version!r} " if wanted.version else ""
            return f"{of_version}with {key}={value!r} in its metadata; there is {there}"
        nodes = left
    return "that this client wants; there was none until now"


def _listed(values: Sequence[str]) -> str:
    shown = [repr(value) for value in sorted(set(values)) if value] + ([] if all(values) else ["none"])
    more = len(shown) - SHOWN
    return ", ".join(shown[:SHOWN]) + (f" and {more} more" if more > 0 else "")
