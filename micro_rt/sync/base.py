"""The interface of an engine of locks, and what every engine promises.

Users hold a ``Sync`` (sync.py). It renews, watches the clock, tells of losses and waits. An engine keeps the claims.

- A lock has a number of seats, one for a plain lock. A claim is one try to have a seat, from its first request to its release. A
  seat that was granted belongs to the claim for ``ttl`` seconds after it was granted or renewed last, and no other claim gets it
  in that time. The time of day does not matter on any machine.
- A grant has a token. It is greater than that of every earlier grant of the lock, also if the lock was released, its holder died,
  or the engine was started again. If the engine has lost its data, the epoch is greater instead.
- ``acquire`` may be called again at any time, above all if its answer was lost: it finds what it has done by the id of the claim.
  It never makes a second claim of one.
- ``renew`` returns False if, and only if, the claim is gone for good. What the engine does not know is an error.
- ``release`` gives up whatever the claim has: its seat, its place in the queue, and what an ``acquire`` that is still on its way will
  have made, as soon as it can be known. It never harms the claim of somebody else. What it cannot reach ends with the ttl.
- A claim that is waiting is kept alive by ``renew`` as well. Where the engine is fair, claims are granted in the order in which they
  began to wait.

The address of an engine is the only argument of its class: ``Service(sync="acme://host")`` calls the entry point ``acme`` in the
group ``micro_rt.sync`` with ``"acme://host"``. A ``ValueError`` says what is wrong with an address.

``micro_rt.testing.contracts.SyncContract`` checks these promises.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

from micro_rt.errors import Aborted, DeadlineExceeded

__all__ = [
    "MAX_NAME",
    "MAX_VALUE",
    "TIMEOUT",
    "TTL",
    "Capabilities",
    "Claim",
    "Grant",
    "Holder",
    "LockLost",
    "LockTimeout",
    "Observed",
    "SyncEngine",
]

MAX_NAME = 256
"""Bytes of UTF-8 that the name of a lock has at most."""
MAX_VALUE = 4096
"""Bytes that the value of a holder has at most."""
TIMEOUT = 10.0
"""Seconds that a request to an engine may take, unless the address says otherwise."""
TTL = 15.0
"""Seconds that a lock outlives its holder, unless the caller says otherwise."""


class LockLost(Aborted):
    """A lock, a term or a permit is not held any more: it was not renewed in time, or was taken away.

    Whatever it protected may be in the hands of somebody else. Start over, with the lock.
    """


class LockTimeout(DeadlineExceeded):
    """A lock, a term or a permit was not to be had in time. Nothing is held."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an engine can do, where engines differ."""

    min_ttl: float
    """Seconds: the shortest time for which it can grant a seat."""
    margin: float
    """Seconds, beside a tenth of the ttl, before its end in which the holder must not use the seat any more: the time that the
    holder's work has to end, and by which clocks may run apart."""
    fair: bool
    """Whether claims are granted in the order in which they began to wait, over all processes."""
    shared: bool
    """Whether other processes see the same locks."""
    durable: bool
    """Whether tokens only grow whatever happens to the engine, short of a restored backup."""


class Grant(NamedTuple):
    """A seat that was granted."""

    epoch: int
    token: int


class Holder(NamedTuple):
    """Who has a lock."""

    value: bytes
    epoch: int
    token: int


class Observed(NamedTuple):
    """What an engine knows of a lock."""

    holder: Holder | None
    """The holder of the first seat; None if nobody has it."""
    position: Any
    """Where ``changed`` begins to look for changes."""


class Claim(ABC):
    """One try to have a seat of a lock, and the seat. Its methods are not called at the same time, except ``lost``."""

    @abstractmethod
    async def acquire(self) -> Grant | None:
        """Asks for the seat; the claim keeps its place if it does not get it.

        Returns:
            The grant, the same one each time; None if others have all seats.

        Raises:
            Unavailable: the engine cannot be reached, or has not answered: it is to be called again.
        """

    @abstractmethod
    async def changed(self, seconds: float) -> None:
        """Waits until ``acquire`` may succeed; it may return early, and returns after that many seconds at the latest.

        Raises:
            Unavailable: the engine cannot be reached.
        """

    @abstractmethod
    async def renew(self) -> bool:
        """Has the seat, or the place in the queue, last another ttl from when the engine gets this.

        Returns:
            Whether the claim lives. Once it is gone, it stays gone.

        Raises:
            Unavailable: the engine cannot be reached, or has not answered.
        """

    @abstractmethod
    async def lost(self) -> str:
        """Waits until the engine reports that a seat which was granted is gone: it was deleted, taken over, or has expired.

        Returns:
            What happened, for a person.

        Raises:
            Unavailable: the engine cannot be reached: it is to be called again.
        """

    @abstractmethod
    async def release(self) -> bool:
        """Gives up the seat or the place in the queue.

        Returns:
            Whether the claim had a seat until now. A second call returns False.

        Raises:
            Unavailable: the engine cannot be reached, or has not answered.
        """


class SyncEngine(ABC):
    """Where locks are kept; found by the scheme of its address in the entry points ``micro_rt.sync``.

    An engine is opened before use and closed after it, in the loop that uses it. Its caller checks arguments and bounds the time
    of each call by cancelling it. A call that is cancelled ends at once, and leaves nothing behind that would harm the next one.

    What it raises is a ``micro.Error``.
    """

    timeout: float = TIMEOUT
    """Seconds that a request may take."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """What it can do; known once it is open."""

    @property
    def name(self) -> str:
        """What errors call it: its address, without secrets."""
        return f"sync {type(self).__name__}"

    @property
    def problem(self) -> str:
        """What keeps it from working, as far as it knows; empty if nothing does."""
        return ""

    @abstractmethod
    async def open(self) -> None:
        """Connects, within ``timeout`` seconds. It may be called again after it failed, and after ``close``.

        Raises:
            Unavailable: it cannot be reached; the message says where it was looked for and what to do.
            FailedPrecondition: it cannot be used: rights are missing, or a newer version of micro-rt has written its data.
        """

    @abstractmethod
    async def close(self) -> None:
        """Disconnects, in bounded time. Claims that were not released end with their ttl."""

    @abstractmethod
    def claim(self, name: str, *, seats: int, ttl: float, value: bytes, id: str) -> Claim:
        """Makes a claim; nothing is sent yet.

        Args:
            name: of the lock.
            seats: how many claims are granted at once, at least 1; the same for all claims of a name.
            ttl: seconds; at least ``capabilities.min_ttl``.
            value: what observers see.
            id: of the claim, like no other: at most 64 characters of ASCII.
        """

    @abstractmethod
    async def observe(self, name: str) -> Observed:
        """Returns who has a lock with one seat.

        Raises:
            Unavailable: the engine cannot be reached, or has not answered.
        """

    @abstractmethod
    async def changed(self, name: str, position: Any, seconds: float) -> None:
        """Waits until the holder of a lock with one seat may be another one than at a position.

        Args:
            name: of the lock.
            position: as ``observe`` returned it.
            seconds: after which it returns at the latest; it may return early.

        Raises:
            Unavailable: the engine cannot be reached.
        """
