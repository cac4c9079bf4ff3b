"""Random: any node, each with the same chance."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from micro_rt.kit.chance import pick
from micro_rt.node import Node

__all__ = ["Random"]


class Random:
    """Takes any node."""

    def select(self, nodes: Sequence[Node], avoid: Collection[str]) -> Node:
        """Picks a node by chance among those not to be avoided, or among all if there is no other."""
        if avoid:
            nodes = [node for node in nodes if node.id not in avoid] or nodes
        return pick(nodes)
