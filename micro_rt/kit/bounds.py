"""The time that a request to an engine may take, whichever part it belongs to."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable
from typing import TypeVar

from micro_rt.context import current_context
from micro_rt.errors import DeadlineExceeded

__all__ = ["bounded", "deadline_in"]

T = TypeVar("T")


def deadline_in(seconds: float | None, default: float, begun: float | None = None) -> float:
    """Returns when a call must be over, on the loop's clock: no later than the call or event that the task handles.

    Args:
        seconds: as given for the call; None if they were not.
        default: seconds, if they were not; infinite for no end.
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


async def bounded(name: str, work: Awaitable[T], deadline: float) -> T:
    """Awaits what an engine does, until a deadline on the loop's clock.

    Args:
        name: of the engine, for the error.
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
    raise DeadlineExceeded(f"{name} has not answered in time", unanswered=True)
