"""Deadlines of many calls, with one timer of the event loop for all of them.

A timer of its own costs a call more than all other work on its deadline. Calls whose deadlines are less than ``TICK``
apart share a slot here, and the loop's timer runs only at slots that somebody has asked for.

Rules kept here:

- A deadline never fires early, and fires at most ``TICK`` late, by the clock of the loop.
- To add and to remove cost the same, however many there are.
- A slot is made once and stays until its time, also if all its calls have ended: most calls end before their deadlines,
  and their slots are used by the next calls. Empty slots are swept before they outnumber the others, as a peer may
  choose deadlines that are years away.
"""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from typing import Final, Protocol, TypeAlias

__all__ = ["TICK", "Deadlines", "Expiring", "Slot"]

_PER_SECOND: Final = 256
TICK: Final = 1 / _PER_SECOND
"""Seconds that a deadline may fire late."""
_FARTHEST: Final = 1 << 40
"""The last slot, a century away: numbers may be larger than integers can be made of quickly, or infinite."""
_SWEEP_AT: Final = 1024
"""Slots from which on the empty ones are swept."""


class Expiring(Protocol):
    """What has a deadline."""

    def expire(self) -> None:
        """Is called when the deadline has passed. It must not raise."""
        ...


Slot: TypeAlias = dict[Expiring, None]
"""What expires together, in the order in which it was added. Remove one by ``slot.pop(one, None)``."""


class Deadlines:
    """The deadlines of one event loop.

    Args:
        loop: the event loop.
    """

    __slots__ = ("_armed", "_loop", "_slots", "_sweep_at", "_ticks", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._slots: dict[int, Slot] = {}
        self._ticks: list[int] = []
        """A heap: the tick of each slot, once."""
        self._timer: asyncio.TimerHandle | None = None
        self._armed = _FARTHEST + 1
        """The tick that the timer waits for."""
        self._sweep_at = _SWEEP_AT

    def __len__(self) -> int:
        """Returns how many wait."""
        return sum(map(len, self._slots.values()))

    def add(self, one: Expiring, when: float) -> Slot:
        """Has ``one.expire()`` called at a time, unless it is removed before.

        Args:
            one: what has the deadline.
            when: the time, on the clock of the loop.

        Returns:
            The slot, to remove it by ``slot.pop(one, None)``.
        """
        try:
            tick = int(when * _PER_SECOND) + 1
        except (OverflowError, ValueError):  # Infinite, or not a number.
            tick = _FARTHEST
        slot = self._slots.get(tick)
        if slot is None:
            slot = self._new_slot(tick)
        slot[one] = None
        return slot

    def close(self) -> None:
        """Forgets all, and leaves no timer behind."""
        self._slots.clear()
        self._ticks.clear()
        self._disarm()

    def _new_slot(self, tick: int) -> Slot:
        tick = min(tick, _FARTHEST)
        slots = self._slots
        if tick in slots:
            return slots[tick]
        if len(slots) >= self._sweep_at:
            self._sweep()
        slot = slots[tick] = {}
        heappush(self._ticks, tick)
        if tick < self._armed:
            self._arm(tick)
        return slot

    def _sweep(self) -> None:
        """Removes the slots that are empty."""
        slots = self._slots
        for tick in [tick for tick, slot in slots.items() if not slot]:
            del slots[tick]
        self._ticks = list(slots)
        heapify(self._ticks)
        self._sweep_at = max(_SWEEP_AT, 2 * len(slots))

    def _arm(self, tick: int) -> None:
        self._disarm()
        self._armed = tick
        self._timer = self._loop.call_at(tick / _PER_SECOND, self._fire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._armed = _FARTHEST + 1

    def _fire(self) -> None:
        self._timer = None
        self._armed = _FARTHEST + 1
        now = self._loop.time() * _PER_SECOND
        ticks, slots = self._ticks, self._slots
        while ticks and ticks[0] <= now:
            slot = slots.pop(heappop(ticks))
            for one in list(slot):
                if slot.pop(one, self) is None:  # Another one may have removed it.
                    one.expire()
        # The clock of uvloop may stand before the time that its timer was for.
        if self._ticks and self._ticks[0] < self._armed:
            self._arm(self._ticks[0])
