"""Selector ``acme``: the node that has had no call for the longest time; ``acme-fewest``: the one with the fewest calls."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node
from micro_rt.selector.base import NO_LOADS, Load, LoadSelector

__all__ = ["FewestCalls", "LongestIdle"]


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


class FewestCalls(LoadSelector):
    """Takes the node with the fewest calls in flight."""

    def select(
        self,
        nodes: Sequence[Node],
        avoid: Collection[str],
        loads: Mapping[str, Load] = NO_LOADS,
        metadata: Metadata = EMPTY,
    ) -> Node:
        """Picks a node, and none of those to avoid while there is another."""
        usable = [node for node in nodes if node.id not in avoid] or nodes
        return min(usable, key=lambda node: loads[node.id].in_flight if node.id in loads else 0)
