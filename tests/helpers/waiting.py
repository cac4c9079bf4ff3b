"""How tests wait: for a condition, with a bound that only a failure reaches. Nothing sleeps and hopes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import micro_rt as micro
from micro_rt.testing.contracts.suite import eventually

__all__ = ["PATIENCE", "eventually", "in_time", "overtaken", "soon"]

PATIENCE = 120.0
"""Seconds; everything that tests wait for takes far less, even on a machine that is busy with other things."""

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)


async def soon(waiting: Awaitable[T], within: float = PATIENCE) -> T:
    """Awaits what must end.

    Raises:
        TimeoutError: it did not end within these seconds.
    """
    async with asyncio.timeout(within):
        return await waiting


async def in_time(call: Callable[[float], Awaitable[T]], timeout: float = 0.2) -> T:
    """Returns the reply of a call with a short timeout.

    On a busy machine the deadline may pass before the reply arrives. The call is then made again, with twice the time.

    Args:
        call: makes the call, with the timeout that it is given.
        timeout: seconds that the first call has.
    """
    while True:
        try:
            return await call(timeout)
        except micro.DeadlineExceeded:
            timeout *= 2
            if timeout > PATIENCE:
                raise


async def overtaken(
    call: Callable[[float], Awaitable[object]],
    arrived: Callable[[], object],
    timeout: float = 0.2,
    error: type[E] = micro.DeadlineExceeded,  # type: ignore[assignment]
) -> E:
    """Returns the error of a call whose deadline passes after it has arrived where it hangs.

    On a busy machine the deadline may pass before. The call is then made again, with twice the time.

    Args:
        call: makes the call, with the timeout that it is given.
        arrived: returns whether the call has arrived where it hangs.
        timeout: seconds that the first call has.
        error: what the call raises.
    """
    while True:
        try:
            await call(timeout)
        except error as caught:
            if arrived():
                return caught
        else:
            raise AssertionError("the call has ended before its deadline")
        timeout *= 2
        assert timeout <= PATIENCE, "the call does not arrive"
