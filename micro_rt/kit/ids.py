"""Ids and tokens: the only module of the runtime that makes them. All are drawn from the system's entropy."""

from __future__ import annotations

import random
import secrets
import uuid

__all__ = ["new_id", "new_number", "new_token"]


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
