"""SIGINT and SIGTERM: how they reach the services of an event loop, and how one ``serve()`` ends.

Rules:

- An event loop has one handler for each signal, so the services that it runs share one, and each of them gets every signal.
- The first signal stops a service in good order. It cancels a start that is still under way, because a start cannot be
  asked to stop.
- The second signal cuts short whatever the stop waits for, such as calls in flight.
- The third signal, and each further one, cancels the task that serves, wherever it is.
- ``serve()`` returns after a cancellation that only a signal caused. Any other cancellation passes.
- Windows' event loops have no ``add_signal_handler``. There, ``signal.signal`` sets the handler, which hands the signal to
  the loop. Ctrl-C then stops a service as elsewhere. The handler that was set before is put back afterwards.
- Outside the main thread Python handles no signals: there, the program stops its services with ``stop()``.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import Any, TypeAlias

from micro_rt.kit.shared import Shared

__all__ = ["Ending", "on_signals"]

_log = logging.getLogger("micro_rt.service")


class Ending:
    """The end of one ``serve()``; made by the task that serves.

    Args:
        name: name of the service, for the log.
        starting: whether the service is still starting.

    Attributes:
        asked: set once the service is to stop.
        hurry: set once it is to stop without waiting for calls in flight.
    """

    def __init__(self, name: str, starting: Callable[[], bool]) -> None:
        self.asked = asyncio.Event()
        self.hurry = asyncio.Event()
        self._name = name
        self._starting = starting
        self._loop = asyncio.get_running_loop()
        self._serving = asyncio.current_task()
        self._signals = 0

    def ask(self) -> None:
        """Asks the service to stop; from any thread."""
        if asyncio._get_running_loop() is self._loop:
            self.asked.set()
        else:
            with suppress(RuntimeError):  # The loop is closed, so the service has stopped.
                self._loop.call_soon_threadsafe(self.asked.set)

    def signalled(self) -> None:
        """Takes a signal."""
        self._signals += 1
        if self._signals == 2:
            _log.warning("%s: second signal, calls in flight are cut off", self._name)
            self.hurry.set()
        if ((self._signals == 1 and self._starting()) or self._signals > 2) and self._serving is not None:
            self._serving.cancel()
        self.asked.set()

    def cancelled(self) -> bool:
        """Whether the cancellation that the task has just caught came from a signal alone; takes it back if so."""
        return self._signals > 0 and self._serving is not None and not self._serving.uncancel()


@asynccontextmanager
async def on_signals(react: Callable[[], None]) -> AsyncGenerator[None]:
    """Calls a function in the event loop at each SIGINT and SIGTERM."""
    hold = Shared("signals", _Signals)
    signals = await hold.acquire()
    signals.reactions.append(react)
    try:
        yield
    finally:
        signals.reactions.remove(react)
        await hold.release()


_Handler: TypeAlias = Callable[[int, FrameType | None], Any] | int | None
"""What ``signal.signal`` sets and returns."""


class _Signals:
    """The signals of one event loop."""

    def __init__(self) -> None:
        self.reactions: list[Callable[[], None]] = []
        self._caught: list[signal.Signals] = []
        self._replaced: list[tuple[signal.Signals, _Handler]] = []

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._react)
            except NotImplementedError:
                self._replace(number, loop)
            except (RuntimeError, ValueError):
                continue  # This is not the main thread.
            else:
                self._caught.append(number)

    async def close(self) -> None:
        for number in self._caught:
            asyncio.get_running_loop().remove_signal_handler(number)
        for number, handler in self._replaced:
            signal.signal(number, handler)

    def _replace(self, number: signal.Signals, loop: asyncio.AbstractEventLoop) -> None:
        try:
            before = signal.signal(number, lambda _number, _frame: loop.call_soon_threadsafe(self._react))
        except ValueError:
            return  # This is not the main thread.
        # None stands for a handler that Python did not set, and cannot put back.
        self._replaced.append((number, signal.SIG_DFL if before is None else before))

    def _react(self) -> None:
        for react in list(self.reactions):
            react()
