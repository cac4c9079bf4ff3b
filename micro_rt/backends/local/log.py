"""What ``local:`` keeps in its file: topics, their records, and when these run out.

All of it runs in the threads of the database. A record's row id is its partition's id and its offset in one number, so that
records of a partition lie side by side, in order, without an index.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from micro_rt.backends.local.sqlite import Connection
from micro_rt.broker.base import Headers, OutgoingRecord, Partition, Position, Record, Start, partition_of
from micro_rt.broker.embedded import not_there, warn_of_gap
from micro_rt.errors import Error

__all__ = [
    "DELETED",
    "SCHEMA",
    "Topics",
    "append",
    "ends",
    "make",
    "offset_at",
    "partitions_of",
    "read",
    "retention",
    "tidy",
    "untidy",
]

_OFFSETS = 40
"""Bits of a record's row id that are its offset."""
_MASK = (1 << _OFFSETS) - 1
_READ_BYTES = 8 * 1024 * 1024
"""Bytes of values after which one read ends."""
_READ_ROWS = 8
"""Rows that are fetched before their bytes are counted: fetching one at a time costs more, and many can be large."""
DELETED = 2000
"""Records deleted in one transaction at most, so that others get their turn."""
_MARKS = 64
"""Marks of one partition; so exact is retention."""

SCHEMA = (
    (
        "CREATE TABLE topics (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, retention REAL NOT NULL)",
        # ``first`` is the offset of the first record that is kept, ``next`` the one of the next to come.
        """CREATE TABLE partitions (
            id INTEGER PRIMARY KEY, topic INTEGER NOT NULL REFERENCES topics, number INTEGER NOT NULL,
            first INTEGER NOT NULL DEFAULT 0, next INTEGER NOT NULL DEFAULT 0, UNIQUE (topic, number)
        )""",
        "CREATE TABLE records (id INTEGER PRIMARY KEY, timestamp REAL NOT NULL, key BLOB, value BLOB NOT NULL, headers TEXT)",
        # At that time of day, that offset was the next: all before it was accepted by then, also where the clock was set back.
        """CREATE TABLE marks (
            partition INTEGER NOT NULL REFERENCES partitions, at REAL NOT NULL, next INTEGER NOT NULL,
            PRIMARY KEY (partition, at)
        ) WITHOUT ROWID""",
        # ``revision`` changes whenever targets do, or a partition gets free.
        "CREATE TABLE groups (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL DEFAULT 0)",
        """CREATE TABLE members (
            id INTEGER PRIMARY KEY, grp INTEGER NOT NULL REFERENCES groups, epoch TEXT NOT NULL, expires REAL NOT NULL
        )""",
        "CREATE INDEX members_by_group ON members (grp)",
        """CREATE TABLE member_topics (
            member INTEGER NOT NULL REFERENCES members ON DELETE CASCADE, topic INTEGER NOT NULL REFERENCES topics,
            PRIMARY KEY (member, topic)
        ) WITHOUT ROWID""",
        # Who is to read a partition, who does, how far it is done, and where it began if nothing is done yet.
        """CREATE TABLE targets (
            grp INTEGER NOT NULL, partition INTEGER NOT NULL, member INTEGER NOT NULL REFERENCES members ON DELETE CASCADE,
            PRIMARY KEY (grp, partition)
        ) WITHOUT ROWID""",
        "CREATE INDEX targets_by_member ON targets (member)",
        """CREATE TABLE owners (
            grp INTEGER NOT NULL, partition INTEGER NOT NULL, member INTEGER NOT NULL REFERENCES members ON DELETE CASCADE,
            PRIMARY KEY (grp, partition)
        ) WITHOUT ROWID""",
        "CREATE INDEX owners_by_member ON owners (member)",
        """CREATE TABLE positions (
            grp INTEGER NOT NULL, partition INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (grp, partition)
        ) WITHOUT ROWID""",
        """CREATE TABLE starts (
            grp INTEGER NOT NULL, partition INTEGER NOT NULL, start TEXT NOT NULL, position INTEGER NOT NULL,
            PRIMARY KEY (grp, partition)
        ) WITHOUT ROWID""",
    ),
    (
        # A tombstone has no value.
        "ALTER TABLE records RENAME TO old_records",
        "CREATE TABLE records (id INTEGER PRIMARY KEY, timestamp REAL NOT NULL, key BLOB, value BLOB, headers TEXT)",
        "INSERT INTO records SELECT id, timestamp, key, value, headers FROM old_records",
        "DROP TABLE old_records",
    ),
    # What the member that commits a position leaves to the next one.
    ("ALTER TABLE positions ADD COLUMN note TEXT NOT NULL DEFAULT ''",),
    (
        # The types of events that a member announces for a topic, as JSON; NULL if it announces none.
        "ALTER TABLE member_topics ADD COLUMN types TEXT",
    ),
    (
        # Groups without members: how many records a topic of theirs had accepted by then, at which revision of the group. See ``idle``.
        """CREATE TABLE idle (
            grp INTEGER NOT NULL REFERENCES groups ON DELETE CASCADE, topic INTEGER NOT NULL REFERENCES topics,
            accepted INTEGER NOT NULL, revision INTEGER NOT NULL, PRIMARY KEY (grp, topic)
        ) WITHOUT ROWID""",
        "CREATE INDEX idle_by_topic ON idle (topic, accepted)",
        """INSERT INTO idle (grp, topic, accepted, revision)
            SELECT grp, topic, (SELECT sum(next) FROM partitions WHERE partitions.topic = known.topic), revision
            FROM (
                SELECT DISTINCT grp, topic
                FROM (SELECT grp, partition FROM positions UNION SELECT grp, partition FROM starts)
                JOIN partitions ON partitions.id = partition
            ) AS known JOIN groups ON groups.id = grp
            WHERE NOT EXISTS (SELECT 1 FROM members WHERE members.grp = groups.id)""",
        """DELETE FROM groups WHERE NOT EXISTS (SELECT 1 FROM members WHERE members.grp = groups.id)
            AND NOT EXISTS (SELECT 1 FROM idle WHERE idle.grp = groups.id)""",
    ),
    (
        # The clock of the file (see ``log_time``): its seconds when a process's clock of that epoch, and its wall clock, read that.
        """CREATE TABLE clock (
            file INTEGER NOT NULL, seconds REAL NOT NULL, epoch TEXT NOT NULL, at REAL NOT NULL, wall REAL NOT NULL
        )""",
        "INSERT INTO clock VALUES (random(), 0, '', 0, 0)",
        # At that time on the clock of the file, that offset was the next: all before it was accepted by then. The marks of earlier
        # versions have a time of day, which may have been wrong: what was accepted before ages from now on. Their table has another
        # name, so that a process of an earlier version that has the file open cannot take these times for times of day.
        "DROP TABLE marks",
        """CREATE TABLE ages (
            partition INTEGER NOT NULL REFERENCES partitions, at REAL NOT NULL, next INTEGER NOT NULL,
            PRIMARY KEY (partition, at)
        ) WITHOUT ROWID""",
    ),
)


