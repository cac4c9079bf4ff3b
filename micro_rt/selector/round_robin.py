"""Round robin: every node in turn, across calls."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from micro_rt.kit.chance import below
from micro_rt.node import Node

__all__ = ["RoundRobin"]


class RoundRobin:
    """Takes the nodes in turn, beginning anywhere so that many clients do not begin with the same one."""

    def __init__(self) -> None:
        self._turn = below(1 << 16)

    def select(self, nodes: Sequence[Node], avoid: Collection[str]) -> Node:
        """Picks the next node, passing over those to avoid while there is another."""
        count = len(nodes)
        turn = self._turn
        self._turn = turn + 1
        node = nodes[turn % count]
        if avoid and node.id in avoid:
            for step in range(1, count):
                other = nodes[(turn + step) % count]
                if other.id not in avoid:
                    self._turn = turn + step + 1
                    return other
        return node
