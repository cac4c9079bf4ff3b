"""A warning when code blocks the event loop of a server: it names the method and shows where the code is.

The rules that it keeps, and why:

- A thread looks on, because the loop cannot. While no call is in flight it sleeps, so an idle server costs nothing.
- Each look asks the loop for a turn, and waits. A loop that gives none within ``LIMIT`` seconds is blocked.
- A thread that wakes late was kept from running itself: the process was stopped, or code held Python's lock. Only in the second
  case did the loop's thread use the processor meanwhile, and only then something is said.
- Each method is named once, so that the log of a busy server stays readable.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any

from micro_rt.kit.clock import monotonic, thread_time
from micro_rt.logs import logger
from micro_rt.text import printable
from micro_rt.transport.base import ServerStream

__all__ = ["LIMIT", "BlockWatch"]

LIMIT = 0.1
"""Seconds for which code may block the loop without a warning."""
_PAUSE = 0.05
"""Seconds between two looks."""
_MOST = 100
"""Methods and functions that are named."""
_DEEPEST = 12
"""Calls of the stack that are shown, the innermost ones."""

_log = logger("micro_rt.server")


class BlockWatch:
    """Watches the event loop of one server while it serves calls.

    Args:
        serving: the calls in flight, by their tasks.
        method_of: returns the path of the method that a request's path leads to.

    Attributes:
        asleep: whether the thread sleeps, and must be woken when a call begins.
    """

    def __init__(self, serving: Mapping[asyncio.Task[Any], ServerStream], method_of: Callable[[str], str]) -> None:
        self.asleep = True
        self._serving = serving
        self._method_of = method_of
        self._loop: asyncio.AbstractEventLoop | None = None
        self._loop_thread = self._native_thread = 0
        self._answered = False
        """Whether the loop has given a turn since the look began."""
        self._begun = 0.0
        self._used = 0.0
        """When the look began, and the processor time of the loop's thread then."""
        self._named: set[str] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    def wake(self) -> None:
        """Looks on from now; called in the event loop, after the call is among those in flight."""
        with self._changed:
            if self._closed:
                return
            self.asleep = False
            loop = self._loop = asyncio.get_running_loop()
            self._loop_thread, self._native_thread = threading.get_ident(), threading.get_native_id()
            # The first look begins here: the thread may have to wait for Python's lock.
            self._ask()
            loop.call_soon(self._answer)
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._main, name="micro-rt watches for blocking code", daemon=True
                )
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Ends the thread, which a later ``wake`` does not start again."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _main(self) -> None:
        while self._wait_for_calls():
            loop = self._loop
            if loop is None or loop.is_closed():
                return
            self._sleep(self._begun + LIMIT - monotonic())
            late = monotonic() - self._begun - LIMIT > LIMIT
            if not self._answered and not (late and thread_time(self._native_thread) - self._used < LIMIT / 2):
                self._look(loop)
            while not self._answered and not self._closed:
                self._sleep(_PAUSE)
            self._sleep(_PAUSE)
            self._ask()
            try:
                loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # It was closed just now.
                return

    def _wait_for_calls(self) -> bool:
        """Sleeps while no call is in flight; returns False once the watch is closed.

        After it was woken it looks in any case, although the call may have ended: otherwise each of many short calls would
        wake it.
        """
        with self._changed:
            if not self._serving and not self._closed:
                self.asleep = True
                if not self._serving:  # A call that begins after this line wakes the thread.
                    self._changed.wait()
                self.asleep = False
            return not self._closed

    def _ask(self) -> None:
        """Begins a look."""
        self._answered = False
        self._begun, self._used = monotonic(), thread_time(self._native_thread)

    def _sleep(self, seconds: float) -> None:
        with self._changed:
            if not self._closed and seconds > 0:
                self._changed.wait(seconds)

    def _answer(self) -> None:
        self._answered = True

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        task = asyncio.current_task(loop)
        frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage] - there is no other way
        if task is None or frame is None or self._answered:
            return
        stream = self._serving.get(task)
        what = _function_of(task) if stream is None else self._method_of(stream.path)
        if not what or what in self._named or len(self._named) >= _MOST:
            return
        self._named.add(what)
        _log.warning(
            "%s has blocked the event loop for %.2f s. Meanwhile this process answers no calls. Await what takes time, or run it in a "
            "thread: await asyncio.to_thread(…). It is at:\n%s",
            printable(what),
            monotonic() - self._begun,
            "\n".join(map(printable, _stack(frame))),
        )


def _function_of(task: asyncio.Task[Any]) -> str:
    """Returns the name of the coroutine function of a task that serves no call; empty for one of the runtime."""
    coroutine: Any = task.get_coro()
    frame: FrameType | None = getattr(coroutine, "cr_frame", None)
    if frame is None or str(frame.f_globals.get("__name__", "")).startswith("micro_rt."):
        return ""
    code: CodeType = frame.f_code
    return f"{code.co_qualname} ({code.co_filename}:{code.co_firstlineno})"


def _stack(frame: FrameType) -> list[str]:
    """Returns where the loop's thread is, from the handler on, a line for each call."""
    inner: list[str] = []
    for each, line in traceback.walk_stack(frame):
        module = str(each.f_globals.get("__name__", ""))
        if module in ("micro_rt.server.routes", "asyncio.events") or len(inner) == _DEEPEST:
            break
        inner.append(f"  {each.f_code.co_filename}:{line} in {each.f_code.co_qualname}")
    return inner[::-1]
