"""SIGINT and SIGTERM: how they reach the services of an event loop, and how one ``serve()`` ends.

Rules:

- An event loop has one handler for each signal, so the services that it runs share one, and each of them gets every signal.
- The first signal stops a service in good order. It cancels a start that is still under way, because a start cannot be
  asked to stop.
- The second signal cuts short whatever the stop waits for, such as calls in flight.
- The third signal, and each further one, cancels the task that serves, wherever it is.
- ``serve()`` returns after a cancellation that only a signal caused. Any other cancellation passes.
- A handler that was there before gets each signal too, and is put back afterwards: the process may belong to another
  program, such as a web server, which ends by the same signals. Two kinds of handlers are not called: what Python does by
  default, and what ``asyncio.run`` does at Ctrl-C. Both would end the program before the services have stopped.
- The handler is set with ``signal.signal``, not with ``loop.add_signal_handler``: Windows' event loops do not have the
  second one, and it would take the place of a handler that the program gave to the loop.
- A program that sets a handler later, and puts back the one it found when ours is over already, changes nothing: ours then
  passes each signal to the one before it.
- Outside the main thread Python handles no signals: there, the program stops its services with ``stop()``.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from types import FrameType
from typing import Any, TypeAlias

from micro_rt.kit.shared import Shared
from micro_rt.logs import logger

__all__ = ["Ending", "on_signals"]

_log = logger("micro_rt.service")


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
"""What ``signal.signal`` sets and returns; None stands for a handler that Python did not set, and cannot put back."""


class _Signals:
    """The signals of one event loop."""

    def __init__(self) -> None:
        self.reactions: list[Callable[[], None]] = []
        self._caught: list[_Caught] = []

    async def open(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._caught.append(_Caught(number, self._react))
            except ValueError:
                return  # This is not the main thread.

    async def close(self) -> None:
        for caught in self._caught:
            caught.put_back()

    def _react(self) -> None:
        for react in list(self.reactions):
            react()


class _Caught:
    """One signal that is caught, and the handler that was there before.

    Args:
        number: the signal.
        react: called in the running event loop at each signal.

    Raises:
        ValueError: this is not the main thread.
    """

    def __init__(self, number: signal.Signals, react: Callable[[], None]) -> None:
        self._number = number
        self._react = react
        self._loop = asyncio.get_running_loop()
        self._over = False
        # One object for both: each use of a method makes another.
        self._handler = self._caught
        self._before: _Handler = signal.getsignal(number)
        signal.signal(number, self._handler)

    def put_back(self) -> None:
        """Puts the handler back that was there before, unless another one has replaced ours."""
        self._over = True
        if signal.getsignal(self._number) is self._handler:
            signal.signal(self._number, signal.SIG_DFL if self._before is None else self._before)

    def _caught(self, number: int, frame: FrameType | None) -> None:
        before = self._before
        if self._over:
            if callable(before):
                before(number, frame)
            else:
                signal.signal(number, signal.SIG_DFL if before is None else before)
                signal.raise_signal(number)
            return
        with suppress(RuntimeError):  # The loop was closed, and the service never stopped.
            self._loop.call_soon_threadsafe(self._react)
        if callable(before) and before is not signal.default_int_handler and not _is_of_runner(before):
            before(number, frame)


def _is_of_runner(handler: Callable[..., Any]) -> bool:
    """Whether ``asyncio.run`` has set a handler, which cancels its main task."""
    return isinstance(getattr(getattr(handler, "func", None), "__self__", None), asyncio.Runner)
