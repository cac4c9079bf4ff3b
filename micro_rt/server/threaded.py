"""Handlers that are plain functions: they run in threads, and their streams are iterators.

The rules that it keeps, and why:

- A plain function may block, so it never runs in the event loop. A generator runs in one thread from its first to its last reply: what it
  holds, such as a cursor of a database, may belong to that thread.
- At most ``AHEAD`` replies wait to be sent. Then the generator waits: a slow client stops it.
- When a call ends early, its generator is closed at its next ``yield``, in its thread: its ``finally`` blocks run there.
- Requests are an iterator. Its ``next`` waits in the thread for what the loop receives.
- A function that returns an awaitable is a coroutine function by another name: what it returns is awaited in the loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from inspect import isawaitable, isgeneratorfunction, unwrap
from typing import Any

from micro_rt.context import Context, in_thread
from micro_rt.kit.methods import is_plain
from micro_rt.kit.threads import Threads
from micro_rt.method import Kind, Method

__all__ = ["AHEAD", "blocks", "threaded"]

AHEAD = 16
"""Replies of a stream that wait to be sent."""


def blocks(method: Method[Any, Any], function: Any) -> bool:
    """Returns whether a handler's method runs in a thread."""
    return isgeneratorfunction(unwrap(function)) if method.kind.server_streams else is_plain(function)


def threaded(method: Method[Any, Any], function: Callable[..., Any], threads: Threads) -> Callable[..., Any]:
    """Returns what calls a plain function as the event loop calls a coroutine function, or an async generator function.

    Args:
        method: the rpc.
        function: the handler's bound method.
        threads: where it runs.
    """
    name = method.path

    async def one(request: Any, context: Context) -> Any:
        reply = await threads.start(name, function, request, context)
        return await reply if isawaitable(reply) else reply

    async def from_many(requests: AsyncIterator[Any], context: Context) -> Any:
        return await one(_Requests(requests), context)

    def many(request: Any, context: Context) -> AsyncIterator[Any]:
        return _Replies(threads, name, function, request, context)

    def many_from_many(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        return _Replies(threads, name, function, _Requests(requests), context)

    return {
        Kind.UNARY: one,
        Kind.CLIENT_STREAM: from_many,
        Kind.SERVER_STREAM: many,
        Kind.BIDI_STREAM: many_from_many,
    }[method.kind]


class _Requests(Iterator[Any]):
    """The requests of a call, for a function in a thread.

    Args:
        requests: as the event loop receives them.
    """

    __slots__ = ("_requests",)

    def __init__(self, requests: AsyncIterator[Any]) -> None:
        self._requests = requests

    def __next__(self) -> Any:
        link = in_thread.get()
        if link is None:
            raise RuntimeError("the requests of a handler that is a plain function are read in its thread")
        found = link.wait(_next_of(self._requests))
        if found is _END:
            raise StopIteration
        return found


async def _next_of(requests: AsyncIterator[Any]) -> Any:
    return await anext(requests, _END)


_END: Any = object()


class _Replies(AsyncIterator[Any]):
    """The replies of a generator that runs in a thread.

    Args:
        threads: where it runs.
        name: of the thread.
        function: a generator function.
        arguments: of the function.
    """

    def __init__(self, threads: Threads, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        self._start: Callable[[], asyncio.Future[Any]] | None = lambda: threads.start(
            name, self._produce, function, arguments
        )
        self._running: asyncio.Future[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = threading.Condition()
        self._replies: deque[Any] = deque()
        self._closed = False
        self._waiting: asyncio.Future[None] | None = None
        """Of the loop, while it waits for a reply."""

    async def __anext__(self) -> Any:
        start, self._start = self._start, None
        if start is not None:
            self._loop = asyncio.get_running_loop()
            self._running = start()
            self._running.add_done_callback(self._wake)
        running = self._running
        if running is None or self._loop is None:
            raise StopAsyncIteration
        while True:
            with self._changed:
                if self._replies:
                    self._changed.notify()
                    return self._replies.popleft()
                if running.done():
                    break
                self._waiting = self._loop.create_future()
            await self._waiting
        self._running = None
        running.result()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Has the generator close at its next reply; one that has not begun does not begin."""
        self._start = None
        running, self._running = self._running, None
        with self._changed:
            self._closed = True
            self._changed.notify()
        if running is not None:
            running.cancel()

    def _produce(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        """Runs the generator; in its thread."""
        replies = function(*arguments)
        try:
            for reply in replies:
                if not self._put(reply):
                    return
        finally:
            replies.close()

    def _put(self, reply: Any) -> bool:
        """Hands a reply to the loop, once there is room; returns False if nobody wants it any more."""
        with self._changed:
            while len(self._replies) >= AHEAD and not self._closed:
                self._changed.wait()
            if self._closed:
                return False
            self._replies.append(reply)
            waiting, self._waiting = self._waiting, None
        if waiting is not None and self._loop is not None:
            self._loop.call_soon_threadsafe(_set, waiting)
        return True

    def _wake(self, running: asyncio.Future[Any]) -> None:
        with self._changed:
            waiting, self._waiting = self._waiting, None
        if waiting is not None:
            _set(waiting)
        if not running.cancelled() and self._closed:
            running.exception()  # Looked at, so that asyncio does not report it as lost.


def _set(waiting: asyncio.Future[None]) -> None:
    if not waiting.done():
        waiting.set_result(None)
