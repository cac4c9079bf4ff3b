"""The WAL of a state file stays small, although SQLite alone never makes it smaller while the file is open.

The rules that it keeps, and why:

- SQLite writes the WAL again from its beginning once all of it is copied into the file, and then shortens it to what
  ``Disk.set_up`` bounds it to. A large event, or a process that reads for long, makes it grow all the same. If nothing is
  written after that, it stays as large as it was.
- So the writer looks at its size after each group of writes. If it is ``_LARGE`` times as large as it is to be, the writer empties
  it. It does that after the callers have their results.
- While another process reads from the WAL, it cannot be emptied. That is tried again once a second. Above ``WARN`` bytes, one
  warning says so, because the reader is another program: processes of micro-rt read for moments only.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Generator
from pathlib import Path
from sqlite3 import Connection

from micro_rt.kit.clock import monotonic
from micro_rt.logs import logger

__all__ = ["Journal", "short_wait"]

WARN = 256 << 20
"""Bytes of the WAL above which a warning is logged."""
_LARGE = 4
"""How many times as large as it is to be a WAL is emptied."""
_AGAIN = 1.0
"""Seconds until it is tried again to empty it."""
_SHORT_WAIT = 100
"""Milliseconds to wait for readers."""

_log = logger("micro_rt.sqlite")


class Journal:
    """The WAL of a file; for the writer's thread.

    Args:
        path: of the file.
        bound: returns the bytes that the WAL is to have.
    """

    def __init__(self, path: Path, bound: Callable[[], int]) -> None:
        self._path = f"{path}-wal"
        self._bound = bound
        self._next = 0.0
        self._warned = False
        self.pause: float | None = None
        """Seconds until ``shrink`` is to be called again; None if only a write makes that necessary."""

    def shrink(self, connection: Connection) -> None:
        """Empties the WAL if it is large."""
        if self._size() <= _LARGE * self._bound():
            self._end()
            return
        if self.pause is not None and monotonic() < self._next:
            return
        with contextlib.suppress(sqlite3.Error), short_wait(connection):  # For one, the disk is full.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        size = self._size()
        if size <= _LARGE * self._bound():
            self._end()
            return
        self._next = monotonic() + _AGAIN
        self.pause = _AGAIN
        if size > WARN and not self._warned:
            self._warned = True
            _log.warning(
                "%s has grown to %d MiB and cannot be emptied, because another process reads the file for long: "
                "`lsof %s` names the processes that have it open",
                *(self._path, size >> 20, self._path),
            )

    def _end(self) -> None:
        self.pause = None
        if self._warned:
            self._warned = False
            _log.info("%s is small again", self._path)

    def _size(self) -> int:
        try:
            return os.stat(self._path).st_size  # noqa: PTH116 - it runs after each commit; pathlib costs twice as much
        except OSError:
            return 0


@contextlib.contextmanager
def short_wait(connection: Connection) -> Generator[None]:
    """Has SQLite wait for other processes for a moment only."""
    (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {_SHORT_WAIT}").fetchone()
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}").fetchone()
