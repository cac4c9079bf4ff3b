"""Reads single batches without aiokafka: those that it cannot parse, and those that may be too large for it to decompress.

The rules that it keeps, and why:

- The consumer names the offset at which aiokafka has failed. One batch is read from there, and aiokafka continues after it.
- A batch that may be too large fails in aiokafka before it is decompressed: what the brokers answer passes through ``bounded``.
- A batch is requested in a task, beside aiokafka's own requests: other partitions wait for it only for a moment.
- A batch is requested and decompressed once, and its records are parsed as they are fetched.
- Records that cannot be read are returned with the header ``UNREADABLE``, so that they become dead letters, with their position.
- A batch that must not be passed over blocks its partition. It is requested again from time to time, because another broker may
  lead the partition by then. Until it can be read, ``blocked`` has the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import ge, itemgetter
from typing import Any, NamedTuple, cast

import aiokafka  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.fetch  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.backends.kafka.batch import Batch, RawRecord, batch_at, bounded, records_of
from micro_rt.backends.kafka.client import Cluster, KafkaError, failures
from micro_rt.backends.kafka.compression import DamagedError
from micro_rt.broker.base import UNREADABLE, Partition, Record
from micro_rt.logs import logger, sparsely

__all__ = ["ByHand", "Place", "places", "plausible", "take_back"]

BYTES = 1 << 20
"""Bytes that are asked for, unless a batch has more."""
PATIENCE = 1.0
"""Seconds that other partitions wait for a batch."""
AGAIN = 0.5
"""Seconds until a batch is asked for again if the cluster does not give it."""
BLOCKED = 30.0
"""Seconds until a batch is asked for again that is damaged, or that nothing here can decompress."""

_OFFSET = 2
"""Where in a record its offset is."""
_library: Any = cast("Any", aiokafka)
_log = logger("micro_rt.broker")


class Place(NamedTuple):
    """Where a partition is."""

    offset: int
    """Of the record that comes next."""
    resets: object
    """Another one after aiokafka has reset the position."""


def places(consumer: Any, partitions: Iterable[Any]) -> dict[Any, Place]:
    """Returns where partitions of a consumer of aiokafka are, of those of which that is known."""
    assignment = consumer._subscription.subscription.assignment
    found: dict[Any, Place] = {}
    if assignment is not None:
        for at in partitions:
            if at in assignment.tps and (state := assignment.state_value(at)).has_valid_position:
                # A position that aiokafka resets has another future from then on; nothing else tells of that.
                found[at] = Place(state.position, state._position_fut)
    return found


def take_back(consumer: Any, before: Mapping[Any, Place]) -> Any:
    """Sets every partition back to where it was before aiokafka failed: the records that it had taken are lost with its exception.

    Returns:
        The partition with the records that it cannot parse; None if it failed for another reason.
    """
    failed = None
    for at, fetched in consumer._fetcher._records.items():
        parsing = _parsing(fetched)
        if parsing is not None and parsing.gi_frame is None and at in before:
            failed = at
    for at, place in before.items():
        with contextlib.suppress(KafkaError):  # The partition was revoked meanwhile.
            consumer.seek(at, place.offset)
    return failed


def _parsing(fetched: Any) -> Any:
    """Returns the generator that parses what was fetched of a partition. Returns None if nothing was fetched."""
    return getattr(getattr(fetched, "_partition_records", None), "_records_iterator", None)


def plausible(consumer: Any, at: Any, records: Sequence[Record], first: int, position: int) -> bool:
    """Returns whether the offsets of records can be right: a producer may write any, and aiokafka trusts them.

    Args:
        consumer: of aiokafka.
        at: whose records.
        records: what aiokafka returned.
        first: the offset at which aiokafka was to continue.
        position: the offset at which it continues now.
    """
    count, last = len(records), records[-1].offset
    # aiokafka passes over records with an offset below the expected one. So if their sum is right, all offsets are.
    if count != last - first + 1 or sum(map(itemgetter(_OFFSET), records)) * 2 != (first + last) * count:
        offsets = [*map(itemgetter(_OFFSET), records)]
        if any(map(ge, offsets, offsets[1:])):
            return False  # Compaction leaves gaps, but keeps the order.
    if position <= last:
        return False
    parsing = _parsing(consumer._fetcher._records.get(at))
    frame = None if parsing is None else parsing.gi_frame
    batch = None if frame is None else frame.f_locals.get("next_batch")
    return batch is None or batch.next_offset > last


class ByHand:
    """The partitions of one consumer that are read without aiokafka.

    Args:
        cluster: where.
        reader: the name of the consumer, for the log.
        consumer: of aiokafka.
        seek: has aiokafka continue a partition at an offset, and calls ``forget``.
    """

    def __init__(self, cluster: Cluster, reader: str, consumer: Any, seek: Callable[[Partition, int], None]) -> None:
        self._cluster = cluster
        self._reader = reader
        self._consumer = consumer
        self._seek = seek
        self._under_way: dict[Partition, _Reading] = {}
        self._logged: set[Partition] = set()
        if consumer is not None:
            self._send: Callable[..., Awaitable[Any]] = consumer._client.send
            consumer._client.send = self._send_bounded

    def __bool__(self) -> bool:
        return bool(self._under_way)

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._under_way

    @property
    def blocked(self) -> Mapping[Partition, str]:
        """Partitions that cannot be read on, and why."""
        return {partition: reading.reason for partition, reading in self._under_way.items() if reading.reason}

    def begin(self, partition: Partition, offset: int) -> None:
        """Reads the batch that holds this offset without aiokafka."""
        self._under_way[partition] = _Reading(offset)
        if partition not in self._logged:
            self._logged.add(partition)
            _log.warning(
                "%s: aiokafka cannot parse a batch of %s[%d] at offset %d or later; it is read without aiokafka",
                self._reader,
                *partition,
                offset,
            )

    def forget(self, partition: Partition) -> None:
        """Leaves a partition to aiokafka."""
        if (reading := self._under_way.pop(partition, None)) is not None and reading.asking is not None:
            reading.asking.cancel()

    def forget_all(self) -> None:
        """Leaves every partition to aiokafka, at their committed positions."""
        for partition in list(self._under_way):
            self.forget(partition)

    async def read(self, partitions: Collection[Partition], limit: int) -> tuple[Partition, list[RawRecord]]:
        """Returns records of one of these partitions; an empty list if none have arrived yet."""
        for partition in partitions:
            reading = self._under_way.get(partition)
            if reading is not None and (found := await self._read(partition, reading, limit)):
                return partition, found
        return Partition("", 0), []

    async def _read(self, partition: Partition, reading: _Reading, limit: int) -> list[RawRecord]:
        if reading.records is None:
            await self._request(partition, reading)
            if reading.records is None or self._under_way.get(partition) is not reading:
                return []
        found = [*islice(reading.records, limit)]
        unread = [text for raw in found for name, text in raw.headers if name == UNREADABLE and text is not None]
        if unread:
            first = unread[0].decode(errors="replace")
            text = "%s, %s[%d]: %s (%d of %d records)"
            cause = sparsely(partition.topic)
            _log.error(text, self._reader, *partition, first, len(unread), len(found), extra=cause)
        if len(found) < limit or found[-1].offset >= reading.behind - 1:
            with contextlib.suppress(KafkaError):  # The partition was revoked meanwhile.
                self._seek(partition, reading.behind)
        return found

    async def _request(self, partition: Partition, reading: _Reading) -> None:
        """Requests a batch, and waits for a moment; ``records`` is set when the batch has arrived."""
        now = asyncio.get_running_loop().time()
        if now < reading.next_try:
            return
        if reading.asking is None:
            reading.asking = asyncio.create_task(self._ask(partition, reading.offset), name=f"reading {partition}")
            reading.patience_ends = now + PATIENCE
        await asyncio.wait((reading.asking,), timeout=max(0.0, reading.patience_ends - now))
        if not reading.asking.done() or self._under_way.get(partition) is not reading:
            return
        asked, reading.asking = reading.asking, None
        try:
            batch = asked.result()
            records = iter(()) if batch is None else records_of(batch)
        except DamagedError as damage:
            reason = f"{partition.topic}[{partition.number}] cannot be read on from offset {reading.offset}: {damage}"
            if reason != reading.reason:
                _log.error("%s: %s", self._reader, reason)
            reading.reason, reading.next_try = reason, now + BLOCKED
        except (KafkaError, OSError, TimeoutError):  # The check of the consumer finds out whether the cluster answers.
            reading.next_try = now + AGAIN
            self._consumer._client.force_metadata_update()
        else:
            reading.reason = ""
            reading.behind = reading.offset if batch is None else batch.last + 1
            reading.records = (each for each in records if each.offset >= reading.offset)

    async def _send_bounded(self, node: int, request: Any, **options: Any) -> Any:
        """Sends a request of aiokafka's, and takes batches that may be too large out of the answer."""
        answer = await self._send(node, request, **options)
        if isinstance(request, _library.protocol.fetch.FetchRequest):
            for _, partitions in answer.topics:
                for number, (*about, data) in enumerate(partitions):
                    if data and (kept := bounded(data)) is not data:
                        partitions[number] = (*about, kept)
        return answer

    async def _ask(self, partition: Partition, offset: int) -> Batch | None:
        """Returns the batch that holds an offset, without records if consumers must not see them; None if no batch holds it."""
        client = self._consumer._client
        committed = self._cluster.address.isolation == "committed"
        leader = client.cluster.leader_for_partition(_library.TopicPartition(*partition))
        if leader is None or leader < 0:
            raise failures.LeaderNotAvailableError
        topics = [(partition.topic, [(partition.number, offset, BYTES)])]
        request = _library.protocol.fetch.FetchRequest(0, 0, BYTES, int(committed), topics)
        async with asyncio.timeout(self._cluster.timeout):
            answer = await self._send(leader, request)
        ((_, ((_, code, _, *rest),)),) = answer.topics
        failure = failures.for_code(code)
        if failure is failures.OffsetOutOfRangeError:
            return None  # aiokafka continues at the earliest record.
        if failure is not failures.NoError:
            raise failure
        batch = batch_at(rest[-1], offset)
        if batch is None:
            return None
        aborted = rest[-3 if answer.API_VERSION >= 11 else -2] or ()
        dropped = (
            committed
            and batch.transactional
            and any(producer == batch.producer and first <= batch.base for producer, first in aborted)
        )
        return batch._replace(records=0) if batch.control or dropped else batch


class _Reading:
    """A partition that is read without aiokafka, and how far."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        """Where aiokafka failed."""
        self.records: Iterator[RawRecord] | None = None
        """The records of the batch that were not returned yet; None before the batch has arrived."""
        self.behind = offset
        """The offset after the batch."""
        self.asking: asyncio.Task[Batch | None] | None = None
        self.patience_ends = 0.0
        self.next_try = 0.0
        self.reason = ""
        """Why the batch cannot be read; empty if it can."""