class Topics:
    """The ids of topics' partitions, remembered while the file is the same; for one thread.

    Args:
        prepared: how many partitions topics that were prepared have, and how many seconds they keep records; if one is not in
            the file any more, because somebody deleted that, it is made again.
    """

    def __init__(self, prepared: Mapping[str, tuple[int, float]]) -> None:
        self._prepared = prepared
        self._known: dict[str, list[int]] = {}
        self._connection: Connection | None = None
        self._turns: dict[str, int] = {}

    def partitions(self, connection: Connection, topic: str) -> list[int]:
        """Returns the ids of a topic's partitions; none if there is no such topic. Within a write only."""
        if connection is not self._connection:
            self._known = {}
            self._connection = connection
        found = self._known.get(topic)
        if found is None:
            found = _partitions(connection, topic)
            if found:
                self._known[topic] = found
            elif topic in self._prepared:
                # Not remembered: what is written with it may fail.
                found = make(connection, topic, *self._prepared[topic])
        return found

    def next_turn(self, topic: str, partitions: int) -> int:
        """Returns the partition of the next record of a topic that has no key; they take turns."""
        turn = self._turns[topic] = (self._turns.get(topic, -1) + 1) % partitions
        return turn


def make(connection: Connection, topic: str, partitions: int, retention: float) -> list[int]:
    """Makes a topic if it is not there; returns the ids of its partitions."""
    found = _partitions(connection, topic)
    if found:
        return found
    row = connection.execute("INSERT INTO topics (name, retention) VALUES (?, ?)", (topic, retention))
    connection.executemany(
        "INSERT INTO partitions (topic, number) VALUES (?, ?)",
        [(row.lastrowid, number) for number in range(partitions)],
    )
    return _partitions(connection, topic)


