"""How a state file is opened, what is written into a new one, and what its errors are called.

Rules:

- A file is opened only if no other user can have replaced it: see ``micro_rt.kit.ownership``.
- Our files carry our number in their header (``application_id``). A database without it that has tables is another program's,
  and nothing in it is changed. Earlier versions wrote no number: a database is theirs if it has all tables of its version.
- The schema is a list of versions. An older file is brought forward in one transaction; a newer one is refused, because this
  version does not know what it would break.
- A connection whose files are not at their paths any more is closed, and the path opened anew. If only the log was deleted, what
  it holds is first written into the main file: nothing that was accepted is lost. If another file took the place of the main one,
  as when a backup is restored, the log of the old one is deleted: SQLite would take it for the log of the new one.
- Several processes may notice a new main file at once, and each deletes the log only if it is the one that it used itself. Two rules
  keep a process from deleting the log that another one has just begun. They find and delete the old log, and begin a new one, one
  process at a time (``Alone``). And a process keeps the old log open until it has the new file open: a file system may give the
  inode of a deleted file to the next one.
- A main file that was cut off is damaged. It is used no more until another one is at its path.
- What SQLite and the system raise becomes a ``micro.Error`` that names the file and says what to do.
"""

from __future__ import annotations

import contextlib
import copy
import os
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from micro_rt.backends.local.alone import Alone
from micro_rt.backends.local.file_systems import MOUNTS, cause_of, no_space
from micro_rt.backends.local.holders import remedy, writer
from micro_rt.backends.local.open_files import Connection, Files, forked
from micro_rt.backends.local.state import Sync, check_files, os_error, prepare
from micro_rt.errors import DataLoss, Error, FailedPrecondition, Internal, Unavailable
from micro_rt.kit.clock import monotonic, pause_thread
from micro_rt.kit.ownership import Owner
from micro_rt.logs import logger

__all__ = ["SQLiteFile", "roll_back"]

APPLICATION_ID = 0x6D696372
"""The number in the header of our files: the letters "micr"."""
_BUSY = 10.0  # Seconds to wait for another process that writes, and for other threads to close a file.
_log = logger("micro_rt.sqlite")


