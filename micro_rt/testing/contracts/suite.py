"""What the contract suites are made of: classes of ``async def test_…`` that need nothing but pytest."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["Contract"]


class Contract:
    """Runs each ``async def test_…`` of a subclass in an event loop of its own, so that no pytest plugin is needed.

    What goes wrong where no test looks, in a callback or a task that nobody awaits, fails the test too.
    """

    timeout: float = 60.0
    """Seconds that one test may take; far more than it needs, so that it only ends what hangs."""

    def make_loop(self) -> asyncio.AbstractEventLoop:
        """Returns a new event loop for a test; asyncio's own, if not overridden."""
        return asyncio.new_event_loop()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name, test in list(vars(cls).items()):
            if name.startswith("test_") and inspect.iscoroutinefunction(test):
                setattr(cls, name, _in_a_loop(test))


def _in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    @functools.wraps(test)  # Keeps marks, and the arguments that pytest fills with fixtures.
    def run(self: Contract, *args: Any, **kwargs: Any) -> None:
        unseen: list[dict[str, Any]] = []

        async def bounded() -> None:
            asyncio.get_running_loop().set_exception_handler(lambda _, problem: unseen.append(problem))
            async with asyncio.timeout(self.timeout):
                await test(self, *args, **kwargs)

        with asyncio.Runner(loop_factory=self.make_loop) as runner:
            runner.run(bounded())
            gc.collect()  # A task that failed and was not looked at says so when it goes.
        assert not unseen, f"went wrong where nobody looked: {unseen}"

    return run
