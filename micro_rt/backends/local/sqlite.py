"""Embedded SQLite: the engine of every ``local:`` backend.

The rules that it keeps, and why:

- Each process has one writer and one reader thread per file, so that the event loop never waits for a disk and readers
  never wait for the writer. Processes meet in the file, which is in WAL mode.
- Writes that wait are committed together, up to 512 of them, so that many callers cost one commit. Each runs in
  a savepoint: one that fails is undone alone, and the others are committed. A caller gets its result after the commit,
  never before.
- An operation must not begin or end transactions. If SQLite gives up the whole transaction, all operations of the group
  fail.
- A caller that is cancelled before its operation began takes it out of the queue. After that, nobody can say whether it
  was committed.
- Another process that writes is waited for, up to 10 seconds. Where some processes write all the time, ``turns``
  makes them queue: SQLite alone serves whoever asks first, and the others wait for long.
- The reader runs the poll: after each commit of this process and every ``interval``. A poll that fails is logged once
  and tried again. While nobody watches, nothing polls and an idle process uses no CPU.
- Before each operation, and before and after each group of writes, the files at the paths are compared with the open ones. Files
  that were deleted or replaced are opened anew: see ``open_files`` and ``sqlite_file``.
- A forked child cannot use it, and is refused.
- What the disk has no space for is written again, at first into the WAL from its beginning, then into the space of a reserve:
  see ``disk``. So an operation may run twice, and what it does beside the file must allow that.
- The WAL is emptied when it has grown: see ``journal``.
- ``sqlite_file`` opens the file, and makes a ``micro.Error`` of what SQLite and the system raise. An operation's own errors
  pass as they are.
- ``workers`` has the threads. They are daemons: a program that ends without closing does not hang, and what is committed is in the file. A
  thread whose loop has gone ends by itself.
- ``close`` finishes what was asked for before. What is asked for after that fails with ``FailedPrecondition``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from micro_rt.backends.local.disk import Disk
from micro_rt.backends.local.file_systems import MOUNTS
from micro_rt.backends.local.open_files import Connection
from micro_rt.backends.local.sqlite_file import SQLiteFile
from micro_rt.backends.local.state import Sync
from micro_rt.backends.local.turns import Turns
from micro_rt.backends.local.workers import Reader, Writer
from micro_rt.errors import Error
from micro_rt.kit.ownership import Owner

__all__ = ["Connection", "Database"]

T = TypeVar("T")


class Database:
    """One SQLite file, shared with every process on this machine.

    Operations are functions of a connection. They run in a thread, must not begin or end transactions, and can
    raise what they like: it reaches the caller, and of a failed write nothing stays. What SQLite and the system raise
    becomes a ``micro.Error`` that names the file.

    A file that is deleted while it is open is made anew.

    Args:
        path: the file; its folder is made.
        schema: the statements of each version of the schema; files of earlier versions are brought forward.
        sync: ``"normal"``: what is committed survives a kill; ``"full"``: a loss of power as well.
        poll: runs after each commit of this process and every ``interval`` seconds, in the reader's thread; what it
            returns, other than None, is given to ``deliver``.
        deliver: called in the loop.
        interval: seconds.
        turns: whether processes that write take turns; where some write all the time, the others wait for long otherwise.
        disk: how much of the disk stays free; nothing but a reserve if not given.
        mounts: the table of mounted file systems.
        owner: whose folders and files are accepted too.
        folders: how many of the folders above the file are ours: the state folder and that of the namespace, by default.
    """

    def __init__(
        self,
        path: Path,
        schema: Sequence[Sequence[str]],
        *,
        sync: Sync = "normal",
        poll: Callable[[Connection], Any] | None = None,
        deliver: Callable[[Any], None] | None = None,
        interval: float = 0.1,
        turns: bool = False,
        disk: Disk | None = None,
        mounts: Path = MOUNTS,
        owner: Owner = None,
        folders: int = 2,
    ) -> None:
        self.path = path
        self.disk = Disk(path) if disk is None else disk
        file = _ReservedFile(path, schema, sync, mounts, owner, folders, disk=self.disk)
        self._reader = Reader(file, "micro-read", poll, deliver, interval)
        queue = Turns(path.with_name(f"{path.name}-turns")) if turns else None
        self._writer = Writer(file, "micro-write", self._reader.poke, queue, self.disk)

    async def open(self) -> None:
        """Opens the file, making it if there is none.

        Raises:
            FailedPrecondition: it cannot be there, another user could replace it, it is another program's, or a newer version of
                micro-rt wrote it; the message says what to do.
            DataLoss: it is damaged.
            Unavailable: it cannot be opened for another reason.
        """
        await self._writer.start()
        try:
            await self._reader.start()
        except BaseException:
            await self._writer.stop()
            raise

    async def close(self) -> None:
        """Finishes what was asked for before, and closes the file."""
        try:
            await self._writer.stop()
        finally:
            await self._reader.stop()

    async def write(self, operation: Callable[[Connection], T]) -> T:
        """Runs an operation in a transaction, and returns what it returned when that is committed.

        A caller that is cancelled does not know whether it was.
        """
        return await self._writer.submit(operation)

    async def read(self, operation: Callable[[Connection], T]) -> T:
        """Runs an operation that only reads; it sees all that was committed before."""
        return await self._reader.submit(operation)

    def poll_soon(self, interval: float | None = None) -> None:
        """Has the poll run now, and every interval from now on; may be called from any thread.

        Args:
            interval: seconds from now on; as before if not given.
        """
        if interval is not None:
            self._reader.interval = interval
        self._reader.polling = True
        self._reader.poke()

    def stop_polling(self) -> None:
        """Ends the polling until ``poll_soon``; may be called from any thread."""
        self._reader.polling = False


class _ReservedFile(SQLiteFile):
    """A file that is opened with the space of the reserve, if the disk is full."""

    def __init__(
        self,
        path: Path,
        schema: Sequence[Sequence[str]],
        sync: Sync,
        mounts: Path,
        owner: Owner,
        folders: int,
        *,
        disk: Disk,
    ) -> None:
        super().__init__(path, schema, sync, mounts, owner, folders)
        self._disk = disk

    def connect(self, look: Callable[[], None] = lambda: None) -> Connection:
        try:
            connection = super().connect(look)
        except (sqlite3.Error, OSError, Error) as error:
            if not self._disk.keeps_from_opening(error) or not self._disk.give_up_reserve():
                raise
            connection = super().connect(look)
        try:
            self._disk.set_up(connection)
            self._disk.look(connection, now=True)
        except BaseException:
            connection.close()
            raise
        return connection
