"""Least loaded: of two random nodes, the one that is likely to answer first.

The rules that it keeps, and why:

- It compares two nodes only (the power of two choices). If each client took the best of all nodes, all clients would take the
  same one.
- The node with the lower product of calls in flight plus one, latency, and failures is taken. So calls in flight count before the
  first reply has come, and a node that is slow or hangs is left as its calls pile up.
- If the latency of one of the two is not known, neither counts. A node that has just appeared gets as many calls in flight as the
  others, and not all of them.
- A failure makes a node as expensive as one that is ``FAILURE`` times slower, until it fades: a node that fails fast would look
  like the best one.
- What is known of a node fades while it gets no calls (``Load``), so each node is tried again, with one call at a time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from micro_rt.kit.chance import below
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node
from micro_rt.selector.base import NO_LOADS, Load, LoadSelector

__all__ = ["LeastLoaded"]

FAILURE = 10.0
"""How many times slower a node counts for each failure that it has just had."""


class LeastLoaded(LoadSelector):
    """Takes the better of two random nodes, by their calls in flight, latency and failures."""

    def select(
        self,
        nodes: Sequence[Node],
        avoid: Collection[str],
        loads: Mapping[str, Load] = NO_LOADS,
        metadata: Metadata = EMPTY,
    ) -> Node:
        """Picks the better of two nodes that are not to be avoided, or of all nodes if there is no other."""
        if avoid:
            nodes = [node for node in nodes if node.id not in avoid] or nodes
        count = len(nodes)
        if count == 1:
            return nodes[0]
        first, second = divmod(below(count * (count - 1)), count - 1)
        one, other = nodes[first], nodes[second + (second >= first)]
        its, others = loads.get(one.id), loads.get(other.id)
        return other if its is not None and others is not None and _is_less(others, its) else one


def _is_less(load: Load, than: Load) -> bool:
    """Returns whether a load is less than another one."""
    one, other = load.latency, than.latency
    if one is None or other is None:
        one = other = 1.0
    return _cost(load, one) < _cost(than, other)


def _cost(load: Load, latency: float) -> float:
    return (load.in_flight + 1) * latency * (1.0 + FAILURE * load.failures)
