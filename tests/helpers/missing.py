"""What tests do without a program that they need."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

__all__ = ["missing"]


def missing(reason: object) -> NoReturn:
    """Skips a test that needs what this machine does not have; fails it if ``MICRO_REQUIRE_SERVERS=1``, as in CI.

    Args:
        reason: what is missing, and why.
    """
    if os.environ.get("MICRO_REQUIRE_SERVERS") == "1":
        pytest.fail(f"MICRO_REQUIRE_SERVERS=1, and: {reason}", pytrace=False)
    pytest.skip(f"{reason}")
