"""The rows of a store in a file of ``local:``: what they may hold, and what is made of them.

Whoever can write the file can write anything into it. SQLite puts any value into any column, so what is read is checked, and raises
``Damaged`` if no store writes it.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, NamedTuple, TypeAlias, cast

from micro_rt.backends.local.damage import Damaged
from micro_rt.backends.local.open_files import Connection
from micro_rt.errors import Error
from micro_rt.fence import Fence
from micro_rt.kit.clock import wall_time
from micro_rt.kit.foreign import read_json
from micro_rt.store.base import ChangeKind, Entry, Record
from micro_rt.store.checks import checked_fence

__all__ = [
    "DELETED",
    "EXPIRED",
    "PUT",
    "Found",
    "Row",
    "checked",
    "entry_of",
    "fence_of",
    "fence_text",
    "found_of",
    "record_of",
    "row_of",
    "version_of",
]

PUT, DELETED, EXPIRED = 0, 1, 2
_LONGEST = 1 << 20
"""Characters of metadata as JSON at most; what is taken needs no more than a fourth of it."""

_LONGEST_FENCE = 2048
"""Characters of a fence as JSON at most: a character of one byte may take six."""

Row: TypeAlias = "tuple[bytes, int, int, float | None, str | None, bytes | None]"


class Found(NamedTuple):
    """What is under a key."""

    version: int
    kind: int
    expires: float | None
    write: str
    metadata: str | None
    fence: object
    """What ``fence_of`` reads."""

    def is_live(self, now: float) -> bool:
        """Returns whether it is a record that has not expired."""
        return self.kind == PUT and (self.expires is None or self.expires > now)


def row_of(connection: Connection, query: str) -> tuple[Any, ...]:
    """Returns the only row of a table."""
    row: tuple[Any, ...] | None = connection.execute(query).fetchone()
    if row is None:
        raise Damaged("a table that has one row is empty")
    return row


@lru_cache(maxsize=64)
def fence_text(fence: Fence) -> str:
    """Returns a fence as it is stored: equal ones are equal texts. A holder writes many records with the same one."""
    return json.dumps([fence.lock, fence.epoch, fence.token])


def fence_of(text: object) -> Fence | None:
    """Returns a fence that was stored; None if there is none."""
    if text is None:
        return None
    try:
        match read_json(text) if isinstance(text, str) and len(text) <= _LONGEST_FENCE else None:
            case [str() as lock, int() as epoch, int() as token]:
                return checked_fence(Fence(lock, epoch, token))
            case _:
                pass
    except (TypeError, ValueError, Error):
        pass
    raise Damaged("the fence of a record is none that a lock has")


def version_of(value: object, least: int = 1) -> int:
    """Returns a version, which is a whole number of at least ``least``."""
    if type(value) is not int or value < least:
        raise Damaged("a version is not a whole number in its range")
    return value


def checked(row: tuple[Any, ...]) -> Row:
    """Returns a row of records whose columns have the types of ``Row``."""
    key, version, kind, expires, metadata, value = row
    if not isinstance(key, bytes):
        raise Damaged("a key is not bytes")
    if (
        type(version) is not int
        or version < 1
        or type(kind) is not int
        or not (expires is None or isinstance(expires, float))
        or not (metadata is None or (isinstance(metadata, str) and len(metadata) <= _LONGEST))
        or not (value is None or isinstance(value, bytes))
    ):
        raise Damaged(f"record {key[:100]!r} has a column of another type")
    return row


def found_of(row: tuple[Any, ...]) -> Found:
    """Returns what is under a key, checked."""
    version, kind, expires, write, metadata, fence = row
    checked((b"", version, kind, expires, metadata, None))
    return Found(version, kind, expires, str(write), metadata, fence)


def record_of(row: Row, now: float) -> Record:
    """Returns the record of a row that is one."""
    key, version, _, expires, metadata, value = row
    at = None if expires is None else datetime.fromtimestamp(wall_time() + expires - now, UTC)
    return Record(key.decode(), value or b"", version, _metadata(metadata), at)


def entry_of(row: Row, now: float) -> Entry:
    """Returns what a watch delivers of a row."""
    key, version, number, expires = row[:4]
    kind: Literal[ChangeKind.DELETED, ChangeKind.EXPIRED]
    if number == PUT and (expires is None or expires > now):
        return Entry(ChangeKind.PUT, record_of(row, now), (version,))
    kind = ChangeKind.DELETED if number == DELETED else ChangeKind.EXPIRED
    return Entry(kind, Record(key.decode(), b"", version), (version,))


def _metadata(text: str | None) -> dict[str, str]:
    if not text:
        return {}
    try:
        found = read_json(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Damaged("the metadata of a record is no JSON object")
    return {str(name): str(value) for name, value in cast("dict[str, object]", found).items()}
