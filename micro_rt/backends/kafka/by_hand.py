"""Reads single batches without aiokafka, which cannot parse them and would never get past them.

The rules that it keeps, and why:

- Whoever reads says at which offset aiokafka has failed. From there one batch is read, and aiokafka goes on behind it.
- A batch is asked for beside aiokafka's own requests, in a task: other partitions wait for it only for a moment.
- Records that cannot be read are given with the header ``UNREADABLE``, so that they become dead letters, with their position.
- A batch that must not be passed over blocks its partition. It is asked for again from time to time, because another broker may
  lead the partition by then. Until it can be read, ``blocked`` says why not.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from operator import ge, itemgetter
from typing import Any, NamedTuple, cast

import aiokafka  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.fetch  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.backends.kafka.batch import Batch, DamagedError, RawRecord, batch_at, records_of
from micro_rt.backends.kafka.client import Cluster, KafkaError, failures
from micro_rt.broker.base import UNREADABLE, Partition, Record

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
_log = logging.getLogger("micro_rt.broker")


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
    """Goes back to where everything was before aiokafka failed: what it had taken until then is lost with its exception.

    Returns:
        The partition with the records that it cannot parse; None if it has failed of something else.
    """
    failed = None
    for at, fetched in consumer._fetcher._records.items():
        parsing = _parsing(fetched)
        if parsing is not None and parsing.gi_frame is None and at in before:
            failed = at
    for at, place in before.items():
        with contextlib.suppress(KafkaError):  # It went meanwhile.
            consumer.seek(at, place.offset)
    return failed


def _parsing(fetched: Any) -> Any:
    """Returns the generator that parses what was fetched of a partition; None if there is none."""
    return getattr(getattr(fetched, "_partition_records", None), "_records_iterator", None)


def plausible(consumer: Any, at: Any, records: Sequence[Record], first: int, position: int) -> bool:
    """Returns whether the offsets of records can be their own: a producer may write any, and aiokafka believes them.

    Args:
        consumer: of aiokafka.
        at: whose records.
        records: what aiokafka gives.
        first: the offset that aiokafka was to go on at.
        position: the one that it goes on at now.
    """
    count, last = len(records), records[-1].offset
    # None is lower than its own, because aiokafka passes such records over: then the sum says whether all are right.
    if count != last - first + 1 or sum(map(itemgetter(_OFFSET), records)) * 2 != (first + last) * count:
        offsets = [*map(itemgetter(_OFFSET), records)]
        if any(map(ge, offsets, offsets[1:])):
            return False  # Some may have been removed since, but those that are left are in order.
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
        reader: whose consumer it is, for the log.
        consumer: of aiokafka.
        seek: has aiokafka go on with a partition at an offset, and calls ``forget``.
    """

    def __init__(self, cluster: Cluster, reader: str, consumer: Any, seek: Callable[[Partition, int], None]) -> None:
        self._cluster = cluster
        self._reader = reader
        self._consumer = consumer
        self._seek = seek
        self._under_way: dict[Partition, _Reading] = {}
        self._told: set[Partition] = set()

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
        if partition not in self._told:
            self._told.add(partition)
            _log.warning(
                "%s: aiokafka cannot parse a batch of %s[%d] at or behind offset %d; it is read without aiokafka",
                self._reader,
                *partition,
                offset,
            )

    def forget(self, partition: Partition) -> None:
        """Leaves a partition to aiokafka."""
        if (reading := self._under_way.pop(partition, None)) is not None and reading.asking is not None:
            reading.asking.cancel()

    def forget_all(self) -> None:
        """Leaves every partition to aiokafka: they begin at their committed positions."""
        for partition in list(self._under_way):
            self.forget(partition)

    async def read(self, partitions: Collection[Partition], limit: int) -> tuple[Partition, list[RawRecord]]:
        """Returns records of one of these partitions; none if there are none yet."""
        for partition in partitions:
            reading = self._under_way.get(partition)
            if reading is not None and (found := await self._read(partition, reading, limit)):
                return partition, found
        return Partition("", 0), []

    async def _read(self, partition: Partition, reading: _Reading, limit: int) -> list[RawRecord]:
        now = asyncio.get_running_loop().time()
        if now < reading.next_try:
            return []
        if reading.asking is None:
            reading.asking = asyncio.create_task(self._ask(partition, reading.offset), name=f"reading {partition}")
            reading.patience_ends = now + PATIENCE
        await asyncio.wait((reading.asking,), timeout=max(0.0, reading.patience_ends - now))
        if not reading.asking.done() or self._under_way.get(partition) is not reading:
            return []
        asked, reading.asking = reading.asking, None
        try:
            batch = asked.result()
            found = [] if batch is None else [each for each in records_of(batch) if each.offset >= reading.offset]
        except DamagedError as damage:
            reason = f"{partition.topic}[{partition.number}] cannot be read on from offset {reading.offset}: {damage}"
            if reason != reading.reason:
                _log.error("%s: %s", self._reader, reason)
            reading.reason, reading.next_try = reason, now + BLOCKED
            return []
        except (KafkaError, OSError, TimeoutError):  # The cluster's business, which the consumer's check looks into.
            reading.next_try = now + AGAIN
            self._consumer._client.force_metadata_update()
            return []
        given, rest = found[:limit], found[limit:]
        unread = [text for raw in given for name, text in raw.headers if name == UNREADABLE and text is not None]
        if unread:
            first = unread[0].decode(errors="replace")
            _log.error("%s, %s[%d]: %s (%d such in its batch)", self._reader, *partition, first, len(unread))
        if rest:
            reading.offset = rest[0].offset
        else:
            with contextlib.suppress(KafkaError):  # It went meanwhile.
                self._seek(partition, reading.offset if batch is None else batch.last + 1)
        return given

    async def _ask(self, partition: Partition, offset: int) -> Batch | None:
        """Returns the batch that holds an offset, without records if they are not to be read; None if there is none."""
        client = self._consumer._client
        committed = self._cluster.address.isolation == "committed"
        leader = client.cluster.leader_for_partition(_library.TopicPartition(*partition))
        if leader is None or leader < 0:
            raise failures.LeaderNotAvailableError
        topics = [(partition.topic, [(partition.number, offset, BYTES)])]
        request = _library.protocol.fetch.FetchRequest(0, 0, BYTES, int(committed), topics)
        async with asyncio.timeout(self._cluster.timeout):
            answer = await client.send(leader, request)
        ((_, ((_, code, _, *rest),)),) = answer.topics
        failure = failures.for_code(code)
        if failure is failures.OffsetOutOfRangeError:
            return None  # aiokafka goes on at the earliest record.
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
    """Where a partition is read without aiokafka."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        """Of the next record."""
        self.asking: asyncio.Task[Batch | None] | None = None
        self.patience_ends = 0.0
        self.next_try = 0.0
        self.reason = ""
        """Why it cannot be read on."""
