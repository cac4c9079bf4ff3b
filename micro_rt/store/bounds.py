"""The time that a call to an engine may take."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import TypeVar

from micro_rt.context import current_context
from micro_rt.errors import DeadlineExceeded
from micro_rt.store.base import TIMEOUT, StoreEngine

__all__ = ["bounded", "deadline_in"]

T = TypeVar("T")


def deadline_in(seconds: float | None, default: float = TIMEOUT, begun: float | None = None) -> float:
    """Returns when a call must be over, on the loop's clock: no later than the call or event that the task handles.

    Args:
        seconds: as given for the call; None if they were not.
        default: seconds, if they were not.
        begun: when the call began, on the loop's clock; now if not given.

    Raises:
        ValueError: the seconds are not a number above 0.
    """
    if seconds is None:
        seconds = default
    elif not seconds > 0 or math.isinf(seconds):
        raise ValueError(f"timeout must be a number of seconds greater than 0, not {seconds!r}")
    deadline = (asyncio.get_running_loop().time() if begun is None else begun) + seconds
    scope = current_context.get()
    if scope is None or scope.deadline is None:
        return deadline
    return min(deadline, scope.deadline)


async def bounded(engine: StoreEngine | None, work: Awaitable[T], deadline: float) -> T:
    """Awaits what an engine does, until a deadline on the loop's clock.

    Args:
        engine: whose name the error has; None for one that is not open yet.
        work: what it does.
        deadline: when it is cancelled.

    Raises:
        DeadlineExceeded: it took longer, and was cancelled.
    """
    limit = asyncio.timeout_at(deadline)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
    raise DeadlineExceeded(
        f"{'the store' if engine is None else engine.name} has not answered in time", unanswered=True
    )
