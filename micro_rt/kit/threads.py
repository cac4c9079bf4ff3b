"""Threads for functions that block: a bounded number of them, each with a name that says what it runs.

The rules that it keeps, and why:

- At most ``most`` functions run at once. Others wait in the order in which they came, and one that nobody waits for any more does not
  run.
- A function has the context variables of the task that started it. What it asks of its event loop goes through ``in_thread``.
- Nothing ends a function that runs: Python cannot. When its caller is cancelled, its next question to the loop raises ``Cancelled``.
- The threads are daemons: a function that hangs does not keep the process from ending.
- A pool that is closed lets its threads end after what they run, and the next function makes new ones.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextvars import copy_context
from functools import partial
from typing import Any

from micro_rt.context import in_thread
from micro_rt.errors import Cancelled
from micro_rt.kit.clock import monotonic

__all__ = ["MOST", "Threads"]

MOST = 32
"""The default number of functions that run at once."""


class Threads:
    """A pool of threads for one event loop at a time.

    Args:
        most: how many functions run at once.

    Attributes:
        most: the same; to be set before the first function runs.
    """

    def __init__(self, most: int = MOST) -> None:
        self.most = most
        self._pool = _Pool()

    def start(self, name: str, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Runs a function in a thread, once there is one for it.

        Args:
            name: of the thread while it runs the function.
            function: a plain function.
            arguments: of the function.

        Returns:
            A future of what it returns or raises. Cancelling it drops a function that has not begun; one that runs goes on, and
            nobody gets its result.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        link = _Link(loop)
        future.add_done_callback(link.done)
        context = copy_context()
        context.run(in_thread.set, link)
        self._pool.add(_Job(name, partial(context.run, function, *arguments), future, link), self.most)
        return future

    def close(self) -> list[str]:
        """Ends the threads that wait; returns the names of those that run something, which end after it."""
        pool, self._pool = self._pool, _Pool()
        return pool.close()


class _Link:
    """What a function in a thread may ask of the event loop that started it.

    Args:
        loop: the event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        # The clock of a loop may stand still while the loop waits, as that of uvloop does.
        self._ahead = loop.time() - monotonic()
        self._lock = threading.Lock()
        self._waiting: Future[Any] | None = None
        self.cancelled = False
        """Whether nobody waits for the function any more."""

    def time(self) -> float:
        """Returns the time on the clock of the loop."""
        return monotonic() + self._ahead

    def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Awaits something in the loop, and blocks this thread meanwhile.

        Raises:
            Cancelled: nobody waits for the function any more.
        """
        with self._lock:
            if not self.cancelled:
                self._waiting = asyncio.run_coroutine_threadsafe(_awaited(awaitable), self.loop)
        waiting = self._waiting
        if waiting is None:
            _drop(awaitable)
            raise Cancelled("the call was cancelled")
        try:
            return waiting.result()
        except CancelledError:
            raise Cancelled("the call was cancelled") from None
        finally:
            self._waiting = None

    def done(self, future: asyncio.Future[Any]) -> None:
        """Notes that nobody waits any more, if the future was cancelled."""
        if future.cancelled():
            with self._lock:
                self.cancelled = True
                waiting = self._waiting
            if waiting is not None:
                waiting.cancel()


class _Job:
    """A function that waits for a thread, or runs."""

    __slots__ = ("future", "link", "name", "run")

    def __init__(self, name: str, run: Callable[[], Any], future: asyncio.Future[Any], link: _Link) -> None:
        self.name = name
        self.run = run
        self.future = future
        self.link = link


class _Pool:
    """Threads that take functions from one queue."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs: deque[_Job] = deque()
        self._idle = self._count = 0
        self._running: dict[_Job, None] = {}
        self._closed = False

    def add(self, job: _Job, most: int) -> None:
        """Has a function run; makes a thread for it if none is idle and there are fewer than ``most``."""
        with self._changed:
            self._jobs.append(job)
            if self._idle < len(self._jobs) and self._count < most:
                self._count += 1
                threading.Thread(target=self._main, name="micro-rt waits for a handler", daemon=True).start()
            self._changed.notify()

    def close(self) -> list[str]:
        """Ends the threads; returns the names of the functions that run."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return [job.name for job in self._running]

    def _main(self) -> None:
        thread = threading.current_thread()
        while (job := self._next()) is not None:
            thread.name = job.name
            _run(job)
            with self._changed:
                self._running.pop(job, None)
            thread.name = "micro-rt waits for a handler"
            del job  # It holds the request and the reply.

    def _next(self) -> _Job | None:
        """Waits for a function; returns None once the pool is closed."""
        with self._changed:
            while True:
                while self._jobs:
                    job = self._jobs.popleft()
                    if not job.link.cancelled:
                        self._running[job] = None
                        return job
                if self._closed:
                    return None
                self._idle += 1
                self._changed.wait()
                self._idle -= 1


def _run(job: _Job) -> None:
    result: Any = None
    failure: BaseException | None = None
    try:
        result = job.run()
    except BaseException as error:  # Whatever it is, whoever waits gets it.
        failure = error
    if isinstance(failure, StopIteration):  # A future cannot hold it.
        failure = RuntimeError(f"{job.name} raised StopIteration")
    try:
        job.link.loop.call_soon_threadsafe(_settle, job.future, result, failure)
    except RuntimeError:  # The loop has been closed, so nobody waits.
        return
    finally:
        failure = None  # Its traceback holds this frame.


def _settle(future: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if future.done():
        return
    if failure is None:
        future.set_result(result)
    else:
        future.set_exception(failure)


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    in_thread.set(None)  # It runs in the loop, with a copy of the thread's context.
    return await awaitable


def _drop(awaitable: Any) -> None:
    """Closes a coroutine that is never awaited, so that Python does not warn."""
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()
