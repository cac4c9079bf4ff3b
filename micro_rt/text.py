"""Text: as a wire can carry it, and names that are nearly the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

__all__ = ["near", "printable", "utf8"]

_SEPARATOR = re.compile(r"([./])")


def utf8(text: object) -> str:
    """Returns text as UTF-8 can carry it: a surrogate that stands alone becomes a question mark."""
    return (text if isinstance(text, str) else str(text)).encode(errors="replace").decode()


def printable(text: str, most: int | None = None) -> str:
    """Returns text that a terminal shows as it is: what would control the terminal, or turn text around, is escaped.

    The escapes are those of JSON, so that JSON remains the same.

    Args:
        text: from anywhere.
        most: how many characters of it to show; None for all. The rest is counted.
    """
    shown = text if most is None else text[:most]
    if not shown.isprintable():
        shown = "".join([each if each.isprintable() else json.dumps(each)[1:-1] for each in shown])
        shown = shown.replace("\x7f", "\\u007f")  # JSON leaves it as it is.
    return shown if len(text) <= (most or len(text)) else f"{shown}… ({len(text)} characters)"


def near(name: str, names: Iterable[str], most: int = 3) -> list[str]:
    """Returns the names that one may be a misspelling of, the nearest first.

    Parts that are equal at the beginning and at the end do not count: ``shop.orders.v1`` is not near ``shop.stock.v1``.

    Args:
        name: what was written.
        names: what there is.
        most: how many are returned at most.
    """
    found: list[tuple[int, str]] = []
    for other in names:
        written, meant = _difference(name, other)
        allowed = (max(len(written), len(meant)) + 2) // 4
        if abs(len(written) - len(meant)) <= allowed and (edits := _edits(written, meant)) <= allowed:
            found.append((edits, other))
    return [other for _, other in sorted(found)[:most]]


def _difference(one: str, other: str) -> tuple[str, str]:
    """Returns two names in lower case, without the parts that they begin and end with alike."""
    ones, others = _SEPARATOR.split(one.lower()), _SEPARATOR.split(other.lower())
    for end in (0, -1):
        while ones and others and ones[end] == others[end]:
            del ones[end], others[end]
    return "".join(ones), "".join(others)


def _edits(one: str, other: str) -> int:
    """Returns how many characters differ: added, left out, replaced, or exchanged with the next one."""
    before, row = [0] * (len(other) + 1), list(range(len(other) + 1))
    for number, character in enumerate(one, 1):
        before, last, row = row, before, [number]
        for position, theirs in enumerate(other, 1):
            edits = min(before[position] + 1, row[-1] + 1, before[position - 1] + (character != theirs))
            if number > 1 and position > 1 and character == other[position - 2] and one[number - 2] == theirs:
                edits = min(edits, last[position - 2] + 1)
            row.append(edits)
    return row[-1]
