"""The deadlines of calls, on few timers of the event loop.

A timer of the event loop costs more than the rest of a short call, and nearly no call reaches its deadline. So calls
whose deadlines are close to each other share a bucket, and a bucket has one timer.

Rules kept here, and why:

- The timer of a bucket runs *before* the deadlines in it. Only the calls that are still open then get a timer each. So
  no call ends before its deadline, and none later than with a timer of its own.
- The further a bucket is away, the wider it is: there are never more than about ``_BUCKETS`` of a level, however many
  deadlines there were.
- What has ended is taken out at once: nothing keeps a call until its deadline.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import Final, Protocol, TypeAlias

__all__ = ["Deadlines", "Expiring", "Slot", "release"]


class Expiring(Protocol):
    """Something with a deadline."""

    def expire(self) -> None:
        """Ends it: the deadline has passed."""


Slot: TypeAlias = dict[Expiring, "float | asyncio.TimerHandle"]
"""Where a deadline is kept: with its time while it shares a timer, and then with a timer of its own."""

_BUCKETS: Final = 32
"""How many buckets of a level there are at most, about."""
_WIDTHS: Final = (1 / 16, 1.0, 16.0, 256.0, 4096.0)
"""Seconds of the buckets of each level."""
_FURTHEST: Final = tuple(_BUCKETS * width for width in _WIDTHS)
"""Seconds from which on the next level is used. A deadline that is further away than the last has a timer of its own."""
_NEAR: Final = 2 * _WIDTHS[0]
"""Seconds below which a deadline has a timer of its own."""


class Deadlines:
    """The deadlines of calls on one event loop.

    Args:
        loop: the event loop.
    """

    __slots__ = ("_levels", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._levels: tuple[dict[int, tuple[Slot, asyncio.TimerHandle]], ...] = tuple({} for _ in _WIDTHS)

    def add(self, expiring: Expiring, when: float, remaining: float) -> Slot:
        """Has something expire at a time.

        Args:
            expiring: what; one that is not in another slot.
            when: on the clock of the event loop.
            remaining: seconds until then.

        Returns:
            What ``release`` takes.
        """
        if remaining < _NEAR or remaining >= _FURTHEST[-1]:
            return self._alone({}, expiring, when)
        level = bisect_right(_FURTHEST, remaining)
        width = _WIDTHS[level]
        number = int(when / width)
        found = self._levels[level].get(number)
        if found is None:
            found = self._new(level, number, number * width)
        slot = found[0]
        slot[expiring] = when
        return slot

    def close(self) -> None:
        """Forgets everything."""
        for level in self._levels:
            for slot, timer in level.values():
                timer.cancel()
                slot.clear()
            level.clear()

    # Helpers

    def _new(self, level: int, number: int, when: float) -> tuple[Slot, asyncio.TimerHandle]:
        slot: Slot = {}
        timer = self._loop.call_at(when, self._refine, level, number)
        found = self._levels[level][number] = (slot, timer)
        return found

    def _refine(self, level: int, number: int) -> None:
        """Gives each of what is still open in a bucket a timer of its own."""
        slot, _ = self._levels[level].pop(number)
        for expiring, when in list(slot.items()):
            if type(when) is float:
                self._alone(slot, expiring, when)

    def _expire(self, slot: Slot, expiring: Expiring, when: float) -> None:
        if slot.pop(expiring, None) is not None:
            expiring.expire()

    def _alone(self, slot: Slot, expiring: Expiring, when: float) -> Slot:
        slot[expiring] = self._loop.call_at(when, self._expire, slot, expiring, when)
        return slot


def release(slot: Slot, expiring: Expiring) -> None:
    """Takes something out that has ended before its deadline."""
    kept = slot.pop(expiring, None)
    if kept is not None and type(kept) is not float:
        kept.cancel()  # type: ignore[union-attr]
