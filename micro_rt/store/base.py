"""The interface of an engine of a store, and what every store promises.

Users hold a ``Store`` (store.py), which checks what they pass, bounds each call by its deadline, and pages. An engine stores.

- A record has a key, a value, metadata, a version and maybe an expiry. A write that returned is seen by every read that begins
  after it, also in other processes.
- A version is a number above 0. No two writes of a store have the same one, and the versions of a key only grow, also when it was
  deleted or expired in between. So a version that was read long ago never matches a younger record.
- ``if_version`` makes a write or a deletion conditional: it happens only if the record has this version; 0 means that there is no
  record. Of several writers with the same ``if_version``, exactly one succeeds. The others get ``VersionConflict``.
- A write carries an id. If the same write comes again, because its answer was lost, it is recognized: a write never conflicts
  with itself.
- A write or a deletion may carry a fence: the name of a lock, an epoch and a token. The record keeps it. It refuses a lower token
  of the same epoch, an older epoch and the name of another lock with ``Stale``, before ``if_version`` is looked at. Of a write that
  is refused, or of a deletion that finds nothing, nothing is kept. A write without a fence passes, and leaves the one that the
  record has. Deletions and expiries keep it for as long as they are kept for watches. A record that is made after that starts
  without one.
- A record whose time to live has passed is gone for every read, list, conditional write and watch at once, also while it still
  occupies space. The engine's clock decides.
- Keys are ordered by their UTF-8 bytes on every engine. Every text without surrogates is a key, up to ``MAX_KEY`` bytes.
- There are no transactions across records: each write of several happens or does not happen for itself.
- A watch delivers the latest version of every key that changes, and misses none: a record that changes several times while nobody
  looks is delivered once. Deletions and expiries are kept for a while after they happened. A watch that continues from before that
  starts over with ``RESYNC``.
- An engine refuses what it cannot do, such as a value that is too large, and ignores nothing.

The address of an engine is the only argument of its class: ``Service(store="acme://host")`` calls the entry point ``acme`` in the
group ``micro_rt.store`` with ``"acme://host"``. A ``ValueError`` says what is wrong with an address.

``micro_rt.testing.contracts.StoreContract`` checks these promises.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from micro_rt.errors import Aborted, Error, FailedPrecondition
from micro_rt.fence import Fence
from micro_rt.store.wakeups import Wakeups

__all__ = [
    "KEEP",
    "MAX_KEY",
    "MAX_METADATA",
    "TIMEOUT",
    "Capabilities",
    "Change",
    "ChangeKind",
    "Changes",
    "Cursor",
    "Entry",
    "Keep",
    "Last",
    "NotAllWritten",
    "Position",
    "Record",
    "Scan",
    "Stale",
    "StoreEngine",
    "VersionConflict",
    "Wakeups",
    "Write",
]

MAX_KEY = 1024
"""Bytes of UTF-8 that a key has at most."""
MAX_METADATA = 16 << 10
"""Bytes of UTF-8 that all names and values of a record's metadata have at most, together."""
TIMEOUT = 10.0
"""Seconds that a call may take, unless the address says otherwise."""


class Keep(enum.Enum):
    """Says that a write leaves something as it is."""

    KEEP = "KEEP"

    def __repr__(self) -> str:
        return self.name


KEEP: Final = Keep.KEEP
"""As ``ttl=`` or ``metadata=`` of a write: what the record has already."""

KeepT: TypeAlias = Literal[Keep.KEEP]


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored under a key."""

    key: str
    value: bytes
    """The bytes; empty where a list was asked for keys alone."""
    version: int
    """Grows with each write of the key, and no other write of the store has it."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    expires: datetime | None = None
    """When it expires, in UTC, as well as the engine's clock can be compared with the time of day; None if it does not."""


class ChangeKind(enum.Enum):
    """What a watch delivers."""

    PUT = "put"
    """A record was written, or was there when the watch began."""
    DELETED = "deleted"
    """A record was deleted."""
    EXPIRED = "expired"
    """The time to live of a record has passed."""
    SYNCED = "synced"
    """All records that were there when the watch began have been delivered."""
    RESYNC = "resync"
    """Changes are not known any more. All records are delivered again, then SYNCED: forget those that are not among them."""


