"""The records of a store in a file of ``local:``: its tables, and what is done with them. All of it runs in a thread of the database.

The rules that it keeps, and why:

- Every write takes the next number of one row as its version. Writers follow each other, so versions are in the order of commits,
  and a watch asks for those behind the last one that it has seen.
- What is deleted or has expired leaves a tombstone with a version. Tombstones go after ``KEPT`` seconds. The row remembers the
  last version that went, so that a watch which had not seen it starts over.
- Expiry is measured on the clock of the file (see ``file_time``), which no change of the wall clock moves. It is compared in every
  statement that reads. So no read depends on when expired records are swept.
- A file that was restored from a backup has another inode. Its history is another one for watches, and its versions continue far
  above those that were given before: no version is used twice.
- Whoever can write the file can write anything into it. So what is read is checked, and raises ``Damaged`` if no store writes it.
- A statement that is left before its end counts as a reader, which keeps the WAL from being written from its beginning. So each is
  closed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from micro_rt.backends.local.damage import Damaged
from micro_rt.backends.local.file_time import FileTime
from micro_rt.backends.local.open_files import Connection
from micro_rt.backends.local.store_rows import (
    DELETED,
    EXPIRED,
    Row,
    checked,
    entry_of,
    fence_of,
    fence_text,
    found_of,
    record_of,
    row_of,
    version_of,
)
from micro_rt.errors import Error
from micro_rt.kit.foreign import MOST
from micro_rt.store.base import (
    KEEP,
    ChangeKind,
    Changes,
    Cursor,
    Entry,
    Last,
    Record,
    Scan,
    VersionConflict,
    Write,
)
from micro_rt.store.fences import refused

__all__ = ["KEPT", "SCHEMA", "StoreRecords", "Wanted"]

KEPT = 86400.0
"""Seconds on the clock of the file for which deletions and expiries are kept for watches."""
_EPOCH = 40
"""Characters of the name of a history at most; with its inode, it is an epoch of 64."""
_RESTORED = 1 << 40
"""What is added to the version of a file that was restored."""

SCHEMA: Sequence[Sequence[str]] = (
    (
        # ``kind`` is 0 for a record, 1 for a deletion, 2 for an expiry; these have no value. ``at`` says when that was.
        """CREATE TABLE records (
            id INTEGER PRIMARY KEY, k BLOB NOT NULL UNIQUE, n INTEGER NOT NULL, kind INTEGER NOT NULL,
            expires REAL, write TEXT NOT NULL, at REAL, metadata TEXT, v BLOB
        )""",
        "CREATE UNIQUE INDEX records_by_version ON records (n)",
        "CREATE INDEX records_by_expiry ON records (expires) WHERE expires IS NOT NULL",
        "CREATE INDEX tombstones ON records (at) WHERE at IS NOT NULL",
        # ``version`` is the last one, ``forgotten`` the last one of a tombstone that went.
        "CREATE TABLE history (epoch TEXT NOT NULL, inode INTEGER NOT NULL, version INTEGER NOT NULL, forgotten INTEGER NOT NULL)",
        "INSERT INTO history VALUES (lower(hex(randomblob(8))), 0, 0, 0)",
        """CREATE TABLE clock (
            file INTEGER NOT NULL, seconds REAL NOT NULL, epoch TEXT NOT NULL, at REAL NOT NULL, wall REAL NOT NULL
        )""",
        "INSERT INTO clock VALUES (random(), 0, '', 0, 0)",
    ),
    # The newest fence that the record, or the tombstone, has seen, as JSON: the lock, the epoch and the token.
    ("ALTER TABLE records ADD COLUMN fence TEXT",),
)
"""The statements of each version of the schema."""

_COLUMNS = "k, n, kind, expires, metadata"
_LOOK = "SELECT n, kind, expires, write, metadata, fence FROM records WHERE k = ?"
_INSERT = "INSERT INTO records (n, expires, write, metadata, v, fence, k, kind) VALUES (?, ?, ?, ?, ?, ?, ?, 0)"
_UPDATE = """UPDATE records SET n = ?, expires = ?, write = ?, metadata = ?, v = ?, fence = coalesce(?, fence), kind = 0, at = NULL
WHERE k = ?"""
_BURY = """UPDATE records SET n = ?, kind = ?, write = ?, at = ?, fence = coalesce(?, fence), expires = NULL, metadata = NULL, v = NULL
WHERE k = ?"""


class Wanted(NamedTuple):
    """What a scan is to return; see ``StoreEngine.scan``."""

    prefix: str
    after: str
    suffix: str
    limit: int
    max_bytes: int
    values: bool


class StoreRecords:
    """Reads and writes the records of a file.

    Args:
        time: the clock of the file.
    """

    def __init__(self, time: FileTime) -> None:
        self._time = time

    def check(self, connection: Connection) -> None:
        """Checks that the file has the tables of a store.

        Raises:
            sqlite3.OperationalError: it has not.
        """
        connection.execute(f"SELECT {_COLUMNS}, v, id, write, at, fence FROM records LIMIT 0")  # noqa: S608 - constants
        self._history(connection)
        self._time.now(connection)

    # Reading

    def get(self, connection: Connection, keys: Iterable[str]) -> Sequence[Record | None]:
        """Returns the records of keys; None for one that does not exist."""
        now = self._time.now(connection)
        found: list[Record | None] = []
        for key in keys:
            row = connection.execute(
                f"SELECT {_COLUMNS}, v FROM records WHERE k = ? AND kind = 0 AND (expires IS NULL OR expires > ?)",  # noqa: S608 - constants
                (key.encode(), now),
            ).fetchone()
            found.append(None if row is None else record_of(checked(row), now))
        return found

    def last(self, connection: Connection, key: str) -> Last | None:
        """Returns the last write of a key."""
        row = connection.execute("SELECT n, write FROM records WHERE k = ?", (key.encode(),)).fetchone()
        return None if row is None else Last(version_of(row[0]), str(row[1]))

    def scan(self, connection: Connection, wanted: Wanted) -> Scan:
        """Returns records in the order of their keys."""
        now = self._time.now(connection)
        first = wanted.prefix.encode()
        end, behind, suffix = _successor(first), wanted.after.encode(), wanted.suffix.encode()
        conditions = ["k > ?" if behind >= first else "k >= ?", "kind = 0", "(expires IS NULL OR expires > ?)"]
        arguments: list[Any] = [max(first, behind), now]
        if end is not None:
            conditions.append("k < ?")
            arguments.append(end)
        if suffix:
            conditions.append("substr(k, ?) = ?")
            arguments += [-len(suffix), suffix]
        query = f"SELECT {_COLUMNS}, {'v' if wanted.values else 'NULL'} FROM records WHERE {' AND '.join(conditions)} ORDER BY k LIMIT ?"  # noqa: S608 - constants
        found, more = _some(connection, query, (*arguments, wanted.limit + 1), wanted.limit, wanted.max_bytes)
        return Scan([Entry(ChangeKind.PUT, record_of(row, now), (row[1],)) for row in found], more)

    def end(self, connection: Connection) -> Cursor:
        """Returns the place behind the last change."""
        epoch, version, _ = self._history(connection)
        return Cursor(epoch, (version,))

    def changes(
        self, connection: Connection, prefix: str, cursor: Cursor, limit: int, max_bytes: int
    ) -> Changes | None:
        """Returns what changed since; None if that is not known any more."""
        epoch, version, forgotten = self._history(connection)
        if cursor.epoch != epoch or len(cursor.position) != 1 or not forgotten <= cursor.position[0] <= version:
            return None
        now = self._time.now(connection)
        conditions, arguments = ["n > ?", "n <= ?"], [cursor.position[0], version]
        bounds: list[bytes] = []
        if prefix:
            conditions.append("k >= ?")
            bounds.append(prefix.encode())
            if (successor := _successor(prefix.encode())) is not None:
                conditions.append("k < ?")
                bounds.append(successor)
        # Few records have changed, and their order is that of versions, so the index of keys is of no use.
        query = (
            f"SELECT {_COLUMNS}, v FROM records INDEXED BY records_by_version "  # noqa: S608 - constants
            f"WHERE {' AND '.join(conditions)} ORDER BY n LIMIT ?"
        )
        found, more = _some(connection, query, (*arguments, *bounds, limit + 1), limit, max_bytes)
        entries = [entry_of(row, now) for row in found]
        return Changes(entries, Cursor(epoch, entries[-1].position if more else (version,)), more)

    def next_expiry(self, connection: Connection) -> float | None:
        """Returns in how many seconds the next record expires; None if none does."""
        (expires,) = connection.execute("SELECT min(expires) FROM records WHERE expires IS NOT NULL").fetchone()
        if expires is not None and not isinstance(expires, float):
            raise Damaged("a record expires at what is no time")
        return None if expires is None else max(0.0, expires - self._time.now(connection))

    # Writing

    def apply(self, connection: Connection, writes: Iterable[Write]) -> Sequence[int | Error]:
        """Makes writes and deletions, within a transaction."""
        now = self._time.now_to_write(connection)
        return [self._apply(connection, write, now) for write in writes]

    def sweep(self, connection: Connection, most: int) -> int:
        """Replaces records that have expired by tombstones, and deletes old tombstones, within a transaction.

        Args:
            connection: to the file.
            most: how many of each.

        Returns:
            How many records have expired, and how many tombstones were deleted.
        """
        now = self._time.advance(connection)
        expired = connection.execute(
            "SELECT k FROM records WHERE expires <= ? ORDER BY expires LIMIT ?", (now, most)
        ).fetchall()
        for (key,) in expired:
            self._bury(connection, key, EXPIRED, "", now)
        old = connection.execute(
            "SELECT id, n FROM records WHERE at < ? ORDER BY at LIMIT ?", (now - KEPT, most)
        ).fetchall()
        if old:
            connection.execute("UPDATE history SET forgotten = max(forgotten, ?)", (max(n for _, n in old),))
            connection.executemany("DELETE FROM records WHERE id = ?", [(id,) for id, _ in old])
        return len(expired) + len(old)

    def has_old_tombstones(self, connection: Connection) -> bool:
        """Returns whether there are tombstones to delete."""
        oldest = connection.execute("SELECT min(at) FROM records WHERE at IS NOT NULL").fetchone()[0]
        return oldest is not None and bool(oldest < self._time.now(connection) - KEPT)

    def _apply(self, connection: Connection, write: Write, now: float) -> int | Error:
        key = write.key.encode()
        row = connection.execute(_LOOK, (key,)).fetchone()
        found = None if row is None else found_of(row)
        if found is not None and found.write == write.id:
            return found.version
        fence = None if write.fence is None else fence_text(write.fence)
        if fence is not None and found is not None and found.fence != fence:
            stale = refused(write, fence_of(found.fence))
            if stale is not None:
                return stale
        live = found if found is not None and found.is_live(now) else None
        if write.if_version is not None and write.if_version != (live.version if live else 0):
            return VersionConflict.of_key(write.key, write.if_version, live.version if live else 0)
        if write.value is None:
            return 0 if live is None else self._bury(connection, key, DELETED, write.id, now, fence)
        if write.metadata is KEEP:
            metadata = live.metadata if live else None
        else:
            metadata = json.dumps(dict(write.metadata)) if write.metadata else None
        if write.ttl is KEEP:
            expires = live.expires if live else None
        else:
            expires = None if write.ttl is None else now + write.ttl
        version = self._next_version(connection)
        connection.execute(
            _INSERT if found is None else _UPDATE,
            (version, expires, write.id, metadata, write.value, fence, key),
        )
        return version

    def _bury(
        self, connection: Connection, key: bytes, kind: int, write: str, now: float, fence: str | None = None
    ) -> int:
        """Replaces a record by a tombstone, which keeps its fence unless there is another; returns its version."""
        version = self._next_version(connection)
        connection.execute(_BURY, (version, kind, write, now, fence, key))
        return version

    def _next_version(self, connection: Connection) -> int:
        found, inode = row_of(connection, "SELECT version, inode FROM history")
        version = version_of(found, 0) + 1
        own = _inode(connection)
        if inode != own:
            version += _RESTORED if inode else 0
        if version > MOST:
            raise Damaged("its last version is the largest that can be")
        if inode != own:
            connection.execute("UPDATE history SET version = ?, inode = ?", (version, own))
        else:
            connection.execute("UPDATE history SET version = ?", (version,))
        return version

    def _history(self, connection: Connection) -> tuple[str, int, int]:
        """Returns the name of the history of this file, its last version, and the last one that is not known any more."""
        epoch, version, forgotten = row_of(connection, "SELECT epoch, version, forgotten FROM history")
        if not isinstance(epoch, str) or not epoch.isascii() or len(epoch) > _EPOCH:
            raise Damaged("its history has no name")
        return f"{epoch}.{_inode(connection):x}", version_of(version, 0), version_of(forgotten, 0)


def _some(
    connection: Connection, query: str, arguments: Sequence[Any], limit: int, max_bytes: int
) -> tuple[list[Row], bool]:
    """Returns rows, no more than the limits allow, and whether there are more."""
    found: list[Row] = []
    size = 0
    with contextlib.closing(connection.execute(query, arguments)) as rows:
        for row in rows:
            if len(found) >= limit or size >= max_bytes:
                return found, True
            found.append(checked(row))
            size += len(row[5] or b"")
    return found, False


def _successor(prefix: bytes) -> bytes | None:
    """Returns the first bytes behind all that begin with a prefix; None if nothing can be behind them."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None


def _inode(connection: Connection) -> int:
    main = connection.files.main
    return 0 if main is None else main[1]
