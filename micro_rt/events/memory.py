"""Memory: how many bytes of events may be in flight in a process, and how partitions share them.

The rules that these classes keep, and why:

- In flight are the values of events that are read and not done. All subscriptions of an event loop share one bound: partitions
  come and go, and a bound for each of them says nothing about the process.
- A partition is read on while it has fewer bytes in flight than are free. So one busy partition alone gets half of the bound,
  and n of them get 1/(n+1) each, and as much is always left for the next one: handlers that hang hold up nobody else
  (https://doi.org/10.1109/90.664262, "dynamic thresholds").
- A partition that has nothing in flight may always read, whatever is free: then at least one event of it is handled, and
  nothing waits for ever.
- A partition that was full is read again when its own events are done. When other partitions give bytes back, the full ones are looked
  at again, but only when much has become free, and once for all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from micro_rt.kit.ordered import OrderedSet

__all__ = ["MAX_MEMORY", "Allowance", "LoopMemory"]

MAX_MEMORY = 32 << 20
"""Bytes of events that may be in flight in one process, by default."""
_STEP = 1 << 20
"""Bytes that become free before partitions that are full are looked at again."""


class LoopMemory:
    """The bytes in flight of all subscriptions of an event loop."""

    __slots__ = ("_look_at", "_looking", "_scheduled", "used")

    def __init__(self) -> None:
        self.used = 0
        """Bytes in flight."""
        self._looking: OrderedSet[Callable[[], None]] = OrderedSet()
        self._look_at = -1
        """How few bytes are in flight when the partitions that are full are looked at again; -1 if none is full."""
        self._scheduled = False

    def add(self, look: Callable[[], None]) -> None:
        """Calls a function, from now on, when partitions that are full may be read again."""
        self._looking.add(look)

    def remove(self, look: Callable[[], None]) -> None:
        """Calls it no more."""
        self._looking.discard(look)

    def take(self, size: int) -> None:
        """Counts bytes that were read."""
        self.used += size

    def give_back(self, size: int) -> None:
        """Counts bytes that are done."""
        self.used -= size
        if self.used <= self._look_at and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._look)

    def note_full(self) -> None:
        """Takes note that a partition is full because of others."""
        self._look_at = max(self._look_at, self.used - _STEP, 0)

    def _look(self) -> None:
        self._scheduled = False
        self._look_at = -1
        for look in list(self._looking):
            look()


class Allowance:
    """What one subscription may have of the memory that all share.

    Args:
        memory: what is shared.
        limit: bytes in flight at most, of all subscriptions together.
    """

    __slots__ = ("limit", "memory")

    def __init__(self, memory: LoopMemory, limit: int) -> None:
        self.memory = memory
        self.limit = limit

    @property
    def free(self) -> int:
        """Bytes that are not in flight; less than 0 if there are too many."""
        return self.limit - self.memory.used
