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
from collections.abc import Callable, Collection, Mapping
from typing import Any, cast

import aiokafka  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.protocol.fetch  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.backends.kafka.batch import Batch, DamagedError, RawRecord, batch_at, records_of
from micro_rt.backends.kafka.client import Cluster, KafkaError, failures
from micro_rt.broker.base import UNREADABLE, Partition

__all__ = ["ByHand"]

BYTES = 1 << 20
"""Bytes that are asked for, unless a batch has more."""
PATIENCE = 1.0
"""Seconds that other partitions wait for a batch."""
AGAIN = 0.5
"""Seconds until a batch is asked for again if the cluster does not give it."""
BLOCKED = 30.0
"""Seconds until a batch is asked for again that is damaged, or that nothing here can decompress."""

_library: Any = cast("Any", aiokafka)
_log = logging.getLogger("micro_rt.broker")


class ByHand:
    """The partitions of one consumer that are read without aiokafka.

    Args:
        cluster: where.
        group: whose consumer it is.
        consumer: of aiokafka.
        seek: has aiokafka go on with a partition at an offset, and calls ``forget``.
    """

    def __init__(self, cluster: Cluster, group: str, consumer: Any, seek: Callable[[Partition, int], None]) -> None:
        self._cluster = cluster
        self._group = group
        self._consumer = consumer
        self._seek = seek
        self._places: dict[Partition, _Place] = {}
        self._told: set[Partition] = set()

    def __bool__(self) -> bool:
        return bool(self._places)

    def __contains__(self, partition: Partition) -> bool:
        return partition in self._places

    @property
    def blocked(self) -> Mapping[Partition, str]:
        """Partitions that cannot be read on, and why."""
        return {partition: place.reason for partition, place in self._places.items() if place.reason}

    def begin(self, partition: Partition, offset: int) -> None:
        """Reads the batch that holds this offset without aiokafka."""
        self._places[partition] = _Place(offset)
        if partition not in self._told:
            self._told.add(partition)
            _log.warning(
                "group %s: aiokafka cannot parse a batch of %s[%d] at or behind offset %d; it is read without aiokafka",
                self._group,
                *partition,
                offset,
            )

    def forget(self, partition: Partition) -> None:
        """Leaves a partition to aiokafka."""
        if (place := self._places.pop(partition, None)) is not None and place.asking is not None:
            place.asking.cancel()

    def forget_all(self) -> None:
        """Leaves every partition to aiokafka: they begin at their committed positions."""
        for partition in list(self._places):
            self.forget(partition)

    async def read(self, partitions: Collection[Partition], limit: int) -> tuple[Partition, list[RawRecord]]:
        """Returns records of one of these partitions; none if there are none yet."""
        for partition in partitions:
            place = self._places.get(partition)
            if place is not None and (found := await self._read(partition, place, limit)):
                return partition, found
        return Partition("", 0), []

    async def _read(self, partition: Partition, place: _Place, limit: int) -> list[RawRecord]:
        now = asyncio.get_running_loop().time()
        if now < place.next_try:
            return []
        if place.asking is None:
            place.asking = asyncio.create_task(self._ask(partition, place.offset), name=f"reading {partition}")
            place.patience_ends = now + PATIENCE
        await asyncio.wait((place.asking,), timeout=max(0.0, place.patience_ends - now))
        if not place.asking.done() or self._places.get(partition) is not place:
            return []
        asked, place.asking = place.asking, None
        try:
            batch = asked.result()
            found = [] if batch is None else [each for each in records_of(batch) if each.offset >= place.offset]
        except DamagedError as damage:
            reason = f"{partition.topic}[{partition.number}] cannot be read on from offset {place.offset}: {damage}"
            if reason != place.reason:
                _log.error("group %s: %s", self._group, reason)
            place.reason, place.next_try = reason, now + BLOCKED
            return []
        except (KafkaError, OSError, TimeoutError):  # The cluster's business, which the consumer's check looks into.
            place.next_try = now + AGAIN
            self._consumer._client.force_metadata_update()
            return []
        given, rest = found[:limit], found[limit:]
        unread = [text for raw in given for name, text in raw.headers if name == UNREADABLE and text is not None]
        if unread:
            first = unread[0].decode(errors="replace")
            _log.error("group %s, %s[%d]: %s (%d such in its batch)", self._group, *partition, first, len(unread))
        if rest:
            place.offset = rest[0].offset
        else:
            with contextlib.suppress(KafkaError):  # It went meanwhile.
                self._seek(partition, place.offset if batch is None else batch.last + 1)
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


class _Place:
    """Where a partition is read without aiokafka."""

    def __init__(self, offset: int) -> None:
        self.offset = offset
        """Of the next record."""
        self.asking: asyncio.Task[Batch | None] | None = None
        self.patience_ends = 0.0
        self.next_try = 0.0
        self.reason = ""
        """Why it cannot be read on."""