@dataclass(frozen=True, slots=True)
class Change:
    """One item of a watch."""

    kind: ChangeKind
    key: str = ""
    """Empty for SYNCED and RESYNC."""
    record: Record | None = None
    """The record of a PUT; None otherwise."""
    version: int = 0
    """The version of the write or the deletion; 0 for SYNCED and RESYNC."""
    position: str = ""
    """Where a later watch continues behind it (``since=``). Empty until all records have been delivered: a later watch starts over."""

    @property
    def value(self) -> bytes:
        """The value of a PUT; empty otherwise."""
        return b"" if self.record is None else self.record.value


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, where engines differ."""

    max_value: int
    """Bytes that a value has at most."""
    watch_delay: float
    """Seconds after which a watch has normally seen a write."""
    watch_interval: float
    """Seconds after which a watch looks also if nothing woke it."""
    shared: bool
    """Whether other processes see the same records."""
    fences: bool = False
    """Whether records keep fences. A write with a fence is not sent to an engine that does not say so."""


class VersionConflict(Aborted):
    """A record does not have the version that a conditional write or deletion expects. Nothing was changed.

    Attributes:
        current: the version that it has; 0 if there is no record.
    """

    current: int = 0

    @classmethod
    def of_key(cls, key: str, expected: int, current: int) -> VersionConflict:
        """Makes the error of a key.

        Args:
            key: of the record.
            expected: the version that was asked for.
            current: the version that it has; 0 if there is no record.
        """
        found = f"has version {current}" if current else "does not exist"
        wanted = f"version {expected}" if expected else "that it does not exist"
        error = cls(f"record {key!r} {found}, and the write expects {wanted}", id="micro.version_conflict")
        error.current = current
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        kind, arguments, state = super().__reduce__()
        return kind, arguments, {**state, "current": self.current}


class Stale(FailedPrecondition):
    """A record has a newer fence than a write or a deletion, or that of another lock. Nothing was changed.

    Attributes:
        lock: the name of the lock whose fence the record has.
        epoch: of the fence that it has.
        token: of the fence that it has.
    """

    lock: str = ""
    epoch: int = 0
    token: int = 0

    @classmethod
    def of_key(cls, key: str, fence: Fence, kept: Fence) -> Stale:
        """Makes the error of a key.

        Args:
            key: of the record.
            fence: of the write.
            kept: what the record has.
        """
        if fence.lock != kept.lock:
            why = f"is written under lock {kept.lock!r}, and the write comes from a holder of lock {fence.lock!r}"
        elif fence.epoch != kept.epoch:
            why = f"has seen epoch {kept.epoch} of lock {kept.lock!r}, and the write has epoch {fence.epoch}"
        else:
            why = f"has seen token {kept.token} of lock {kept.lock!r}, and the write has token {fence.token}"
        error = cls(f"record {key!r} {why}", id="micro.stale_fence")
        error.lock, error.epoch, error.token = kept.lock, kept.epoch, kept.token
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        kind, arguments, state = super().__reduce__()
        return kind, arguments, {**state, "lock": self.lock, "epoch": self.epoch, "token": self.token}


class NotAllWritten(Aborted):
    """Some of several writes were not made, or it is unknown whether they were.

    Attributes:
        outcomes: for each key, the version of its write or why it was not made.
    """

    outcomes: Mapping[str, int | Error] = MappingProxyType({})

    @classmethod
    def of_outcomes(cls, outcomes: Mapping[str, int | Error]) -> NotAllWritten:
        """Makes the error of outcomes, of which one at least is an error; it names the first of these."""
        errors = {key: outcome for key, outcome in outcomes.items() if isinstance(outcome, Error)}
        key, first = next(iter(errors.items()))
        error = cls(
            f"{len(errors)} of {len(outcomes)} records were not written, as far as is known; of {key!r}: {first.message}"
        )
        error.outcomes = outcomes
        return error

    def __reduce__(self) -> tuple[Any, ...]:
        kind, arguments, state = super().__reduce__()
        return kind, arguments, {**state, "outcomes": dict(self.outcomes)}


# What engines are called with, and return


class Write(NamedTuple):
    """A write or a deletion, checked."""

    key: str
    value: bytes | None
    """None for a deletion."""
    metadata: Mapping[str, str] | KeepT
    ttl: float | KeepT | None
    """Seconds; None for a record that does not expire."""
    if_version: int | None
    """The version that the record must have; 0 if there must be none; None if it does not matter."""
    id: str
    """At most 64 characters of ASCII. The write that carries the id of the record's last write is that write."""
    fence: Fence | None = None
    """What the record keeps unless it has a newer one; None to leave what it has. Only engines whose capabilities say ``fences`` get
    one. ``fences.refused`` says what is refused."""


class Last(NamedTuple):
    """The last write of a key, also if that was a deletion or the record has expired."""

    version: int
    id: str


