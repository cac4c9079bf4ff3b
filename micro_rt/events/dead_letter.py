"""Dead letters: records that could not be handled, in a topic of their own with the reason; and how they are replayed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from micro_rt.broker.base import Broker, Headers, OutgoingRecord, Record, TopicOptions
from micro_rt.errors import Error, InvalidArgument
from micro_rt.events.envelope import PUBLISHED_HEADER, seconds_of
from micro_rt.kit.clock import wall_time
from micro_rt.kit.foreign import whole

__all__ = [
    "DEADLINE_HEADER",
    "GROUP_HEADER",
    "DeadLetter",
    "dead_letter",
    "dead_letter_topic",
    "publish_dead_letter",
    "put_back",
    "replayed_record",
]

DEADLINE_HEADER = "micro-deadline"
"""Until when an event means something, in seconds since 1970; handlers get no longer, and none begins later,
except for a replayed record."""
GROUP_HEADER = "micro-for-group"
"""The only group that is to handle a record: others pass it over. Replayed dead letters have it."""

_PREFIX = "micro-dead-"
_LONGEST_REASON = 4000
_SHORT_REASON = 100
"""Characters of the reason that a dead letter keeps if the topic accepts no larger record."""
_LONGEST_TOPIC = 249  # of Kafka's


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter: its record, and what is known of it."""

    topic: str
    """Where the record was."""
    partition: int
    offset: int
    group: str
    """Whose handler failed."""
    reason: str
    error: str
    """The name of the exception; empty if the record could not be read."""
    attempts: int
    time: float
    """When it became a dead letter, in seconds since 1970."""
    published: float
    """When its event was published first, in seconds since 1970, however often it was replayed since."""
    record: Record = field(repr=False)
    """The record in the dead-letter topic: the key, the value and the headers of the event, and further headers."""

    @classmethod
    def of(cls, record: Record) -> DeadLetter | None:
        """Returns what the headers of a record say; None if it is not a dead letter."""
        about: Mapping[str, str] = {
            name.removeprefix(_PREFIX): value.decode(errors="replace")
            for name, value in record.headers
            if name.startswith(_PREFIX)
        }
        topic, group = about.get("topic"), about.get("group")
        partition, offset, attempts = (whole(about.get(name, "0")) for name in ("partition", "offset", "attempts"))
        if topic is None or group is None or not {"partition", "offset"} <= about.keys():
            return None
        if partition is None or offset is None or attempts is None:
            return None
        return cls(
            topic,
            partition,
            offset,
            group,
            about.get("reason", ""),
            about.get("error", ""),
            attempts,
            seconds_of(about.get("time", ""), record.timestamp),
            seconds_of(about.get("published", ""), record.timestamp),
            record,
        )


def dead_letter_topic(topic: str, group: str) -> str:
    """Returns the dead-letter topic of a group for a topic: ``"orders.billing.dead"``."""
    name = f"{topic}.{re.sub(r'[^a-zA-Z0-9._-]', '_', group)}.dead"
    return name if len(name) <= _LONGEST_TOPIC else f"{name[: _LONGEST_TOPIC - 5]}.dead"


async def publish_dead_letter(
    broker: Broker, record: Record, group: str, reason: str, error: BaseException | None, attempts: int
) -> None:
    """Publishes a record to its dead-letter topic, and makes the topic if it is not there; ``dead_letter`` has the arguments.

    Raises:
        Error: the broker does not take it.
    """
    letter = dead_letter(record, group, reason, error, attempts)
    # They have no order to keep.
    await broker.prepare({letter.topic: TopicOptions(partitions=1, holds=record.topic)})
    (outcome,) = await broker.publish([letter])
    if isinstance(outcome, InvalidArgument):
        # A topic that another program has made may accept no record of this size.
        (outcome,) = await broker.publish([dead_letter(record, group, reason[:_SHORT_REASON], error, attempts)])
    if isinstance(outcome, Error):
        raise outcome


def dead_letter(record: Record, group: str, reason: str, error: BaseException | None, attempts: int) -> OutgoingRecord:
    """Returns a record as a dead letter: with its key, its value and its headers, and why.

    Args:
        record: what could not be handled.
        group: whose handler failed.
        reason: for a person.
        error: what the handler raised last; None if it was not called.
        attempts: how many times it was called.
    """
    about = {
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "group": group,
        "reason": reason[:_LONGEST_REASON],
        "error": "" if error is None else _name(error),
        "attempts": str(attempts),
        "time": f"{wall_time():.3f}",
        "published": f"{_published(record):.3f}",
    }
    headers = _without(record.headers) + tuple(
        [(_PREFIX + name, text.encode(errors="replace")) for name, text in about.items()]
    )
    return OutgoingRecord(
        dead_letter_topic(record.topic, group),
        record.value,
        record.key,
        headers,
        republished=True,
        tombstone=record.tombstone,
    )


def put_back(letter: DeadLetter) -> OutgoingRecord:
    """Returns a dead letter as it is, to be published after the others of its topic."""
    record = letter.record
    about = (record.value, record.key, record.headers)
    return OutgoingRecord(record.topic, *about, republished=True, tombstone=record.tombstone)


def replayed_record(letter: DeadLetter) -> OutgoingRecord:
    """Returns the record of a dead letter as it was, addressed to the group that could not handle it and to no other."""
    record, published = letter.record, f"{letter.published:.3f}"
    headers = (
        *_without(record.headers),
        (GROUP_HEADER, letter.group.encode()),
        (PUBLISHED_HEADER, published.encode()),
    )
    return OutgoingRecord(letter.topic, record.value, record.key, headers, republished=True, tombstone=record.tombstone)


def _without(headers: Headers) -> Headers:
    ours = (GROUP_HEADER, PUBLISHED_HEADER)
    return tuple([pair for pair in headers if not pair[0].startswith(_PREFIX) and pair[0] not in ours])


def _published(record: Record) -> float:
    """Returns when a record was published first: a dead letter is stamped anew, and so is one that is replayed."""
    text = next((value for name, value in record.headers if name == PUBLISHED_HEADER), b"")
    return seconds_of(text.decode(errors="replace"), record.timestamp)


def _name(error: BaseException) -> str:
    return error.code.name if isinstance(error, Error) else type(error).__name__
