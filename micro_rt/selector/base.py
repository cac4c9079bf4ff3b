"""The interface of a selector."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from micro_rt.node import Node

__all__ = ["Selector"]


class Selector(Protocol):
    """Picks a node for each call; found by its name in the entry points ``micro_rt.selector``.

    There is one selector per looked-up service and process, so it may keep what it learns.
    """

    def select(self, nodes: Sequence[Node], avoid: Collection[str]) -> Node:
        """Picks a node.

        Args:
            nodes: at least one.
            avoid: ids of nodes that failed; picked only if there is no other.
        """
        ...
