"""A warning when code blocks the event loop of a server: it names the method and shows where the code is.

The rules that it keeps, and why:

- A thread looks on, because the loop cannot. While no call is in flight it sleeps, so an idle server costs nothing.
- Each look asks the loop for a turn, and waits. While the loop gives none, and one task runs for ``LIMIT`` seconds, that task blocks it: a
  task that had given way would come after the turn that was asked for. Many tasks that are short block nothing.
- Code blocks if the loop's thread has used the processor meanwhile, or waits for something. A thread that does neither is kept from
  running by other programs.
- A thread that wakes late itself was kept from running: the process was stopped, or code held Python's lock. In the second case, the
  loop's thread has used the processor.
- Each method is named once, so that the log of a busy server stays readable.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import CodeType, FrameType
from typing import Any

from micro_rt.kit.clock import monotonic, thread_usage
from micro_rt.logs import logger
from micro_rt.text import printable
from micro_rt.transport.base import ServerStream

__all__ = ["LIMIT", "BlockWatch"]

LIMIT = 0.1
"""Seconds for which code may block the loop without a warning."""
_PAUSE = 0.04
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
        self._task: asyncio.Task[Any] | None = None
        self._since = self._used = 0.0
        """The task that runs, since when, and the processor time of the loop's thread then."""
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
            self._answered = False
            self._note(asyncio.current_task())
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
            due, named = self._since + _PAUSE, False
            self._sleep(due - monotonic())
            while not self._answered and not self._closed:
                now, task = monotonic(), asyncio.current_task(loop)
                if task is not self._task:
                    self._note(task)
                elif task is not None and not named and now - self._since >= LIMIT:
                    # First what the loop's thread can change, which goes on as soon as this one waits for anything.
                    what, stack = self._described(task), self._stack()
                    if not self._answered and self._blocks(late=now - due > LIMIT):
                        self._log(what, now - self._since, stack)
                        named = True
                due = now + _PAUSE
                self._sleep(_PAUSE)
            self._answered = False
            self._note(asyncio.current_task(loop))
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

    def _note(self, task: asyncio.Task[Any] | None) -> None:
        """Notes which task runs in the loop from now on."""
        self._task = task
        self._since, (self._used, _) = monotonic(), thread_usage(self._native_thread)

    def _blocks(self, *, late: bool) -> bool:
        """Returns whether code blocks the loop, and not the machine.

        Args:
            late: whether this thread has just woken late.
        """
        used, waits = thread_usage(self._native_thread)
        return used - self._used >= LIMIT / 2 or (waits and not late)

    def _sleep(self, seconds: float) -> None:
        with self._changed:
            if not self._closed and seconds > 0:
                self._changed.wait(seconds)

    def _answer(self) -> None:
        self._answered = True

    def _described(self, task: asyncio.Task[Any]) -> str:
        """Returns the path of the method that a task serves, or the name of its function; empty for one of the runtime."""
        stream = self._serving.get(task)
        return _function_of(task) if stream is None else self._method_of(stream.path)

    def _stack(self) -> list[str]:
        """Returns where the loop's thread is, from the handler on, a line for each call."""
        frame = sys._current_frames().get(self._loop_thread)  # pyright: ignore[reportPrivateUsage] - there is no other way
        inner: list[str] = []
        for each, line in traceback.walk_stack(frame):
            module = str(each.f_globals.get("__name__", ""))
            if module in ("micro_rt.server.routes", "asyncio.events") or len(inner) == _DEEPEST:
                break
            inner.append(f"  {each.f_code.co_filename}:{line} in {each.f_code.co_qualname}")
        return inner[::-1]

    def _log(self, what: str, seconds: float, stack: Sequence[str]) -> None:
        """Logs which code blocks the loop, unless it was named before.

        Args:
            what: the method or the function; empty for one of the runtime.
            seconds: for how long.
            stack: where the code is.
        """
        if not what or what in self._named or len(self._named) >= _MOST:
            return
        self._named.add(what)
        _log.warning(
            "%s has blocked the event loop for %.2f s. Meanwhile this process answers no calls. Await what takes time, or run it in a "
            "thread: await asyncio.to_thread(…). It is at:\n%s",
            printable(what),
            seconds,
            "\n".join(map(printable, stack)),
        )


def _function_of(task: asyncio.Task[Any]) -> str:
    """Returns the name of the coroutine function of a task that serves no call; empty for one of the runtime."""
    coroutine: Any = task.get_coro()
    frame: FrameType | None = getattr(coroutine, "cr_frame", None)
    if frame is None or str(frame.f_globals.get("__name__", "")).startswith("micro_rt."):
        return ""
    code: CodeType = frame.f_code
    return f"{code.co_qualname} ({code.co_filename}:{code.co_firstlineno})"
