"""Reads a topic of ``local:`` outside of every group: the file is only read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from micro_rt.backends.local import log
from micro_rt.backends.local.event_file import EventFile
from micro_rt.backends.local.open_files import Files
from micro_rt.backends.local.sqlite import Connection
from micro_rt.broker.base import Partition, Record, Start, TopicReader, checked_start
from micro_rt.broker.embedded import checked_limit
from micro_rt.errors import FailedPrecondition

__all__ = ["LocalReader"]

LOOK = 0.1
"""Seconds between two looks for more."""


class LocalReader(TopicReader):
    """Reads a topic.

    Args:
        file: returns the file, as long as the broker is open.
        topic: what to read.
        start: where each partition begins.
    """

    def __init__(self, file: Callable[[], EventFile], topic: str, start: Start) -> None:
        self._file = file
        self._topic = topic
        self._start: Start = checked_start(start)
        self._cursors: dict[Partition, int] = {}
        self._files: Files | None = None
        """What the cursors belong to."""
        self._closed = False

    async def fetch(self, limit: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:
        """Waits for records."""
        checked_limit(limit)
        clock = asyncio.get_running_loop().time
        deadline = clock() + timeout
        while True:
            found: Mapping[Partition, Sequence[Record]] = await self._open_file().database.read(
                lambda connection: self._read(connection, limit)
            )
            for partition, records in found.items():
                self._cursors[partition] = records[-1].offset + 1
            left = deadline - clock()
            if found or left <= 0:
                return found
            await asyncio.sleep(min(LOOK, left))

    async def remaining(self) -> int:
        """Returns how many offsets are left to read."""
        return await self._open_file().database.read(self._remaining)

    async def close(self) -> None:
        """Ends it."""
        self._closed = True

    def _open_file(self) -> EventFile:
        if self._closed:
            raise FailedPrecondition(f"this reader of {self._topic} is closed")
        return self._file()

    # In the reader's thread of the database

    def _read(self, connection: Connection, limit: int) -> Mapping[Partition, Sequence[Record]]:
        ids = self._ids(connection)
        # Beginning with another each time, so that none waits for ever.
        self._cursors = dict([*self._cursors.items()][1:] + [*self._cursors.items()][:1])
        return log.read(connection, self._cursors, ids, limit)

    def _remaining(self, connection: Connection) -> int:
        self._ids(connection)
        ends = log.ends(connection, self._topic)
        return sum(max(0, end - self._cursors[partition]) for partition, end in ends.items())

    def _ids(self, connection: Connection) -> dict[Partition, int]:
        ids = {
            Partition(self._topic, number): id for number, id in enumerate(log.partitions_of(connection, self._topic))
        }
        another = self._files is not None and not self._files.same(connection.files)
        self._files = connection.files
        ends = log.ends(connection, self._topic) if another else {}
        for partition, id in ids.items():
            if another and self._cursors.get(partition, 0) > ends[partition]:
                # These are the offsets of a file that this one took the place of.
                self._cursors[partition] = log.offset_at(connection, id, "earliest")
            if partition not in self._cursors:
                self._cursors[partition] = log.offset_at(connection, id, self._start)
        return ids
