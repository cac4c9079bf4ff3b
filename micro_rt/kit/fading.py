"""Fading: how much of something is left as time passes. It halves with each half-life, and no time is too long."""

from __future__ import annotations

__all__ = ["faded"]

_LARGEST_EXPONENT = 1000.0
"""Half-lives after which what is left does not get less: it is nearly 0."""


def faded(seconds: float, half_life: float) -> float:
    """Returns the part that is left, from 1 down to nearly 0.

    Args:
        seconds: that have passed.
        half_life: seconds in which a half is left; above 0.
    """
    return float(0.5 ** min(max(seconds / half_life, 0.0), _LARGEST_EXPONENT))
