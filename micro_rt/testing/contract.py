"""What the contract suites are made of: classes of ``async def test_…`` that need nothing but pytest."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Contract"]


class Contract:
    """Runs each ``async def test_…`` of a subclass in an event loop of its own, so that no pytest plugin is needed."""

    timeout: float = 60.0
    """Seconds that one test may take; far more than it needs, so that it only ends what hangs."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, test in list(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(test):
                setattr(cls, name, _in_a_loop(test))


def _in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)  # Keeps marks, and the arguments that pytest fills with fixtures.
    def run(self: Contract, *args: Any, **kwargs: Any) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(self.timeout):
                await test(self, *args, **kwargs)

        asyncio.run(bounded())

    return run
