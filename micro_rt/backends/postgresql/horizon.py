"""How far watches can see: up to the oldest transaction of the whole server that is open and has written something.

A watch delivers nothing beyond it, because that transaction may still commit a write in between. So one that stays open, in whatever
database of the server, holds back every watch. This notices it, and says which session it is.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from micro_rt.backends.postgresql.pool import Pool
from micro_rt.errors import Error
from micro_rt.kit.clock import loop_time
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger
from micro_rt.text import printable

__all__ = ["Horizon"]

PATIENCE = 5.0
"""Seconds that a transaction may hold back watches before it is logged."""
_AGAIN = (0.01, 0.25)
"""Seconds until watches look again for what they could not see yet: at first, and at most."""
_HOLDER = """
SELECT pid, datname, usename, application_name, state, extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age
FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid() ORDER BY age(backend_xid) DESC LIMIT 1"""

_log = logger("micro_rt.store")


class Horizon:
    """Watches how far a store's watches can see.

    Args:
        pool: asks the server.
        name: of the store, for the log.
        ring: has the watches look again.
        tasks: of the store.
    """

    def __init__(self, pool: Pool, name: str, ring: Callable[[], None], tasks: TaskSet[None]) -> None:
        self._pool = pool
        self._name = name
        self._ring = ring
        self._tasks = tasks
        self._at = 0
        self._since = 0.0
        self._wait = _AGAIN[0]
        self._warned = False
        self._timer: asyncio.TimerHandle | None = None
        self.problem = ""
        """What holds back the watches; empty if nothing does."""

    def seen(self, at: int, *, hidden: bool) -> None:
        """Notes what a watch has seen.

        Args:
            at: the number of the oldest transaction that is open.
            hidden: whether there are changes that it hides.
        """
        if not hidden or at != self._at:
            self._at = at
            self._since = loop_time()
            self._wait = _AGAIN[0]
            self._warned = False
            self.problem = ""
        if not hidden:
            return
        if not self._warned and loop_time() - self._since >= PATIENCE:
            self._warned = True
            self._tasks.start(self._warn(), name="store horizon")
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._wait, self._look)
            self._wait = min(2 * self._wait, _AGAIN[1])

    def close(self) -> None:
        """Has nobody look any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        self._ring()

    async def _warn(self) -> None:
        holder = "the server does not say which: the role pg_read_all_stats would allow it"
        with contextlib.suppress(Error):
            rows = await self._pool.rows(_HOLDER, repeat=True)
            if rows:
                row = rows[0]
                holder = (
                    f"that of the process {row['pid']} in the database {printable(str(row['datname']), 100)!r}, user "
                    f"{printable(str(row['usename']), 100)!r}, application {printable(str(row['application_name']), 100)!r}, "
                    f"{row['state']} for {row['age']:.0f} s"
                )
        self.problem = f"an open transaction of the server holds back the watches: {holder}"
        _log.warning(
            "%s: an open transaction of the server has held back the watches for more than %g s: %s; end it, for example with "
            "pg_terminate_backend",
            self._name,
            PATIENCE,
            holder,
        )
