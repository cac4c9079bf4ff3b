"""The space on the disk of a state file: what refuses to grow in time, and a reserve for what must be written all the same.

The rules that it keeps, and why:

- What makes a file grow for long, such as events and new registrations, asks first (``check``), within its transaction. It is
  refused while enough is left for the rest: heartbeats, joins, commits and deletions. A broker that fills its disk could
  otherwise not even delete what ran out.
- Free pages of the file count as space: SQLite never gives them back to the system. Pages that are in the WAL alone
  count as used: the file grows by them when they are copied into it.
- Beside the file is a reserve: a file of allocated blocks. When another program has filled the disk to the last byte, SQLite
  reports that. Then the WAL is copied into the file first, because it can be written from its beginning again. If that does not
  suffice, the reserve is given up, and the transactions run again. What would make the file grow is refused until the reserve is
  back. It is allocated again when twice as much is free.
- Where space is short, the file gets new pages as soon as they are committed, and not when the WAL is copied one day. Once another
  program has filled the disk, the file could not grow any more. Then the WAL could not be written from its beginning, and no
  heartbeat would find a place.
- Quotas are not part of what the system reports as free. An allocation that succeeds proves that there is space.
- What cannot be reserved, because the system has no such call, is done without. No error of the reserve reaches a caller.
- One warning says that space ends, one message that there is space again. ``problem`` says it meanwhile.
- The system is asked once per transaction at most, never once per record, and every 0.1 s where there is plenty of space.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import sqlite3
import sys
import threading
from pathlib import Path
from sqlite3 import Connection

from micro_rt.errors import ResourceExhausted, Unavailable
from micro_rt.kit.clock import monotonic
from micro_rt.logs import logger

__all__ = ["Disk"]

_RESERVE = 1 << 20
"""Bytes of the reserve at most; a sixteenth of a small disk."""
_PLENTY = 1 << 30
"""Bytes; where more is free, nothing else is asked."""
_JOURNAL = 4 << 20
"""Bytes of the WAL after which it is written from its beginning again; a part of a small disk."""
_PAGE = 4096
_OVERHEAD = 1 << 16
"""Bytes that a transaction may write beside what it was asked to."""
_LASTS = 0.1
"""Seconds for which a look at a disk with plenty of space counts."""
_LOOK = 0.5
"""Seconds between two looks whether there is space again."""
_ENDED = (errno.ENOSPC, errno.EDQUOT)
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)
"""What a file system says that cannot allocate without writing."""
_UNCLEAR = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP)
"""What SQLite reports of a quota, and where the index of the WAL cannot grow."""

_log = logger("micro_rt.sqlite")


class Disk:
    """The disk that a state file is on; for the threads of the file, and the loop.

    Args:
        path: of the file.
        floor: bytes that stay free of what makes the file grow; an eighth of a small disk.
        refused: what does not work while they are used up, for the log.
    """

    def __init__(self, path: Path, floor: int = 0, refused: str = "what needs more is refused") -> None:
        self._path = path
        self._folder = path.parent
        self._journal = f"{path}-wal"
        self._reserve = f"{path}-reserve"
        self._most = floor
        self._refused = refused
        self._lock = threading.Lock()
        self._problem = ""
        self._wanted: int | None = None
        """The fewest bytes that were refused, while they are."""
        self._ended = False
        """Whether the reserve was given up, and is not back."""
        self._reservable = True
        self.journal_size = _JOURNAL
        """Bytes that the WAL is to have at most."""
        self._next_look = [0.0, 0.0]
        self._ample_until = 0.0
        """Until when it need not be asked whether space is short."""
        self._plenty, self._plenty_until = 0, 0.0
        """Bytes that can be added without looking, and until when."""

    @property
    def problem(self) -> str:
        """Says that space ends; empty if it does not, as far as is known."""
        self.look(None)
        return self._problem

    def check(self, connection: Connection, size: int, count: int = 1) -> None:
        """Refuses what would use the space that must stay.

        Args:
            connection: within a write.
            size: bytes that are to be added.
            count: in how many rows.

        Raises:
            ResourceExhausted: there is not enough left.
        """
        # A row that is larger than half a page may leave the other half unused.
        wanted = size + min(size, count * _PAGE) + _OVERHEAD
        if wanted <= self._plenty and monotonic() < self._plenty_until:
            self._plenty -= wanted
            return
        usage = self._usage()
        if usage is None:
            return
        if not self._problem and usage[1] >= _PLENTY + 2 * wanted:
            self._plenty, self._plenty_until = (usage[1] - 2 * wanted - _PLENTY) // 4, monotonic() + _LASTS
            return
        with self._lock:
            if self._restore(usage) and self._fits(connection, usage, wanted):
                if self._wanted is not None:
                    self._look(connection, usage)
                return
            self._wanted = wanted if self._wanted is None else min(wanted, self._wanted)
            self._begin(usage)
        raise ResourceExhausted(self._text(usage), may_have_run=False)

    def settle(self, connection: Connection) -> None:
        """Has the file get pages that are in the WAL alone, where space may end before it is copied; after a commit."""
        now = monotonic()
        if now < self._ample_until:
            return
        usage = self._usage()
        if usage is None or usage[1] >= _PLENTY:
            self._ample_until = now + _LASTS
            return
        if self._most:  # What grows with each commit would be copied with each commit.
            self._ample_until = now + _LOOK
        if _pragma(connection, "page_count") * _pragma(connection, "page_size") > _size(self._path):
            with contextlib.suppress(
                sqlite3.Error
            ):  # Whoever reads just now keeps it from being copied. The next commit does it.
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def is_full(self, error: Exception) -> bool:
        """Returns whether an error of SQLite or the system says that there is no space."""
        if isinstance(error, ResourceExhausted):
            return True
        if isinstance(error, OSError):
            return error.errno in _ENDED
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
        if code & 0xFF == sqlite3.SQLITE_FULL:
            return True
        usage = self._usage()
        return code in _UNCLEAR and usage is not None and not self._can_allocate(usage)

    def keeps_from_opening(self, error: Exception) -> bool:
        """Returns whether a file cannot be opened because the disk is full: SQLite says so in many ways."""
        usage = self._usage()
        return self.is_full(error) or (
            isinstance(error, sqlite3.Error | Unavailable)
            and usage is not None
            and usage[1] < self._reserve_size(usage)
        )

    def give_up_reserve(self) -> bool:
        """Makes space of the reserve, and refuses what makes the file grow until it is back; returns whether it freed any."""
        with self._lock:
            self._ended = True
            if (usage := self._usage()) is not None:
                self._begin(usage)
            if sys.platform == "win32":
                return False
            try:
                file = os.open(self._reserve, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            except OSError:
                return False
            try:
                freed = os.fstat(file).st_size > 0
                os.ftruncate(file, 0)
            except OSError:
                return False
            finally:
                os.close(file)
            return freed

    def look(self, connection: Connection | None, *, now: bool = False) -> None:
        """Looks whether there is space, and allocates the reserve again if it was given up.

        Args:
            connection: to the file, outside of a write or within; None to look at the disk alone, where free pages of the file
                are not seen.
            now: whether to look also if the last look was only just.
        """
        # The two kinds of looks are counted apart: the disk alone does not show all, and is looked at with each check of health.
        if not now and monotonic() < self._next_look[connection is None]:
            return
        self._next_look[connection is None] = monotonic() + _LOOK
        if (usage := self._usage()) is not None:
            with self._lock:
                self._look(connection, usage)

    def look_again(self, connection: Connection) -> None:
        """Looks whether there is space again, if there was not."""
        if self._problem:
            self.look(connection)

    def _look(self, connection: Connection | None, usage: tuple[int, int]) -> None:
        if not self._restore(usage):
            self._begin(usage)
            return
        full = usage[1] < _OVERHEAD * (2 if self._problem else 1)
        wanted = 0 if connection is None else _OVERHEAD
        if self._wanted is not None:
            wanted = self._wanted + self._floor(usage) // 8  # So that it does not end and begin all the time.
        fits = not wanted or self._fits(connection, usage, wanted)
        if full or not fits:
            if not fits and self._wanted is None:
                self._wanted = wanted
            self._begin(usage)
            return
        self._wanted = None
        if self._problem:
            self._problem = ""
            _log.info("there is space again for %s", self._path)

    def _begin(self, usage: tuple[int, int]) -> None:
        text = self._text(usage)
        if not self._problem:
            _log.warning("%s; until then, %s", text, self._refused)
        self._problem = text

    def _text(self, usage: tuple[int, int]) -> str:
        free = f"{usage[1] / (1 << 20):.1f} MiB free on its disk"
        if floor := self._floor(usage):
            free += f", of which {floor / (1 << 20):.1f} MiB are kept for heartbeats, commits and deletions"
        return f"no space left for {self._path} ({free}): free some, or set MICRO_HOME to another folder"

    def _usage(self) -> tuple[int, int] | None:
        """Returns how many bytes the disk has, and how many are free; None if the system does not say."""
        try:
            total, _, free = shutil.disk_usage(self._folder)
        except (OSError, AttributeError):
            return None
        return total, free

    def set_up(self, connection: Connection) -> None:
        """Bounds the WAL, which is written from its beginning again after that many bytes, unless somebody reads for long."""
        if (usage := self._usage()) is not None:
            self.journal_size = self._journal_size(usage)
        connection.execute(f"PRAGMA wal_autocheckpoint = {self.journal_size // _PAGE}").fetchone()
        connection.execute(f"PRAGMA journal_size_limit = {self.journal_size}").fetchone()
        # Some systems overwrite what is deleted by default, and then a deletion needs as much space in the WAL as what it deletes.
        connection.execute("PRAGMA secure_delete = FAST").fetchone()

    def rows_at_once(self, most: int) -> int:
        """Returns how many rows one transaction may delete, so that the pages that it changes fit into the WAL as it is.

        Args:
            most: of a large disk with enough space.
        """
        usage = self._usage()
        if usage is None or (not self._problem and self._floor(usage) == self._most):
            return most
        return min(most, self._journal_size(usage) // (2 * _PAGE))

    def _journal_size(self, usage: tuple[int, int]) -> int:
        return max(16 * _PAGE, min(_JOURNAL, usage[0] // 32))

    def _floor(self, usage: tuple[int, int]) -> int:
        return min(self._most, usage[0] // 8)

    def _fits(self, connection: Connection | None, usage: tuple[int, int], wanted: int) -> bool:
        """Returns whether so many bytes can be added; without a connection, free pages of the file do not count."""
        if connection is None:
            return usage[1] - _size(self._journal) - 2 * wanted >= self._floor(usage)
        page = _pragma(connection, "page_size")
        floor = self._floor(usage)
        in_journal_alone = max(0, _pragma(connection, "page_count") * page - _size(self._path))
        journal = wanted + (self._journal_size(usage) if floor else 0)
        free = usage[1] - in_journal_alone - max(0, journal - _size(self._journal))
        unused = _pragma(connection, "freelist_count") * page
        # Free pages of the file are of no use to the WAL, nor to other files, so half of what stays is on the disk.
        return free >= max(floor // 2, wanted - unused) and free + unused - wanted >= floor

    # The reserve

    def _restore(self, usage: tuple[int, int]) -> bool:
        """Allocates the reserve unless it is there; returns whether it is, or cannot be on this system."""
        size = self._reserve_size(usage)
        if not self._reservable or sys.platform == "win32":
            return not self._ended or self._free_again(usage)
        if not self._ended and _size(self._reserve) >= size:
            return True
        if not self._can_allocate(usage):
            return False
        self._ended = False
        return True

    def _free_again(self, usage: tuple[int, int]) -> bool:
        """Decides without a reserve whether there is space."""
        self._ended = usage[1] < 2 * self._reserve_size(usage)
        return not self._ended

    def _can_allocate(self, usage: tuple[int, int]) -> bool:
        """Allocates twice the reserve, and keeps half of that; returns whether that was possible."""
        size = self._reserve_size(usage)
        if usage[1] < 2 * size:
            return False
        if sys.platform == "win32":
            return True
        try:
            file = os.open(self._reserve, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            self._reservable = False
            return True
        try:
            before = os.fstat(file).st_size
            try:
                _allocate(file, before, 2 * size)
            except OSError as error:
                os.ftruncate(file, min(before, size))
                self._reservable = error.errno in _ENDED
                return not self._reservable
            os.ftruncate(file, size)
        except OSError:
            self._reservable = False
        finally:
            os.close(file)
        return True

    def _reserve_size(self, usage: tuple[int, int]) -> int:
        return min(_RESERVE, usage[0] // 16)


def _pragma(connection: Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value


def _size(path: str | Path) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 - it runs in transactions; pathlib costs twice as much
    except OSError:
        return 0


def _allocate(file: int, start: int, end: int) -> None:
    """Has a file occupy blocks up to an end."""
    if sys.platform == "linux":
        try:
            os.posix_fallocate(file, 0, end)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        else:
            return
    os.lseek(file, start, os.SEEK_SET)
    while start < end:
        start += os.write(file, bytes(min(1 << 16, end - start)))
