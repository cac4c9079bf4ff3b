"""Calls within one process, without a socket: for tests, and for services that share a process.

Messages are bytes here too, so a test sees what a client on the wire would see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from copy import copy
from itertools import count

from micro_rt.context import CallInfo
from micro_rt.errors import Cancelled, DeadlineExceeded, EndOfStream, Error, FailedPrecondition, Internal, Unavailable
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.pipe import Pipe
from micro_rt.kit.shared import Shared
from micro_rt.logs import logger, sparsely
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.text import printable
from micro_rt.transport.base import (
    Capabilities,
    ClientStream,
    Connection,
    Dispatch,
    Listener,
    ServerStream,
    decode_error,
    encode_error,
    ended_already,
    handler_failed,
    handler_task,
    many_replies,
    many_requests,
    no_reply,
    no_request,
    wait_for_cancelled,
)
from micro_rt.transport.limits import MAX_MESSAGE, UNSAID, MessageRules, ServiceLimits, too_large

__all__ = ["MemoryTransport"]

WINDOW = 16
"""Messages that may wait to be read in one direction before the sender waits too."""

_log = logger("micro_rt.backends.memory.transport")


class MemoryTransport:
    """The transport ``memory``: services that run in one event loop."""

    name = "memory"
    capabilities = Capabilities(message_sizes=True, compression=True)
    """Clients are in the same process: what they make a server spend is not bounded."""

    def __init__(self) -> None:
        self._limits = ServiceLimits()

    def limited(self, limits: ServiceLimits) -> MemoryTransport:
        """Returns the same transport with what a service says of the size of messages."""
        transport = MemoryTransport()
        transport._limits = limits
        return transport

    def connection(self, address: str) -> Connection:
        """Makes a connection to a name, such as ``"memory:1"``."""
        return _MemoryConnection(address, self._limits.max_message or MAX_MESSAGE)

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        """Listens under a name of its own, or under the one given: ``"memory:1"``; ``host:port`` is not used.

        Raises:
            FailedPrecondition: somebody listens there already, or it is the address of a Unix socket.
        """
        if address.startswith("unix:"):
            raise FailedPrecondition(
                printable(
                    f"transport='memory' does not listen on Unix sockets, such as {address}; transport='grpc' does"
                )
            )
        listener = _MemoryListener(dispatch, self._limits)
        await listener.open(address)
        return listener


class _ListenerTable:
    """Who listens in this event loop."""

    def __init__(self) -> None:
        self.listeners: dict[str, _MemoryListener] = {}
        self.numbers = count(1)

    async def open(self) -> None:
        pass

    async def close(self) -> None:
        self.listeners.clear()


def _shared_table() -> Shared[_ListenerTable]:
    return Shared("memory transport", _ListenerTable)


class _MemoryListener(Listener):
    def __init__(self, dispatch: Dispatch, limits: ServiceLimits) -> None:
        self._dispatch = dispatch
        self._limits = limits
        self._hold = _shared_table()
        self._table: _ListenerTable | None = None
        self._draining = False
        self._calls: OrderedSet[_Call] = OrderedSet()
        # A handler sees the context of who listens, as with a socket, and nothing of who calls but what is sent.
        self._context = copy_context()
        self.address = ""

    async def open(self, address: str) -> None:
        self._table = table = await self._hold.acquire()
        name = address if address.startswith("memory:") else f"memory:{next(table.numbers)}"
        if name in table.listeners:
            await self._hold.release()
            raise FailedPrecondition(
                f"cannot listen on {name}: somebody does already; give no name to get a free one",
                id="micro.listen_failed",
            )
        self.address = name
        table.listeners[name] = self

    async def drain(self) -> None:
        self._draining = True

    async def close(self) -> None:
        self._draining = True
        if self._table is not None and self._table.listeners.get(self.address) is self:
            del self._table.listeners[self.address]
        calls = list(self._calls)
        for call in calls:
            call.abort(
                Unavailable(f"{self.address} was closed before the reply", id="micro.connection_lost", unanswered=True)
            )
        await wait_for_cancelled([call.task for call in calls if call.task is not None], _log)
        await self._hold.release()

    def accept(self, call: _Call) -> None:
        if self._draining:
            raise Unavailable(
                f"{self.address} refused {call.path}: it is stopping", id="micro.refused", may_have_run=False
            )
        self._calls.add(call)
        most, sizes = self._limits.max_message or MAX_MESSAGE, self._limits.sizes
        said = None if sizes is None else sizes(call.path)
        call.served = (said or UNSAID).within(most, most)
        task = handler_task(_serve(call, self._dispatch), name=f"serve {call.path}", context=self._context.copy())
        call.task = task
        task.add_done_callback(lambda _: self._calls.discard(call))


async def _serve(call: _Call, dispatch: Dispatch) -> None:
    try:
        await dispatch(_MemoryServerStream(call))
    except Exception:
        _log.exception("%s raised an unexpected exception", call.path, extra=sparsely("call"))
        if not call.replies.ended:
            call.finish(handler_failed(call.path))
    finally:
        if not call.replies.ended:
            call.abort(Internal(f"the server ended {call.path} without a status"))


class _MemoryConnection(Connection):
    takes_sizes = True
    compresses = True  # Nothing travels, so there is nothing to compress.

    def __init__(self, address: str, most: int) -> None:
        self._address = address
        self._most = most
        self._hold = _shared_table()
        self._table: _ListenerTable | None = None
        self._calls: OrderedSet[_Call] = OrderedSet()
        self._closed = False

    async def connect(self) -> None:
        await self._listener()

    async def open(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        rules: MessageRules = UNSAID,
    ) -> ClientStream:
        listener = await self._listener()
        call = _Call(path, content_subtype, metadata, deadline, info)
        call.called = rules.within(self._most, self._most)
        call.on_end = self._calls.discard
        call.start_clock()
        self._calls.add(call)
        try:
            listener.accept(call)  # on Python 3.12 and later, the call may be over when this returns
        except Error as error:
            call.abort(error)
            raise
        return _MemoryClientStream(call)

    async def unary(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        message: bytes,
        rules: MessageRules = UNSAID,
    ) -> bytes:
        most, _ = rules.within(self._most, self._most)
        if len(message) > most:
            raise too_large(path, len(message), most, "sent", may_have_run=False)
        stream = await self.open(path, content_subtype, metadata, deadline, info, rules)
        return await self._exchange(stream, path, message)

    async def close(self) -> None:
        self._closed = True
        for call in list(self._calls):
            call.abort(
                Unavailable(
                    f"the connection to {self._address} was closed", id="micro.connection_lost", unanswered=True
                )
            )
        if self._table is not None:
            self._table = None
            await self._hold.release()

    async def _listener(self) -> _MemoryListener:
        if self._closed:
            raise Unavailable(f"the connection to {self._address} is closed", id="micro.closed", may_have_run=False)
        if self._table is None:
            self._table = await self._hold.acquire()
        listener = self._table.listeners.get(self._address)
        if listener is None:
            raise Unavailable(f"nobody listens at {self._address}", id="micro.connect_failed", may_have_run=False)
        return listener


class _Call:
    """What both ends of a call share."""

    def __init__(
        self, path: str, content_subtype: str, metadata: Metadata, deadline: float | None, info: CallInfo
    ) -> None:
        self.path = path
        self.content_subtype = content_subtype
        self.metadata = metadata
        self.deadline = deadline
        self.info = info
        self.requests = Pipe[bytes](WINDOW)
        self.replies = Pipe[bytes](WINDOW)
        self.task: asyncio.Task[None] | None = None
        self.on_end: Callable[[_Call], object] = _nothing
        self.succeeded = False
        """Whether the server has ended it with status OK."""
        self.called: tuple[int, int] = MAX_MESSAGE, MAX_MESSAGE
        """Bytes that a request and a reply may have, as the client says."""
        self.served: tuple[int, int] = MAX_MESSAGE, MAX_MESSAGE
        """The same, as the server says."""
        self._timer: asyncio.TimerHandle | None = None

    def start_clock(self) -> None:
        if self.deadline is None:
            return
        loop = asyncio.get_running_loop()
        if self.deadline <= loop.time():
            raise DeadlineExceeded(f"{self.path}: the deadline has passed", id="micro.deadline", may_have_run=False)
        self._timer = loop.call_at(self.deadline, self._expire)

    def finish(self, error: Error | None) -> None:
        """The server is done; what it sent stays readable."""
        self.succeeded = error is None
        self.replies.end(error or _no_more_replies)
        self.requests.stop(error or _ended_by_server)
        self._over()

    def abort(self, error: Error) -> None:
        """Ends the call at once on both sides; does nothing if it is over."""
        if self.replies.ended:
            return
        self.replies.stop(error)
        self.requests.stop(error)
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
        self._over()

    def _expire(self) -> None:
        self.abort(DeadlineExceeded(f"{self.path}: no reply before the deadline", id="micro.deadline", unanswered=True))

    def _over(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.on_end(self)


class _MemoryClientStream(ClientStream):
    __slots__ = ("_call", "_ended")

    def __init__(self, call: _Call) -> None:
        self._call = call
        self._ended = False

    async def send(self, message: bytes, *, end: bool = False) -> None:
        if self._ended:
            raise ended_already(self._call.path)
        call, (most, _) = self._call, self._call.called
        if len(message) > most:
            raise self._too_large(len(message), most, "sent")
        await call.requests.put(message)
        if end:
            await self.end()

    async def end(self) -> None:
        self._ended = True
        self._call.requests.end(_no_more_requests)

    async def receive(self) -> bytes:
        return self._taken(await self._call.replies.get())

    def _taken(self, reply: bytes) -> bytes:
        """Returns a reply, unless it is larger than this client takes: then the call ends."""
        _, most = self._call.called
        if len(reply) > most:
            raise self._too_large(len(reply), most, "taken")
        return reply

    def _too_large(self, size: int, most: int, doing: str) -> Error:
        """Ends the call, and returns why."""
        error = too_large(self._call.path, size, most, doing)
        self._call.abort(error)
        return copy(error)

    async def only_reply(self, path: str) -> bytes:
        # Without the exception that ends a stream: a call that goes well makes none.
        call = self._call
        if not await call.replies.more() and call.succeeded:
            raise no_reply(path)
        reply = self._taken(await call.replies.get())
        if await call.replies.more():
            self.cancel()
            raise many_replies(path)
        if not call.succeeded:
            await call.replies.get()  # raises what the call ended with
        return reply

    def cancel(self) -> None:
        if not self._call.replies.ended:
            self._call.abort(Cancelled("the call was cancelled by this client"))


class _MemoryServerStream(ServerStream):
    __slots__ = ("_call", "content_subtype", "deadline", "metadata", "path", "peer")

    def __init__(self, call: _Call) -> None:
        self._call = call
        self.path = call.path
        self.content_subtype = call.content_subtype
        self.metadata = call.metadata
        self.deadline = call.deadline
        self.peer = "memory:"

    async def receive(self) -> bytes:
        message = await self._call.requests.get()
        most, _ = self._call.served
        if len(message) > most:
            raise too_large(self.path, len(message), most, "taken")
        return message

    async def only_request(self) -> bytes:
        # Without the exception that ends a stream: a call that goes well makes none.
        try:
            request = await self.receive()
        except EndOfStream:
            raise no_request(self.path) from None
        if await self._call.requests.more():
            raise many_requests(self.path)
        return request

    async def send_headers(self, headers: Metadata) -> None:
        self._call.info.headers = headers

    async def send(self, message: bytes) -> None:
        _, most = self._call.served
        if len(message) > most:
            raise too_large(self.path, len(message), most, "sent")
        await self._call.replies.put(message)

    async def finish(self, error: Error | None, trailers: Metadata = EMPTY) -> None:
        if self._call.replies.ended:
            return
        if error is not None:
            error = decode_error(encode_error(error))  # as it would arrive from elsewhere
        self._call.info.trailers = trailers
        self._call.finish(error)


def _nothing(_: _Call) -> None:
    pass


# What the ends of a call raise when it has gone well, made only for those who ask.


def _no_more_requests() -> EndOfStream:
    return EndOfStream("the client sent its last message already")


def _no_more_replies() -> EndOfStream:
    return EndOfStream("the server sent its last message already")


def _ended_by_server() -> EndOfStream:
    return EndOfStream("the server has ended the call")
