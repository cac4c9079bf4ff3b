"""The queue of writes into the file of ``local:``: records that come together are written together, and too many wait."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence

from micro_rt.broker.base import OutgoingRecord, Position
from micro_rt.errors import Error, FailedPrecondition, ResourceExhausted

__all__ = ["Batch", "WriteQueue"]

BATCH = 1000
"""Messages in one transaction, so that other processes get their turn."""
BATCH_BYTES = 4 * 1024 * 1024
"""Bytes in one transaction."""
ON_ITS_WAY = 32 * 1024 * 1024
"""Bytes on their way; who publishes more waits."""

Results = Sequence[Position | Error]


class Batch:
    """Messages of one call that are written together."""

    __slots__ = ("done", "records", "results", "size")

    def __init__(self, records: Sequence[OutgoingRecord], size: int) -> None:
        self.records = records
        self.size = size
        """Bytes."""
        self.results: Results = ()
        """There when it is done."""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()


class WriteQueue:
    """Writes batches in the order in which they came.

    Args:
        write: writes records, which have so many bytes, in one transaction, and returns where each of them is.
    """

    def __init__(self, write: Callable[[Sequence[OutgoingRecord], int], Awaitable[Results]]) -> None:
        self._write = write
        self._pending: deque[Batch] = deque()
        self._size = 0
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._task: asyncio.Task[None] | None = None

    @staticmethod
    def batches(records: Sequence[OutgoingRecord]) -> Iterator[Batch]:
        """Divides records into batches that are not too large."""
        start = size = 0
        for number, record in enumerate(records):
            more = len(record.value) + 100  # The rest of it is small.
            if number > start and (size + more > BATCH_BYTES or number - start >= BATCH):
                yield Batch(records[start:number], size)
                start, size = number, 0
            size += more
        if start < len(records):
            yield Batch(records[start:] if start else records, size)

    async def put(self, batch: Batch) -> None:
        """Waits until there is room, then sends a batch on its way."""
        if self._waiting or not self._fits(batch.size):
            room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((room, batch.size))
            try:
                await room
            except asyncio.CancelledError:
                if room.cancelled():
                    self._waiting.remove((room, batch.size))
                    self._free(0)
                else:  # There was room at the same moment.
                    self._free(batch.size)
                raise
        else:
            self._size += batch.size
        self._pending.append(batch)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work())

    def withdraw(self, batches: Sequence[Batch]) -> None:
        """Takes back what is not being written yet."""
        for batch in batches:
            if batch in self._pending:
                self._pending.remove(batch)
                batch.done.cancel()
                self._free(batch.size)

    async def finish(self) -> None:
        """Waits until all is written."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def _work(self) -> None:
        try:
            while self._pending:
                batches = [self._pending.popleft()]
                count, size = len(batches[0].records), batches[0].size
                while (
                    self._pending
                    and count + len(self._pending[0].records) <= BATCH
                    and size + self._pending[0].size <= BATCH_BYTES
                ):
                    batch = self._pending.popleft()
                    count += len(batch.records)
                    size += batch.size
                    batches.append(batch)
                await self._send(batches, size)
                self._free(size)
        finally:
            self._task = None

    async def _send(self, batches: list[Batch], size: int) -> None:
        records = batches[0].records
        if len(batches) > 1:
            records = [record for batch in batches for record in batch.records]
        try:
            results = await self._write(records, size)
        except Error as error:
            # Nothing of a transaction that failed stays; of other errors that cannot be said for sure.
            if isinstance(error, ResourceExhausted | FailedPrecondition):
                error.may_have_run = False
            results = [copy.copy(error) for _ in records]
        except Exception as error:
            for batch in batches:
                if not batch.done.done():
                    batch.done.set_exception(error)
            return
        start = 0
        for batch in batches:
            batch.results = results if len(batches) == 1 else results[start : start + len(batch.records)]
            start += len(batch.records)
            if not batch.done.done():
                batch.done.set_result(None)

    def _fits(self, size: int) -> bool:
        return not self._size or self._size + size <= ON_ITS_WAY

    def _free(self, size: int) -> None:
        self._size -= size
        while self._waiting and (self._waiting[0][0].done() or self._fits(self._waiting[0][1])):
            room, more = self._waiting.popleft()
            if not room.done():
                self._size += more
                room.set_result(None)