Position: TypeAlias = tuple[int, ...]
"""Where a change is among the others."""


class Cursor(NamedTuple):
    """A place in the order in which changes become visible."""

    epoch: str
    """Names the history that the position belongs to, at most 64 characters of ASCII: another after the data was restored."""
    position: Position
    """Grows; at most four numbers of 63 bits."""


class Entry(NamedTuple):
    """A record, or what is left of one, with its place among the changes."""

    kind: Literal[ChangeKind.PUT, ChangeKind.DELETED, ChangeKind.EXPIRED]
    record: Record
    """The value, metadata and expiry are empty unless the kind is PUT."""
    position: Position


class Scan(NamedTuple):
    """Some records in the order of their keys."""

    entries: Sequence[Entry]
    """Of kind PUT."""
    more: bool
    """Whether there may be more behind the last one; then there is one at least."""


class Changes(NamedTuple):
    """Some changes in the order of their positions, each key at its last change."""

    entries: Sequence[Entry]
    cursor: Cursor
    """Behind the last entry, or further, if no change of the prefix is in between."""
    more: bool
    """Whether there may be more by now; then the cursor has moved, since the watch asks again at once."""


class StoreEngine(ABC):
    """Where records are stored; found by the scheme of its address in the entry points ``micro_rt.store``.

    An engine is opened before use and closed after it, in the loop that uses it. Its caller checks arguments and bounds the time
    of each call by cancelling it. A call that is cancelled ends at once, and leaves nothing behind that would harm the next one;
    whether a write was made is then unknown.

    What it raises is a ``micro.Error``. ``Unavailable`` with ``may_have_run=False`` says that a write was not made.
    """

    timeout: float = TIMEOUT
    """Seconds that a call may take."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What it can do; known once it is open."""

    @property
    @abstractmethod
    def wakeups(self) -> Wakeups:
        """What wakes watches of this engine when something may have changed.

        ``open`` makes another: watches of before stay closed, and leave the one that they have joined.
        """

    @property
    def name(self) -> str:
        """What errors call it: its address, without secrets."""
        return f"store {type(self).__name__}"

    @property
    def problem(self) -> str:
        """What keeps it from reading or writing, as far as it knows; empty if nothing does."""
        return ""

    @abstractmethod
    async def open(self) -> None:
        """Connects, and brings what is stored to the present schema, within ``timeout`` seconds.

        It may be called again after it failed, and after ``close``.

        Raises:
            Unavailable: it cannot be reached; the message says where it was looked for and what to do.
            FailedPrecondition: it cannot be used: rights are missing, or a newer version of micro-rt has written it.
        """

    @abstractmethod
    async def close(self) -> None:
        """Ends every watch and disconnects, in bounded time."""

    @abstractmethod
    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Returns the records of keys, in the order of the keys; None for one that does not exist."""

    @abstractmethod
    async def apply(self, writes: Sequence[Write]) -> Sequence[int | Error]:
        """Makes writes and deletions of different keys, each for itself.

        Returns:
            For each, in order, the version that it made, or why it was not made, such as ``VersionConflict``. A deletion of what
            does not exist returns 0 if it has no ``if_version``. A write that was made before, by its id, returns its version.
            ``Stale`` comes before ``VersionConflict``.

        Raises:
            Error: none was made, or it is unknown which.
        """

    @abstractmethod
    async def last(self, key: str) -> Last | None:
        """Returns the last write of a key; None if it was never written, or that is long ago."""

    @abstractmethod
    async def scan(self, prefix: str, after: str, *, suffix: str, limit: int, max_bytes: int, values: bool) -> Scan:
        """Returns records in the order of their keys, as they are now.

        Args:
            prefix: of their keys.
            after: the key behind which it begins; empty for the first.
            suffix: of their keys; what does not end with it does not count for the limit.
            limit: how many at most.
            max_bytes: no further record is added once their values have so many bytes together.
            values: whether to read values; they are empty otherwise.
        """

    @abstractmethod
    async def end(self) -> Cursor:
        """Returns a place such that ``changes`` from there returns everything that becomes visible after this call."""

    @abstractmethod
    async def changes(self, prefix: str, cursor: Cursor, *, limit: int, max_bytes: int) -> Changes | None:
        """Returns what changed since.

        Args:
            prefix: of the keys.
            cursor: where to begin.
            limit: how many at most.
            max_bytes: no further change is added once their values have so many bytes together.

        Returns:
            The changes; None if the engine does not know any more what changed since then.
        """
