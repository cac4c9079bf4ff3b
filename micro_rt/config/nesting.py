"""Flat settings to nested ones: for sources in which each value has a name with its whole path, such as variables and keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, cast

from micro_rt.config.base import MAX_DEPTH, MAX_VALUES, Path, Reading, Value
from micro_rt.config.paths import shown_path
from micro_rt.errors import FailedPrecondition

__all__ = ["Entry", "nested"]


class Entry(NamedTuple):
    """One setting of a flat source."""

    path: Path
    value: Value
    place: str
    """What errors and ``explain`` call it: a variable, a flag, a key."""


def nested(entries: Iterable[Entry], source: str) -> Reading:
    """Returns the settings as a tree.

    Args:
        entries: in any order.
        source: the name of the source, for errors.

    Raises:
        FailedPrecondition: two entries have one path, one is inside another, or a name is empty.
    """
    tree: dict[str, Value] = {}
    places: dict[Path, str] = {}
    above: dict[Path, str] = {}
    """The mappings, with the first entry in each."""
    for path, value, place in entries:
        if not path or "" in path:
            raise FailedPrecondition(f"{source}: {place} has an empty name in it")
        if len(path) > MAX_DEPTH or len(places) >= MAX_VALUES:
            what = (
                f"{place} has more than {MAX_DEPTH} names"
                if len(path) > MAX_DEPTH
                else f"more than {MAX_VALUES:,} settings"
            )
            raise FailedPrecondition(f"{source}: {what}")
        if path in places:
            raise FailedPrecondition(
                f"{source}: {places[path]} and {place} both set {shown_path(path)}; leave one of them out"
            )
        if path in above:
            raise _inside(source, above[path], place, path)
        inner = tree
        for depth in range(1, len(path)):
            prefix = path[:depth]
            if prefix in places:
                raise _inside(source, place, places[prefix], prefix)
            above.setdefault(prefix, place)
            inner = cast("dict[str, Value]", inner.setdefault(path[depth - 1], {}))
        inner[path[-1]] = value
        places[path] = place
    return Reading(tree, places)


def _inside(source: str, inner: str, outer: str, path: Path) -> FailedPrecondition:
    return FailedPrecondition(
        f"{source}: {inner} sets something inside {shown_path(path)}, which {outer} sets to a value; leave one of them out"
    )
