"""What the ``local:`` and ``file:`` stores of one file share in one process: its threads, its watches, and who sweeps it.

Rules:

- The file is polled while somebody watches it, and not otherwise. Only the number that SQLite gives to its state is read, unless it
  has changed.
- A process sweeps when the record expires that it knows to expire next, and once a minute. Processes that sweep at the same time do
  no harm: each takes what is left.
- What cannot be swept is logged once, and tried again. Reads do not depend on it. A watch that has delivered a record learns that it has
  expired when it is swept.
- The file may have been written by others. What no store writes becomes ``DataLoss``, which names the file; nothing larger than a
  record can be is read.
- The clock of the file is advanced before the file is used, so that what expired before a reboot stays gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from micro_rt.backends.local.damage import guarded
from micro_rt.backends.local.disk import Disk
from micro_rt.backends.local.file_time import FileTime
from micro_rt.backends.local.sqlite import Connection, Database
from micro_rt.backends.local.state import Sync
from micro_rt.backends.local.store_records import KEPT, SCHEMA, StoreRecords
from micro_rt.backends.local.store_writes import StoreWrites
from micro_rt.errors import Error
from micro_rt.kit.chance import between
from micro_rt.kit.clock import Clock, loop_time
from micro_rt.kit.ownership import Owner
from micro_rt.kit.tasks import wait_for_event
from micro_rt.logs import logger
from micro_rt.store.base import Wakeups, Write

__all__ = ["LOOK", "StoreFile"]

LOOK = 0.02
"""Seconds between two looks at the file for what other processes wrote."""
_SWEEP = 60.0
"""Seconds between two looks for what has expired, at most."""
_TROUBLED = 1.0
"""Seconds until sweeping is tried again."""
_AT_ONCE = 500
"""Records that are swept in one commit."""
_LARGEST = 65 << 20
"""Bytes of a row at most: a value of 64 MiB, its key and its metadata."""
_FLOOR = 16 << 20
"""Bytes of the disk that records do not use, so that deletions always work."""

_log = logger("micro_rt.store")
T = TypeVar("T")


class StoreFile:
    """What the stores of one file share in one process.

    Args:
        path: of the file.
        sync: what survives.
        owner: whose folder and file are accepted too.
        clock: what expiry is measured with.
        folders: how many of the folders above the file are ours.
    """

    def __init__(self, path: Path, sync: Sync, owner: Owner, clock: Clock, folders: int = 2) -> None:
        self._time = FileTime(clock)
        self.records = StoreRecords(self._time)
        self.database = Database(
            path,
            SCHEMA,
            sync=sync,
            poll=partial(self._guarded, self._poll),
            deliver=self._changed,
            interval=LOOK,
            turns=True,
            disk=Disk(path, _FLOOR, "writes that need more are refused"),
            owner=owner,
            folders=folders,
        )
        self._writes = StoreWrites(self._apply)
        self.stores: list[Wakeups] = []
        """Those of the stores that are open."""
        self._watching = 0
        self._sweeping: asyncio.Task[None] | None = None
        self._sooner = asyncio.Event()
        self._sweep_at = 0.0
        """When it sweeps next, on the loop's clock."""
        self._trouble = ""
        self._seen: tuple[Connection, int] | None = None
        """The state of the file that the reader's thread saw last."""

    @property
    def problem(self) -> str:
        """What does not work; empty if everything does, as far as it knows."""
        return "; ".join(filter(None, [self.database.disk.problem, self._trouble]))

    async def open(self) -> None:
        """Opens the file."""
        await self.database.open()
        try:
            if not await self.read(self._is_exact):
                with contextlib.suppress(Error):  # The sweeper says what is wrong.
                    await self.write(self._time.advance)
        except BaseException:
            await self.database.close()
            raise
        self._sweeping = asyncio.get_running_loop().create_task(self._sweep_on())

    async def close(self) -> None:
        """Finishes what was asked for, and closes the file."""
        try:
            if self._sweeping is not None:
                self._sweeping.cancel()
                await asyncio.wait([self._sweeping])
            await self._writes.finish()
        finally:
            await self.database.close()

    async def read(self, operation: Callable[[Connection], T]) -> T:
        """Runs an operation that only reads.

        Raises:
            DataLoss: the file holds what no store writes.
        """
        return await self.database.read(partial(self._guarded, operation))

    async def write(self, operation: Callable[[Connection], T]) -> T:
        """Runs an operation in a transaction.

        Raises:
            DataLoss: the file holds what no store writes.
        """
        return await self.database.write(partial(self._guarded, operation))

    def _guarded(self, operation: Callable[[Connection], T], connection: Connection) -> T:
        return guarded(self.database.path, "store", _LARGEST, operation, connection)

    async def apply(self, writes: Sequence[Write]) -> Sequence[int | Error]:
        """Makes writes, and sees to it that they are swept when they expire."""
        outcomes = await self._writes.put(writes)
        for write in writes:
            if isinstance(write.ttl, float):
                self._sweep_within(write.ttl)
        return outcomes

    async def _apply(self, writes: Sequence[Write], size: int) -> Sequence[int | Error]:
        def apply(connection: Connection) -> Sequence[int | Error]:
            if size:
                self.database.disk.check(connection, size, len(writes))
            return self.records.apply(connection, writes)

        return await self.write(apply)

    # Watching

    def watch_begins(self) -> None:
        """Polls the file from now on."""
        self._watching += 1
        self.database.poll_soon()

    def watch_ends(self) -> None:
        """Ends polling if nobody else watches."""
        self._watching -= 1
        if not self._watching:
            self.database.stop_polling()

    def _poll(self, connection: Connection) -> float | None:
        """Returns, if the file has changed, in how many seconds the next record expires; runs in the reader's thread."""
        state: int = connection.execute("PRAGMA data_version").fetchone()[0]
        if self._seen is not None and self._seen[0] is connection and self._seen[1] == state:
            return None
        expiry = self.records.next_expiry(connection)
        self._seen = connection, state
        return _SWEEP if expiry is None else expiry

    def _changed(self, expiry: float) -> None:
        self._sweep_within(expiry)
        for wakeups in self.stores:
            wakeups.ring()

    # Sweeping

    def _sweep_within(self, seconds: float) -> None:
        at = loop_time() + seconds
        if at < self._sweep_at:
            self._sweep_at = at
            self._sooner.set()

    async def _sweep_on(self) -> None:
        while True:
            self._sooner.clear()
            self._sweep_at = math.inf  # What is to expire soon and is written meanwhile counts.
            try:
                wait = await self._sweep()
            except Error as error:
                wait = _TROUBLED
                if not self._trouble:
                    _log.warning("cannot delete records that have expired, and will try again: %s", error)
                self._trouble = f"records that have expired are not deleted: {error}"
            else:
                if self._trouble:
                    _log.info("records that have expired are deleted again")
                self._trouble = ""
            self._sweep_at = min(self._sweep_at, loop_time() + wait)
            while (left := self._sweep_at - loop_time()) > 0:
                if await wait_for_event(self._sooner, left):
                    self._sooner.clear()

    async def _sweep(self) -> float:
        """Sweeps, and returns after how many seconds it is to sweep again."""
        while True:
            expiry, due = await self.read(self._look)
            if expiry is not None and expiry <= 0:
                due = True
            if not due:
                # Processes that know of the same record do not all wake at the same moment.
                return _SWEEP if expiry is None else min(_SWEEP, expiry + between(0.0, 0.02))
            most = self.database.disk.rows_at_once(_AT_ONCE)
            await self.write(partial(self.records.sweep, most=most))

    def _is_exact(self, connection: Connection) -> bool:
        """Checks the tables; returns whether the clock of the file can be read without being advanced."""
        self.records.check(connection)
        return self._time.is_exact(connection)

    def _look(self, connection: Connection) -> tuple[float | None, bool]:
        """Returns in how many seconds the next record expires, and whether something else is to be done."""
        expiry = self.records.next_expiry(connection)
        return expiry, self._time.outdated(connection, KEPT) or self.records.has_old_tombstones(connection)
