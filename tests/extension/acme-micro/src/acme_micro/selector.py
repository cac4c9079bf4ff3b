"""Selector ``acme``: the node that has had no call for the longest time."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from micro_rt.node import Node

__all__ = ["LongestIdle"]


class LongestIdle:
    """Takes the node whose last call is the longest ago, and new nodes first."""

    def __init__(self) -> None:
        self._turn = 0
        self._last: dict[str, int] = {}

    def select(self, nodes: Sequence[Node], avoid: Collection[str]) -> Node:
        """Picks a node, and none of those to avoid while there is another."""
        usable = [node for node in nodes if node.id not in avoid] or nodes
        node = min(usable, key=lambda each: self._last.get(each.id, 0))
        self._turn += 1
        self._last[node.id] = self._turn
        if len(self._last) > 2 * len(nodes):  # forget nodes that have gone
            self._last = {each.id: self._last[each.id] for each in nodes if each.id in self._last}
        return node
