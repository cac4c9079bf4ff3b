"""The contract suite of selectors: what every selector promises, as tests.

    class TestMySelector(SelectorContract):
        def make(self) -> Selector:
            return MySelector()

needs nothing but pytest. ``LoadSelectorContract`` is for a selector that derives from ``LoadSelector``: the same tests, and more.
"""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

from micro_rt.kit.chance import below, between, shuffle
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node
from micro_rt.selector.base import LoadSelector, Selector
from micro_rt.testing.contracts.suite import Contract

__all__ = ["LoadSelectorContract", "SelectorContract"]


class SelectorContract(Contract):
    """Subclass it, and return a selector from ``make``."""

    spreads: ClassVar[bool] = True
    """Whether every node gets calls in the long run, as far as nothing speaks against a node."""

    def make(self) -> Selector:
        """Returns a new selector."""
        raise NotImplementedError

    @pytest.mark.parametrize("count", [1, 2, 3, 7, 100])
    def test_it_returns_one_of_the_nodes(self, count: int) -> None:
        selector, nodes = self.make(), _nodes(count)
        for _ in range(5 * count):
            selected = selector.select(nodes, frozenset())
            assert any(selected is node for node in nodes)

    def test_every_node_gets_calls(self) -> None:
        if not self.spreads:
            pytest.skip("this selector does not spread calls over all nodes")
        selector, nodes = self.make(), _nodes(5)
        counts = Counter(selector.select(nodes, ()).id for _ in range(2000))
        assert set(counts) == {node.id for node in nodes}

    @pytest.mark.parametrize("kind", [frozenset, set, list, tuple])
    def test_nodes_to_avoid_are_left_out_while_there_are_others(self, kind: type) -> None:
        selector, nodes = self.make(), _nodes(5)
        for avoided in range(1, 5):
            for _ in range(50):
                avoid = {node.id for node in _some(nodes, avoided)}
                assert selector.select(nodes, kind(avoid)).id not in avoid

    def test_nodes_that_are_left_get_the_calls_of_the_others(self) -> None:
        if not self.spreads:
            pytest.skip("this selector does not spread calls over all nodes")
        selector, nodes = self.make(), _nodes(5)
        avoid = frozenset({nodes[1].id, nodes[2].id})
        assert {selector.select(nodes, avoid).id for _ in range(2000)} == {nodes[n].id for n in (0, 3, 4)}

    def test_a_node_to_avoid_is_better_than_none(self) -> None:
        selector = self.make()
        for count in (1, 2, 5):
            nodes = _nodes(count)
            avoid = frozenset(node.id for node in nodes)
            for _ in range(3 * count):
                assert selector.select(nodes, avoid) in nodes

    def test_ids_to_avoid_may_be_those_of_nodes_that_are_not_there(self) -> None:
        selector, nodes = self.make(), _nodes(3)
        avoid = frozenset({"gone", "gone too", nodes[0].id})
        for _ in range(30):
            assert selector.select(nodes, avoid) in nodes[1:]

    def test_nodes_may_change_from_call_to_call(self) -> None:
        selector, everything = self.make(), _nodes(20)
        for _ in range(500):
            nodes = sorted(_some(everything, 1 + below(20)), key=lambda node: node.id)
            avoid = frozenset(node.id for node in _some(everything, below(21)))
            selected = selector.select(nodes, avoid)
            assert selected in nodes
            assert selected.id not in avoid or avoid >= {node.id for node in nodes}

    def test_a_node_that_has_changed_is_returned_as_it_is_now(self) -> None:
        selector = self.make()
        for version in range(50):
            nodes = [Node(f"node-{number}", f"127.0.0.1:{version + 1}", version=str(version)) for number in range(3)]
            selected = selector.select(nodes, ())
            assert any(selected is node for node in nodes)

    def test_what_it_is_given_stays_as_it_is(self) -> None:
        selector, nodes, avoid = self.make(), _nodes(5), {"node-000", "gone"}
        before = list(nodes)
        for _ in range(20):
            selector.select(nodes, avoid)
        assert [id(node) for node in nodes] == [id(node) for node in before]
        assert avoid == {"node-000", "gone"}

    def test_nodes_that_have_gone_are_not_remembered(self) -> None:
        class Id(str):  # noqa: SLOT000 - one that weak references can be made to
            """The id of a node."""

        selector = self.make()
        ids: list[weakref.ref[Id]] = []
        for number in range(1000):
            id = Id(f"node-{number:04}")
            ids.append(weakref.ref(id))
            node, other = Node(id, "127.0.0.1:1"), Node("other", "127.0.0.1:2")
            selector.select([node, other], ())
            selector.select([node, other], {"other"})
            selector.select([node, other], {id})
            del node, id
        gc.collect()
        assert sum(id() is not None for id in ids) <= 100

    def test_selectors_are_independent(self) -> None:
        selectors = [self.make() for _ in range(3)]
        for count, selector in enumerate(selectors, start=1):
            nodes = _nodes(count)
            assert selector.select(nodes, ()) in nodes


