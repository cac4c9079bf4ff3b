"""Values to the simple types: numbers, texts, times, enums.

A text that may stand for another type (``Text``: of a variable, a flag, or with the environment in it) is converted. Every other value
must have the type already: a text in a file is no number.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path as FilePath
from typing import Any, TypeAlias

from micro_rt.config.base import Value
from micro_rt.config.frozen import Text, plain
from micro_rt.config.layers import kind_of
from micro_rt.kit.address import seconds_or_zero

__all__ = ["SCALARS", "Unfit", "choice_of", "enum_of"]

_INT = re.compile(r"[+-]?\d{1,40}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_YES = frozenset({"true", "1", "yes", "on"})
_NO = frozenset({"false", "0", "no", "off"})


class Unfit(Exception):  # noqa: N818 - never leaves the package
    """A value is not of the type that is asked for; the text says what is expected, and never what was found."""


Scalar: TypeAlias = Callable[[Value], Any]


def _bool(value: Value) -> bool:
    if isinstance(value, Text):
        word = value.strip().lower()
        if word in _YES or word in _NO:
            return word in _YES
        raise Unfit("must be true, false, 1, 0, yes, no, on or off")
    if isinstance(value, bool):
        return value
    raise _unfit("must be true or false", value)


def _int(value: Value) -> int:
    if isinstance(value, Text):
        if _INT.fullmatch(text := value.strip()):
            return int(text)
        raise Unfit("must be a whole number")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise _unfit("must be a whole number", value)


def _float(value: Value) -> float:
    found = math.nan
    if isinstance(value, Text):
        if _FLOAT.fullmatch(text := value.strip()):
            found = float(text)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = float(value)
    else:
        raise _unfit("must be a number", value)
    if math.isfinite(found):
        return found
    raise Unfit("must be a number")


def _str(value: Value) -> str:
    if isinstance(value, str):
        return str(value)
    raise _unfit("must be a text", value)


def _file(value: Value) -> FilePath:
    text = _str(value)
    if not text or "\0" in text:
        raise Unfit("must be a path of a file")
    return FilePath(text)


def _timedelta(value: Value) -> timedelta:
    expected = "must be a duration such as 1m30s, or a number of seconds"
    if isinstance(value, str):
        try:
            return timedelta(seconds=seconds_or_zero(value.strip()))
        except ValueError:  # It repeats the value.
            pass
        raise Unfit(expected)
    if isinstance(value, int | float) and not isinstance(value, bool):
        if 0 <= value <= 1e9:
            return timedelta(seconds=value)
        raise Unfit(expected)
    raise _unfit(expected, value)


def _none(value: Value) -> None:
    if value is not None:
        raise _unfit("must be null", value)


SCALARS: Mapping[Any, Scalar] = {
    bool: _bool,
    int: _int,
    float: _float,
    str: _str,
    timedelta: _timedelta,
    FilePath: _file,
    type(None): _none,
    object: plain,
    Any: plain,
}
"""What converts a value to each simple type."""


def enum_of(kind: type[Enum]) -> Scalar:
    """Returns what converts a value to a member of an enum, by its value or its name."""
    values = [(member.value, member) for member in kind]
    names = dict(kind.__members__)
    expected = f"must be one of {', '.join(names)}"

    def convert(value: Value) -> Enum:
        for known, member in values:
            if _equal(value, known):
                return member
        if isinstance(value, str) and (found := names.get(str(value))) is not None:
            return found
        raise _unfit(expected, value)

    return convert


def choice_of(choices: Sequence[Any]) -> Scalar:
    """Returns what converts a value to one of those of a ``Literal``."""
    expected = f"must be one of {', '.join(str(choice) for choice in choices)}"

    def convert(value: Value) -> Any:
        for choice in choices:
            if _equal(value, choice.value if isinstance(choice, Enum) else choice):
                return choice
        raise _unfit(expected, value)

    return convert


def _equal(value: Value, known: object) -> bool:
    """Whether a value is a known one; a text that may stand for another type is converted to that of the known one."""
    if isinstance(value, Text) and type(known) in (bool, int, float):
        try:
            return bool(SCALARS[type(known)](value) == known)
        except Unfit:
            return False
    if isinstance(value, str):
        return isinstance(known, str) and str(value) == known
    return type(value) is type(known) and value == known


def _unfit(expected: str, value: Value) -> Unfit:
    return Unfit(f"{expected}, not {kind_of(value)}")
