"""Randomness: the only module of the runtime that draws it.

None of it is a secret. What must be unguessable or unique is in ``micro_rt.kit.ids``. Python seeds its generator anew in a
forked child, so that parent and child do not draw the same numbers.
"""

from __future__ import annotations

import random
from collections.abc import MutableSequence, Sequence
from typing import Any, TypeVar

__all__ = ["below", "between", "pick", "shuffle", "spread"]

T = TypeVar("T")


def between(low: float, high: float) -> float:
    """Returns a number between two others, each with the same chance."""
    return random.uniform(low, high)  # noqa: S311  # no secret: it spreads load


def spread(seconds: float, part: float) -> float:
    """Returns a time that is shorter by a random part, so that many that wait do not act at once.

    Args:
        seconds: the longest time.
        part: the largest part to take off: 0.1 returns at least 90 % of ``seconds``.
    """
    return seconds * random.uniform(1.0 - part, 1.0)  # noqa: S311  # no secret: it spreads load


def below(limit: int) -> int:
    """Returns a whole number from 0 up to, and without, a limit."""
    return random.randrange(limit)  # noqa: S311  # no secret: it spreads load


def pick(items: Sequence[T]) -> T:
    """Returns one of the items, each with the same chance."""
    return random.choice(items)  # noqa: S311  # no secret: it spreads load


def shuffle(items: MutableSequence[Any]) -> None:
    """Puts items into a random order, in place."""
    random.shuffle(items)
