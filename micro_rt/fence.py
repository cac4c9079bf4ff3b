"""Fencing tokens: what the holder of a lock shows to what it writes to, so that an earlier holder is refused.

A lock alone cannot keep a process that was suspended from writing after it has lost the lock. What is written to can, if it
remembers the highest token that it has seen (https://martin.kleppmann.com/2016/02/08/how-to-do-distributed-locking.html).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Fence", "Fenced"]


@dataclass(frozen=True, slots=True)
class Fence:
    """The name of a lock, and the number of one holder."""

    lock: str
    """The name of the lock."""
    epoch: int
    """Grows when the engine of the lock has lost its data, and its tokens start again."""
    token: int
    """Grows with each holder of the lock, within an epoch."""


class Fenced(Protocol):
    """What has a fence, such as a lock that is held."""

    @property
    def fence(self) -> Fence:
        """The fence, as long as the lock is held; afterwards it raises the reason."""
        ...
