"""Broker ``kafka://host:9092``: events in Apache Kafka, and in whatever speaks its protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from micro_rt.backends.kafka.address import parse_kafka_address
from micro_rt.backends.kafka.client import Cluster
from micro_rt.backends.kafka.publisher import Publisher
from micro_rt.backends.kafka.reader import KafkaReader, group_offsets
from micro_rt.backends.kafka.subscription import KafkaSubscription
from micro_rt.broker.base import (
    NO_TYPES,
    Broker,
    GroupOffset,
    Listener,
    OutgoingRecord,
    Partition,
    Position,
    Start,
    Subscription,
    TopicOptions,
    TopicReader,
    checked_topic,
)
from micro_rt.errors import Error, FailedPrecondition, InvalidArgument, NotFound
from micro_rt.kit.ordered import OrderedSet

__all__ = ["KafkaBroker"]


class KafkaBroker(Broker):
    """Keeps events in Kafka.

    Args:
        address: ``"kafka://host:9092,host2:9092/?option=value"``; docs/kafka.md has the options.

    Raises:
        ValueError: the address is none, or has an option that does not exist.
    """

    def __init__(self, address: str = "kafka://") -> None:
        self._address = parse_kafka_address(address)
        self.envelope = self._address.envelope
        self.framing = self._address.framing
        self._cluster: Cluster | None = None
        self._publisher: Publisher | None = None
        self._members: OrderedSet[KafkaSubscription] = OrderedSet()

    @property
    def problem(self) -> str:
        """What keeps it from working, as far as it knows; empty if nothing does."""
        problems = [self._publisher.problem] if self._publisher is not None else []
        problems += [member.problem for member in self._members]
        return "; ".join(sorted({problem for problem in problems if problem}))

    async def open(self) -> None:
        """Connects.

        Raises:
            Unavailable: no broker can be reached; the message says where they were looked for and what to do.
            Unauthenticated: the user is not known, or the password is wrong.
            FailedPrecondition: a TLS file cannot be used.
        """
        if self._cluster is not None:
            raise RuntimeError("opened already")
        cluster = Cluster(self._address)
        await cluster.open()
        self._cluster = cluster
        self._publisher = Publisher(cluster)

    async def close(self) -> None:
        """Finishes what is being published, ends every subscription and disconnects."""
        cluster, publisher = self._cluster, self._publisher
        if cluster is None or publisher is None:
            return
        try:
            members = list(self._members)
            results = await asyncio.gather(
                *(member.close() for member in members), publisher.close(), return_exceptions=True
            )
        finally:
            self._cluster = self._publisher = None
            await cluster.close()
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def prepare(self, topics: Mapping[str, TopicOptions]) -> None:
        """Makes topics that are not there.

        Raises:
            InvalidArgument: a name is impossible, or what it is to be made with.
            NotFound: one is not there, and the address says ``create=false``.
            PermissionDenied: this client may not make them, or not see them.
            FailedPrecondition: the cluster has fewer brokers than replicas are asked for, or forbids such a topic.
            Unavailable: the cluster does not answer.
        """
        for name, options in topics.items():
            checked_topic(name)
            if options.partitions is not None and options.partitions < 1:
                raise InvalidArgument(
                    f"topic {name} cannot have {options.partitions} partitions: it needs at least one"
                )
            if options.retention is not None and options.retention <= 0:
                raise InvalidArgument(f"topic {name} cannot keep its records for {options.retention} seconds")
        cluster = self._open_cluster()
        missing: dict[str, TopicOptions] = {}
        # Who may not make a topic waits a moment for one that others have made just now.
        ask = cluster.partitions if self._address.create else cluster.partitions_of_new
        for name, found in (await ask(topics)).items() if topics else ():
            if isinstance(found, NotFound):
                missing[name] = topics[name]
            elif isinstance(found, Error):
                raise found
        if missing and not self._address.create:
            raise NotFound(
                f"Kafka at {self._address.place} has no topic {', '.join(sorted(missing))}, and create=false: make it first"
            )
        if missing:
            await cluster.make(missing)

    async def retention(self, topics: Collection[str]) -> Mapping[str, float]:
        """Returns for how many seconds the records of topics are kept, of those whose configuration this client may see."""
        return await self._open_cluster().retention(topics)

    async def publish(self, records: Sequence[OutgoingRecord]) -> list[Position | Error]:
        """Publishes records, and waits until all replicas in sync have them."""
        if self._publisher is None:
            raise self._not_open()
        return await self._publisher.publish(records)

    def subscribe(
        self,
        topics: Collection[str],
        group: str,
        start: Start,
        listener: Listener,
        *,
        types: Mapping[str, Collection[str]] = NO_TYPES,
    ) -> Subscription:
        """Joins a group."""
        member = KafkaSubscription(
            self._open_cluster(), topics, group, start, listener, self._instance(group), self._members.discard, types
        )
        self._members.add(member)
        return member

    def read(self, topic: str, start: Start) -> TopicReader:
        """Reads a topic without being in a group."""
        return KafkaReader(self._open_cluster(), topic, start)

    async def offsets(self, group: str, topics: Collection[str] = ()) -> Mapping[Partition, GroupOffset]:
        """Returns how far a group is."""
        return await group_offsets(self._open_cluster(), group, topics)

    def _instance(self, group: str) -> str:
        """Returns the name of a static member: each of one process in one group has its own."""
        name = self._address.instance
        if not name:
            return ""
        taken = {member.instance for member in self._members if member.group == group}
        number = 1
        while (found := name if number == 1 else f"{name}-{number}") in taken:
            number += 1
        return found

    def _open_cluster(self) -> Cluster:
        if self._cluster is None:
            raise self._not_open()
        return self._cluster

    def _not_open(self) -> Error:
        return FailedPrecondition(f"the broker Kafka at {self._address.place} is not open", may_have_run=False)
