"""Tasks that run in the background of an object, and waiting for one thing unless another happens first.

- A background task belongs to a ``TaskSet``, which keeps it alive: asyncio alone keeps only a weak reference.
- A task that fails is reported to the loop's exception handler when it ends, not when it is collected.
- Tasks are ended, and waited for, in the order in which they were started.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Coroutine, Iterator
from typing import Any, Generic, TypeVar

from micro_rt.kit.ordered import OrderedSet

__all__ = ["TaskSet", "cut_short", "observed", "unless", "wait_for_event"]

CANCEL_AGAIN = 0.2
"""Seconds until what was cancelled and goes on is cancelled again."""

T = TypeVar("T")


class TaskSet(Generic[T]):
    """The background tasks of one object."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: OrderedSet[asyncio.Task[T]] = OrderedSet()

    def __len__(self) -> int:
        return len(self._tasks)

    def __iter__(self) -> Iterator[asyncio.Task[T]]:
        return iter(list(self._tasks))

    def start(self, work: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Starts a task in the running loop.

        Args:
            work: what it does.
            name: the name of the task, for logs.
        """
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.add(task)
        return task

    def add(self, task: asyncio.Task[T]) -> None:
        """Takes over a task that was started elsewhere."""
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def wait(self, timeout: float | None = None) -> int:
        """Waits until every task has ended, those that start meanwhile included.

        Args:
            timeout: seconds; None for as long as it takes.

        Returns:
            How many tasks still run.
        """
        try:
            async with asyncio.timeout(timeout):
                while self._tasks:
                    await asyncio.wait(list(self._tasks))
        except TimeoutError:
            pass
        return len(self._tasks)

    def cancel(self) -> None:
        """Cancels every task."""
        for task in self:
            task.cancel()

    async def end(self, timeout: float | None = None) -> int:
        """Cancels every task, and waits until all have ended.

        Args:
            timeout: seconds; None for as long as it takes.

        Returns:
            How many tasks still run.
        """
        self.cancel()
        return await self.wait(timeout)

    def _ended(self, task: asyncio.Task[T]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            context = {"message": f"background task {task.get_name()!r} failed", "exception": error, "task": task}
            task.get_loop().call_exception_handler(context)


def observed(task: asyncio.Future[T]) -> asyncio.Future[T]:
    """Returns a task whose failure asyncio does not report as lost: those who wait for it may all have left.

    Args:
        task: what several wait for, or what is cancelled together with the only one who waits.
    """
    task.add_done_callback(_observe)
    return task


async def cut_short(task: asyncio.Future[Any], seconds: float) -> bool:
    """Ends a task that takes too long, and looks at what becomes of it so that nobody else must.

    It is cancelled again and again: what it does when it is cancelled may take too long as well.

    Args:
        task: what to end.
        seconds: until it is left behind.

    Returns:
        Whether it has ended.
    """
    observed(task)
    until = asyncio.get_running_loop().time() + seconds
    while not task.done() and asyncio.get_running_loop().time() < until:
        task.cancel()
        await asyncio.wait((task,), timeout=min(CANCEL_AGAIN, seconds))
    return task.done()


async def unless(happens: Awaitable[Any], work: Awaitable[T]) -> asyncio.Future[T]:
    """Awaits work, unless something else happens first: then the work is cancelled.

    Both have ended when this returns or raises.

    Args:
        happens: what cuts the work short.
        work: what to await.

    Returns:
        The work as a future that is done: cancelled if it was cut short, else with its result or its exception.
    """
    working, waiting = asyncio.ensure_future(work), asyncio.ensure_future(happens)
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.wait((working, waiting))
        for future in (working, waiting):
            if not future.cancelled():
                future.exception()  # Looked at, so that asyncio does not report it as lost.
    return working


async def wait_for_event(event: asyncio.Event, seconds: float) -> bool:
    """Waits for an event, for that many seconds at most; returns whether it is set."""
    if seconds <= 0:
        await asyncio.sleep(0)
    else:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()
    return event.is_set()


def _observe(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
