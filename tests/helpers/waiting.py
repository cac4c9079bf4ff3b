"""How tests wait: for a condition, with a bound that only a failure reaches. Nothing sleeps and hopes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from micro_rt.testing.contracts.suite import eventually

__all__ = ["PATIENCE", "eventually", "soon"]

PATIENCE = 120.0
"""Seconds; everything that tests wait for takes far less, even on a machine that is busy with other things."""

T = TypeVar("T")


async def soon(waiting: Awaitable[T], within: float = PATIENCE) -> T:
    """Awaits what must end.

    Raises:
        TimeoutError: it did not end within these seconds.
    """
    async with asyncio.timeout(within):
        return await waiting
