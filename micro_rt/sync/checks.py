"""What may be passed to ``Sync``: names, times, seats and values.

A wrong type is a ``TypeError``. A value that cannot be is an ``InvalidArgument``: it may come from somebody else's request.
"""

from __future__ import annotations

import math

from micro_rt.errors import InvalidArgument
from micro_rt.sync.base import MAX_NAME, MAX_VALUE, SyncEngine

__all__ = ["checked_name", "checked_seats", "checked_timeout", "checked_ttl", "checked_value"]

_LONGEST_TTL = 86400.0
"""Seconds, a day: who dies would block the others for longer."""
_MOST_SEATS = 10_000


def checked_name(name: object) -> str:
    """Returns the name of a lock.

    Raises:
        TypeError: it is not a str.
        InvalidArgument: it is empty, too long, or has a surrogate or a NUL.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a lock is a str, not {type(name).__name__}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise InvalidArgument("the name of the lock is not text that UTF-8 can hold: it has a surrogate") from None
    if not name or size > MAX_NAME:
        raise InvalidArgument(f"the name of the lock has {size} bytes: it must have 1 to {MAX_NAME}")
    if "\0" in name:
        raise InvalidArgument("the name of the lock must not have the character NUL")
    return name


def checked_ttl(ttl: object, engine: SyncEngine) -> float:
    """Returns the time that a lock outlives its holder.

    Raises:
        TypeError: it is not a number.
        InvalidArgument: it is shorter than the engine can have it, or longer than a day.
    """
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"ttl is a number of seconds, not {type(ttl).__name__}")
    least = engine.capabilities.min_ttl
    if not least <= ttl <= _LONGEST_TTL:  # nan is not.
        shown = f"{ttl:g}" if math.isfinite(ttl) and abs(ttl) < 1e15 else "this"
        raise InvalidArgument(f"ttl={shown}: {engine.name} takes {least:g} to {_LONGEST_TTL:g} seconds")
    return float(ttl)


def checked_timeout(timeout: object) -> float | None:
    """Returns the time that waiting may take; None for no limit.

    Raises:
        TypeError: it is not a number.
        ValueError: it is less than 0, or not finite.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float):
        raise TypeError(f"timeout is a number of seconds or None, not {type(timeout).__name__}")
    if not 0 <= timeout < math.inf:
        raise ValueError("timeout must be 0, to try once, or a number of seconds greater than 0, or None")
    return float(timeout)


def checked_seats(seats: object) -> int:
    """Returns how many may hold a semaphore at once.

    Raises:
        TypeError: it is not an int.
        InvalidArgument: it is out of range.
    """
    if type(seats) is not int:
        raise TypeError(f"limit is an int, not {type(seats).__name__}")
    if not 1 <= seats <= _MOST_SEATS:
        raise InvalidArgument(f"limit must be from 1 to {_MOST_SEATS:,}")
    return seats


def checked_value(value: object) -> bytes:
    """Returns what observers of a leader see.

    Raises:
        TypeError: it is not bytes.
        InvalidArgument: it is too long.
    """
    if not isinstance(value, bytes):
        raise TypeError(f"the value of a leader is bytes, not {type(value).__name__}")
    if len(value) > MAX_VALUE:
        raise InvalidArgument(f"the value of the leader has {len(value)} bytes, and may have {MAX_VALUE}")
    return value
