"""Turns: processes that all want to write one SQLite file get it one after another.

SQLite's own lock knows no queue. Who waits for it sleeps and tries again, so that a process which writes all the time has it
again before anybody wakes: others were seen to wait for seconds. Here, who is next holds a lock of its own until it has
SQLite's, and nobody else tries meanwhile.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl

from micro_rt.kit.clock import monotonic, pause_thread

__all__ = ["Turns"]

_PATIENCE = 0.5
"""Seconds to wait for a turn; whoever is next may have been stopped, and SQLite's own lock holds all the same."""
_PAUSE = 0.001
"""Seconds between two tries."""


class Turns:
    """The queue of those who write one file; for one thread.

    Args:
        path: of the lock's file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self._next = False

    def wait(self) -> None:
        """Waits until it is the next one's turn, but not for ever; where there are no such locks, not at all."""
        if sys.platform == "win32":
            return
        try:
            if self._file is None:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._file = os.open(self._path, flags, 0o600)
            deadline = monotonic() + _PATIENCE
            while True:
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if monotonic() >= deadline:
                        return
                    pause_thread(_PAUSE)
                else:
                    self._next = True
                    return
        except OSError:  # The disk is full, for one. What cannot be done without a queue is done without.
            return

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
