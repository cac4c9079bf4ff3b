"""When a lease in the file of ``local:`` that was not renewed in time belongs to a node that is gone.

The rules that it keeps, and why:

- Heartbeats are writes. While nobody can write, because the disk is full or a process holds the lock, no lease is renewed, and
  no node is gone for that.
- So a lease that ended counts as run out only if this process has written to the file since. A process that has nothing to
  write tries it then, by deleting what ran out.
- While a write of this process fails or waits for long, nothing more runs out. When it works again, owners get the time of a
  heartbeat first: they were in the same situation.
"""

from __future__ import annotations

from collections.abc import Callable

from micro_rt.registry.base import LEASE_TTL

__all__ = ["LONG", "Expiry"]

HEARTBEAT = LEASE_TTL / 3 * 1.1
"""Seconds within which the owner of a lease tries to renew it: heartbeats come every third of the usual lease."""
LONG = 2.0
"""Seconds after which a write that waits counts as one that fails."""


class Expiry:
    """What this process knows of who can write; for the threads of the file, and the loop.

    Args:
        now: the clock of leases.
        over: returns the time on it by which leases must have ended to be over.
    """

    def __init__(self, now: Callable[[], float], over: Callable[[], float]) -> None:
        self._now = now
        self._over = over
        self._failing = False
        self._resume = 0.0
        self.until = over()
        """Leases that ended by then have run out."""

    @property
    def in_doubt(self) -> bool:
        """Whether owners of leases could not write, or have had no time for it since."""
        return self._failing or self._now() < self._resume

    @property
    def pause(self) -> float:
        """Seconds until leases run out again."""
        return max(0.0, self._resume - self._now())

    def limit(self, asked: float) -> float:
        """Returns until when leases have run out that are deleted in a write that was asked for at a time."""
        now = self._now()
        return self.until if self._failing or now < self._resume or now - asked > LONG else self._over()

    def wrote(self, asked: float) -> None:
        """Notes that a write was committed that was asked for at a time."""
        now = self._now()
        if self._failing or now - asked > LONG:
            self._failing = False
            self._resume = now + HEARTBEAT
        elif now >= self._resume:
            self.until = self._over()

    def failed(self) -> None:
        """Notes that a write failed."""
        self._failing = True
