"""The interface of a broker, and what every broker promises.

- A topic is divided into partitions. A record with a key goes to the partition that Kafka's own default partitioner
  would choose; records of one partition are kept, and read, in the order in which they were accepted.
- A record's timestamp is the time of its acceptance, and retention counts from there. When an event happened is not the broker's
  business: the event says so itself, in a header.
- When ``publish`` says that a record is accepted, it survives whatever the broker survives: for an embedded one the death
  of any process, for a distributed one that of a server.
- A group has members; each partition is read by one member at a time. A member that leaves, dies or stops answering
  gives its partitions to others, who go on at the last committed position.
- Committing says that everything before a position is done. The broker commits nothing itself, but for the position where a
  new group begins, if it must to remember it.
- A commit can store a note beside each position: a short text for the member that reads the partition next. The broker does not
  read it. Each commit of a partition replaces its note.
- A new group begins where ``Start`` says: at the earliest record, unless told otherwise. A partition that a topic gets after the group
  has begun to read it begins at its earliest record.
- Members may announce which types of events they handle. The partitions of a topic go only to members that handle every type
  which any member of the group announces for it; a member that announces nothing counts as handling all. If no member handles all,
  those that announce the most get them.
- A member that reads slowly, or not at all, stays a member for as long as its process lives, its loop runs, and a task goes on that has
  called ``fetch``, ``pause`` or ``resume``. When all these tasks have ended without closing the subscription, and no other calls one
  of these methods for a session (the broker says how long that is), others get its partitions. The next ``fetch`` says that they are
  lost, and joins again.
- A record that is there and cannot be read is returned with its bytes as its value and the header ``UNREADABLE``; those behind it
  are read.
- A record without a value, a tombstone, stays distinct from one with an empty value.
- A topic exists when somebody has prepared it, and not before. Its name is one that Kafka takes too (``checked_topic``).
- A broker that is not open raises ``FailedPrecondition``. It can be opened again after it was closed, and closed twice.

The address of a broker is the only argument of its class: ``Service(broker="acme://host")`` calls the entry point ``acme`` with
``"acme://host"``. A ``ValueError`` says what is wrong with an address. ``broker.groups.base`` has what a broker needs whose engine knows
no groups.

What is made of that (order per key, concurrency, retries, dead letters) is ``micro_rt.events``, the same for every broker.
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
"""Partitions of a topic that the embedded brokers make, when nothing else is said."""

LONGEST_NOTE = 1024
"""Bytes of UTF-8 that the note of a committed position can have."""

NO_TYPES: Mapping[str, Collection[str]] = MappingProxyType({})
"""What a member of a group announces that does not say which types of events it handles."""

UNREADABLE = "micro-unreadable"
"""The header of a record that the broker has and its client cannot read. It says why; the value is the bytes that are there."""

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}").fullmatch

Headers: TypeAlias = tuple[tuple[str, bytes], ...]
"""Names and values, in order; a name may occur more than once."""

Start: TypeAlias = Literal["earliest", "latest"] | datetime | int
"""Where a new group begins: at the first record, behind the last one, at the first one that was accepted at a time or later,
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
    """A record to publish; where it goes within its topic is the broker's choice."""

    topic: str
    value: bytes
    key: bytes | None = None
    headers: Headers = ()
    republished: bool = False
    """Whether a broker accepted this record before. Then the limit ``max_message`` of the address does not apply to it."""
    tombstone: bool = False
    """Whether it is a tombstone: it has no value, which says that what was published with its key is deleted."""


class Record(NamedTuple):
    """A record that was published, as it is read."""

    topic: str
    partition: int
    offset: int
    timestamp: float
    """When the broker accepted it, in seconds since 1970. A record of another program may have any time that its publisher chose."""
    key: bytes | None
    value: bytes
    headers: Headers
    tombstone: bool = False
    """Whether it is a tombstone, a record without a value; ``value`` is empty then."""


class GroupOffset(NamedTuple):
    """How far a group is in one partition."""

    first: int
    """The offset of the first record that is kept."""
    end: int
    """The offset behind the last record that can be read."""
    committed: int | None = None
    """The position that the group has committed, or that it begins at; None if the broker stores none yet."""
    member: str = ""
    """Who reads the partition, as the broker names it; empty if nobody does, or it is not known."""

    @property
    def lag(self) -> int:
        """How many records follow the committed position; all that are kept, if there is none."""
        return max(0, self.end - max(self.first, self.committed or 0))


