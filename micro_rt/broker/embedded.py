"""What the embedded brokers, ``memory:`` and ``local:``, share: their options and what they refuse."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from micro_rt.broker.base import DEFAULT_PARTITIONS, OutgoingRecord, Partition, TopicOptions, checked_topic
from micro_rt.errors import Aborted, Error, InvalidArgument, NotFound
from micro_rt.kit.address import Options, count, seconds
from micro_rt.logs import logger, sparsely

__all__ = [
    "EmbeddedOptions",
    "checked_limit",
    "checked_offset",
    "no_group",
    "not_owned",
    "not_there",
    "problem_of",
    "size_of",
    "warn_of_gap",
]

MAX_MESSAGE = 1024 * 1024
"""Bytes of key, value and headers; Kafka's default, so that what works here works there."""

_log = logger("micro_rt.broker")


@dataclass(frozen=True, slots=True)
class EmbeddedOptions:
    """The options that the address of every embedded broker accepts."""

    envelope: Literal["cloudevents", "micro"] = "cloudevents"
    partitions: int = DEFAULT_PARTITIONS
    """Of a new topic whose options set no number."""
    retention: float = 7 * 86400.0
    """Seconds that records are kept, of a new topic whose options set no time."""
    max_message: int = MAX_MESSAGE
    """Bytes."""
    framing: Literal["none", "confluent"] = "none"

    @classmethod
    def read(cls, given: Options, retention: float) -> EmbeddedOptions:
        """Reads the options that the address of every embedded broker accepts; the caller reads its own, and then calls ``end``.

        Args:
            given: the options of the address.
            retention: seconds; the default.

        Raises:
            ValueError: an option has a value that makes no sense.
        """
        envelope = given.one_of("envelope", ("cloudevents", "micro"), "cloudevents")
        framing = given.one_of("framing", ("none", "confluent"), "none")
        return cls(
            "micro" if envelope == "micro" else "cloudevents",
            given.read("partitions", count, DEFAULT_PARTITIONS),
            given.read("retention", seconds, retention),
            given.read("max_message", count, MAX_MESSAGE),
            "confluent" if framing == "confluent" else "none",
        )

    def of(self, topic: str, options: TopicOptions) -> tuple[int, float]:
        """Returns the number of partitions of a new topic, and how many seconds its records are kept.

        Raises:
            InvalidArgument: one of them is not above 0.
        """
        partitions = self.partitions if options.partitions is None else options.partitions
        retention = self.retention if options.retention is None else options.retention
        if partitions < 1:
            raise InvalidArgument(f"topic {topic} cannot have {partitions} partitions: it needs at least one")
        if retention <= 0:
            raise InvalidArgument(f"topic {topic} cannot keep its records for {retention} seconds")
        return partitions, retention


def checked_limit(limit: int) -> int:
    """Returns the limit of a fetch.

    Raises:
        ValueError: it is below 1.
    """
    if limit < 1:
        raise ValueError(f"limit={limit}: fetch at least one record")
    return limit


def checked_offset(partition: Partition, offset: int) -> int:
    """Returns an offset to commit.

    Raises:
        ValueError: it is below 0.
    """
    if offset < 0:
        raise ValueError(f"{offset} is not an offset of {partition.topic}[{partition.number}]")
    return offset


def not_there(topic: str) -> Error:
    """Returns the error of a topic that does not exist."""
    return NotFound(f"there is no topic {topic}: prepare it first", may_have_run=False)


def no_group(group: str) -> Error:
    """Returns the error of a group that does not exist."""
    return NotFound(f"there is no group {group!r}: none of its members ever joined here", may_have_run=False)


def not_owned(group: str, partitions: Collection[Partition]) -> Error:
    """Returns the error of a commit for partitions that the member does not have."""
    names = ", ".join(f"{topic}[{number}]" for topic, number in sorted(partitions))
    return Aborted(f"not committed, because this member of group {group} does not read them any more: {names}")


def warn_of_gap(topic: str, number: int, expected: int, first: int) -> None:
    """Logs that records were deleted before this reader had read them."""
    _log.warning(
        "%d records of %s[%d] from offset %d on ran out before they were read: read faster, or keep them longer (retention)",
        first - expected,
        topic,
        number,
        expected,
        extra=sparsely(topic),
    )


def problem_of(record: OutgoingRecord, limit: int) -> Error | None:
    """Returns why a record can never be published. Returns None if it is valid.

    Args:
        record: what is to be published.
        limit: the most bytes of key, value and headers together; it does not apply to a record that was ``republished``.
    """
    size = size_of(record)
    if size > limit and not record.republished:
        return InvalidArgument(
            f"a message of {size} bytes for {record.topic} is larger than max_message={limit}", may_have_run=False
        )
    try:
        checked_topic(record.topic)
    except InvalidArgument as error:
        return error
    if record.tombstone and record.value:
        return InvalidArgument(f"a tombstone for {record.topic} has a value", may_have_run=False)
    return None


def size_of(record: OutgoingRecord) -> int:
    """Returns the bytes of key, value and headers together."""
    size = len(record.value)
    if record.key is not None:
        size += len(record.key)
    for name, value in record.headers:
        size += len(name) + len(value)
    return size