def retention(connection: Connection, topics: Collection[str]) -> dict[str, float]:
    """Returns for how many seconds the records of topics are kept, of those that are there."""
    found: dict[str, float] = {}
    for topic in topics:
        row = connection.execute("SELECT retention FROM topics WHERE name = ?", (topic,)).fetchone()
        if row is not None:
            found[topic] = row[0]
    return found


def append(
    connection: Connection, topics: Topics, records: Sequence[OutgoingRecord], now: float
) -> list[Position | Error]:
    """Appends records, each to its partition.

    Args:
        connection: within a write.
        topics: of the writer's thread.
        records: what is to be appended.
        now: seconds since 1970; becomes the records' timestamp.

    Returns:
        For each record where it is, or that there is no such topic.
    """
    results: list[Position | Error] = []
    rows: list[_Row] = []
    offsets: dict[int, int] = {}
    name = ""
    partitions: list[int] = []
    for record in records:
        if record.topic != name:
            name = record.topic
            partitions = topics.partitions(connection, name)
        if not partitions:
            results.append(not_there(name))
            continue
        if record.key is None:
            number = topics.next_turn(name, len(partitions))
        else:
            number = partition_of(record.key, len(partitions))
        id = partitions[number]
        offset = offsets.get(id)
        if offset is None:
            (offset,) = connection.execute("SELECT next FROM partitions WHERE id = ?", (id,)).fetchone()
        offsets[id] = offset + 1
        rows.append(
            (
                id << _OFFSETS | offset,
                now,
                record.key,
                None if record.tombstone else record.value,
                _dump(record.headers) if record.headers else None,
            )
        )
        results.append(Position(name, number, offset))
    rows.sort(key=_row_id)  # Side by side, they share pages.
    connection.executemany("INSERT INTO records VALUES (?, ?, ?, ?, ?)", rows)
    connection.executemany("UPDATE partitions SET next = ? WHERE id = ?", [(next, id) for id, next in offsets.items()])
    return results


def read(
    connection: Connection, cursors: Mapping[Partition, int], ids: Mapping[Partition, int], limit: int
) -> dict[Partition, list[Record]]:
    """Reads records.

    Args:
        connection: to read with.
        cursors: the partitions to read, each from this offset on; the first ones first.
        ids: of the partitions.
        limit: how many records at most; there may be less, if they are large.

    Returns:
        The records of each partition that has any.
    """
    found: dict[Partition, list[Record]] = {}
    size = 0
    for partition, start in cursors.items():
        if start > _MASK:
            continue
        topic, number = partition
        base = ids[partition] << _OFFSETS
        rows = connection.execute(
            "SELECT id, timestamp, key, value, headers FROM records WHERE id >= ? AND id <= ? ORDER BY id LIMIT ?",
            (base | start, base | _MASK, limit),
        )
        records: list[Record] = []
        while size < _READ_BYTES and (some := rows.fetchmany(_READ_ROWS)):
            for id, timestamp, key, stored, headers in some:
                value = stored or b""
                found_headers = _load(headers) if headers else ()
                records.append(Record(topic, number, id & _MASK, timestamp, key, value, found_headers, stored is None))
                size += len(value)
        rows.close()
        if records:
            if records[0].offset > start:  # Offsets have no gaps; what is missing was deleted.
                warn_of_gap(topic, number, start, records[0].offset)
            found[partition] = records
            limit -= len(records)
            if limit <= 0 or size >= _READ_BYTES:
                break
    return found


def partitions_of(connection: Connection, topic: str) -> list[int]:
    """Returns the ids of a topic's partitions.

    Raises:
        NotFound: there is no such topic.
    """
    found = _partitions(connection, topic)
    if not found:
        raise not_there(topic)
    return found


def ends(connection: Connection, topic: str) -> dict[Partition, int]:
    """Returns the offset behind the last record of each partition of a topic."""
    rows = connection.execute(
        "SELECT number, next FROM partitions JOIN topics ON topics.id = topic WHERE name = ?", (topic,)
    )
    return {Partition(topic, number): next for number, next in rows}