@dataclass(frozen=True, slots=True)
class TopicOptions:
    """How a topic is made if it is not there. A topic that is there stays as it is."""

    partitions: int | None = None
    """None for the broker's default."""
    retention: float | None = None
    """Seconds that records are kept; None for the broker's default."""
    holds: str = ""
    """A topic of which it can hold every record, with some thousand bytes of headers more; empty if it need not."""


class Listener(Protocol):
    """What a subscription tells about its partitions; one call at a time."""

    async def assigned(self, partitions: Collection[Partition]) -> None:
        """This member reads these partitions from now on, each from its committed position."""
        ...

    async def revoked(self, partitions: Collection[Partition]) -> None:
        """This member is to give these partitions up: the last chance to commit what is done. Another reads them once this returns."""
        ...

    async def lost(self, partitions: Collection[Partition]) -> None:
        """These partitions may be another's already: nothing of them can be committed."""
        ...


class Subscription(ABC):
    """One member of a group. All its methods belong to one task, but ``pause``, ``resume`` and ``lag``."""

    @property
    def hand_over(self) -> float:
        """Seconds that a listener may take in ``revoked``; after them, another may read the partitions all the same.

        A broker that waits for as long as it takes need not implement it; then no more than 30 seconds are taken.
        """
        return 30.0

    @abstractmethod
    async def fetch(self, limit: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:
        """Waits for records, and tells the listener what becomes of the partitions meanwhile.

        To be called again and again, also while every partition is paused: it is what says that this member is well.

        Args:
            limit: how many records to return at most.
            timeout: seconds to wait for the first one.

        Returns:
            Records of partitions that are this member's and not paused, each partition's in order, following those
            returned before.

        Raises:
            NotFound: a topic is not there.
            FailedPrecondition: the subscription or the broker is closed.
            Error: the broker cannot be read; trying again makes sense if it is ``Unavailable``.
            ValueError: the limit is below 1.
        """

    @abstractmethod
    def pause(self, partitions: Iterable[Partition]) -> None:
        """Reads no more records of these partitions until they are resumed; of one that is not this member's, does nothing."""

    @abstractmethod
    def resume(self, partitions: Iterable[Partition]) -> None:
        """Reads these partitions again."""

    @abstractmethod
    async def commit(self, positions: Mapping[Partition, int], notes: Mapping[Partition, str] = {}) -> None:
        """Says that all records before these offsets are done.

        Args:
            positions: the offset for each partition.
            notes: a text to store beside the position of a partition, at most ``LONGEST_NOTE`` bytes of UTF-8. A partition
                without one has an empty note from now on.

        Raises:
            Aborted: a partition is not this member's any more; the others may have been committed.
            Unavailable: the broker cannot be reached.
            ValueError: an offset is below 0, a note is too long, or it is of a partition without a position.
        """

    @abstractmethod
    async def notes(self, partitions: Collection[Partition]) -> Mapping[Partition, str]:
        """Returns the notes that are stored beside the committed positions of partitions.

        A note may come from another program: whoever set the position with a tool of the broker may have stored a text of its own,
        of any length. The reader checks what it reads.

        Args:
            partitions: which ones; they need not be this member's.

        Returns:
            The note of each partition that the group has committed a position of, empty if the commit had none. Other partitions
            are left out.

        Raises:
            Unavailable: the broker cannot be reached.
        """

    @abstractmethod
    async def lag(self) -> Mapping[Partition, int]:
        """Returns how many records follow the committed position of each partition of this member's.

        Another task calls it while ``fetch`` waits: the reader does not wait for the answer.

        Raises:
            Unavailable: the broker cannot be reached.
        """

    @abstractmethod
    def announced(self, topic: str, type: str) -> bool:
        """Returns whether a member of the group has announced that it handles this type of event.

        What a member has announced is known to the others before they read anything that was published after it had partitions.
        It is remembered for ten minutes after that member has left, in which it may return.
        """

    @abstractmethod
    async def close(self) -> None:
        """Leaves the group; the listener is told that its partitions are revoked."""


class TopicReader(ABC):
    """Reads all partitions of a topic outside of every group, so that no group notices. All its methods belong to one task."""

    @abstractmethod
    async def fetch(self, limit: int, timeout: float) -> Mapping[Partition, Sequence[Record]]:
        """Waits for records.

        Args:
            limit: how many records to return at most.
            timeout: seconds to wait for the first one.

        Returns:
            Each partition's records in order, following those returned before.

        Raises:
            NotFound: the topic is not there.
            FailedPrecondition: the reader or the broker is closed.
            Error: the broker cannot be read; trying again makes sense if it is ``Unavailable``.
            ValueError: the limit is below 1.
        """

    @abstractmethod
    async def remaining(self) -> int:
        """Returns how many offsets are between what was read and the present end of the topic; 0 if nothing is left to read.

        Raises:
            NotFound: the topic is not there.
            Unavailable: the broker cannot be reached.
        """

    @abstractmethod
    async def close(self) -> None:
        """Ends it; nothing of it is left."""


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
        """What keeps it from working, as far as it knows; empty if nothing does."""
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
        """Makes topics that are not there.

        Raises:
            InvalidArgument: a name, or what is asked for, is impossible.
            NotFound: one is not there, and the address says that none are to be made.
            PermissionDenied: this client may not make them.
            Unavailable: the broker cannot be reached.
        """

    async def retention(self, topics: Collection[str]) -> Mapping[str, float]:
        """Returns for how many seconds the records of topics are kept, of those where that is known and has an end.

        A broker need not implement it; by default, nothing is known.

        Raises:
            Unavailable: the broker cannot be reached.
        """
        return {}

    @abstractmethod
    async def publish(self, records: Sequence[OutgoingRecord]) -> list[Position | Error]:
        """Publishes records, and waits until they are durably accepted.

        Waits first while too much is on its way (back pressure). Cancelled, it withdraws what has not been sent.

        Returns:
            For each record where it is, or why it is nowhere: ``InvalidArgument`` for one that is too large, that its topic does
            not take, or whose topic has an impossible name, ``NotFound`` for a topic that is not there, ``PermissionDenied``,
            ``ResourceExhausted`` where there is no space left, ``FailedPrecondition`` where this machine's clock is wrong,
            ``Unavailable``. The error's ``may_have_run`` says whether the record may be there all the same. A record that is
            refused keeps no other from being accepted.
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
            topics: what to read; they are there.
            group: whose member it is; members of one group may read different topics.
            start: where the group begins to read a topic of which it has no position.
            listener: told what becomes of partitions.
            types: which types of events this member handles, by topic; of a topic that is not there, or has none, it
                announces nothing.
        """

    # What people look at. A broker works without these; commands that need them say that it does not implement them.

    def read(self, topic: str, start: Start) -> TopicReader:
        """Reads a topic without being in a group: nothing is committed, and nothing is left behind.

        Args:
            topic: what to read; whether it is there shows at the first ``fetch``.
            start: where each partition begins.

        Raises:
            Unimplemented: this broker cannot do that.
            ValueError: the start is not a place.
        """
        raise Unimplemented(f"{type(self).__name__} cannot read a topic outside of a group", may_have_run=False)

    async def offsets(self, group: str, topics: Collection[str] = ()) -> Mapping[Partition, GroupOffset]:
        """Returns how far a group is; it joins no group, and changes nothing.

        Args:
            group: whose offsets.
            topics: of which topics; all that the group reads or has positions of, if there are none.

        Raises:
            Unimplemented: this broker cannot do that.
            NotFound: there is no such group, or no such topic.
            PermissionDenied: this client may not see it.
            Unavailable: the broker cannot be reached.
        """
        raise Unimplemented(f"{type(self).__name__} cannot say how far a group is", may_have_run=False)


def checked_note(notes: Mapping[Partition, str], positions: Collection[Partition]) -> None:
    """Checks the notes of a commit.

    Args:
        notes: the text for each partition.
        positions: the partitions that are committed.

    Raises:
        ValueError: a note is longer than ``LONGEST_NOTE`` bytes of UTF-8, or is of a partition that is not committed.
    """
    for partition, note in notes.items():
        if partition not in positions:
            raise ValueError(f"a note of {partition.topic}[{partition.number}], which is not committed")
        size = len(note.encode(errors="surrogatepass"))
        if size > LONGEST_NOTE:
            raise ValueError(
                f"the note of {partition.topic}[{partition.number}] has {size} bytes: at most {LONGEST_NOTE}"
            )


def checked_start(start: Start) -> Start:
    """Returns where a group is to begin, if that is a place.

    Raises:
        ValueError: a time without a zone, an offset below 0, or a word that is not known.
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
    """Returns the name of a topic if Kafka, too, would take it.

    Raises:
        InvalidArgument: it would not.
    """
    if not _TOPIC(topic) or topic in (".", ".."):
        raise InvalidArgument(
            f"{topic!r} is not a name of a topic: use up to 249 letters, digits, '.', '_' and '-'", may_have_run=False
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
