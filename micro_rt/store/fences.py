"""What a record does with the fence of a write: it keeps the newest that it has seen, and refuses an older one.

The rules that it keeps, and why:

- Fences of one lock are in the order of (epoch, token): tokens start again when the engine of the lock has lost its data, and then
  it has another epoch.
- Fences of different locks have no order, so a record belongs to the lock that it was first written under.
- An equal fence passes: a holder writes more than once.
- A write without a fence passes, and changes nothing about the one that is kept: it comes from a program that takes no lock.
"""

from __future__ import annotations

from micro_rt.fence import Fence
from micro_rt.store.base import Stale, Write

__all__ = ["kept", "refused"]


def refused(write: Write, known: Fence | None) -> Stale | None:
    """Returns the error of a write, if what its record knows refuses it.

    Args:
        write: the write or deletion.
        known: the fence of the record, or of what is left of it; None if it has none.
    """
    fence = write.fence
    if fence is None or known is None:
        return None
    if fence.lock == known.lock and (fence.epoch, fence.token) >= (known.epoch, known.token):
        return None
    return Stale.of_key(write.key, fence, known)


def kept(write: Write, known: Fence | None) -> Fence | None:
    """Returns the fence that a record has after a write that is not refused.

    Args:
        write: the write or deletion.
        known: the fence that it has before.
    """
    return known if write.fence is None else write.fence
