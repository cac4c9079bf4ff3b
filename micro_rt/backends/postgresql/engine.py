"""What the stores on PostgreSQL and CockroachDB have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import asyncpg

from micro_rt.backends.postgresql.address import PostgreSQLAddress
from micro_rt.backends.postgresql.pool import NO_LIMIT, Pool
from micro_rt.backends.postgresql.rows import entries_of, record_of
from micro_rt.backends.postgresql.statements import GET_SIZES, Reading, range_of
from micro_rt.backends.postgresql.sweeper import Sweeper
from micro_rt.kit.tasks import TaskSet
from micro_rt.store.base import Entry, Last, Record, Scan, StoreEngine, Wakeups

__all__ = ["SCHEMA", "SqlStore", "cut", "padded"]

SCHEMA = 2
"""The version of the tables: 2 has fences."""


class SqlStore(StoreEngine):
    """A store in the tables of a database.

    Args:
        address: of the database.
        reading: the statements that read.
        position: the columns of the place of a row among the changes.
    """

    def __init__(self, address: PostgreSQLAddress, reading: Reading, position: tuple[str, ...]) -> None:
        self.address = address
        self.timeout = address.timeout
        self.pool = Pool(address)
        self.tasks: TaskSet[None] = TaskSet()
        self._reading = reading
        self._position = position
        self._wakeups = Wakeups()
        self._sweeper: Sweeper | None = None

    @property
    def wakeups(self) -> Wakeups:
        """What wakes watches of this store."""
        return self._wakeups

    @property
    def name(self) -> str:
        """What it is, and where."""
        return f"store {self.address.place}"

    @property
    def problem(self) -> str:
        """Why the last statement was not answered; empty if it was."""
        return self.pool.problem

    async def open(self) -> None:
        """Connects, and makes missing tables."""
        await self.pool.open()
        try:
            await self.migrate()
        except BaseException:
            await self.pool.close()
            raise
        self._wakeups = Wakeups(self.first_watch, self.last_watch)
        self._sweeper = Sweeper(self.name, self.expire, self.forget, self.changed)
        self._sweeper.start()

    async def close(self) -> None:
        """Ends every watch and disconnects."""
        self._wakeups.close()
        sweeper, self._sweeper = self._sweeper, None
        if sweeper is not None:
            await sweeper.stop()
        await self.tasks.end()
        await self.pool.close()

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Returns the records of keys."""
        found: dict[str, Record] = {}
        for start in range(0, len(keys), GET_SIZES[-1]):
            wanted = padded([key.encode() for key in keys[start : start + GET_SIZES[-1]]])
            for row in await self.pool.rows(self._reading.get[len(wanted)], *wanted, repeat=True, timeout=NO_LIMIT):
                record = record_of(row)
                found[record.key] = record
        return [found.get(key) for key in keys]

    async def last(self, key: str) -> Last | None:
        """Returns the last write of a key."""
        rows = await self.pool.rows(self._reading.last, key.encode(), repeat=True, timeout=NO_LIMIT)
        return Last(rows[0]["n"], rows[0]["w"]) if rows else None

    async def scan(self, prefix: str, after: str, *, suffix: str, limit: int, max_bytes: int, values: bool) -> Scan:
        """Returns records in the order of their keys."""
        first, end = range_of(prefix)
        rows = await self.pool.rows(
            self._reading.scan,
            first,
            end,
            after.encode(),
            suffix.encode().hex(),
            limit + 1,
            max_bytes,
            values,
            repeat=True,
        )
        return Scan(*cut(rows, limit, self._position))

    def changed(self) -> None:
        """Says that this process has changed something."""
        self._wakeups.ring()

    def first_watch(self) -> None:
        """Is called when there is a watch."""
        if self._sweeper is not None:
            self._sweeper.watched(True)

    def last_watch(self) -> None:
        """Is called when there is no watch any more."""
        if self._sweeper is not None:
            self._sweeper.watched(False)

    @abstractmethod
    async def migrate(self) -> None:
        """Makes missing tables, and brings tables of an earlier version to the present one."""

    @abstractmethod
    async def expire(self, most: int) -> int:
        """Turns up to so many records whose time has passed into marks; returns how many."""

    @abstractmethod
    async def forget(self, seconds: float, most: int) -> int:
        """Drops up to so many marks that are older; returns how many."""


def cut(rows: Sequence[asyncpg.Record], limit: int, position: tuple[str, ...]) -> tuple[Sequence[Entry], bool]:
    """Returns the entries of a page that was asked for with one row more, and whether there are more.

    Args:
        rows: the page, as far as its values have not too many bytes.
        limit: how many entries at most.
        position: the columns of the place of a row among the changes.
    """
    entries = entries_of(rows[:limit], position)
    return entries, bool(rows) and rows[0]["found"] > len(entries)


def padded(keys: Sequence[bytes]) -> Sequence[bytes]:
    """Returns keys, the last one repeated, so that there is a statement for their number."""
    size = next(size for size in GET_SIZES if size >= len(keys))
    return [*keys, *[keys[-1]] * (size - len(keys))]
