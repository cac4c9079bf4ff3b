"""What one file says, whatever its format: names, values, and the line of each.

The rules that every format keeps, and why:

- A value is what JSON can say. Dates and times are texts. Infinity and "not a number" are refused, and so are whole numbers
  of more than 64 bits: no type of a setting takes them.
- A name that is given twice is refused. The libraries would take the last one, so a setting would be lost without a word.
- Everything is bounded: nesting, and how many values there are. An alias of YAML counts as often as it is used.
- An error says the line and the kind of the problem, and nothing of the file: any value may be a secret.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from micro_rt.config.base import MAX_DEPTH, MAX_VALUES, Path, Tree, Value
from micro_rt.text import printable

__all__ = ["Document", "Malformed", "Values", "check_new", "shown_key", "table"]

_LARGEST = 1 << 63
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Document:
    """What one file says."""

    tree: Tree = field(repr=False)
    lines: Mapping[Path, int] = field(default_factory=dict[Path, int])
    """The line of each name, from 1; names within lists have none."""


class Malformed(Exception):  # noqa: N818  # not an error of ours: whoever knows the name of the file makes one of it
    """A file makes no sense.

    Args:
        problem: what is wrong, without a word of the file.
        line: where, from 1; 0 if that is not known.
    """

    def __init__(self, problem: str, line: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


class Values:
    """Checks the values of one file, and counts them."""

    def __init__(self) -> None:
        self._count = 0

    def enter(self, depth: int, line: int) -> None:
        """Counts one more value.

        Args:
            depth: how many lists and tables it is in.
            line: where it is.

        Raises:
            Malformed: it is nested too deeply, or one too many.
        """
        if depth > MAX_DEPTH:
            raise Malformed(f"it is nested more than {MAX_DEPTH} levels deep", line)
        self._count += 1
        if self._count > MAX_VALUES:
            raise Malformed(f"it has more than {MAX_VALUES} values, those of repeated aliases included", line)

    @staticmethod
    def text(text: str, line: int) -> str:
        """Returns a text that can be written as UTF-8.

        Raises:
            Malformed: it holds one half of a pair of surrogates.
        """
        if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
            raise Malformed("a text holds a surrogate, which is not a character", line)
        return text

    @staticmethod
    def whole(number: int, line: int) -> int:
        """Returns a whole number that fits into 64 bits.

        Raises:
            Malformed: it does not.
        """
        if not -_LARGEST <= number < _LARGEST:
            raise Malformed("a whole number does not fit into 64 bits; write it as a text, in quotes", line)
        return number

    @staticmethod
    def number(number: float, line: int) -> float:
        """Returns a number that is finite.

        Raises:
            Malformed: it is not.
        """
        if not math.isfinite(number):
            raise Malformed(
                "a number is infinite or not a number; write it as a text, in quotes, or leave it out", line
            )
        return number


def shown_key(key: str) -> str:
    """Returns a name as errors show it."""
    return repr(printable(key, _SHOWN))


def check_new(key: str, line: int, first: int | None) -> None:
    """Refuses a name that was given before.

    Args:
        key: the name.
        line: where it is given.
        first: where it was given before; None if it was not.

    Raises:
        Malformed: it was given before.
    """
    if first is not None:
        raise Malformed(f"{shown_key(key)} is given twice; the first is in line {first}", line)


def table(value: Value, kind: str) -> Tree:
    """Returns the outermost value of a file, which must be a table.

    Raises:
        Malformed: it is not.
    """
    if not isinstance(value, Mapping):
        raise Malformed(f"it must hold names and values, {kind}", 1)
    return value
