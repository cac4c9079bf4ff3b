"""What a call knows about itself: ``Context`` in a handler, ``CallInfo`` for a caller, ``Call`` in an interceptor.

A ``Scope`` is what calls and events have in common: metadata, and a deadline that bounds what is done within.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from micro_rt.metadata import EMPTY, Metadata, MetadataLike, MetadataValue
from micro_rt.method import Method

__all__ = [
    "TRACE",
    "Call",
    "CallInfo",
    "ClientCall",
    "Context",
    "Scope",
    "ThreadLink",
    "current_context",
    "detached",
    "in_thread",
]

TRACE = frozenset({"baggage", "traceparent", "tracestate"})
"""The keys of what says which trace a call or an event belongs to (https://www.w3.org/TR/trace-context/)."""

ResultT = TypeVar("ResultT")


class ThreadLink(Protocol):
    """What a plain function in a thread may ask of the event loop that started it."""

    def time(self) -> float:
        """Returns the time on the clock of the loop."""
        ...

    def wait(self, awaitable: Awaitable[Any]) -> Any:
        """Awaits something in the loop, and blocks the thread meanwhile."""
        ...


in_thread: ContextVar[ThreadLink | None] = ContextVar("micro_rt.in_thread", default=None)
"""How the function that runs in this thread reaches its event loop; None in the loop itself."""


class Scope:
    """What is being done for somebody else.

    Attributes:
        deadline: when it must be over, on the clock of ``loop.time()``, or None.
    """

    __slots__ = ("deadline",)

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline

    @property
    def trace(self) -> Metadata:
        """The metadata that says which trace it belongs to (https://www.w3.org/TR/trace-context/)."""
        return self.flowing(TRACE)

    def flowing(self, keys: Collection[str]) -> Metadata:
        """Returns the pairs of its metadata that have one of these keys.

        Args:
            keys: in lower case.
        """
        return EMPTY

    def remaining(self) -> float | None:
        """Returns the seconds left until the deadline (0 when it has passed), or None without one."""
        if self.deadline is None:
            return None
        link = in_thread.get()
        now = asyncio.get_running_loop().time() if link is None else link.time()
        return max(0.0, self.deadline - now)

    def wait(self, awaitable: Awaitable[ResultT]) -> ResultT:
        """Awaits something from a handler that is a plain function, which runs in a thread: ``context.wait(greeter.say_hello(…))``.

        Args:
            awaitable: what to await in the event loop, such as a call. It has the context variables of the handler, and ends with
                the call that is being served.

        Raises:
            Cancelled: the call that is being served was cancelled.
            RuntimeError: the handler is a coroutine function, which awaits by itself.
        """
        link = in_thread.get()
        if link is None:
            raise RuntimeError("wait() is for handlers that are plain functions; write await instead")
        result: ResultT = link.wait(awaitable)
        return result


class Call(Scope):
    """One call, seen from either side: what an interceptor gets.

    Attributes:
        method: the rpc.
        metadata: the request's metadata: on the client what will be sent (assign to change it), on the
            server what came.
        deadline: when the call must be over, on the clock of ``loop.time()``, or None.
    """

    __slots__ = ("metadata", "method")

    side: Literal["client", "server"]

    def __init__(self, method: Method[Any, Any], metadata: Metadata, deadline: float | None) -> None:
        super().__init__(deadline)
        self.method = method
        self.metadata = metadata

    def flowing(self, keys: Collection[str]) -> Metadata:
        """Returns the pairs of its metadata that have one of these keys.

        Args:
            keys: in lower case.
        """
        pairs = self.metadata.pairs
        found = [pair for pair in pairs if pair[0] in keys] if pairs else None
        return Metadata.received(found) if found else EMPTY


@dataclass(slots=True)
class CallInfo:
    """Filled while a call goes on: pass one as ``info=`` and look at it afterwards.

    Attributes:
        headers: the reply's headers, once they have come.
        trailers: the reply's trailers, once they have come.
        node: id of the node that answered or was tried last.
        peer: address of that node.
        attempts: how many times the call was sent, or tried to be.
        compression: to be set: how the requests of this call are compressed, ``"gzip"`` for one, or ``""`` for not at all;
            None as the client says. Between two requests of a stream, ``""`` sends the next one as it is.
    """

    headers: Metadata = EMPTY
    trailers: Metadata = EMPTY
    node: str = ""
    peer: str = ""
    attempts: int = 0
    compression: str | None = None


class ClientCall(Call):
    """A call on its way out.

    Attributes:
        info: filled as the call goes on.
        target: the name that is looked up in the registry.
    """

    __slots__ = ("info", "target")

    side = "client"

    def __init__(
        self, method: Method[Any, Any], metadata: Metadata, deadline: float | None, info: CallInfo, target: str
    ) -> None:
        super().__init__(method, metadata, deadline)
        self.info = info
        self.target = target


class Context(Call):
    """A call being served.

    Attributes:
        peer: where it came from, ``"127.0.0.1:52044"``.
    """

    __slots__ = ("_compress", "_draining", "_headers", "_headers_sent", "_send_headers", "_trailers", "peer")

    side = "server"

    def __init__(
        self,
        method: Method[Any, Any],
        metadata: Metadata,
        deadline: float | None,
        peer: str,
        send_headers: Callable[[Metadata], Awaitable[None]],
        draining: asyncio.Event | None = None,
        compress: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(method, metadata, deadline)
        self.peer = peer
        self._compress = compress
        self._draining = draining
        self._send_headers = send_headers
        self._headers = EMPTY
        self._headers_sent = False
        self._trailers = EMPTY

    @property
    def draining(self) -> bool:
        """Whether the server stops: it refuses new calls, and cuts this one off when its grace is over.

        A handler of a long stream ends early then, so that its client can go on with another server.
        """
        return self._draining is not None and self._draining.is_set()

    async def until_draining(self) -> None:
        """Waits until the server stops; for a handler that waits for something else beside."""
        await (asyncio.Event() if self._draining is None else self._draining).wait()

    def compress(self, name: str) -> None:
        """Compresses the replies that follow: ``context.compress("gzip")``.

        Replies stay as they are if the client does not understand it, if they are short, and if the headers are on their
        way and do not announce it. After ``compress("")`` they stay as they are in any case.

        Args:
            name: ``"gzip"``, ``"deflate"`` or ``"zstd"``; ``""`` for not at all.

        Raises:
            ValueError: there is no such algorithm, or it is not installed.
        """
        if self._compress is not None:
            self._compress(name)

    def add_header(self, key: str, value: MetadataValue) -> None:
        """Adds a header to the reply; it travels before the first message.

        Raises:
            RuntimeError: the headers are on their way already.
        """
        if self._headers_sent:
            raise RuntimeError(f"header {key!r} comes too late: the reply's headers were sent; use add_trailer()")
        self._headers = self._headers.merged([(key, value)])

    def add_trailer(self, key: str, value: MetadataValue) -> None:
        """Adds a trailer to the reply; it travels after the last message, also when the call fails."""
        self._trailers = self._trailers.merged([(key, value)])

    async def send_headers(self, headers: MetadataLike = ()) -> None:
        """Sends the reply's headers now instead of with the first message."""
        if self._headers_sent:
            raise RuntimeError("the reply's headers were sent already")
        self._headers = self._headers.merged(headers)
        self._headers_sent = True
        await self._send_headers(self._headers)

    def take_headers(self) -> Metadata | None:
        """Returns the headers to send before the first message, once; None if there are none, or they went already."""
        if self._headers_sent:
            return None
        self._headers_sent = True
        return self._headers if self._headers.pairs else None

    @property
    def trailers(self) -> Metadata:
        """The trailers added so far."""
        return self._trailers


current_context: ContextVar[Scope | None] = ContextVar("micro_rt.current_context", default=None)
"""The call being served, or the event being handled, by this task: its deadline bounds the calls made from here."""


@contextmanager
def detached() -> Generator[None]:
    """Frees what is started inside from the call being served, or the event being handled.

    Its deadline does not bound the calls made there, and its trace and metadata do not flow into them.

    with micro.detached():
        background.add(asyncio.create_task(send_mail(order)))
    """
    token = current_context.set(None)
    try:
        yield
    finally:
        current_context.reset(token)
