"""Which node takes the next call."""

from __future__ import annotations

from collections import Counter

import pytest

from micro_rt.node import Node
from micro_rt.selector.base import Selector
from micro_rt.selector.random import Random
from micro_rt.selector.round_robin import RoundRobin

NODES = tuple(Node(str(number), f"127.0.0.1:{number}") for number in range(5))


def test_round_robin_takes_every_node_in_turn() -> None:
    selector = RoundRobin()
    order = [selector.select(NODES, ()).id for _ in range(20)]
    assert sorted(order[:5]) == ["0", "1", "2", "3", "4"]
    assert order == order[:5] * 4


def test_round_robin_spreads_what_a_node_to_avoid_does_not_take() -> None:
    selector = RoundRobin()
    counts = Counter(selector.select(NODES, {"2"}).id for _ in range(400))
    assert set(counts) == {"0", "1", "3", "4"}
    assert max(counts.values()) <= 2 * min(counts.values())


def test_random_takes_every_node() -> None:
    counts = Counter(Random().select(NODES, ()).id for _ in range(1000))
    assert set(counts) == {"0", "1", "2", "3", "4"}
    assert min(counts.values()) > 100


@pytest.mark.parametrize("selector", [RoundRobin(), Random()])
def test_a_node_to_avoid_is_taken_only_if_there_is_no_other(selector: Selector) -> None:
    everything = {node.id for node in NODES}
    for avoided in everything:
        assert all(selector.select(NODES, everything - {avoided}).id == avoided for _ in range(20))
    assert selector.select(NODES, everything) in NODES
    assert selector.select(NODES[:1], everything) is NODES[0]
