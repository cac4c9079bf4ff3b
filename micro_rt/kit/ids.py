"""Ids and tokens: the only module of the runtime that makes them. All are drawn from the system's entropy.

A forked child draws others than its parent: nothing that ids are made of is kept over a fork.
"""

from __future__ import annotations

import random
import secrets
import uuid

from micro_rt.kit.home import Home

__all__ = ["NumberedIds", "new_id", "new_number", "new_token"]


def new_id(length: int = 32) -> str:
    """Returns a random id of hexadecimal digits.

    Args:
        length: how many digits; at most 32.
    """
    return uuid.uuid4().hex[:length]


def new_token(size: int) -> str:
    """Returns that many random bytes, as hexadecimal digits."""
    return secrets.token_hex(size)


def new_number(bits: int) -> int:
    """Returns a random whole number above 0 of at most that many bits."""
    return random.SystemRandom().randrange(1, 1 << bits)


class NumberedIds:
    """Makes ids of a random prefix and a number: unique, for less than a random number each.

    No other object makes the same ids. A fork copies the object, so the child takes another prefix.
    """

    __slots__ = ("_forks", "_made", "_prefix")

    def __init__(self) -> None:
        self._begin()

    def take(self, count: int) -> list[str]:
        """Returns that many ids that were not returned before."""
        if self._forks != Home.forks:
            self._begin()
        first = self._made + 1
        self._made += count
        prefix = self._prefix
        return [f"{prefix}-{number}" for number in range(first, first + count)]

    def _begin(self) -> None:
        self._forks = Home.forks
        self._prefix = new_token(12)
        self._made = 0
