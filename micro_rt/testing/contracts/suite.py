"""What the contract suites are made of: classes of ``async def test_…`` that need nothing but pytest, and one way to wait."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

__all__ = ["Contract", "eventually"]

T = TypeVar("T")

_UNSET: Any = object()


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


@overload
async def eventually(
    condition: Callable[[], Awaitable[T]],
    otherwise: str | Callable[[], object] = "",
    *,
    equals: object = _UNSET,
    within: float = 120.0,
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T],
    otherwise: str | Callable[[], object] = "",
    *,
    equals: object = _UNSET,
    within: float = 120.0,
) -> T: ...
async def eventually(
    condition: Callable[[], Any],
    otherwise: str | Callable[[], object] = "",
    *,
    equals: object = _UNSET,
    within: float = 120.0,
) -> Any:
    """Waits until a condition holds, and returns its value.

    The condition is evaluated at least once, and once more after the time is up, so that a busy machine fails nothing.

    Args:
        condition: a function or coroutine function without side effects that matter; it is called every 10 ms.
        otherwise: what the error says if the condition never holds; a function is called then.
        equals: the value to wait for. Without it, any true value will do.
        within: seconds to wait. Choose far more than it takes: only a failure waits that long.

    Raises:
        TimeoutError: the condition did not hold in time; the message shows the last value.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    last: Any = _UNSET
    while True:
        late = loop.time() >= deadline
        value = condition()
        if inspect.isawaitable(value):
            limit = asyncio.timeout_at(loop.time() + within if late else deadline)
            try:
                async with limit:
                    value = await value
            except TimeoutError:
                if not limit.expired():
                    raise
                break
        last = value
        if value if equals is _UNSET else value == equals:
            return value
        if late:
            break
        await asyncio.sleep(0.01)
    raise TimeoutError(_failure(otherwise, equals, last, within))


def _failure(otherwise: str | Callable[[], object], equals: object, last: object, within: float) -> str:
    reason = str(otherwise() if callable(otherwise) else otherwise) or "the condition does not hold"
    expected = "" if equals is _UNSET else f", expected {equals!r}"
    found = "it never returned a value" if last is _UNSET else f"last value: {last!r}"
    return f"{reason} (after {within:g} s; {found}{expected})"