def offset_at(connection: Connection, id: int, start: Start) -> int:
    """Returns the offset of a partition that a group begins at; reads all of it where that is a time."""
    first, next = connection.execute("SELECT first, next FROM partitions WHERE id = ?", (id,)).fetchone()
    if start == "earliest":
        return int(first)
    if start == "latest":
        return int(next)
    if isinstance(start, datetime):
        row = connection.execute(
            "SELECT id FROM records WHERE id >= ? AND id <= ? AND timestamp >= ? ORDER BY id LIMIT 1",
            (id << _OFFSETS, id << _OFFSETS | _MASK, start.timestamp()),
        ).fetchone()
        return int(next) if row is None else row[0] & _MASK
    return max(start, int(first))


def untidy(connection: Connection, now: float) -> tuple[list[int], float]:
    """Looks for what runs out.

    Args:
        connection: to read with.
        now: seconds on the clock of the file.

    Returns:
        The partitions that ``tidy`` has something to do for, and the shortest retention in seconds.
    """
    rows = connection.execute(
        """SELECT partitions.id FROM partitions JOIN topics ON topics.id = topic
        LEFT JOIN (SELECT partition, min(at) AS oldest, max(at) AS latest, max(next) AS known FROM ages GROUP BY partition)
        ON partition = partitions.id
        WHERE oldest <= ? - retention OR next > first AND (known IS NULL OR next > known AND latest <= ? - retention / ?)""",
        (now, now, _MARKS),
    ).fetchall()
    (shortest,) = connection.execute("SELECT min(retention) FROM topics").fetchone()
    return [id for (id,) in rows], float("inf") if shortest is None else shortest


def tidy(connection: Connection, id: int, now: float, limit: int = DELETED) -> bool:
    """Deletes some of a partition's records that have been there for longer than they are to be kept.

    Args:
        connection: within a write.
        id: of the partition.
        now: seconds on the clock of the file.
        limit: how many at most.

    Returns:
        Whether there are more.
    """
    row = connection.execute(
        "SELECT first, next, retention FROM partitions JOIN topics ON topics.id = topic WHERE partitions.id = ?", (id,)
    ).fetchone()
    if row is None:  # The file is another one by now.
        return False
    first, next, retention = row
    (keep,) = connection.execute(
        "SELECT max(next) FROM ages WHERE partition = ? AND at <= ?", (id, now - retention)
    ).fetchone()
    more = False
    until = first
    if keep is not None and keep > first:
        until = min(keep, first + limit)
        connection.execute(
            "DELETE FROM records WHERE id >= ? AND id < ?", (id << _OFFSETS | first, id << _OFFSETS | until)
        )
        connection.execute("UPDATE partitions SET first = ? WHERE id = ?", (until, id))
        more = until < keep
    if not more:
        connection.execute("DELETE FROM ages WHERE partition = ? AND at <= ?", (id, now - retention))
        latest, known = connection.execute("SELECT max(at), max(next) FROM ages WHERE partition = ?", (id,)).fetchone()
        if next > until if latest is None else next > known and latest <= now - retention / _MARKS:
            connection.execute("INSERT OR REPLACE INTO ages VALUES (?, ?, ?)", (id, now, next))
    return more


def _partitions(connection: Connection, topic: str) -> list[int]:
    rows = connection.execute(
        "SELECT partitions.id FROM partitions JOIN topics ON topics.id = topic WHERE name = ? ORDER BY number", (topic,)
    )
    return [id for (id,) in rows]


_Row: TypeAlias = tuple[int, float, bytes | None, bytes | None, str | None]
"""The id, the timestamp, the key, the value and the headers of a record; a tombstone has no value."""


def _row_id(row: _Row) -> int:
    return row[0]


# JSON is what the standard library writes and reads fastest; each byte of a value is one character.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def _dump(headers: Headers) -> str:
    return _encode([part for name, value in headers for part in (name, value.decode("latin-1"))])


def _load(text: str) -> Headers:
    parts: list[str] = json.loads(text)
    return tuple(zip(parts[::2], [part.encode("latin-1") for part in parts[1::2]], strict=True))
