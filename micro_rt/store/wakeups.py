"""What wakes the watches of an engine.

- A wake-up says that something may have changed. It is counted, so that one that comes while a watch reads is not lost.
- Wake-ups save time and promise nothing: a watch also looks after its interval.
- An engine that polls learns from ``first`` and ``last`` whether anybody watches, and polls only then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from micro_rt.kit.ordered import OrderedSet

__all__ = ["Wakeups"]


class Wakeups:
    """Counts wake-ups, and wakes those that wait for one. All of it belongs to the loop's thread.

    Args:
        first: called when the first watch begins.
        last: called when no watch is left.
    """

    __slots__ = ("_first", "_last", "_waiters", "closed", "count", "watches")

    def __init__(self, first: Callable[[], None] | None = None, last: Callable[[], None] | None = None) -> None:
        self.count = 0
        """How many wake-ups there were."""
        self.watches = 0
        """How many watches there are."""
        self.closed = False
        """Whether the engine was closed, which ends every watch."""
        self._first = first
        self._last = last
        self._waiters: OrderedSet[asyncio.Future[None]] = OrderedSet()

    def join(self) -> None:
        """Counts a watch."""
        self.watches += 1
        if self.watches == 1 and self._first is not None:
            self._first()

    def leave(self) -> None:
        """Counts a watch out."""
        self.watches -= 1
        if self.watches == 0 and self._last is not None:
            self._last()

    def ring(self) -> None:
        """Wakes every watch."""
        self.count += 1
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def close(self) -> None:
        """Ends every watch."""
        self.closed = True
        self.ring()

    async def wait(self, seen: int, seconds: float) -> None:
        """Waits for a wake-up.

        Args:
            seen: the count before the watch looked; it does not wait if there was one since.
            seconds: how long it waits at most.
        """
        if self.count != seen or self.closed:
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await asyncio.wait((waiter,), timeout=seconds)
        finally:
            self._waiters.discard(waiter)
