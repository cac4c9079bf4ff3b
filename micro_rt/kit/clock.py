"""Clocks: the only module of the runtime that reads them.

- The loop's clock (``loop_time``) is for everything that an event loop waits for: it is what ``loop.call_at`` and
  ``asyncio.timeout_at`` compare with.
- The monotonic clock (``monotonic``) is for threads, which have no loop, and for how long something takes: the clock of
  uvloop has milliseconds only, and stands still while the loop is blocked.
- The wall clock (``wall_time``) is for times that leave the process: in records, events and files. It may jump.
- The boot clock (``boot_clock``) is for leases and retention: neither a change of the time of day nor suspending the machine bends
  it, and every process on the machine reads it alike, also in a time namespace.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

__all__ = [
    "Clock",
    "boot_clock",
    "boot_of",
    "local_time",
    "loop_time",
    "monotonic",
    "pause_thread",
    "thread_usage",
    "wall_time",
    "wall_time_us",
]

monotonic = time.monotonic
"""Returns seconds that only increase, for code in a thread without an event loop, and for what blocks a loop."""


def loop_time() -> float:
    """Returns the seconds on the clock of the running event loop."""
    return asyncio.get_running_loop().time()


def pause_thread(seconds: float) -> None:
    """Blocks the thread."""
    time.sleep(seconds)


def thread_usage(thread: int) -> tuple[float, bool]:
    """Returns the seconds of processor time that a thread of this process has used, and whether it waits for something.

    Where the system does not tell, it has used none and waits.

    Args:
        thread: its ``threading.get_native_id()``. It may have ended.
    """
    try:
        fields = Path(f"/proc/self/task/{thread}/stat").read_bytes().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), fields[0] != b"R"
    except (OSError, ValueError, IndexError):
        return 0.0, True


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


def boot_clock(proc: Path = Path("/proc")) -> Clock:
    """Returns the machine's boot clock, or the wall clock where the system has none or does not name its boots.

    In a time namespace, the system's clock reads another time. This one reads the same as in every other namespace. Where the
    difference is not known, it has an epoch of its own.

    Args:
        proc: where the system says what is asked of it.
    """
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        _since_boot()
    except (OSError, AttributeError):
        boot = ""
    if not boot:
        return Clock(wall_time, "wall", jumps=True)
    try:
        namespace = str((proc / "self/ns/time").readlink())
    except OSError:
        return Clock(_since_boot, boot, from_boot=True)  # The system has no time namespaces.
    offset = _namespace_offset(proc, namespace)
    if offset is None:
        return Clock(_since_boot, f"{boot} {namespace}")  # A namespace is called "time:[4026532177]".
    return Clock(_SinceBoot(offset) if offset else _since_boot, boot, from_boot=True)


def boot_of(epoch: str) -> str:
    """Returns the part of an epoch that names the boot, without the time namespace."""
    return epoch.partition(" time:")[0]


def _since_boot() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class _SinceBoot:
    """Reads the boot clock of the machine in a time namespace; two with one offset are equal."""

    offset: float

    def __call__(self) -> float:
        return _since_boot() - self.offset


def _namespace_offset(proc: Path, namespace: str) -> float | None:
    """Returns by how many seconds the boot clock of this time namespace is ahead of the machine's; None if that is not known."""
    try:
        # The offsets are those of the namespace of new child processes.
        if str((proc / "self/ns/time_for_children").readlink()) != namespace:
            return None
        for line in (proc / "self/timens_offsets").read_text().splitlines():
            name, seconds, nanoseconds = line.split()
            if name == "boottime":
                return int(seconds) + int(nanoseconds) / 1e9
    except (OSError, ValueError):
        pass
    return None
