"""Drops the rows of seats that nobody has used for a day: locks with names that never come again would fill the table.

Every process that has the locks open does it. The server's clock says which rows may be old, and no more: a seat that is free is
dropped if nothing has changed, and one that somebody has is watched first, as one who waits for it would. Tokens do not suffer: they
come from a sequence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from micro_rt.backends.postgresql.pool import Pool
from micro_rt.backends.postgresql.sync_statements import SyncStatements
from micro_rt.backends.postgresql.sync_watch import Lock, Sightings
from micro_rt.errors import Error
from micro_rt.kit.chance import spread
from micro_rt.kit.tasks import TaskSet
from micro_rt.logs import logger, sparsely

__all__ = ["SyncSweeper"]

KEPT = 86400.0
"""Seconds after which a row is dropped that nobody uses."""
EACH = 3600.0
"""Seconds between two looks."""
AT_ONCE = 500
"""Rows of one look."""
PAUSE = 0.05
"""Seconds between two looks that have something to do."""

_log = logger("micro_rt.sync")


class SyncSweeper:
    """Sweeps the locks of one engine.

    Args:
        pool: the connections.
        sightings: what it has seen, of its own.
        margin: returns the seconds beside a ttl in which a row must not change.
        name: of the engine, for the log.
    """

    def __init__(self, pool: Pool, sightings: Sightings, margin: Callable[[], float], name: str) -> None:
        self._pool = pool
        self._sightings = sightings
        self._margin = margin
        self._name = name
        self._tasks: TaskSet[None] = TaskSet()

    def start(self, sql: SyncStatements) -> None:
        """Begins to sweep."""
        self._tasks.start(self._run(sql), name="sync sweeper")

    async def stop(self) -> None:
        """Ends sweeping."""
        await self._tasks.end()

    async def sweep(self, sql: SyncStatements, kept: float = KEPT) -> int:
        """Drops rows once; returns how many.

        Args:
            sql: the statements.
            kept: seconds after which a row is dropped.
        """
        locks: dict[Lock, list[asyncpg.Record]] = {}
        for row in await self._pool.rows(sql.old, kept, AT_ONCE, repeat=True):
            locks.setdefault((bytes(row["name"]), row["seats"]), []).append(row)
        dropped = 0
        for lock, rows in locks.items():
            self._sightings.note(lock, rows, self._margin())
            overdue = self._sightings.overdue(lock)
            for row in rows:
                if row["holder"] is None or row["seat"] in overdue:
                    args = (*lock, row["seat"], row["token"], row["beat"])
                    dropped += len(await self._pool.rows(sql.forget, *args, repeat=True))
        return dropped

    async def _run(self, sql: SyncStatements) -> None:
        while True:
            # Many processes that began together are not to look together.
            await asyncio.sleep(spread(EACH, 0.5))
            try:
                while await self.sweep(sql) == AT_ONCE:  # noqa: ASYNC110 - it does something each time
                    await asyncio.sleep(PAUSE)
            except Error as error:
                _log.warning("%s: cannot look for old rows: %s", self._name, error, extra=sparsely("sync sweeper"))
