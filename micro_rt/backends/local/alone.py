"""Locks of files and folders that keep other processes out: ``flock``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Self

if sys.platform != "win32":
    import fcntl

from micro_rt.backends.local.holders import holder, remedy
from micro_rt.errors import Unavailable
from micro_rt.kit.clock import monotonic, pause_thread

__all__ = ["Alone", "lock_if_free"]

_PAUSE = 0.005
"""Seconds between two tries."""


class Alone:
    """Keeps every other thread and process out of the same context for the same folder.

    The lock is of the folder itself, so it needs no file and no space on the disk. Windows has no such lock, and there it does nothing:
    files that are open cannot be replaced there.

    Args:
        folder: must exist.
        deadline: when to give up, in seconds of ``monotonic``.

    Raises:
        Unavailable: another thread or process stays in it until the deadline; the message names it if it is known.
    """

    def __init__(self, folder: Path, deadline: float) -> None:
        self._folder = folder
        self._deadline = deadline
        self._file: int | None = None

    def __enter__(self) -> Self:
        if sys.platform != "win32":
            file = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                while not lock_if_free(file):
                    if monotonic() > self._deadline:
                        raise Unavailable(
                            f"another process or thread kept {self._folder} locked while its files were replaced: "
                            f"{remedy(holder(self._folder), self._folder)}"
                        )
                    pause_thread(_PAUSE)
            except BaseException:
                os.close(file)
                raise
            self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        if sys.platform != "win32" and self._file is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)  # A forked child may have the descriptor too.
            os.close(self._file)
            self._file = None


def lock_if_free(file: int) -> bool:
    """Locks a file if no other descriptor holds its lock; returns whether it did. Windows has no such lock.

    Args:
        file: a descriptor of the file, or of a folder.

    Raises:
        OSError: the file system has no such locks.
    """
    if sys.platform == "win32":
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
