"""What this process has open of a state file: to notice that its files were replaced, and that this process was forked.

Rules:

- SQLite has three files: the main one, its log (``-wal``) and the index of the log (``-shm``). A connection keeps those that
  it opened, whatever happens at their paths. Writing into a file that no path leads to loses everything without an error. So
  each connection remembers which files it opened, and compares them with what is at the paths.
- Connections of one process to one main file share the index of the log within SQLite. After the log was deleted, all of them
  must be closed before the first one opens a new log; else it would use the new log with the old index. So each connection is
  listed here, with a function that has its thread look.
- SQLite's locks belong to a process. A forked child inherits connections without their locks, and within SQLite everything that
  it opens of that file relies on them. So a child opens no file that its parent had open when it was forked, and never closes
  what it inherited: the list keeps it alive.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, NamedTuple

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.home import Home

__all__ = ["Connection", "Files", "check_not_forked"]

_FileId = tuple[int, int]


class Files(NamedTuple):
    """The files at the paths of a state file: their device and inode, or None where no file is."""

    main: _FileId | None
    wal: _FileId | None
    shm: _FileId | None
    size: int
    """Bytes of the main file."""

    @classmethod
    def at(cls, path: str) -> Files:
        """Looks at the paths."""
        try:
            status = os.lstat(path)  # This runs before each operation; pathlib costs twice as much.
        except OSError:
            return cls(None, None, None, 0)
        main = status.st_dev, status.st_ino
        return cls(main, _id(f"{path}-wal"), _id(f"{path}-shm"), status.st_size)

    def same(self, other: Files) -> bool:
        """Returns whether they are the same files, of whatever size."""
        return self[:3] == other[:3]


class Connection(sqlite3.Connection):
    """A connection that knows its files. Use it in one thread."""

    files: Files
    """What it has opened."""
    saved: bool
    """Whether its log was deleted, and all that the log held is in the main file."""
    warned: bool
    """Whether a warning says that another file took the place of its main file."""

    _open: ClassVar[dict[int, tuple[Connection, int, Callable[[], None]]]] = {}
    """The connections of this process, with the number of forks before each and what has its thread look."""

    def listed(self, files: Files, look: Callable[[], None]) -> None:
        """Lists it until it is closed.

        Args:
            files: what it has opened.
            look: has its thread compare the files; called from any thread.
        """
        self.files = files
        self.saved = self.warned = False
        self._open[id(self)] = (self, Home.forks, look)

    def close(self) -> None:
        """Closes it."""
        super().close()
        self._open.pop(id(self), None)

    @classmethod
    def outdated(cls, now: Files) -> list[Callable[[], None]]:
        """Returns what has each thread look that holds a connection to this main file with another log or index."""
        return [
            look
            for connection, _, look in list(cls._open.values())
            if connection.files.main == now.main and not connection.files.same(now)
        ]

    @classmethod
    def inherited(cls, main: _FileId | None) -> bool:
        """Returns whether the process that forked this one had a main file open."""
        return any(
            connection.files.main == main and forks != Home.forks for connection, forks, _ in list(cls._open.values())
        )


def check_not_forked(path: Path, forks: int) -> None:
    """Checks that what uses a state file was opened in this process.

    Args:
        path: of the file.
        forks: the number of forks when it was opened.

    Raises:
        FailedPrecondition: the process was forked since.
    """
    if forks != Home.forks:
        raise forked(path)


def forked(path: Path) -> FailedPrecondition:
    """Returns the error of a child that uses a file which its parent had open."""
    return FailedPrecondition(
        f"{path} was open when this process was forked, and SQLite's locks on it belong to the parent process: open it after the "
        "fork (in a hook such as gunicorn's post_fork or Celery's worker_process_init), or start the process with the method 'spawn' "
        "or 'forkserver'",
        may_have_run=False,
    )


def _id(path: str) -> _FileId | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
