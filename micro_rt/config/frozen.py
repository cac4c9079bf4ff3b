"""What a snapshot is made of: values that nothing can change, because every reader gets the same ones.

A list or a mapping of a snapshot is a ``list`` or a ``dict``, so that it can be written as JSON and compared; only what would change it
raises.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Self, TypeVar

from micro_rt.config.base import Tree, Value

__all__ = ["FrozenDict", "FrozenList", "Text", "at", "plain", "same"]

K = TypeVar("K")
V = TypeVar("V")


class Text(str):
    """A text of a source that knows texts alone, or one that the environment was put into: it is converted when a type is asked for."""

    __slots__ = ("given",)

    given: str
    """The text as it was written. What is shown is this, so that nothing shows what the environment holds."""

    def __new__(cls, text: str, given: str | None = None) -> Self:
        """Makes one.

        Args:
            text: what it is.
            given: as it was written; the same if left out.
        """
        self = super().__new__(cls, text)
        self.given = text if given is None else given
        return self


def _refuse(self: object, *_: Any, **__: Any) -> NoReturn:
    raise TypeError(
        "settings are shared by all who read them and cannot be changed: change a copy, made with list() or dict()"
    )


class FrozenList(list[V]):
    """A list that cannot be changed."""

    __slots__ = ()

    append = clear = extend = insert = pop = remove = reverse = sort = _refuse
    __delitem__ = __iadd__ = __imul__ = __setitem__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)

    def __copy__(self) -> list[V]:
        return list(self)


class FrozenDict(dict[K, V]):
    """A dict that cannot be changed."""

    __slots__ = ()

    clear = pop = popitem = setdefault = update = _refuse
    __delitem__ = __ior__ = __setitem__ = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)

    def __copy__(self) -> dict[K, V]:
        return dict(self)


def plain(value: Value) -> Value:
    """Returns a value of a snapshot as programs get it: texts are plain ``str``."""
    if isinstance(value, Text):
        return str(value)
    if isinstance(value, Mapping):
        return FrozenDict({name: plain(each) for name, each in value.items()})
    if isinstance(value, Sequence) and not isinstance(value, str):
        return FrozenList(plain(each) for each in value)
    return value


def same(one: Value, other: Value) -> bool:
    """Whether two values are equal and of one type: 1, 1.0 and True differ, and so do a text and one to be converted."""
    if isinstance(one, Mapping):
        if not isinstance(other, Mapping) or len(one) != len(other):
            return False
        return all(name in other and same(each, other[name]) for name, each in one.items())
    if isinstance(one, Sequence) and not isinstance(one, str):
        if not isinstance(other, Sequence) or isinstance(other, str) or len(one) != len(other):
            return False
        return all(map(same, one, other))
    return type(one) is type(other) and one == other


def at(tree: Tree, path: tuple[str, ...]) -> Value:
    """Returns what is at a path; None if nothing is."""
    value: Value = tree
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
