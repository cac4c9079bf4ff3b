"""The boot clock: seconds that neither a change of the time of day nor suspending the machine can bend."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Clock", "boot_clock"]


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that every process on this machine reads alike.

    Times of two clocks can be compared if, and only if, their ``epoch`` is the same.
    """

    now: Callable[[], float]
    """Returns the seconds since the epoch of this clock."""
    epoch: str
    """Names the start of this clock: another after each boot."""


def boot_clock(boot_id: Path = Path("/proc/sys/kernel/random/boot_id")) -> Clock:
    """Returns the machine's boot clock, or the time of day where the system has none or does not name its boots."""
    try:
        epoch = boot_id.read_text().strip()
        _since_boot()
    except (OSError, AttributeError):
        epoch = ""
    return Clock(_since_boot, epoch) if epoch else Clock(time.time, "wall")


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
