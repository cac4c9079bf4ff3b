"""The time that a call to an engine of a store may take."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from micro_rt.kit import bounds
from micro_rt.store.base import TIMEOUT, StoreEngine

__all__ = ["bounded", "deadline_in"]

T = TypeVar("T")


def deadline_in(seconds: float | None, default: float = TIMEOUT, begun: float | None = None) -> float:
    """Returns when a call must be over, as ``micro_rt.kit.bounds.deadline_in`` does."""
    return bounds.deadline_in(seconds, default, begun)


async def bounded(engine: StoreEngine | None, work: Awaitable[T], deadline: float) -> T:
    """Awaits what an engine does, until a deadline on the loop's clock.

    Args:
        engine: whose name the error has; None for one that is not open yet.
        work: what it does.
        deadline: when it is cancelled.

    Raises:
        DeadlineExceeded: it took longer, and was cancelled.
    """
    return await bounds.bounded("the store" if engine is None else engine.name, work, deadline)
