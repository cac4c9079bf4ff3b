"""Numbers and JSON that others wrote: in headers, records, packets and registry entries.

Python's own readers take more than they should be given from outside. ``int`` raises for a text of 5,000 digits and reads the
digits of every script, ``float`` reads ``nan``, and ``json.loads`` raises ``RecursionError`` for what is nested deeply. So the
length of a text is looked at first, and every failure has one form.
"""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["MOST", "finite", "read_json", "whole"]

MOST = (1 << 63) - 1
"""The largest whole number that is read unless the caller says otherwise: that of a signed field of 64 bits."""
_LONGEST = 40
"""Characters that a number with a fraction has at most: ``repr`` of a float needs no more than 24."""


def whole(text: object, most: int = MOST) -> int | None:
    """Returns the whole number from 0 that a text is: decimal digits of ASCII, and nothing else.

    Args:
        text: a value from outside; anything but a ``str`` is not a number.
        most: the largest number that is accepted.

    Returns:
        The number; None if it is not one, or larger.
    """
    if not isinstance(text, str) or not 0 < len(text) <= len(str(most)) or not (text.isascii() and text.isdecimal()):
        return None
    number = int(text)
    return number if number <= most else None


def finite(text: object, least: float, most: float) -> float | None:
    """Returns the number that a text is, if it is finite and within bounds.

    Args:
        text: a value from outside; anything but a ``str`` is not a number.
        least: the smallest number that is accepted.
        most: the largest number that is accepted.

    Returns:
        The number; None if it is not one, or not within the bounds. ``nan`` and ``inf`` are not.
    """
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST or not text.isascii():
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and least <= number <= most else None


def read_json(text: str | bytes) -> Any:
    """Reads JSON.

    Raises:
        ValueError: it is not JSON, or cannot be read: it is nested too deeply, or holds a number that is too long.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
