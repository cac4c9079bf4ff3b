"""The two threads of a state file: one writes, one reads; each has a connection of its own. See ``sqlite`` for their rules."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from micro_rt.backends.local.disk import Disk
from micro_rt.backends.local.journal import Journal, short_wait
from micro_rt.backends.local.open_files import Connection, check_not_forked
from micro_rt.backends.local.sqlite_file import SQLiteFile, roll_back
from micro_rt.backends.local.turns import Turns
from micro_rt.errors import FailedPrecondition, Unavailable
from micro_rt.kit.clock import monotonic
from micro_rt.kit.home import Home
from micro_rt.logs import logger

__all__ = ["Reader", "Writer"]

T = TypeVar("T")

_GROUP = 512
"""Operations in one commit at most, so that other processes get their turn."""
_log = logger("micro_rt.sqlite")


class _Job:
    """An operation that somebody waits for, and how it ended."""

    __slots__ = ("error", "future", "operation", "result")

    def __init__(self, operation: Callable[[Connection], Any], future: asyncio.Future[Any] | None) -> None:
        self.operation = operation
        self.future = future
        self.result: Any = None
        self.error: Exception | None = None

    @property
    def cancelled(self) -> bool:
        """Whether its caller left."""
        return self.future is not None and self.future.cancelled()

    def resolve(self) -> None:
        if self.future is None or self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _LoopIsGone(Exception):  # noqa: N818 - a signal within this module
    """Nobody waits for this thread any more."""


class _Worker:
    """A thread with a queue and a connection of its own."""

    def __init__(self, file: SQLiteFile, name: str) -> None:
        self._file = file
        self._name = name
        self._queue: SimpleQueue[_Job | None] = SimpleQueue()
        self._connection: Connection | None = None
        self._forks = Home.forks
        self._open = False
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._ended: asyncio.Future[None]

    async def start(self) -> None:
        """Starts the thread and waits until it is connected."""
        self._forks = Home.forks
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        started: asyncio.Future[None] = self._loop.create_future()
        # A daemon: a program that ends without closing does not hang here; what is committed is in the file.
        self._thread = threading.Thread(target=self._main, args=(started,), name=self._name, daemon=True)
        self._open = True
        self._thread.start()
        try:
            await started
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Waits until everything queued is done and the connection is closed."""
        if self._open and self._forks == Home.forks:  # In a forked child, there is no thread.
            self._open = False
            self._queue.put(None)
            await self._ended
            self._thread.join()  # It ends as it tells so.

    async def submit(self, operation: Callable[[Connection], T]) -> T:
        if not self._open:
            raise FailedPrecondition(f"{self._file.path} is not open")
        check_not_forked(self._file.path, self._forks)
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Job(operation, future))
        return await future

    def serve(self) -> None:
        """Works until None is in the queue."""
        raise NotImplementedError

    def connected(self) -> Connection:
        """Returns the connection, to the file that is at the path now."""
        if self._connection is not None:
            if self._file.is_current(self._connection):
                return self._connection
            self._file.save(self._connection)
            if not self._file.replaced(self._connection):
                self.disconnect()
        # The log of a file that was replaced stays open until the new file is: see ``sqlite_file``.
        connection = self._file.connect(self._look_soon)
        self.disconnect()
        self._connection = connection
        return connection

    def disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _look_soon(self) -> None:
        """Has the thread compare its files; from any thread."""
        self._queue.put(_Job(_nothing, None))

    def call(self, function: Callable[..., None], *arguments: object) -> None:
        """Calls in the loop."""
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            raise _LoopIsGone from None

    def translate(self, error: Exception) -> Exception:
        return self._file.translate(error)

    def _main(self, started: asyncio.Future[None]) -> None:
        try:
            try:
                self.connected()
            except Exception as error:
                self.call(_fail, started, self.translate(error))
                while self._queue.get() is not None:
                    pass
            else:
                self.call(_finish, started)
                self.serve()
            self.disconnect()
            self.call(_finish, self._ended)
        except _LoopIsGone:
            self.disconnect()