class LoadSelectorContract(SelectorContract):
    """Subclass it, and return a selector from ``make`` that derives from ``LoadSelector``."""

    calls: ClassVar[Sequence[Metadata]] = (EMPTY,)
    """What calls send; a selector may select by it."""

    def make(self) -> LoadSelector:
        """Returns a new selector."""
        raise NotImplementedError

    def test_with_any_loads_it_returns_one_of_the_nodes_and_none_to_avoid(self) -> None:
        selector, everything = self.make(), _nodes(20)
        for number in range(1000):
            nodes = sorted(_some(everything, 1 + below(20)), key=lambda node: node.id)
            avoid = frozenset(node.id for node in _some(everything, below(21)))
            loads = {node.id: _some_load() for node in _some(everything, below(21))}
            selected = selector.select(nodes, avoid, loads, self.calls[number % len(self.calls)])
            assert any(selected is node for node in nodes)
            assert selected.id not in avoid or avoid >= {node.id for node in nodes}

    def test_loads_of_the_same_nodes_may_change_from_call_to_call(self) -> None:
        selector, nodes = self.make(), tuple(_nodes(5))
        for number in range(1000):
            loads = {node.id: _some_load() for node in nodes}
            assert selector.select(nodes, (), loads, self.calls[number % len(self.calls)]) in nodes

    def test_loads_stay_as_they_are(self) -> None:
        selector, nodes = self.make(), _nodes(5)
        loads = {node.id: _some_load() for node in nodes}
        before = dict(loads)
        for number in range(100):
            selector.select(nodes, {nodes[0].id}, loads, self.calls[number % len(self.calls)])
        assert loads == before

    def test_loads_are_not_kept(self) -> None:
        selector, gone = self.make(), list[weakref.ref[_Load]]()
        for number in range(1000):
            nodes = _nodes(3)
            loads = {node.id: _Load(in_flight=number) for node in nodes}
            gone += [weakref.ref(load) for load in loads.values()]
            selector.select(nodes, (), loads, self.calls[number % len(self.calls)])
            del loads
        gc.collect()
        assert sum(load() is not None for load in gone) <= 10


@dataclass(frozen=True)
class _Load:
    in_flight: int = 0
    latency: float | None = None
    failures: float = 0.0


def _some_load() -> _Load:
    return _Load(below(10), between(0.0, 1.0) if below(2) else None, between(0.0, 10.0) if below(2) else 0.0)


def _nodes(count: int) -> Sequence[Node]:
    return [Node(f"node-{number:03}", f"127.0.0.1:{number + 1}") for number in range(count)]


def _some(nodes: Sequence[Node], count: int) -> Sequence[Node]:
    shuffled = list(nodes)
    shuffle(shuffled)
    return shuffled[:count]
