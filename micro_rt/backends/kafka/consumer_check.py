"""Checks a consumer of Kafka that reads nothing: is there nothing to read, is the cluster unreachable, or is it stuck?

A consumer that neither reads what is there nor joins its group, while the cluster is well, is to be replaced by a new
one: it has happened to aiokafka after restarts of brokers (https://github.com/aio-libs/aiokafka/issues/1154).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection

from micro_rt.backends.kafka.client import Cluster, KafkaError, failures
from micro_rt.backends.kafka.consumer import GroupConsumer
from micro_rt.broker.base import Partition
from micro_rt.errors import Error, NotFound
from micro_rt.logs import logger

__all__ = ["CHECK_EVERY", "ConsumerCheck"]

CHECK_EVERY = 5.0
"""Seconds without records until the consumer is checked."""
SOON = 1.0
"""Seconds between looks at the topics while one of them is not there."""
STUCK_CHECKS = 3
"""Checks in a row that find records which are not read; then the consumer is replaced."""

_log = logger("micro_rt.broker")


class ConsumerCheck:
    """Checks whether a consumer that reads nothing has nothing to read."""

    def __init__(self, cluster: Cluster, group: str, topics: Collection[str]) -> None:
        self.problem = ""
        self.stuck = ""
        """Why the consumer is to be replaced; empty if it is not."""
        self.missing = ""
        """Names the topics that do not exist, as far as is known; empty if all exist."""
        self.unreachable: Error | None = None
        self.joining = True
        """Whether the consumer has no partitions yet, or gave them up and has not joined again."""
        self._cluster = cluster
        self._group = group
        self._topics = topics
        self._next = 0.0
        self._joined_at = 0.0
        self._expelled_at = 0.0
        self._behind: dict[Partition, int] = {}
        self._strikes = 0
        self._patience = STUCK_CHECKS
        self._gone: set[str] = set()
        """Topics that did not exist at the last look."""
        self._task: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Starts anew, with a consumer that has not joined yet."""
        self.stuck = ""
        self.joining = True
        self._behind.clear()
        self._strikes = 0
        self._expelled_at = 0.0
        self._joined_at = self._now()
        self._next = self._now() + CHECK_EVERY

    def progress(self) -> None:
        """Takes note of records."""
        self._next = self._now() + CHECK_EVERY
        self._strikes = 0
        self._patience = STUCK_CHECKS
        self._behind.clear()
        self.problem = ""
        self.unreachable = None

    def member(self, generation: int) -> None:
        """Takes note of whether the group knows the consumer; one that it does not know has to join again."""
        if generation >= 0 or self.joining:
            self._expelled_at = 0.0
        elif not self._expelled_at:
            self._expelled_at = self._now()
        elif self._now() - self._expelled_at > 2 * CHECK_EVERY:
            self._strike_out("the group does not know it any more, and it does not join again")

    def idle(self, consumer: GroupConsumer, partitions: Collection[Partition]) -> None:
        """Notes that a fetch returned nothing, and starts a check from time to time."""
        if self._task is None and self._now() >= self._next:
            self._task = asyncio.create_task(self._check(consumer, partitions), name=f"check of group {self._group}")
            self._task.add_done_callback(self._checked)

    def watch(self, consumer: GroupConsumer) -> None:
        """Looks from time to time, until ``end``, whether the topics of a consumer are there as it knows them."""
        self._watching = asyncio.create_task(self._watch(consumer), name=f"topics of group {self._group}")

    async def end(self) -> None:
        """Stops looking."""
        tasks = [task for task in (self._task, self._watching) if task is not None]
        self._watching = None
        self.missing = ""
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _checked(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._next = self._now() + CHECK_EVERY
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the check of group %s failed: this is a bug of micro-rt", self._group, exc_info=error)

    async def _check(self, consumer: GroupConsumer, partitions: Collection[Partition]) -> None:
        try:
            await self.look()
        except NotFound as error:
            # The others are read.
            self.unreachable = error if not partitions or len(self._topics) == 1 else None
            self.problem = str(error)
            return
        except Error as error:
            # Not the consumer's fault; it joins again by itself.
            self.unreachable, self.problem = error, str(error)
            self._strikes = 0
            self._joined_at = self._now()
            return
        self.unreachable = None
        if self.joining:
            address = self._cluster.address
            for_long = self._now() - self._joined_at
            if for_long > address.session + address.rebalance + self._cluster.timeout:
                self._strike_out(f"it has not joined its group for {for_long:.0f} s")
            elif for_long > 2 * CHECK_EVERY:
                self.problem = f"group {self._group}: joining for {for_long:.0f} s"
            return
        self._joined_at = self._now()
        reason = await self._unread(consumer, partitions)
        self._strikes = self._strikes + 1 if reason else 0
        self.problem = f"group {self._group}: {reason}" if reason else ""
        if self._strikes >= self._patience:
            self._strike_out(reason)

    async def _watch(self, consumer: GroupConsumer) -> None:
        while True:
            await asyncio.sleep(SOON if self.missing else CHECK_EVERY)
            try:
                found = await self._cluster.partitions_of_new(self._topics)
            except Error:  # It is unreachable, which the check finds too.
                continue
            missing = [topic for topic, count in found.items() if isinstance(count, NotFound)]
            self.missing = f"group {self._group}: there is no topic {', '.join(missing)} any more" if missing else ""
            back = self._gone.difference(missing)
            self._gone = set(missing)
            consumer.restart(sorted(each for each in consumer.assigned if each.topic in back))
            if not missing and isinstance(self.unreachable, NotFound):
                self.unreachable, self.problem = None, ""
            if any(
                isinstance(count, int) and count != len(consumer.partitions_of(topic)) for topic, count in found.items()
            ):
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    async with asyncio.timeout(self._cluster.timeout):
                        await consumer.refresh()

    async def look(self) -> None:
        """Looks for the topics; raises why one cannot be read."""
        for found in (await self._cluster.partitions_of_new(self._topics)).values():
            if isinstance(found, Error):
                raise found

    async def _unread(self, consumer: GroupConsumer, partitions: Collection[Partition]) -> str:
        """Returns which records were unread at the last check and still are; empty if none, and at the first check."""
        if not partitions:
            self._behind.clear()
            return ""
        try:
            async with asyncio.timeout(self._cluster.timeout):
                ends = await consumer.ends(partitions)
                behind: dict[Partition, int] = {}
                for partition in partitions:
                    position = await consumer.position(partition)
                    if position < ends.get(partition, 0):
                        behind[partition] = position
        except TimeoutError:
            return "its connections do not answer, while the cluster does"
        except KafkaError as failure:
            # IllegalStateError: a partition was revoked meanwhile.
            return "" if isinstance(failure, failures.IllegalStateError) else f"{type(failure).__name__}: {failure}"
        before, self._behind = self._behind, behind
        for partition, position in sorted(behind.items()):
            if before.get(partition) == position:
                return f"{partition.topic}[{partition.number}] has records from offset {position} on, and none is read"
        return ""

    def _strike_out(self, reason: str) -> None:
        self.stuck = reason
        self.problem = f"group {self._group}: {reason}"
        # If a new consumer does not help, replacing it more often does not help either.
        self._patience = min(self._patience * 2, 64)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