class Writer(_Worker):
    """Runs operations that write, those that wait together in one transaction.

    Args:
        file: how to open it.
        name: of the thread.
        on_commit: called after each commit, in the thread.
        turns: the queue of the processes that write; None if they do not queue.
        disk: that the file is on.
    """

    def __init__(
        self, file: SQLiteFile, name: str, on_commit: Callable[[], None], turns: Turns | None, disk: Disk
    ) -> None:
        super().__init__(file, name)
        self._on_commit = on_commit
        self._turns = turns
        self._disk = disk
        self._journal = Journal(file.path, lambda: disk.journal_size)

    def disconnect(self) -> None:
        """Closes the connection."""
        super().disconnect()
        if self._turns is not None:
            self._turns.close()

    def serve(self) -> None:
        """Commits what is in the queue until None is."""
        going = True
        while going:
            jobs: list[_Job] = []
            try:
                job = self._queue.get(timeout=self._journal.pause)
            except Empty:
                if self._connection is not None:
                    self._journal.shrink(self._connection)
                continue
            try:
                while job is not None and len(jobs) < _GROUP:
                    jobs.append(job)
                    job = self._queue.get_nowait()
            except Empty:
                pass
            else:
                if job is None:
                    going = False
                else:
                    jobs.append(job)
            self._commit(jobs)

    def _commit(self, jobs: list[_Job]) -> None:
        jobs = [job for job in jobs if not job.cancelled]
        if not jobs:
            return
        try:
            connection = self.connected()
            try:
                self._run(connection, jobs)
            except sqlite3.Error as error:
                if not self._disk.is_full(error):
                    raise
                self._run_on_full_disk(connection, jobs)
            self._disk.settle(connection)
            self._disk.look_again(connection)
        except Exception as error:
            for job in jobs:
                job.error = self.translate(error)
        else:
            self._on_commit()
        self.call(_resolve, jobs)
        if self._connection is not None:
            self._journal.shrink(self._connection)

    def _run_on_full_disk(self, connection: Connection, jobs: list[_Job]) -> None:
        """Runs operations again: with all of the WAL, and if that does not suffice, with the space of the reserve."""
        _use_journal_again(connection)
        try:
            self._run(connection, jobs)
        except sqlite3.Error as error:
            if not self._disk.is_full(error):
                raise
            self._disk.give_up_reserve()
            _use_journal_again(connection)
            self._run(connection, jobs, last=True)

    def _run(self, connection: Connection, jobs: list[_Job], *, last: bool = False) -> None:
        self._begin(connection)
        try:
            for job in jobs:
                job.error = None
                connection.execute("SAVEPOINT job")
                try:
                    job.result = job.operation(connection)
                except Exception as error:
                    if not connection.in_transaction:  # SQLite gave up all of it: the disk is full, for one.
                        raise
                    if not last and isinstance(error, sqlite3.Error) and self._disk.is_full(error):
                        raise
                    job.error = self.translate(error)
                    connection.execute("ROLLBACK TO job")
                connection.execute("RELEASE job")
            connection.execute("COMMIT")
            if not self._file.is_current(connection) and not self._file.save(connection):
                raise Unavailable(
                    f"the files of {self._file.path} were replaced or deleted while they were written to, and this is not in them"
                )
        except BaseException:
            roll_back(connection)
            raise

    def _begin(self, connection: Connection) -> None:
        if self._turns is None:
            connection.execute("BEGIN IMMEDIATE")
            return
        self._turns.wait()
        try:
            connection.execute("BEGIN IMMEDIATE")
        finally:
            self._turns.done()


class Reader(_Worker):
    """Runs operations that read, one after another, and the poll.

    Args:
        file: how to open it.
        name: of the thread.
        poll: runs after each commit of this process and every ``interval`` seconds; what it returns, other than None, is given to
            ``deliver``.
        deliver: called in the loop.
        interval: seconds.
    """

    def __init__(
        self,
        file: SQLiteFile,
        name: str,
        poll: Callable[[Connection], Any] | None,
        deliver: Callable[[Any], None] | None,
        interval: float,
    ) -> None:
        super().__init__(file, name)
        self.polling = False
        self._poll = poll
        self._deliver = deliver
        self.interval = interval
        """Seconds; may be changed from any thread."""
        self._next_poll = 0.0
        self._poke = _Job(_nothing, None)
        self._poked = False
        self._troubled = False

    def poke(self) -> None:
        """Has the poll run now if it runs at all; from any thread."""
        if self.polling and not self._poked:
            self._poked = True
            self._queue.put(self._poke)

    def serve(self) -> None:
        """Reads and polls until None is in the queue."""
        while True:
            job: _Job | None = self._poke
            wait = self._next_poll - monotonic() if self.polling else None
            if wait is None or wait > 0:
                try:
                    job = self._queue.get(timeout=wait)
                except Empty:
                    pass
                else:
                    if job is self._poke and not self._poked:
                        continue  # What it asked for was done meanwhile.
            if job is None:
                return
            if job is self._poke:
                self._poked = False
                self._look()
            elif not job.cancelled:
                try:
                    job.result = job.operation(self.connected())
                except Exception as error:
                    job.error = self.translate(error)
                self.call(_resolve, [job])

    def _look(self) -> None:
        if self._poll is None or self._deliver is None:
            return
        try:
            found = self._poll(self.connected())
        except Exception as error:
            if not self._troubled:
                self._troubled = True
                _log.warning("cannot look for changes, and will try again: %s", self.translate(error))
        else:
            self._troubled = False
            if found is not None:
                self.call(self._deliver, found)
        self._next_poll = monotonic() + self.interval


def _nothing(connection: Connection) -> None:
    """Does nothing, with the files that are at the paths now."""


def _use_journal_again(connection: Connection) -> None:
    """Copies the WAL into the file, so that the next transaction begins it anew, unless somebody reads from it for long."""
    with (
        contextlib.suppress(sqlite3.Error),
        short_wait(connection),
    ):  # The file may have to grow for it. Then the WAL does.
        connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        job.resolve()


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _fail(future: asyncio.Future[None], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
