"""Turns: processes that all want to write one SQLite file get it one after another.

SQLite's own lock has no queue. A process that waits for it sleeps and tries again, so a process that writes all the time gets it
again before any other wakes: others were seen to wait for seconds. Here, the process that is next holds a lock of its own (the
turn) until it has SQLite's, and no other tries meanwhile.

Rules:

- Turns are for fairness alone. SQLite's own lock keeps the file whole, so writing without a turn is always right.
- A process that is stopped while it has the turn (Ctrl-Z, ``docker pause``, a debugger) must not slow the others down. A process that
  has waited without getting its turn writes without turns for ``_ALONE`` seconds. It still asks for the turn before each write, without waiting, and
  takes turns again as soon as it gets one.
- The log names the process that keeps the turn: once, until this process gets a turn again. A process is named only if it was found
  twice, ``_PATIENCE / 2`` seconds apart: on a busy machine some process always has the turn. If the process that has the turn waits
  itself, because another one is stopped while it holds SQLite's lock, the log names that one.
- Where the system does not list locks, the process that has the turn writes its id into the lock's file. The file may contain
  anything, so this id is used for the log alone.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import NamedTuple

if sys.platform != "win32":
    import fcntl

from micro_rt.backends.local.alone import lock_if_free
from micro_rt.backends.local.holders import LOCKS, holder, is_stopped, remedy, writer
from micro_rt.kit.clock import monotonic, pause_thread
from micro_rt.kit.foreign import whole
from micro_rt.logs import logger

__all__ = ["Turns"]

_PATIENCE = 0.5
"""Seconds to wait for a turn."""
_ALONE = 5.0
"""Seconds to write without turns after a wait in which this process did not get its turn."""
_PAUSE = 0.001
"""Seconds between two tries."""
_LARGEST_ID = 1 << 22
"""The largest id that a process has on any system."""
_NOTE = 8
"""Bytes of the note of a process id."""

_log = logger("micro_rt.sqlite")


class Turns:
    """The queue of the processes that write one file; for one thread.

    Args:
        path: of the lock's file: that of the file which is written, with ``-turns`` behind it.
        locks: the system's list of locks.
    """

    def __init__(self, path: Path, locks: Path = LOCKS) -> None:
        self._path = path
        self._written = path.with_name(path.name.removesuffix("-turns"))
        self._locks = locks
        self._listed = locks.exists()
        self._file: int | None = None
        self._next = False
        self._alone_until = 0.0
        self._named: tuple[int | None] | None = None
        """The process that the log has named since this one had its last turn; ``(None,)`` if it could not name any."""

    def wait(self) -> bool:
        """Waits for this process's turn, ``_PATIENCE`` seconds at most; where there are no such locks, not at all.

        Returns:
            Whether it has the turn. If not, it may write all the same.
        """
        if sys.platform == "win32":
            return False
        try:
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._file = os.open(self._path, flags, 0o600)
            if self._try(self._file):
                return True
            if monotonic() < self._alone_until:
                return False
            found = self._wait(self._file)
            if found is None:
                return True
            self._alone_until = monotonic() + _ALONE
            self._name(*found)
        except OSError:  # The disk is full, for one. What cannot be done without a queue is done without.
            pass
        return False

    def done(self) -> None:
        """Lets another be the next."""
        if self._next and self._file is not None and sys.platform != "win32":
            self._next = False
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Gives the lock's file back."""
        if self._file is not None:
            self._next = False
            os.close(self._file)
            self._file = None

    def _wait(self, file: int) -> list[_Keepers] | None:
        """Waits for the turn; returns None if this process has it, and otherwise what was seen in the middle and at the end."""
        found: list[_Keepers] = []
        for _ in range(2):
            deadline = monotonic() + _PATIENCE / 2
            while monotonic() < deadline:
                pause_thread(_PAUSE)
                if self._try(file):
                    return None
            found.append(_Keepers(self._holder(file), writer(self._written, self._locks)))
        return found

    def _try(self, file: int) -> bool:
        """Takes the turn if no other process has it."""
        if not lock_if_free(file):
            return False
        self._next = True
        self._alone_until = 0.0
        self._named = None
        if not self._listed:
            with contextlib.suppress(OSError):  # The disk is full.
                os.pwrite(file, f"{os.getpid():<{_NOTE}}".encode(), 0)
        return True

    def _holder(self, file: int) -> int | None:
        """Returns the process that has the turn; None if it is not known."""
        if self._listed:
            return holder(self._path, self._locks)
        return whole(os.pread(file, _NOTE, 0).decode("ascii", "replace").strip(" "), _LARGEST_ID) or None

    def _name(self, before: _Keepers, now: _Keepers) -> None:
        """Logs which process keeps the turn, unless the log says so already."""
        if now.writer is not None and now.writer == before.writer and is_stopped(now.writer):
            keeper: int | None = now.writer
        elif now.turn == before.turn:
            keeper = now.turn
        else:
            return
        if self._named == (keeper,):
            return
        self._named = (keeper,)
        _log.warning(
            "did not get the turn to write to %s within %g s, and writes without turns for now: %s",
            self._written,
            _PATIENCE,
            remedy(keeper, self._written),
        )


class _Keepers(NamedTuple):
    """The processes that held locks at one moment; None for what is not known."""

    turn: int | None
    writer: int | None
