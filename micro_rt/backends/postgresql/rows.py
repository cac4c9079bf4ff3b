"""Rows of the tables, as what a store returns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

import asyncpg

from micro_rt.errors import DataLoss, Error
from micro_rt.fence import Fence
from micro_rt.kit.foreign import read_json
from micro_rt.store.base import ChangeKind, Entry, Position, Record
from micro_rt.store.checks import checked_fence

__all__ = ["entries_of", "fence_args", "fence_of", "metadata_text", "record_of"]

_KINDS = (ChangeKind.PUT, ChangeKind.DELETED, ChangeKind.EXPIRED)


def metadata_text(metadata: Mapping[str, str]) -> str:
    """Returns metadata as it is stored: JSON in ASCII, which holds every character that PostgreSQL's text does not."""
    return json.dumps(dict(metadata), separators=(",", ":")) if metadata else "{}"


def record_of(row: asyncpg.Record) -> Record:
    """Returns the record of a row.

    Raises:
        DataLoss: the row is not one that a store has written.
    """
    try:
        key = cast("bytes", row["k"]).decode()
    except UnicodeDecodeError:
        raise DataLoss(f"the store has a row whose key is not UTF-8: {bytes(row['k'])[:50].hex()}") from None
    return Record(key, row["v"] or b"", row["n"], _metadata(row["m"], key), row["expires"])


def entries_of(rows: Iterable[asyncpg.Record], position: tuple[str, ...]) -> list[Entry]:
    """Returns the entries of rows.

    Args:
        rows: in their order.
        position: the columns of the place of a row among the changes.

    Raises:
        DataLoss: a row is not one that a store has written.
    """
    found: list[Entry] = []
    for row in rows:
        record = record_of(row)
        kind = row["kind"]
        if not 0 <= kind < len(_KINDS):
            raise DataLoss(f"the store has a row of the kind {kind} under {record.key!r}")
        if kind:
            record = Record(record.key, b"", record.version)
        place: Position = tuple(row[column] for column in position)
        found.append(Entry(cast("Any", _KINDS[kind]), record, place))
    return found


def fence_args(fence: Fence) -> tuple[bytes, int, int]:
    """Returns the arguments of a statement for a fence."""
    return fence.lock.encode(), fence.epoch, fence.token


def fence_of(row: asyncpg.Record) -> Fence | None:
    """Returns the fence of a row; None if it has none.

    Raises:
        DataLoss: it is none that a store has written.
    """
    lock = row["fence_lock"]
    if lock is None:
        return None
    try:
        return checked_fence(Fence(bytes(lock).decode(), row["fence_epoch"], row["fence_token"]))
    except (UnicodeDecodeError, TypeError, Error):
        raise DataLoss(f"the fence of {bytes(row['k'])[:50]!r} in the store is damaged") from None


def _metadata(text: str, key: str) -> Mapping[str, str]:
    if text == "{}":
        return {}
    try:
        found = read_json(text)
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in cast("dict[str, Any]", found).values()):
        raise DataLoss(f"the metadata of {key!r} in the store is damaged")
    return cast("dict[str, str]", found)
