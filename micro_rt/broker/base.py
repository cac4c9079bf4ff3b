"""The interface of a broker, and what every broker promises.

- A topic is divided into partitions. A record with a key goes to the partition that Kafka's own default partitioner
  would choose; records of one partition are kept, and read, in the order in which they were accepted.
- A record's timestamp is the time of its acceptance, and retention counts from there. The time at which an event happened is in a
  header of the event; the broker does not read it.
- A record that ``publish`` reports as accepted survives what the broker survives: the death of any process for an embedded broker, the
  loss of a server for a distributed one.
- A group has members; each partition is read by one member at a time. When a member leaves, dies or stops answering, other members
  take its partitions and continue at the last committed positions.
- A commit states that everything before a position is done. The broker commits nothing itself, except the position where a
  new group begins, if it has no other way to store it.
- A commit can store a note beside each position: a short text for the member that reads the partition next. The broker does not
  read it. Each commit of a partition replaces its note.
- A new group begins where ``Start`` says. A partition that is added to a topic after the group has begun to read the topic begins at
  its earliest record.
- Members may announce which types of events they handle. The partitions of a topic go only to members that handle every type
  which any member of the group announces for it; a member that announces nothing counts as handling all. If no member handles all,
  those that announce the most get them.
- A member that reads slowly, or not at all, stays a member for as long as its process lives, its loop runs, and a task runs that has
  called ``fetch``, ``pause`` or ``resume``. When all these tasks have ended without closing the subscription, and no other task calls
  one of these methods for a session (the broker defines its length), other members get its partitions. The next ``fetch`` calls
  ``lost`` of the listener, and joins again.
- A record that exists and cannot be read is returned with its bytes as its value and the header ``UNREADABLE``; the records after it
  are read.
- A record without a value, a tombstone, stays distinct from one with an empty value.
- A topic exists after ``prepare``, and not before. Its name is one that Kafka accepts too (``checked_topic``).
- A broker that is not open raises ``FailedPrecondition``. It can be opened again after it was closed, and closed twice.

The address of a broker is the only argument of its class: ``Service(broker="acme://host")`` calls the entry point ``acme`` with
``"acme://host"``. A ``ValueError`` says what is wrong with an address. ``broker.groups.base`` implements groups for brokers whose engine has
none.

Order per key, concurrency, retries and dead letters are in ``micro_rt.events``, the same for every broker.
``micro_rt.testing.contracts.BrokerContract`` checks these promises.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from struct import unpack_from
from types import MappingProxyType
from typing import Literal, NamedTuple, Protocol, TypeAlias

from micro_rt.errors import Error, InvalidArgument, Unimplemented

__all__ = [
    "DEFAULT_PARTITIONS",
    "LONGEST_NOTE",
    "NO_TYPES",
    "UNREADABLE",
    "Broker",
    "GroupOffset",
    "Headers",
    "Listener",
    "OutgoingRecord",
    "Partition",
    "Position",
    "Record",
    "Start",
    "Subscription",
    "TopicOptions",
    "checked_note",
    "TopicReader",
    "checked_start",
    "checked_topic",
    "partition_of",
]

DEFAULT_PARTITIONS = 8
"""Partitions of a new topic, if neither its options nor the address set a number."""

LONGEST_NOTE = 1024
"""Bytes of UTF-8 that the note of a committed position can have."""

NO_TYPES: Mapping[str, Collection[str]] = MappingProxyType({})
"""The announcement of a member that does not state which types of events it handles."""

UNREADABLE = "micro-unreadable"
"""The header of a record that its client cannot read. It holds the reason; the value of the record is its raw bytes."""

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}").fullmatch

Headers: TypeAlias = tuple[tuple[str, bytes], ...]
"""Names and values, in order; a name may occur more than once."""

Start: TypeAlias = Literal["earliest", "latest"] | datetime | int
"""Where a new group begins: at the first record, after the last one, at the first one that was accepted at a time or later,
or at an offset."""


class Partition(NamedTuple):
    """One partition of a topic."""

    topic: str
    number: int


class Position(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int


class OutgoingRecord(NamedTuple):
    """A record to publish; the broker chooses the partition."""

    topic: str
    value: bytes
    key: bytes | None = None
    headers: Headers = ()
    republished: bool = False
    """Whether a broker accepted this record before. Then the limit ``max_message`` of the address does not apply to it."""
    tombstone: bool = False
    """Whether it is a tombstone: a record without a value, which deletes the earlier records with its key."""


class Record(NamedTuple):
    """A record that was published, as it is read."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    """When the broker accepted it, in seconds since 1970. The publisher of another program may have chosen any other time."""
    key: bytes | None
    value: bytes
    headers: Headers
    tombstone: bool = False
    """Whether it is a tombstone, a record without a value; ``value`` is empty then."""


class GroupOffset(NamedTuple):
    """The position of a group in one partition."""

    first: int
    """The offset of the first record that is kept."""
    end: int
    """The offset after the last record that can be read."""
    committed: int | None = None
    """The position that the group has committed, or at which it begins; None if the broker stores neither."""
    member: str = ""
    """The member that reads the partition, as the broker names it; empty if no member does, or if it is not known."""

    @property
    def lag(self) -> int:
        """How many records follow the committed position. Without a position, how many records are kept."""
        return max(0, self.end - max(self.first, self.committed or 0))


@dataclass(frozen=True, slots=True)
class TopicOptions:
    """How a topic is made that does not exist. An existing topic is not changed."""

    partitions: int | None = None
    """None for the broker's default."""
    retention: float | None = None
    """Seconds that records are kept; None for the broker's default."""
    holds: str = ""
    """The name of a topic. The new topic accepts every record of that one, with 64 KiB more of headers; empty for no such topic."""