class SQLiteFile:
    """How to connect to a file, and how to name its errors.

    Args:
        path: of the file; its folder is created.
        schema: the statements of each version of the schema; files of earlier versions are brought forward.
        sync: ``"normal"``: what is committed survives a kill; ``"full"``: a loss of power as well.
        mounts: the table of mounted file systems.
        owner: whose folders and files are accepted too.
        folders: how many of the folders above the file are ours.
    """

    def __init__(
        self,
        path: Path,
        schema: Sequence[Sequence[str]],
        sync: Sync = "normal",
        mounts: Path = MOUNTS,
        owner: Owner = None,
        folders: int = 2,
    ) -> None:
        self.path = path
        self._schema = schema
        self._sync = sync
        self._mounts = mounts
        self._owner: Owner = owner
        self._folders = folders
        self._text = os.fspath(path)
        # These are of both threads.
        self._size: tuple[tuple[int, int] | None, int] = (0, 0), 0
        """The main file, and its size when it was looked at last."""
        self._cut_off: tuple[tuple[int, int] | None, int] = (0, 0), 0
        """The main file that was cut off, and the size that it had."""
        self._prepared: Files | None = None
        """What was opened last, whose folder was checked: the reader opens what the writer has opened."""

    def is_current(self, connection: Connection) -> bool:
        """Returns whether a connection has the files open that are at the paths.

        Raises:
            DataLoss: the main file was cut off.
        """
        main, size = self._size  # Before the file is looked at: the other thread may see it grow meanwhile.
        now = Files.at(self._text)
        if not now.same(connection.files):
            return False
        if main != now.main:
            self._size = now.main, now.size
        elif now.size < size and not self._shrank(connection, now.size):
            self._cut_off = main, size
        elif now.size != size:
            self._size = main, now.size
        main, size = self._cut_off
        if main == now.main:
            # For good: what others write into it makes it as large again, and no better.
            raise DataLoss(
                f"{self.path} was cut off while it was in use (it had {size} bytes): stop what uses it, move it away with its -wal "
                "and -shm, and restore a backup, or begin with a new one"
            )
        return True

    def save(self, connection: Connection) -> bool:
        """Writes what a deleted log holds into the main file; returns whether everything is there now.

        Args:
            connection: whose files are not those at the paths.
        """
        if connection.saved:
            return True
        now, was = Files.at(self._text), connection.files
        if now.main != was.main:
            if not connection.warned:
                connection.warned = True
                _log.warning("%s was replaced by another file, which is used from now on", self.path)
            return False
        saved = False
        # What another process has written into a new log must not be mixed with ours. Whoever opens the file in the moment of the deletion
        # makes an empty one, and can read nothing until this is done: the index still describes the old log.
        if now.wal in (None, was.wal) or _is_empty(f"{self._text}-wal"):
            saved = _copied(connection)
        connection.saved = saved
        if saved:
            _log.warning("%s-wal or %s-shm was deleted while in use; nothing is lost", self.path, self.path)
        else:
            _log.error(
                "%s-wal or %s-shm was deleted while in use; what was written last may be lost", self.path, self.path
            )
        return saved

    def connect(self, look: Callable[[], None] = lambda: None) -> Connection:
        """Opens the file, which is created and brought forward if need be.

        Args:
            look: has the thread of the connection compare its files; called from any thread. Without it, the caller has one thread.

        Raises:
            FailedPrecondition: it cannot be there, another user could replace it, it is another program's, a newer version wrote
                it, or the process that forked this one had it open.
            Unavailable: other threads of this process hold files open that were deleted.
            sqlite3.Error: SQLite cannot open it; ``translate`` says what that means.
        """
        deadline = monotonic() + _BUSY
        while True:
            main = Files.at(self._text).main
            if self._prepared is None or main != self._prepared.main:
                prepare(self.path, self._mounts, self._owner, self._folders)
                main = Files.at(self._text).main
            if Connection.inherited(main):
                raise forked(self.path)
            replaced = self._prepared is not None and self._prepared.main != main
            try:
                with Alone(self.path.parent, deadline) if replaced else contextlib.nullcontext():
                    if Files.at(self._text).main != main:
                        continue  # It was replaced again, perhaps while this thread waited.
                    self._remove_log_of_another(main)  # Unless the other thread has, meanwhile.
                    self._wait_for_others(deadline)
                    return self._connect(look)
            except sqlite3.OperationalError as error:
                # SQLite does not wait, however long its timeout, when two change a new file to WAL at once.
                if _primary_code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or monotonic() > deadline:
                    raise
                pause_thread(0.02)

    def replaced(self, connection: Connection) -> bool:
        """Returns whether another file is where the main file of a connection was."""
        return Files.at(self._text).main != connection.files.main

    def _connect(self, look: Callable[[], None]) -> Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None, factory=Connection)
        try:
            # Where there are no hard links, SQLite has created it: with rights that depend on the umask.
            check_files(self.path, self._owner)
            self._set_up(connection)
        except BaseException:
            connection.close()
            raise
        self._prepared = Files.at(self._text)
        connection.listed(self._prepared, look)
        return connection

    def _remove_log_of_another(self, main: tuple[int, int] | None) -> None:
        """Deletes the log and its index if they belong to the file that was at the path before."""
        was = self._prepared
        if was is None or was.main == main:
            return
        now = Files.at(self._text)
        for suffix, found, old in (("-wal", now.wal, was.wal), ("-shm", now.shm, was.shm)):
            if found is not None and found == old:
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _wait_for_others(self, deadline: float) -> None:
        """Waits until no thread of this process holds a log or an index open that was deleted."""
        while looks := Connection.outdated(Files.at(self._text)):
            if monotonic() > deadline:
                raise Unavailable(
                    f"{self.path}-wal or {self.path}-shm was deleted, and other threads of this process still use it: restart the process"
                )
            for look in looks:
                look()
            pause_thread(0.01)

    def _shrank(self, connection: Connection, size: int) -> bool:
        """Returns whether a main file is smaller because SQLite itself made it so: somebody ran VACUUM."""
        try:
            pages, page = _pragma(connection, "page_count"), _pragma(connection, "page_size")
            return pages * page <= size and self._is_up_to_date(connection)
        except (sqlite3.DatabaseError, FailedPrecondition):  # What is left is no database of ours.
            return False

    def translate(self, error: Exception) -> Exception:
        """Returns the ``micro.Error`` for what SQLite or the system raised; other exceptions as they are."""
        if isinstance(error, OSError) and not isinstance(error, Error):
            return os_error(error, self.path)
        if not isinstance(error, sqlite3.Error):
            return copy.copy(error) if isinstance(error, Error) else error
        match _primary_code(error):
            case sqlite3.SQLITE_FULL:
                return no_space(self.path)
            case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
                return DataLoss(
                    f"{self.path} is damaged ({error}): stop what uses it and move it away, with its -wal and -shm; "
                    "a new one is made"
                )
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED | sqlite3.SQLITE_PROTOCOL:
                cure = remedy(writer(self.path), self.path)
                return Unavailable(f"{self.path} was kept locked by another writer for {_BUSY:g} s: {cure}")
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
                return cause_of(self.path) or FailedPrecondition(
                    f"{self.path} cannot be written ({error}): make it and its folder writable, or set MICRO_HOME"
                )
            case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_NOMEM | sqlite3.SQLITE_NOLFS:
                return cause_of(self.path) or Unavailable(
                    f"{self.path} cannot be used ({error}); MICRO_HOME can name another folder"
                )
            case _:
                return Internal(f"{self.path}: {error}")

    def _set_up(self, connection: Connection) -> None:
        done = self._is_up_to_date(connection)  # It changes nothing: the file may be another program's.
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise FailedPrecondition(
                    f"the file system of {self.path} has no shared memory for processes to meet in: set MICRO_HOME to another"
                )
        connection.execute(f"PRAGMA synchronous = {self._sync}")
        connection.execute("PRAGMA foreign_keys = ON")
        if done:
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            if not self._is_up_to_date(connection):
                for statements in self._schema[_pragma(connection, "user_version") :]:
                    for statement in statements:
                        connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                connection.execute(f"PRAGMA user_version = {len(self._schema)}")
            connection.execute("COMMIT")
        except BaseException:
            roll_back(connection)
            raise

    def _is_up_to_date(self, connection: Connection) -> bool:
        """Returns whether the file is ours and has the present schema; False for one that is empty, or to be brought forward.

        Raises:
            FailedPrecondition: it is another program's, or a newer version wrote it.
        """
        if _pragma(connection, "application_id") != APPLICATION_ID:
            self._check_unmarked(connection)
            return False
        version = _pragma(connection, "user_version")
        if version > len(self._schema):
            raise FailedPrecondition(
                f"{self.path} was written by a newer version of micro-rt (its schema is {version}, this one knows "  # noqa: S608  # a message, not SQL
                f"{len(self._schema)}): update micro-rt, or set MICRO_HOME or MICRO_NAMESPACE to keep apart from it"
            )
        return version == len(self._schema)

    def _check_unmarked(self, connection: Connection) -> None:
        """Checks that a file without our number is empty, or that an earlier version wrote it."""
        own = not connection.in_transaction
        if own:
            connection.execute("BEGIN")  # All of it is read as it is at one moment: another process may be creating it.
        try:
            application = _pragma(connection, "application_id")
            version = _pragma(connection, "user_version")
            tables = _tables(connection)
        finally:
            if own:
                roll_back(connection)
        if application == APPLICATION_ID or (application == version == 0 and not tables):
            return
        if application == 0 and 0 < version <= len(self._schema) and self._tables_of(version) <= tables:
            return
        raise FailedPrecondition(
            f"{self.path} is the database of another program, which micro-rt does not change: move it away, or set MICRO_HOME "
            "or MICRO_NAMESPACE to another folder"
        )

    def _tables_of(self, version: int) -> set[tuple[str, str]]:
        """Returns the tables and indexes that a version of the schema has."""
        with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            for statements in self._schema[:version]:
                for statement in statements:
                    connection.execute(statement)
            return _tables(connection)


def _is_empty(path: str) -> bool:
    try:
        return os.lstat(path).st_size == 0
    except OSError:
        return True


def _copied(connection: Connection) -> bool:
    """Copies all of a log into the main file, and waits for another thread that does the same; returns whether all is there."""
    deadline = monotonic() + _BUSY
    while True:
        try:
            busy, frames, written = connection.execute("PRAGMA wal_checkpoint(FULL)").fetchone()
        except sqlite3.Error:
            return False
        if not busy or monotonic() > deadline:
            return not busy and bool(frames == written)
        pause_thread(0.01)  # SQLite waits for whoever writes, and not for whoever copies.


def roll_back(connection: Connection) -> None:
    """Undoes the transaction, if there is one."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _pragma(connection: Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _tables(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    return set(connection.execute("SELECT type, name FROM sqlite_master").fetchall())


def _primary_code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
