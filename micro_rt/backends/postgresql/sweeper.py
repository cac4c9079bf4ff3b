"""Turns records whose time has passed into marks, which watches deliver, and drops marks that are old.

Every process that has the store open does it. A process with a watch does it every second, because its watch is to learn of it; the
others do it rarely. Whoever is faster takes the rows; the others pass over them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from micro_rt.errors import Error
from micro_rt.kit.chance import spread
from micro_rt.kit.clock import loop_time
from micro_rt.kit.tasks import TaskSet, wait_for_event
from micro_rt.logs import logger, sparsely

__all__ = ["AT_ONCE", "KEPT", "Sweeper"]

AT_ONCE = 500
"""Rows of one statement."""
KEPT = 3600.0
"""Seconds that marks of deletions and expiries are kept. A watch that continues from before that starts over."""
WATCHED = 1.0
"""Seconds between two looks at the expiries, with a watch in this process."""
UNWATCHED = 10.0
"""The same, without one."""
OLD = 60.0
"""Seconds between two looks for old marks."""
PAUSE = 0.01
"""Seconds between two statements that have something to do."""

_log = logger("micro_rt.store")


class Sweeper:
    """Sweeps one store.

    Args:
        name: of the store, for the log.
        expire: turns up to so many records into marks, and returns how many.
        forget: drops up to so many marks that are older than so many seconds, and returns how many.
        ring: called when something has expired.
    """

    def __init__(
        self,
        name: str,
        expire: Callable[[int], Awaitable[int]],
        forget: Callable[[float, int], Awaitable[int]],
        ring: Callable[[], None],
    ) -> None:
        self._name = name
        self._expire = expire
        self._forget = forget
        self._ring = ring
        self._tasks: TaskSet[None] = TaskSet()
        self._awake = asyncio.Event()
        self._watched = False

    def start(self) -> None:
        """Begins to sweep."""
        self._tasks.start(self._run(), name="store sweeper")

    async def stop(self) -> None:
        """Ends sweeping."""
        await self._tasks.end()

    def watched(self, watched: bool) -> None:
        """Notes whether there is a watch in this process."""
        self._watched = watched
        if watched:
            self._awake.set()

    async def _run(self) -> None:
        next_old = loop_time() + spread(OLD, 0.5)
        while True:
            self._awake.clear()
            # Many processes that began together are not to look together.
            await wait_for_event(self._awake, spread(WATCHED if self._watched else UNWATCHED, 0.3))
            try:
                await self._all(self._expire, self._ring)
                if loop_time() >= next_old:
                    next_old = loop_time() + spread(OLD, 0.5)
                    await self._all(lambda most: self._forget(KEPT, most), lambda: None)
            except Error as error:
                _log.warning("%s: cannot look for expired records: %s", self._name, error, extra=sparsely("sweeper"))

    async def _all(self, work: Callable[[int], Awaitable[int]], done: Callable[[], None]) -> None:
        while count := await work(AT_ONCE):
            done()
            if count < AT_ONCE:
                return
            await asyncio.sleep(PAUSE)
