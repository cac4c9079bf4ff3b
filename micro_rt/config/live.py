"""What follows a config: a bound dataclass, and the changes of a path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Self, TypeVar

from micro_rt.config.base import Path
from micro_rt.config.frozen import at, plain, same
from micro_rt.config.paths import shown_path
from micro_rt.config.snapshot import Bound, Present, Snapshot

__all__ = ["Changes", "ConfigChange", "Live"]

T_co = TypeVar("T_co", covariant=True)


class Live(Generic[T_co]):
    """A dataclass with the settings of a path, as they are now; ``Config.bind`` makes it."""

    __slots__ = ("_bound", "_present")

    def __init__(self, bound: Bound, present: Present) -> None:
        self._bound = bound
        self._present = present

    def __repr__(self) -> str:
        name = getattr(self._bound.kind, "__name__", "")
        return f"<Live {name} at {shown_path(self._bound.path)}, revision {self.revision}>"

    @property
    def value(self) -> T_co:
        """The settings of the present revision. The object never changes; the next update brings another one.

        Read it once and use what it returned: two reads may see two revisions, unless nothing is awaited between them.
        """
        value: T_co = self._present.snapshot.bound[self._bound]
        return value

    @property
    def revision(self) -> int:
        """The number of the present revision, which is the same for everything that is read of a config at one moment."""
        return self._present.snapshot.revision


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """A path has another value than before."""

    path: str
    """The path that is watched."""
    old: Any = field(repr=False)
    """The value before: a text, a number, a list, a mapping; None if nothing was there."""
    new: Any = field(repr=False)
    """The value now; None if nothing is there."""
    revision: int
    """The number of the revision that it is of."""
    sources: tuple[str, ...]
    """The names of the sources that say something else of the path than before."""


class Changes:
    """The changes of a path, each as a ``ConfigChange``; ``Config.watch`` makes it.

    What changes faster than it is asked for is given as one change, and what has changed back as none.
    """

    def __init__(self, path: Path, present: Present, changed: Callable[[], Awaitable[bool]]) -> None:
        self._path = path
        self._present = present
        self._changed = changed
        self._given = present.snapshot
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ConfigChange:
        while not self._closed:
            snapshot, given = self._present.snapshot, self._given
            if snapshot is not given:
                self._given = snapshot
                (old, _), (new, _) = given.find(self._path), snapshot.find(self._path)
                if not same(old, new):
                    shown = shown_path(self._path)
                    return ConfigChange(
                        shown, plain(old), plain(new), snapshot.revision, self._sources(given, snapshot)
                    )
            if not await self._changed():
                break
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Ends it."""
        self._closed = True

    def _sources(self, old: Snapshot, new: Snapshot) -> tuple[str, ...]:
        (_, before), (_, after) = old.find(self._path), new.find(self._path)
        pairs = zip(old.merged.layers, new.merged.layers, strict=True)
        names = [two.source for one, two in pairs if not same(at(one.tree, before), at(two.tree, after))]
        return tuple(dict.fromkeys(names))
