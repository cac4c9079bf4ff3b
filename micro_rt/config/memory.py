"""Settings in memory, for tests and for programs that compute them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import cast

from micro_rt.config.base import Path, Reading, Source, Tree, Value
from micro_rt.config.paths import AnyPath, path_of, shown_path
from micro_rt.kit.ordered import WeakOrderedSet

__all__ = ["Memory"]


class Memory(Source):
    """A mapping as a source; changed by ``set``, ``delete`` and ``replace``, which are called in the loop that uses it.

    Args:
        tree: names and values, nested; copied. An address, ``"memory:"``, gives one without anything in it.
        name: what it is called in errors and in ``explain``; the address if there is one.
        secret: whether no output shows a value of it.
    """

    def __init__(self, tree: Tree | str | None = None, *, name: str = "memory", secret: bool = False) -> None:
        if isinstance(tree, str):
            name, tree = tree, None
        self._name = name
        self._tree = cast("Tree", _copied(tree or {}))
        self._watches: WeakOrderedSet[asyncio.Event] = WeakOrderedSet()
        self._closings = 0
        self.secret = secret

    def __repr__(self) -> str:
        return f"<Memory {self._name!r}>"

    @property
    def name(self) -> str:
        """What it is called in errors and in ``explain``."""
        return self._name

    def set(self, path: AnyPath, value: Value) -> None:
        """Sets a value; mappings above it are made.

        Args:
            path: ``"limits.rps"``, or the names one by one.
            value: copied; None deletes what sources before this one say.

        Raises:
            ValueError: the path is empty, has an empty name, or leads through a value that is no mapping.
        """
        self.replace(_with(self._tree, _names(path), (), value))

    def delete(self, path: AnyPath) -> None:
        """Removes a value, or a mapping with all that is in it; does nothing if it is not there.

        Raises:
            ValueError: the path is empty, or has an empty name.
        """
        self.replace(_without(self._tree, _names(path)))

    def replace(self, tree: Tree) -> None:
        """Replaces all of it, in one step."""
        self._tree = cast("Tree", _copied(tree))
        for changed in self._watches:
            changed.set()

    async def close(self) -> None:
        """Ends every watch."""
        self._closings += 1
        for changed in self._watches:
            changed.set()

    async def read(self) -> Reading:
        """Returns all of it."""
        return Reading(self._tree)

    def watch(self) -> AsyncIterator[None]:
        """Gives an item after each change, and one for several if they come in quick succession."""
        changed = asyncio.Event()
        self._watches.add(changed)
        return self._watch(changed, self._closings)

    async def _watch(self, changed: asyncio.Event, closings: int) -> AsyncGenerator[None]:
        while True:
            await changed.wait()
            if self._closings != closings:
                return
            changed.clear()
            yield None


def _names(path: AnyPath) -> Path:
    names = path_of(path)
    if not names:
        raise ValueError("the path is empty: replace() replaces all of it")
    return names


def _with(tree: Tree, names: Path, above: Path, value: Value) -> Tree:
    name, *rest = names
    if not rest:
        return {**tree, name: value}
    inner = tree.get(name, {})
    if not isinstance(inner, Mapping):
        raise ValueError(f"{shown_path((*above, name))} is a value, so nothing can be set inside it")
    return {**tree, name: _with(inner, tuple(rest), (*above, name), value)}


def _without(tree: Tree, names: Path) -> Tree:
    name, *rest = names
    inner = tree.get(name)
    if rest and isinstance(inner, Mapping):
        return {**tree, name: _without(inner, tuple(rest))}
    return tree if rest else {key: value for key, value in tree.items() if key != name}


def _copied(value: Value) -> Value:
    if isinstance(value, Mapping):
        return {name: _copied(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_copied(each) for each in value]
    return value
