"""Clocks: the only module of the runtime that reads them.

- The loop's clock (``loop_time``) is for everything that an event loop waits for: it is what ``loop.call_at`` and
  ``asyncio.timeout_at`` compare with.
- The monotonic clock (``monotonic``) is for threads, which have no loop, and for how long something blocks a loop: the clock
  of uvloop stands still meanwhile.
- The wall clock (``wall_time``) is for times that leave the process: in records, events and files. It may jump.
- The boot clock (``boot_clock``) is for leases and retention: neither a change of the time of day nor suspending the machine bends
  it, and every process on the machine reads it alike.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

__all__ = ["Clock", "boot_clock", "local_time", "loop_time", "monotonic", "pause_thread", "wall_time", "wall_time_us"]

monotonic = time.monotonic
"""Returns seconds that only increase, for code in a thread without an event loop, and for what blocks a loop."""


def loop_time() -> float:
    """Returns the seconds on the clock of the running event loop."""
    return asyncio.get_running_loop().time()


def pause_thread(seconds: float) -> None:
    """Blocks the thread."""
    time.sleep(seconds)


def wall_time() -> float:
    """Returns the seconds since 1970, as the system's time of day has them."""
    return time.time()


def wall_time_us() -> int:
    """Returns the microseconds since 1970, as the system's time of day has them."""
    return time.time_ns() // 1000


def local_time() -> datetime:
    """Returns the present time of day in the system's time zone."""
    return datetime.fromtimestamp(wall_time()).astimezone()


@dataclass(frozen=True, slots=True)
class Clock:
    """A clock that every process on this machine reads alike.

    Times of two clocks can be compared if, and only if, their ``epoch`` is the same.
    """

    now: Callable[[], float]
    """Returns the seconds since the epoch of this clock."""
    epoch: str
    """Names the start of this clock: another after each boot."""
    from_boot: bool = False
    """Whether it began at 0 when the machine was started."""
    jumps: bool = False
    """Whether it can be set, as the time of day can."""


def boot_clock(boot_id: Path = Path("/proc/sys/kernel/random/boot_id")) -> Clock:
    """Returns the machine's boot clock, or the wall clock where the system has none or does not name its boots."""
    try:
        epoch = boot_id.read_text().strip()
        _since_boot()
    except (OSError, AttributeError):
        epoch = ""
    return Clock(_since_boot, epoch, from_boot=True) if epoch else Clock(wall_time, "wall", jumps=True)


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