class Listener(Protocol):
    """Is called by a subscription when its partitions change; one call at a time."""

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """This member reads these partitions from now on, each from its committed position."""
        ...

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """This member gives these partitions up: the last chance to commit what is done. When this returns, another member reads them."""
        ...

    async def lost(self, partitions: Collection[Partition]) -> None:
        """Another member may have these partitions already: nothing can be committed for them."""
        ...


class Subscription(ABC):
    """One member of a group. One task calls its methods; other tasks may call ``pause``, ``resume`` and ``lag``."""

    @property
    def hand_over(self) -> float:
        """Seconds that a listener may take in ``revoked``; after that, another member may read the partitions in any case.

        A broker that waits without a limit need not implement it. The listener then takes at most 30 seconds.
        """
        return 30.0

    @abstractmethod
    async def fetch(self, limit: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:
        """Waits for records, and calls the listener for changes of its partitions.

        Call it continuously, also while every partition is paused: it also joins the group and handles its changes.

        Args:
            limit: how many records to return at most.
            timeout: seconds to wait for the first one.

        Returns:
            Records of partitions that this member has and that are not paused: the records of each partition in order,
            continuing after those returned before.

        Raises:
            NotFound: a topic does not exist.
            FailedPrecondition: the subscription or the broker is closed.
            Error: the broker cannot be read; try again if it is ``Unavailable``.
            ValueError: the limit is below 1.
        """

    @abstractmethod
    def pause(self, partitions: Iterable[Partition]) -> None:
        """Reads no more records of these partitions until they are resumed. Ignores partitions that this member does not have."""

    @abstractmethod
    def resume(self, partitions: Iterable[Partition]) -> None:
        """Reads these partitions again."""

    @abstractmethod
    async def commit(self, positions: Mapping[Partition, int], notes: Mapping[Partition, str] = {}) -> None:
        """States that all records before these offsets are done.

        Args:
            positions: the offset for each partition.
            notes: a text to store beside the position of a partition, at most ``LONGEST_NOTE`` bytes of UTF-8. A partition
                without one has an empty note from now on.

        Raises:
            Aborted: this member does not have a partition any more; the others may have been committed.
            Unavailable: the broker cannot be reached.
            ValueError: an offset is below 0, a note is too long, or it belongs to a partition without a position.
        """

    @abstractmethod
    async def notes(self, partitions: Collection[Partition]) -> Mapping[Partition, str]:
        """Returns the notes that are stored beside the committed positions of partitions.

        A note may come from another program: a tool that sets positions may store a text of its own, of any length. The caller checks
        what it reads.

        Args:
            partitions: which ones; this member need not have them.

        Returns:
            The note of each partition for which the group has committed a position, empty if the commit had none. Other partitions
            are left out.

        Raises:
            Unavailable: the broker cannot be reached.
        """

    @abstractmethod
    async def lag(self) -> Mapping[Partition, int]:
        """Returns how many records follow the committed position of each partition of this member.

        Another task calls it while ``fetch`` waits, so that reading does not wait for the answer.

        Raises:
            Unavailable: the broker cannot be reached.
        """

    @abstractmethod
    def announced(self, topic: str, type: str) -> bool:
        """Returns whether a member of the group has announced that it handles this type of event.

        The other members know what a member has announced before they read anything that was published after it had partitions.
        They remember it for ten minutes after that member has left, because it may return.
        """

    @abstractmethod
    async def close(self) -> None:
        """Leaves the group; first calls the listener's ``revoked``."""


class TopicReader(ABC):
    """Reads all partitions of a topic outside of every group, and changes nothing. One task calls its methods."""

    @abstractmethod
    async def fetch(self, limit: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:
        """Waits for records.

        Args:
            limit: how many records to return at most.
            timeout: seconds to wait for the first one.

        Returns:
            Each partition's records in order, continuing after those returned before.

        Raises:
            NotFound: the topic does not exist.
            FailedPrecondition: the reader or the broker is closed.
            Error: the broker cannot be read; try again if it is ``Unavailable``.
            ValueError: the limit is below 1.
        """

    @abstractmethod
    async def remaining(self) -> int:
        """Returns how many offsets are between what was read and the present end of the topic; 0 if nothing is left to read.

        Raises:
            NotFound: the topic does not exist.
            Unavailable: the broker cannot be reached.
        """

    @abstractmethod
    async def close(self) -> None:
        """Ends it, and leaves nothing behind at the broker."""


class Broker(ABC):
    """Keeps events; found by the scheme of its address in the entry points ``micro_rt.broker``.

    A broker is opened before use and closed after it, in the loop that uses it.
    """

    envelope: Literal["cloudevents", "micro"] = "cloudevents"
    """In which form events are written, as the address says: ``?envelope=micro`` is go-micro's."""
    framing: Literal["none", "confluent"] = "none"
    """Which framing of values is read beside bare messages, as the address says: ``?framing=confluent`` is that of schema registries."""

    @property
    def problem(self) -> str:
        """What keeps it from working, as far as is known; empty if nothing does."""
        return ""

    @abstractmethod
    async def open(self) -> None:
        """Connects.

        Raises:
            Unavailable: it cannot be reached; the message says where it was looked for and what to do.
        """

    @abstractmethod
    async def close(self) -> None:
        """Finishes what is being published, ends every subscription and disconnects."""

    @abstractmethod
    async def prepare(self, topics: Mapping[str, TopicOptions]) -> None:
        """Makes topics that do not exist.

        Raises:
            InvalidArgument: a name or an option is impossible.
            NotFound: a topic does not exist, and the address forbids making topics.
            PermissionDenied: this client may not make them.
            Unavailable: the broker cannot be reached.
        """

    async def retention(self, topics: Collection[str]) -> Mapping[str, float]:
        """Returns for how many seconds the records of topics are kept. Leaves out topics that keep them for ever or where it is not known.

        A broker need not implement it; the default leaves out all topics.

        Raises:
            Unavailable: the broker cannot be reached.
        """
        return {}

    @abstractmethod
    async def publish(self, records: Sequence[OutgoingRecord]) -> list[Position | Error]:
        """Publishes records, and waits until they are durably accepted.

        Waits first while too many bytes are being sent (back pressure). If it is cancelled, it withdraws what has not been sent.

        Returns:
            For each record its position, or an error: ``InvalidArgument`` if it is too large, if its topic does not accept it, or
            if its topic has an impossible name, ``NotFound`` for a topic that does not exist, ``PermissionDenied``,
            ``ResourceExhausted`` if there is no space left, ``FailedPrecondition`` if this machine's clock is wrong,
            ``Unavailable``. The error's ``may_have_run`` says whether the record may have been accepted nevertheless. A refused
            record does not keep the others from being accepted.
        """

    @abstractmethod
    def subscribe(
        self,
        topics: Collection[str],
        group: str,
        start: Start,
        listener: Listener,
        *,
        types: Mapping[str, Collection[str]] = NO_TYPES,
    ) -> Subscription:
        """Joins a group.

        The member is not in the group before its first ``fetch``.

        Args:
            topics: what to read; they exist.
            group: whose member it is; members of one group may read different topics.
            start: where the group begins to read a topic for which it has no position.
            listener: called when partitions are assigned, revoked or lost.
            types: which types of events this member handles, by topic. It announces nothing for a topic that is left out or
                has no types.
        """

    # For inspection. A broker works without these; the commands that need them report that it does not implement them.

    def read(self, topic: str, start: Start) -> TopicReader:
        """Reads a topic without being in a group: nothing is committed, and nothing is left behind.

        Args:
            topic: what to read; the first ``fetch`` raises if it does not exist.
            start: where each partition begins.

        Raises:
            Unimplemented: this broker cannot do that.
            ValueError: ``checked_start`` refuses the start.
        """
        raise Unimplemented(f"{type(self).__name__} cannot read a topic outside of a group", may_have_run=False)

    async def offsets(self, group: str, topics: Collection[str] = ()) -> Mapping[Partition, GroupOffset]:
        """Returns the offsets of a group; joins no group, and changes nothing.

        Args:
            group: whose offsets.
            topics: which topics; if empty, all that the group reads or has positions for.

        Raises:
            Unimplemented: this broker cannot do that.
            NotFound: there is no such group, or no such topic.
            PermissionDenied: this client may not see it.
            Unavailable: the broker cannot be reached.
        """
        raise Unimplemented(f"{type(self).__name__} cannot return the offsets of a group", may_have_run=False)


def checked_note(notes: Mapping[Partition, str], positions: Collection[Partition]) -> None:
    """Checks the notes of a commit.

    Args:
        notes: the text for each partition.
        positions: the partitions that are committed.

    Raises:
        ValueError: a note is longer than ``LONGEST_NOTE`` bytes of UTF-8, or belongs to a partition that is not committed.
    """
    for partition, note in notes.items():
        if partition not in positions:
            raise ValueError(f"there is a note but no position for {partition.topic}[{partition.number}]")
        size = len(note.encode(errors="surrogatepass"))
        if size > LONGEST_NOTE:
            raise ValueError(
                f"the note of {partition.topic}[{partition.number}] has {size} bytes: at most {LONGEST_NOTE}"
            )


def checked_start(start: Start) -> Start:
    """Returns a start if it is valid.

    Raises:
        ValueError: it is a time without a zone, an offset below 0, or an unknown word.
    """
    if isinstance(start, datetime):
        if start.utcoffset() is None:
            raise ValueError(f"start={start!r} has no time zone: write datetime(…, tzinfo=UTC)")
    elif isinstance(start, int):
        if start < 0:
            raise ValueError(f"start={start} is not an offset: they begin at 0")
    elif start not in ("earliest", "latest"):
        raise ValueError(f"start={start!r} is not 'earliest', 'latest', a datetime or an offset")
    return start


def checked_topic(topic: str) -> str:
    """Returns the name of a topic if Kafka accepts it.

    Raises:
        InvalidArgument: Kafka does not accept it.
    """
    if not _TOPIC(topic) or topic in (".", ".."):
        raise InvalidArgument(
            f"{topic!r} is not a valid name of a topic: use up to 249 letters, digits, '.', '_' and '-'",
            may_have_run=False,
        )
    return topic


def partition_of(key: bytes, partitions: int) -> int:
    """Returns the partition of a key, as Kafka's default partitioner chooses it.

    https://github.com/apache/kafka/blob/4.1/clients/src/main/java/org/apache/kafka/common/utils/Utils.java, ``murmur2``.
    """
    return (_murmur2(key) & 0x7FFFFFFF) % partitions


def _murmur2(data: bytes) -> int:
    length = len(data)
    mixed = 0x9747B28C ^ length
    for block in unpack_from(f"<{length >> 2}I", data):
        block = block * 0x5BD1E995 & 0xFFFFFFFF
        mixed = (mixed * 0x5BD1E995 & 0xFFFFFFFF) ^ ((block ^ block >> 24) * 0x5BD1E995 & 0xFFFFFFFF)
    if rest := length & 3:
        mixed = (mixed ^ int.from_bytes(data[-rest:], "little")) * 0x5BD1E995 & 0xFFFFFFFF
    mixed = (mixed ^ mixed >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return mixed ^ mixed >> 15
