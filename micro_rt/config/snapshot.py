"""One revision of all settings: what readers read, never changed once it is there.

Its values are made once for each path and type, so that a read is two look-ups in dictionaries. What is kept is bounded: a program may
ask for paths that others choose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from micro_rt.config.base import Path, Value
from micro_rt.config.frozen import same
from micro_rt.config.merging import Merged, child
from micro_rt.config.paths import AnyPath, shown_path
from micro_rt.config.plans import Inner, Mismatch, Place, Plan, Problem
from micro_rt.errors import FailedPrecondition
from micro_rt.text import near

__all__ = ["MISSING", "UNREAD", "Bound", "Present", "Snapshot", "Unknown"]

Unknown = Literal["error", "ignore"]

MISSING: Any = object()
"""In place of a value: nothing is there."""
UNREAD: Any = object()
"""In place of a value: it was not asked for yet."""
_MOST = 10_000
"""How many values are kept for paths and types that were asked for."""
_PROBLEMS = 10
"""How many problems one error lists."""


class Bound:
    """A path that is read as a type: by ``bind``, or by ``get``.

    Args:
        path: where.
        kind: the type.
        plan: how its values are made.
    """

    __slots__ = ("kind", "path", "plan")

    def __init__(self, path: Path, kind: Any, plan: Plan) -> None:
        self.path = path
        self.kind = kind
        self.plan = plan

    def secrets(self) -> Iterable[Path]:
        """Yields the paths at which it has secrets, in lower case."""
        for below in self.plan.secrets:
            yield tuple(name.lower() for name in (*self.path, *below))


class Present:
    """Holds the present snapshot.

    Args:
        snapshot: the first one.
    """

    __slots__ = ("snapshot",)

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot


class Snapshot:
    """All settings of one revision.

    Args:
        merged: the settings.
        revision: its number.

    Attributes:
        values: what has been read, by type and path: the value, or ``MISSING``. Two look-ups cost less than a tuple as a key.
        bound: the value of each bind.
    """

    __slots__ = ("_kept", "bound", "merged", "revision", "values")

    def __init__(self, merged: Merged, revision: int) -> None:
        self.merged = merged
        self.revision = revision
        self.values: dict[Any, dict[AnyPath, Any]] = {}
        self._kept = 0
        self.bound: dict[Bound, Any] = {}

    def find(self, path: Path) -> tuple[Value, Path]:
        """Returns what is at a path, and the path as the sources have it; None and the path if nothing is."""
        value: Value = self.merged.tree
        there: Path = ()
        for name in path:
            found = child(value, there, name, self.merged.loose) if isinstance(value, Mapping) else None
            if found is None or not isinstance(value, Mapping):
                return None, path
            value, there = value[found], (*there, found)
        return value, there

    def read(self, path: AnyPath, bound: Bound) -> Any:
        """Returns the value of a path as a type, or ``MISSING``, and keeps it.

        Args:
            path: as the program calls it.
            bound: the same path, with the type.

        Raises:
            FailedPrecondition: it is not of the type.
        """
        made = self.make(bound, or_missing=True)
        if self._kept < _MOST:
            self._kept += 1
            self.values.setdefault(bound.kind, {})[path] = made
        return made

    def make(self, bound: Bound, *, or_missing: bool = False) -> Any:
        """Returns the value of a path as a type.

        Args:
            bound: the path and the type.
            or_missing: whether ``MISSING`` is returned where nothing is; otherwise that is an error, unless the type allows it.

        Raises:
            FailedPrecondition: it is not of the type; the message has paths, places and expected types, and no value.
        """
        if or_missing and self.find(bound.path)[0] is None:
            return MISSING
        made, problems = self._made(bound)
        if problems:
            # Raised here, where no frame has a value in it: some tools show the variables of every frame.
            raise self.wrong(problems)
        return made

    def _made(self, bound: Bound) -> tuple[Any, Sequence[Problem]]:
        """Returns the value of a path as a type, or what is wrong with it."""
        value, path = self.find(bound.path)
        place = Place(path, self.merged.loose)
        try:
            if value is not None:
                return bound.plan.make(value, place), ()
            if bound.plan.if_missing is not None:
                return bound.plan.if_missing(place), ()
        except Mismatch as mismatch:
            return None, mismatch.problems
        return None, [Problem(bound.path, "is missing")]

    def missing(self, bound: Bound) -> Any:
        """Returns what a type has where nothing is.

        Raises:
            FailedPrecondition: it has nothing; the message names the nearest path.
        """
        if bound.plan.if_missing is not None:
            return self.make(bound)
        found = self._nearest(bound.path)
        hint = f"did you mean {shown_path(found)}?" if found else "set it, or pass a default"
        raise FailedPrecondition(f"the setting {shown_path(bound.path)} is missing; {hint}", id="micro.config")

    def _nearest(self, path: Path) -> Path | None:
        """Returns the path that one may be a misspelling of; None if there is no such path."""
        for end, name in enumerate(path):
            parent, above = self.find(path[:end])
            if isinstance(parent, Mapping) and child(parent, above, name, self.merged.loose) is None:
                found = near(name, parent, 1)
                return (*above, found[0], *path[end + 1 :]) if found else None
        return None

    def wrong(self, problems: Iterable[Problem]) -> FailedPrecondition:
        """Returns the error that lists problems, each with its place."""
        texts = [self._text(problem) for problem in problems]
        more = f"; and {len(texts) - _PROBLEMS} more" if len(texts) > _PROBLEMS else ""
        return FailedPrecondition("; ".join(texts[:_PROBLEMS]) + more, id="micro.config")

    def is_same(self, other: Snapshot) -> bool:
        """Whether another one has the same settings."""
        return same(self.merged.tree, other.merged.tree)

    def _text(self, problem: Problem) -> str:
        path = _names(problem.path)
        layer = self.merged.winner(path)
        while layer is None and path:
            path = path[:-1]
            layer = self.merged.winner(path)
        shown = _shown(problem.path)
        return (
            f"{shown} ({layer.place(path)}) {problem.text}" if layer is not None and path else f"{shown} {problem.text}"
        )


def _names(path: Inner) -> Path:
    """Returns the part of a path before it leads into a list."""
    names: list[str] = []
    for name in path:
        if not isinstance(name, str):
            break
        names.append(name)
    return tuple(names)


def _shown(path: Inner) -> str:
    names = _names(path)
    rest = path[len(names) :]
    return shown_path(names) + "".join(
        f"[{each}]" if isinstance(each, int) else f".{shown_path((each,))}" for each in rest
    )
