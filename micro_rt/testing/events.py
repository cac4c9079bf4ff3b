"""What a test sees of the events of its service."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

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
)
from micro_rt.errors import Error
from micro_rt.interceptor import ClientSide, PublishNext

__all__ = ["PublishedEvent", "PublishingRecorder", "RecordingBroker"]


class PublishedEvent(NamedTuple):
    """An event that a service has published in a test."""

    message: Any
    """The message; None for a tombstone."""
    topic: str
    """Where it was published."""
    key: bytes | None
    """What orders it among others; None if nothing does."""
    headers: Mapping[str, bytes]
    """The headers that the publisher gave it, by lower-case name."""


class PublishingRecorder(ClientSide):
    """Records the events that the broker has accepted."""

    def __init__(self) -> None:
        self.published: list[PublishedEvent] = []

    async def publish(self, event: Any, publishing: Any, proceed: PublishNext) -> Any:
        """Records the event once it is published."""
        published = await proceed(event, publishing)
        self.published.append(PublishedEvent(event, publishing.event.topic, publishing.key, dict(publishing.headers)))
        return published


class RecordingBroker(Broker):
    """A broker that remembers in which partitions there are records.

    Args:
        broker: keeps the records.
    """

    def __init__(self, broker: Broker) -> None:
        self.envelope = broker.envelope
        self.framing = broker.framing
        self._broker = broker
        self.records = 0
        """How many records it has accepted."""
        self.partitions: dict[Partition, None] = {}
        """Where they are."""

    @property
    def problem(self) -> str:
        """What keeps it from working; empty if nothing does."""
        return self._broker.problem

    async def open(self) -> None:
        """Connects."""
        await self._broker.open()

    async def close(self) -> None:
        """Disconnects."""
        await self._broker.close()

    async def prepare(self, topics: Mapping[str, TopicOptions]) -> None:
        """Makes topics that are not there."""
        await self._broker.prepare(topics)

    async def publish(self, records: Sequence[OutgoingRecord]) -> list[Position | Error]:
        """Publishes records."""
        outcomes = await self._broker.publish(records)
        for outcome in outcomes:
            if not isinstance(outcome, Error):
                self.records += 1
                self.partitions[Partition(outcome.topic, outcome.partition)] = None
        return outcomes

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
        return self._broker.subscribe(topics, group, start, listener, types=types)

    async def retention(self, topics: Collection[str]) -> Mapping[str, float]:
        """Returns the retention of topics."""
        return await self._broker.retention(topics)

    def read(self, topic: str, start: Start) -> TopicReader:
        """Reads a topic without being in a group."""
        return self._broker.read(topic, start)

    async def offsets(self, group: str, topics: Collection[str] = ()) -> Mapping[Partition, GroupOffset]:
        """Returns how far a group is."""
        return await self._broker.offsets(group, topics)
