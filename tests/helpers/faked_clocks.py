"""Processes whose time of day is off, by libfaketime.

The command ``faketime`` is never run. It makes a semaphore and a shared memory named after its process id, and fails where those
of an older process of the same id are left, as they are after a SIGKILL. The library alone goes on without them.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.helpers.missing import missing

__all__ = ["faked_clock", "leave_no_clock_files"]


def _library() -> Path | None:
    """Returns the library that belongs to the command ``faketime``."""
    command = shutil.which("faketime")
    if command is None:
        return None
    prefix = Path(command).resolve().parent.parent
    found = sorted(each for folder in prefix.glob("lib*") for each in folder.rglob("faketime/libfaketime.so.1"))
    return found[0] if found else None


def faked_clock(offset: str, *, required: bool = True) -> dict[str, str]:
    """Returns the environment of a process whose time of day is off, and whose boot clock is not.

    Without libfaketime it skips the test, and fails it in CI.

    Args:
        offset: as ``FAKETIME`` takes it: ``"-1h"``, ``"@1970-01-02 00:00:00"``; empty for the right time.
        required: False returns an empty environment without libfaketime, except in CI.
    """
    if not offset:
        return {}
    library = _library()
    if library is None:
        if required or os.environ.get("MICRO_REQUIRE_SERVERS") == "1":
            missing("needs the command faketime and its library (Debian has both)")
        return {}
    return {"LD_PRELOAD": str(library), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


def leave_no_clock_files() -> None:
    """Removes the names of what libfaketime made for this process, which would be left when it is killed."""
    for name in os.environ.pop("FAKETIME_SHARED", "").split():
        for prefix in ("sem.", ""):
            Path("/dev/shm", f"{prefix}{name.removeprefix('/')}").unlink(missing_ok=True)
