"""Consistent hash: calls with the same key go to the same node, unless it has more than its share of the calls.

The rules that it keeps, and why:

- The key is the value of one key of the call's metadata. A call without it takes the next node in turn.
- Each node has ``POINTS`` points on a ring, which come from its id, and a call goes to the node whose point is next to the hash of
  its key. So all processes agree, and when a node comes or goes, only the keys of that node move.
- A node takes a call only while its calls in flight are below ``bound`` times the mean; else the next node on the ring gets it
  ("Consistent Hashing with Bounded Loads", https://arxiv.org/abs/1608.01350). A key that everybody asks for does not
  overload its node. The mean rounds up, so each node may have one call in flight at least.
- A node that is to be avoided, or is not given, is passed over and keeps its points. So its keys spread over the other nodes, and come
  back with it.
- The points of nodes that have gone are dropped once there are more of them than of others. A change costs one merge, not a sort.
- The mean is counted anew for each call with up to ``COUNTED`` nodes, and less often with more of them, so that a call does
  not look at thousands of nodes.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Collection, Iterator, Mapping, Sequence
from hashlib import blake2b
from math import ceil, isfinite
from typing import Self

from micro_rt.kit.address import Options
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node
from micro_rt.selector.base import NO_LOADS, Load, LoadSelector
from micro_rt.selector.round_robin import RoundRobin

__all__ = ["ConsistentHash"]

KEY = "x-hash-key"
"""The key of the metadata, if no other one is given."""
BOUND = 1.25
"""How many times the mean of the calls in flight a node may have, if nothing else is given."""
POINTS = 64
"""Points of a node on the ring: the share of a node differs from the mean by an eighth of it or so."""
COUNTED = 16
"""Nodes up to which calls in flight are counted for each call; with ten times as many, for each tenth call."""
SPARE = 32
"""Nodes that have gone whose points are kept in any case: a call that tries again is given few nodes."""

_SIZE = 8
"""Bytes of a hash."""


class ConsistentHash(LoadSelector):
    """Takes the node of the call's key.

    Args:
        key: the key in the metadata of the calls; ``"x-hash-key"`` by default.
        bound: how many times the mean of the calls in flight a node may have, 1.25 by default; None for no bound.

    Raises:
        ValueError: the key cannot be one of metadata, or the bound is not above 1.
    """

    def __init__(self, key: str = KEY, bound: float | None = BOUND) -> None:
        (self._key,) = Metadata({key: b"" if key.endswith("-bin") else "text"})
        if bound is not None and not (isfinite(bound) and bound > 1):
            raise ValueError(f"bound={bound}: it is a number above 1, or None for no bound")
        self._bound = bound
        self._in_turn = RoundRobin()
        self._points: list[int] = []
        """The points of the nodes, sorted."""
        self._owners: dict[int, str] = {}
        """The ids of the nodes that have them."""
        self._nodes: Sequence[Node] = ()
        """The nodes that were given last."""
        self._by_id: dict[str, Node] = {}
        self._known: set[str] = set()
        """The ids of the nodes that have points."""
        self._total = self._uses = 0
        """Calls in flight when they were counted last, and the calls since."""

    @classmethod
    def with_options(cls, options: str) -> Self:
        """Returns a selector for the options of a name, ``"key=x-tenant&bound=1.5"``; ``bound=none`` is no bound.

        Raises:
            ValueError: an option that there is not, or a value that makes no sense.
        """
        given = Options(options)
        usual: float | None = BOUND
        key, bound = given.text("key", KEY), given.read("bound", _bound, usual)
        given.end()
        return cls(key, bound)

    def select(
        self,
        nodes: Sequence[Node],
        avoid: Collection[str],
        loads: Mapping[str, Load] = NO_LOADS,
        metadata: Metadata = EMPTY,
    ) -> Node:
        """Picks the node of the call's key, or a later one on the ring if that is to be avoided or has too many calls."""
        key = metadata.get(self._key)
        if key is None:
            return self._in_turn.select(nodes, avoid)
        if nodes is not self._nodes or not isinstance(nodes, tuple):
            self._know(nodes)
        wanted = _hashes(key if isinstance(key, bytes) else key.encode(), _SIZE)[0]
        first: Node | None = None
        limit = 0
        for node in self._from(wanted):
            if node.id in avoid:
                continue
            load = loads.get(node.id)
            if load is None or self._bound is None or not load.in_flight:
                return node
            limit = limit or self._limit(self._bound, loads)
            if load.in_flight < limit:
                return node
            first = first or node
        return first or next(self._from(wanted))

    def _from(self, point: int) -> Iterator[Node]:
        """Yields the nodes in the order in which they follow a point; some more than once."""
        points, owners, by_id = self._points, self._owners, self._by_id
        start = bisect(points, point)
        for index in range(start - len(points), start):
            node = by_id.get(owners[points[index]])
            if node is not None:
                yield node

    def _limit(self, bound: float, loads: Mapping[str, Load]) -> int:
        """Returns how many calls in flight a node has at most, the next one included."""
        count = len(self._nodes)
        if not self._uses:
            known = [loads.get(id) for id in self._by_id]
            self._total = sum([load.in_flight for load in known if load is not None])
        self._uses = (self._uses + 1) % max(1, count // COUNTED)
        return ceil(bound * (self._total + 1) / count)

    def _know(self, nodes: Sequence[Node]) -> None:
        """Takes the nodes that there are now."""
        self._nodes = nodes
        self._by_id = {node.id: node for node in nodes}
        self._uses = 0
        new = self._by_id.keys() - self._known
        if len(self._known) + len(new) > 2 * len(nodes) + SPARE:
            self._owners = {point: id for point, id in self._owners.items() if id in self._by_id}
            self._points = [point for point in self._points if point in self._owners]
            self._known &= self._by_id.keys()
        if new:
            added = {point: id for id in new for point in _points_of(id)}
            self._known |= new
            self._owners |= added
            self._points += sorted(added)
            self._points.sort()  # two sorted runs, which Python merges


def _points_of(id: str) -> Iterator[int]:
    """Yields the points of a node."""
    for number in range(POINTS * _SIZE // blake2b.MAX_DIGEST_SIZE):
        yield from _hashes(b"%d %s" % (number, id.encode()), blake2b.MAX_DIGEST_SIZE)


def _hashes(text: bytes, size: int) -> list[int]:
    """Returns the numbers in a hash of so many bytes: the same ones in every process."""
    digest = blake2b(text, digest_size=size).digest()
    return [int.from_bytes(digest[start : start + _SIZE], "big") for start in range(0, size, _SIZE)]


def _bound(text: str) -> float | None:
    return None if text == "none" else float(text)
