"""How much memory this process has."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["resident"]

_STATUS = Path("/proc/self/status")


def resident() -> int:
    """Returns the bytes of memory that this process has now; skips the test where the system does not say."""
    if _STATUS.exists():
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    pytest.skip("the system does not say how much memory a process uses")
