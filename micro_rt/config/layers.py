"""One source's settings, checked and frozen: what is merged.

What a source gives may be anything, from anyone. So everything is looked at once, here: types, bounds, names, texts that are not
Unicode, ``${NAME}``. After this, a tree is what JSON can say, within ``MAX_DEPTH``, ``MAX_VALUES`` and ``MAX_SIZE``, and frozen.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from micro_rt.config.base import MAX_DEPTH, MAX_SIZE, MAX_VALUES, Path, Reading, Tree, Value
from micro_rt.config.frozen import FrozenDict, FrozenList, Text, same
from micro_rt.config.interpolation import Unresolved, interpolated
from micro_rt.config.paths import shown_path
from micro_rt.config.secret import is_secret_name
from micro_rt.errors import FailedPrecondition
from micro_rt.text import printable

__all__ = ["Layer", "Rules", "kind_of", "layer_of"]

_LONGEST_PLACE = 300
_BITS = 256
"""Bits of the largest whole number."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the values of a source are taken."""

    source: str
    """Its name."""
    text: bool = False
    ignores_case: bool = False
    secret: bool = False
    interpolated: bool = True
    """Whether ``${NAME}`` in it means the environment. Where ``text`` is True it never does: a password in the environment or on a
    command line may have a ``${``."""


@dataclass(frozen=True, slots=True, repr=False)
class Layer:
    """The settings of one source at one moment."""

    rules: Rules
    tree: Tree
    places: Mapping[Path, str]

    @property
    def source(self) -> str:
        """The name of the source."""
        return self.rules.source

    def place(self, path: Path) -> str:
        """Returns where a value was given: its place, or that of the mapping or list around it, or the name of the source."""
        for end in range(len(path), 0, -1):
            found = self.places.get(path[:end])
            if found is not None:
                return found
        return self.source

    def is_same(self, other: Layer) -> bool:
        """Whether another reading of the source says the same, at the same places."""
        return self.places == other.places and same(self.tree, other.tree)


def layer_of(reading: Reading, rules: Rules, environ: Mapping[str, str] = os.environ) -> Layer:
    """Returns what a source has read, checked and frozen.

    Args:
        reading: from the source.
        rules: those of the source.
        environ: what ``${NAME}`` means.

    Raises:
        FailedPrecondition: something of it makes no sense; the message has the path and the place, and no value.
    """
    check = _Check(rules, reading.places, environ)
    if not isinstance(cast("object", reading.tree), Mapping):
        raise FailedPrecondition(f"{rules.source}: it gives {kind_of(reading.tree)}, not names with values")
    places = {path: printable(str(place), _LONGEST_PLACE) for path, place in reading.places.items()}
    try:
        return Layer(rules, check.mapping(reading.tree, ()), places)
    except _Wrong as wrong:
        path, problem = wrong.path, wrong.problem
    place = Layer(rules, {}, places).place(path)
    where = f" ({place})" if place != rules.source else ""
    raise FailedPrecondition(f"{rules.source}: {shown_path(path)}{where} {problem}")


def kind_of(value: object) -> str:
    """Returns what a value is, for errors: ``"a text"``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "a whole number"
    if isinstance(value, float):
        return "a number with a fraction"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return "a list"
    return f"a {type(value).__name__}"


class _Wrong(Exception):  # noqa: N818 - never leaves the module
    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(problem)
        self.path = path
        self.problem = problem


class _Check:
    """Copies a tree, and counts what is in it."""

    def __init__(self, rules: Rules, places: Mapping[Path, str], environ: Mapping[str, str]) -> None:
        self._rules = rules
        self._places = places
        self._environ = environ
        self._values = 0
        self._size = 0

    def mapping(self, tree: Tree, path: Path) -> Tree:
        self._count(path, 0)
        found: dict[str, Value] = {}
        for name, value in tree.items():
            if not isinstance(cast("object", name), str):
                raise _Wrong(path, f"has a name that is {kind_of(name)}, not a text; write it in quotes")
            if not name or not _is_unicode(name):
                raise _Wrong(path, "has an empty name in it" if not name else "has a name that is not Unicode")
            self._size += len(name)
            found[str(name)] = self._value(value, (*path, str(name)))
        return FrozenDict(found)

    def _value(self, value: Value, path: Path, inside: int = 0) -> Value:
        """Returns a value; ``inside`` is in how many lists it is, below its path."""
        if len(path) + inside > MAX_DEPTH:
            raise _Wrong(path, f"is nested too deeply: at most {MAX_DEPTH} mappings and lists may be inside each other")
        if isinstance(value, Mapping):
            return self.mapping(value, path) if not inside else self._in_list(value, path, inside)
        if isinstance(value, str):
            self._count(path, len(value))
            return self._text(str(value), path)
        if self._rules.text:
            raise _Wrong(path, f"is {kind_of(value)}, and this source has texts alone")
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
            self._count(path, 0)
            return FrozenList(self._value(each, path, inside + 1) for each in value)
        self._count(path, 0)
        return _scalar(value, path)

    def _in_list(self, value: Tree, path: Path, inside: int) -> Value:
        self._count(path, 0)
        found: dict[str, Value] = {}
        for name, each in value.items():
            if not isinstance(cast("object", name), str) or not name or not _is_unicode(name):
                raise _Wrong(path, "has a name in it that is empty, or no text")
            self._size += len(name)
            found[str(name)] = self._value(each, path, inside + 1)
        return FrozenDict(found)

    def _text(self, text: str, path: Path) -> str:
        if not _is_unicode(text):
            raise _Wrong(path, "is a text that is not Unicode")
        if self._rules.text:
            return Text(text)
        if not self._rules.interpolated or "${" not in text:
            return text
        secret = self._rules.secret or any(map(is_secret_name, path))
        try:
            made = interpolated(text, self._environ, secret=secret)
        except Unresolved as unresolved:
            problem = str(unresolved)
        else:
            self._size += len(made)
            if not _is_unicode(made):
                raise _Wrong(path, "needs an environment variable that is not Unicode")
            return Text(made, text)
        raise _Wrong(path, problem)

    def _count(self, path: Path, size: int) -> None:
        self._values += 1
        self._size += size
        if self._values > MAX_VALUES:
            raise _Wrong(path, f"is one value too many: a source may have {MAX_VALUES:,}")
        if self._size > MAX_SIZE:
            raise _Wrong(
                path, f"is too long: the names and texts of a source may have {MAX_SIZE:,} characters together"
            )


def _scalar(value: object, path: Path) -> Value:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > _BITS:
            raise _Wrong(path, f"is a whole number of more than {_BITS} bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _Wrong(path, "is no finite number")
        return float(value)
    raise _Wrong(path, f"is {kind_of(value)}; settings are texts, numbers, true, false, null, lists and mappings")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
