"""The merge of a config beside a model of it, on trees of every form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

import micro_rt as micro
from micro_rt.config.base import Reading
from micro_rt.config.frozen import same
from micro_rt.config.layers import Layer, Rules, layer_of
from micro_rt.config.merging import merged

Tree: TypeAlias = "dict[str, Any]"

NAMES = st.sampled_from(["a", "b", "A", "c.d", "ü"])
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 2),
    st.floats(-2, 2),
    st.sampled_from(["", "x", "1"]),
    st.lists(st.integers(0, 2), max_size=2),
)
TREES: st.SearchStrategy[Any] = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=3),
    lambda inner: st.dictionaries(NAMES, st.one_of(LEAVES, inner), max_size=3),
    max_leaves=12,
)


def layers_of(trees: list[Any], *, ignores_case: bool = False) -> list[Layer]:
    return [
        layer_of(Reading(tree), Rules(f"source {number}", ignores_case=ignores_case), {})
        for number, tree in enumerate(trees)
    ]


class Clash(Exception):
    def __init__(self, path: tuple[str, ...]) -> None:
        self.path = path


def model(trees: list[Any], path: tuple[str, ...] = ()) -> Tree:
    """Merges name by name: of each name, what the sources say of it after the last null."""
    found: Tree = {}
    for name in dict.fromkeys(name for tree in trees for name in tree):
        said = [tree[name] for tree in trees if name in tree]
        after = len(said) - next((number for number, each in enumerate(reversed(said)) if each is None), len(said))
        # Whoever says something before the null may still clash with others before the null.
        groups: list[list[Any]] = [[]]
        for each in said:
            if each is None:
                groups.append([])
            else:
                groups[-1].append(each)
        for group in groups:
            if len({isinstance(each, Mapping) for each in group}) > 1:
                raise Clash((*path, name))
            if group and isinstance(group[0], Mapping):
                model(group, (*path, name))
        rest = said[after:]
        if rest:
            found[name] = model(rest, (*path, name)) if isinstance(rest[0], Mapping) else rest[-1]
    return found


@given(st.lists(TREES, max_size=4))
def test_layers_merge_as_the_model_does(trees: list[Any]) -> None:
    try:
        expected = model(trees)
    except Clash:
        with pytest.raises(
            micro.FailedPrecondition, match=r"is a (mapping|value) in source \d, and a (mapping|value) in source \d"
        ):
            merged(layers_of(trees))
    else:
        assert same(merged(layers_of(trees)).tree, expected)


@given(TREES)
def test_a_layer_over_itself_changes_nothing(tree: Any) -> None:
    once = merged(layers_of([tree])).tree
    assert same(merged(layers_of([tree, tree])).tree, once)
    assert same(merged(layers_of([{}, tree, {}])).tree, once)


@given(TREES, TREES, TREES)
def test_it_does_not_matter_which_neighbours_are_merged_first(one: Any, two: Any, three: Any) -> None:
    try:
        together = merged(layers_of([one, two, three])).tree
        first = dict(merged(layers_of([one, two])).tree)
    except micro.FailedPrecondition:
        return
    assert same(merged(layers_of([first, three])).tree, together)


@given(st.lists(TREES, min_size=1, max_size=4))
def test_the_winner_of_every_leaf_says_what_it_is(trees: list[Any]) -> None:
    try:
        found = merged(layers_of(trees))
    except micro.FailedPrecondition:
        return

    def check(tree: Mapping[str, Any], path: tuple[str, ...]) -> None:
        for name, value in tree.items():
            assert value is not None
            if isinstance(value, Mapping):
                check(value, (*path, name))
            else:
                layer = found.winner((*path, name))
                assert layer is not None
                given: Any = layer.tree
                for each in (*path, name):
                    given = given[each]
                assert same(given, value)

    check(found.tree, ())


@given(TREES, TREES)
def test_names_without_case_become_those_of_others_or_are_refused(base: Any, other: Any) -> None:
    """Fault dynaconf#737: the environment changed the case, and then there were two keys."""
    layers = [*layers_of([base]), *layers_of([_lower(other)], ignores_case=True)]
    try:
        found = merged(layers)
    except micro.FailedPrecondition:
        return

    def check(tree: Mapping[str, Any], known: Any, path: tuple[str, ...]) -> None:
        for name, value in tree.items():
            there = known if isinstance(known, Mapping) else {}
            same_but_for_case = [each for each in tree if each != name and each.lower() == name.lower()]
            assert not [each for each in same_but_for_case if each not in there or name not in there]
            assert name in there or (*path, name) in found.loose
            if isinstance(value, Mapping):
                check(value, there.get(name), (*path, name))

    check(found.tree, base, ())


def _lower(tree: Any) -> Any:
    """Returns a tree as a source that ignores case has it."""
    if not isinstance(tree, dict):
        return tree
    return {name.lower(): _lower(value) for name, value in tree.items()}
