"""Layers to one tree: later wins.

- Mappings merge, at every depth; lists and values replace. So one variable changes one leaf and leaves its neighbours.
- A null deletes what earlier layers say. Nothing in a merged mapping is null.
- A mapping over a value, or a value over a mapping, is an error that names both sources: one of the two would be lost silently.
- Everything is merged anew each time, so a name that is removed from its source is gone.
- The names of a source that ignores case become those of the others that differ in case alone; two such names are an error. A name
  that no other source has stays in lower case, and is listed as ``loose``: a program may call it by any case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from micro_rt.config.base import Path, Tree, Value
from micro_rt.config.frozen import FrozenDict, at
from micro_rt.config.layers import Layer
from micro_rt.config.paths import shown_path
from micro_rt.errors import FailedPrecondition

__all__ = ["Merged", "child", "merged"]


@dataclass(frozen=True, slots=True, repr=False)
class Merged:
    """Several layers, and what they are together."""

    tree: Tree
    layers: Sequence[Layer]
    """The layers, with the names that they have in the tree."""
    loose: frozenset[Path]
    """Paths of names that only sources which ignore case have."""

    def winner(self, path: Path) -> Layer | None:
        """Returns the layer that decides what is at a path; None if none says anything, or the last that does deletes it."""
        for layer in reversed(self.layers):
            value: Value = layer.tree
            for depth, name in enumerate(path, 1):
                if not isinstance(value, Mapping) or name not in value:
                    break
                value = value[name]
                if value is None:
                    return None
                if depth == len(path):
                    return layer
            else:
                return layer
        return None


def merged(layers: Sequence[Layer]) -> Merged:
    """Returns layers merged.

    Args:
        layers: the first counts least.

    Raises:
        FailedPrecondition: one has a mapping where another has a value, or a name without case could be two others.
    """
    try:
        return _merged(layers)
    except _Conflict as conflict:
        problem = str(conflict)
    # Raised here, where no frame has a value in it: some tools show the variables of every frame.
    raise FailedPrecondition(problem, id="micro.config")


def child(tree: Tree, path: Path, name: str, loose: frozenset[Path]) -> str | None:
    """Returns the name under which a mapping has what a program calls by a name; None if it does not have it.

    Args:
        tree: the mapping.
        path: where it is.
        name: as the program has it.
        loose: paths whose last name has no case.
    """
    if name in tree:
        return name
    lower = name.lower()
    return lower if loose and lower in tree and (*path, lower) in loose else None


class _Conflict(Exception):  # noqa: N818 - never leaves the module
    """Layers contradict each other; the text says where, without any value."""


def _merged(layers: Sequence[Layer]) -> Merged:
    loose: set[Path] = set()
    others = [layer.tree for layer in layers if not layer.rules.ignores_case]
    fitted = [_fitted_layer(layer, others, loose) if layer.rules.ignores_case else layer for layer in layers]
    tree: Tree = FrozenDict()
    for number, layer in enumerate(fitted):
        tree = _over(tree, layer.tree, (), fitted[: number + 1])
    return Merged(tree, fitted, frozenset(loose))


def _over(under: Tree, over: Tree, path: Path, layers: Sequence[Layer]) -> Tree:
    found = dict(under)
    for name, value in over.items():
        if value is None:
            found.pop(name, None)
            continue
        below = found.get(name)
        if isinstance(value, Mapping):
            if below is None:
                below = FrozenDict[str, Value]()
            elif not isinstance(below, Mapping):
                raise _clash((*path, name), layers)
            value = _over(below, value, (*path, name), layers)
        elif isinstance(below, Mapping):
            raise _clash((*path, name), layers)
        found[name] = value
    return FrozenDict(found)


def _clash(path: Path, layers: Sequence[Layer]) -> _Conflict:
    *earlier, layer = layers
    other = next(each for each in reversed(earlier) if at(each.tree, path) is not None)
    ours, theirs = ("a mapping", "a value") if isinstance(at(layer.tree, path), Mapping) else ("a value", "a mapping")
    return _Conflict(
        f"{shown_path(path)} is {ours} in {_named(layer, path)}, and {theirs} in {_named(other, path)}; "
        "change one of them, or set it to null in a source between the two"
    )


def _named(layer: Layer, path: Path) -> str:
    place = layer.place(path)
    return layer.source if place == layer.source else f"{layer.source} ({place})"


def _fitted_layer(layer: Layer, others: Sequence[Tree], loose: set[Path]) -> Layer:
    renamed: dict[Path, Path] = {}
    tree = _fitted(layer, layer.tree, others, (), (), loose, renamed)
    return replace(layer, tree=tree, places={renamed.get(path, path): place for path, place in layer.places.items()})


def _fitted(
    layer: Layer,
    tree: Tree,
    others: Sequence[Tree],
    path: Path,
    there: Path,
    loose: set[Path],
    renamed: dict[Path, Path],
) -> Tree:
    """Returns a mapping with the names that it has in other sources.

    Args:
        layer: it is of.
        tree: the mapping.
        others: what other sources have at its place.
        path: where it is in the layer.
        there: where it is in the others.
        loose: takes the paths that no other source has.
        renamed: takes the paths of the layer, with those that they become.
    """
    known: dict[str, dict[str, None]] = {}
    for other in others:
        for name in other:
            known.setdefault(name.lower(), {})[name] = None
    found: dict[str, Value] = {}
    for name, value in tree.items():
        own = (*path, name)
        names = list(known.get(name.lower(), ()))
        if len(names) > 1:
            shown = " or ".join(shown_path((*there, each)) for each in sorted(names))
            raise _Conflict(f"{_named(layer, own)} could mean {shown}, which differ in case alone: rename one of them")
        actual = names[0] if names else name.lower()
        if not names:
            loose.add((*there, actual))
        renamed[own] = (*there, actual)
        if isinstance(value, Mapping):
            inner = [each for other in others if isinstance(each := other.get(actual), Mapping)]
            value = _fitted(layer, value, inner, own, (*there, actual), loose, renamed)
        found[actual] = value
    return FrozenDict(found)
