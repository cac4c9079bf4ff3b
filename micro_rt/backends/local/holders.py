"""Which process holds a lock on a state file. The answer is for errors and logs: nothing is decided by it.

Rules:

- Linux lists the locks of all processes in ``/proc/locks``, with the process ids that this process sees. It leaves out the processes
  that this one cannot see, such as those of another container. Other systems have no such list.
- A lock is found by the inode of its file. Some file systems (btrfs) list another device than ``stat`` returns. There, the process
  must have the file open.
- No file of SQLite is opened here: a process that closes any descriptor of a file loses all its POSIX locks on that file, and these
  are what SQLite relies on.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from micro_rt.kit.foreign import whole
from micro_rt.text import printable

__all__ = ["LOCKS", "holder", "is_stopped", "remedy", "writer"]

LOCKS = Path("/proc/locks")
"""The system's list of locks."""
_WRITE_LOCK = (120, 120)
"""The byte of a -shm file that SQLite locks while it writes, and while it recovers: see walformat.html."""
_FILE_LOCKS = (0x40000000, 0x400001FF)
"""The bytes of a database that SQLite locks while it creates it, and when its last user closes it: from the first to the last."""
_READS = 3
"""Times to read the list: the system gives it page by page, and leaves locks out if the list changes meanwhile."""


def holder(path: Path, locks: Path = LOCKS) -> int | None:
    """Returns the process that holds the lock (``flock``) of a file; None if it is not known, or no process does.

    Args:
        path: of the file.
        locks: the system's list of locks.
    """
    return _find(path, "FLOCK", (0, 0), locks)


def writer(path: Path, locks: Path = LOCKS) -> int | None:
    """Returns the process that keeps others from writing to a SQLite database; None if it is not known, or no process does.

    Args:
        path: of the database.
        locks: the system's list of locks.
    """
    found = _find(path.with_name(f"{path.name}-shm"), "POSIX", _WRITE_LOCK, locks)
    return _find(path, "POSIX", _FILE_LOCKS, locks) if found is None else found


def is_stopped(pid: int) -> bool:
    """Returns whether a signal or a debugger has stopped a process, as far as the system says so."""
    return _fields(pid)[1:2] in (["T"], ["t"])


def remedy(pid: int | None, path: Path) -> str:
    """Returns a text that names a process which holds a lock, and says how to end that.

    Args:
        pid: the process; None if it is not known.
        path: what is locked.
    """
    if pid is None:
        return (
            f"look for a process that has it open (`lsof {path}`) and is stopped or hangs, perhaps in another container, and "
            "resume or end it"
        )
    if pid == os.getpid():
        return f"this process ({pid}) holds it, through another connection"
    name = _name(pid)
    if is_stopped(pid):
        return f"process {pid}{name} holds it and is stopped: resume it with `kill -CONT {pid}`, or end it with `kill -KILL {pid}`"
    return (
        f"process {pid}{name} holds it: if it hangs, or its container is paused, resume it, or end it with `kill {pid}`"
    )


def _find(path: Path, kind: str, bytes: tuple[int, int], locks: Path) -> int | None:
    """Returns the process with an exclusive lock of a kind on any of these bytes."""
    for _ in range(_READS):
        try:
            status = path.stat()
            table = locks.read_text()
        except (OSError, ValueError):
            return None
        inode = str(status.st_ino)
        for line in table.splitlines():
            fields = line.split()  # A process that waits for a lock has one field more.
            if len(fields) != 8 or fields[1] != kind or fields[3] != "WRITE":
                continue
            device, _, number = fields[5].rpartition(":")
            pid, first, last = whole(fields[4]), whole(fields[6]), whole(fields[7])  # The last one may be "EOF".
            if number != inode or not pid or first is None:
                continue
            if first > bytes[1] or (last is not None and last < bytes[0]):
                continue
            if device == f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}" or _has_open(pid, path):
                return pid
    return None


def _has_open(pid: int, path: Path) -> bool:
    """Returns whether a process has a file open; looks at the paths alone, because opening what it has open may block."""
    with contextlib.suppress(OSError):
        real = path.resolve()
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # It was closed meanwhile.
                if descriptor.readlink() == real:
                    return True
    return False


def _name(pid: int) -> str:
    """Returns the name of a process in brackets, with a space before it; an empty text if it is not known."""
    fields = _fields(pid)
    return f" ({printable(fields[0])})" if fields else ""


def _fields(pid: int) -> list[str]:
    """Returns the name of a process and the fields behind it, as the system lists them; none if it is not known."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    name, _, rest = text.partition("(")[2].rpartition(")")  # The name may contain brackets.
    return [name, *rest.split()]
