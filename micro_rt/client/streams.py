"""The calls that stream, as users hold them: iterated, awaited, or driven by hand in an ``async with`` block.

The rules that they keep, and why:

- Whoever opens a call owns it. A call that is iterated is cancelled, on both sides and at once, when the loop is left
  early. A call that is entered with ``async with`` is cancelled when the block is left.
- A loop that is cancelled, or times out, while it waits for a reply ends the call there and then: the exception keeps
  the iterator alive, so nothing may depend on when that is collected.
- Python does not report that ``break``, or an error in the body, leaves a loop. Only there the iterator cancels the call in
  ``__del__``, which CPython runs when the loop drops it. That is why these are classes and not async generators: a
  generator would be closed later, by the event loop. Whoever keeps an iterator ends it with ``aclose``.
- ``__del__`` may run in any thread, and after the loop has ended. In another thread it asks the loop to cancel; after
  the end of the loop it does nothing.
- The call starts at the first use, not when it is made: making a call without using it sends nothing and leaves nothing
  behind.
- The outcome is kept. Every later use of a call that has ended raises what ended it, without the traceback of the first
  time.
- One task receives at a time, and one sends at a time. A second task gets a ``RuntimeError``, because messages would be
  shared out between the two at random. Opening the call counts as receiving, so two tasks never send it twice, and the
  error of the second task does not end the call of the first. Sending and receiving at the same time is what a
  bidirectional call is for.
- A call works in the event loop that opened it. In another loop it raises ``RuntimeError``: it would wait for ever there.
- ``send``, ``receive``, ``end`` and ``finish`` need an entered call, so that there is a block whose end cancels it. A
  call that was given its messages refuses ``send``: the two would mix without any order.
- A client-streaming call has exactly one reply. None, or a second one, is an error of the server, and says so.
- A call is made once. Using it again after its end raises, and never sends the request a second time.
- Requests are any iterable, async or not. A task sends them, and ends with the call. It closes an async generator that it
  took them from.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypeVar

from micro_rt.client.bound import BoundMethod
from micro_rt.client.exchange import Exchange, make_exchange, pump
from micro_rt.context import CallInfo
from micro_rt.errors import Cancelled, EndOfStream, Error
from micro_rt.metadata import MetadataLike
from micro_rt.transport.base import many_replies, no_reply

__all__ = ["BidiStreamCall", "ClientStreamCall", "Messages", "ServerStreamCall"]

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")

Messages: TypeAlias = AsyncIterable[RequestT] | Iterable[RequestT]
"""Requests to be sent, as they come: any iterable, async or not. The call closes an async generator when it ends."""


class _StreamCall(Generic[RequestT, ReplyT]):
    """What the three streaming kinds share: the start, the end, and who may do what."""

    __slots__ = (
        "_bound",
        "_entered",
        "_exchange",
        "_info",
        "_loop",
        "_metadata",
        "_outcome",
        "_receiving",
        "_requests",
        "_sender",
        "_sending",
        "_timeout",
    )

    def __init__(
        self,
        bound: BoundMethod,
        requests: Any,
        timeout: float | None,
        metadata: MetadataLike | None,
        info: CallInfo | None,
    ) -> None:
        self._bound = bound
        self._requests = requests
        self._timeout = timeout
        self._metadata = metadata
        self._info = info
        self._exchange: Exchange | None = None
        self._sender: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._entered = False
        self._outcome: Exception | None = None
        self._receiving = False
        self._sending = False

    def __repr__(self) -> str:
        state = "over" if self._outcome is not None else "running" if self._exchange is not None else "not started"
        return f"<{type(self).__name__} {self._bound.method.path} {state}>"

    async def __aenter__(self) -> Self:
        await self._start()
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cancel()

    if not TYPE_CHECKING:  # Type checkers report these uses themselves.

        def __await__(self):
            raise TypeError(self._misuse())

        def __iter__(self):
            raise TypeError(self._misuse())

        def __aiter__(self):
            raise TypeError(self._misuse())

    def _misuse(self) -> str:
        name = self._bound.method.python_name
        if self._bound.method.kind.server_streams:
            return f"{name}() streams replies: async for reply in client.{name}(...)"
        return f"{name}() has one reply: reply = await client.{name}(...)"

    def cancel(self) -> None:
        """Ends the call at once, on both sides; does nothing when it is over."""
        self._end(self._outcome or Cancelled("the call was cancelled by this client"))

    def _end(self, outcome: Exception) -> None:
        """Ends the call, with what every later use of it raises."""
        if self._outcome is None:
            self._outcome = outcome
        if self._sender is not None:
            self._sender.cancel()
        if self._exchange is not None:
            self._exchange.cancel()

    def _abandon(self) -> None:
        """Cancels the call when nobody will read on, from wherever that is noticed."""
        if self._outcome is not None or self._loop is None or self._loop.is_closed():
            return
        if asyncio._get_running_loop() is self._loop:
            self.cancel()
        else:
            self._loop.call_soon_threadsafe(self.cancel)

    async def _start(self) -> Exchange:
        """Opens the call, unless it is open; raises the outcome of a call that has ended.

        Raises:
            RuntimeError: another task opens it, or receives from it.
        """
        if self._outcome is not None:
            raise self._outcome.with_traceback(None)
        if self._receiving:
            raise self._busy()
        if self._exchange is not None:
            return self._exchange
        bound = self._bound
        exchange = make_exchange(bound, bound.start(self._timeout, self._metadata, self._info))
        client_streams = bound.method.kind.client_streams
        self._loop = asyncio.get_running_loop()
        self._exchange = exchange  # From now on, cancel() reaches it.
        self._receiving = True
        try:
            await exchange.open(None if client_streams else self._requests)
        except BaseException as error:
            if isinstance(error, Error):
                _note_outgoing(error, exchange)
            self._end(error if isinstance(error, Exception) else Cancelled("the call was cancelled by this client"))
            raise
        finally:
            self._receiving = False
        if client_streams and self._requests is not None:
            self._sender = asyncio.create_task(pump(self._requests, exchange), name=f"requests of {bound.method.path}")
        return exchange

    async def _take(self) -> Any:
        if self._receiving:
            raise self._busy()
        exchange = self._exchange
        if exchange is None or self._outcome is not None:
            exchange = await self._start()
        self._check_loop()
        self._receiving = True
        try:
            return await exchange.receive()
        except Exception as error:
            if isinstance(error, Error):
                _note_outgoing(error, exchange)
            self._end(error)
            raise
        finally:
            self._receiving = False

    def _received(self) -> Any:
        """Returns a reply that has come already; None if it must be waited for, or the call has ended.

        Many replies come in one read, and this takes them without the coroutines of ``_take``.
        """
        exchange = self._exchange
        if exchange is None or self._receiving or self._outcome is not None:
            return None
        if asyncio._get_running_loop() is not self._loop:
            self._check_loop()
        try:
            return exchange.received()
        except Exception as error:
            if isinstance(error, Error):
                _note_outgoing(error, exchange)
            self._end(error)
            raise

    def _busy(self) -> RuntimeError:
        return RuntimeError("another task is receiving from this call; one at a time")

    async def _put(self, message: RequestT) -> None:
        exchange = self._feedable("send")
        if self._sending:
            raise RuntimeError("another task is sending to this call; one at a time")
        self._sending = True
        try:
            await exchange.send(exchange.encode(message))
        except Error as error:
            _note_outgoing(error, exchange)
            raise
        finally:
            self._sending = False

    async def _only_reply(self) -> Any:
        path = self._bound.method.path
        if isinstance(self._outcome, EndOfStream):
            raise RuntimeError("this call has given its reply already; make a new one")
        try:
            reply = await self._take()
        except EndOfStream:
            raise no_reply(path) from None
        try:
            await self._take()
        except EndOfStream:
            return reply
        self.cancel()
        raise many_replies(path)

    def _driven(self, what: str) -> Exchange:
        if self._exchange is None or not self._entered:
            name = self._bound.method.python_name
            raise RuntimeError(
                f"{what}() needs an open call: async with client.{name}() as call: await call.{what}(...)"
            )
        self._check_loop()
        return self._exchange

    def _check_loop(self) -> None:
        """Raises ``RuntimeError`` unless the caller runs in the event loop that the call was opened in."""
        if asyncio._get_running_loop() is not self._loop:
            raise RuntimeError(
                f"this call of {self._bound.method.path} was opened in another event loop, and works in that one alone: from "
                "another thread, use asyncio.run_coroutine_threadsafe(coroutine, loop)"
            )

    def _feedable(self, what: str) -> Exchange:
        exchange = self._driven(what)
        if self._requests is not None:
            name = self._bound.method.python_name
            raise RuntimeError(f"{name}() was given its messages; {what}() is for calls without them")
        return exchange


class ServerStreamCall(_StreamCall[Any, ReplyT]):
    """A call with one request and a stream of replies.

        async for reply in client.list(request):
            ...

    Leaving the loop early cancels the call, and so does cancelling the task that waits in it. In ``async with client.list(request) as call`` it goes on until the
    block ends, and ``receive()`` takes single replies.
    """

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[ReplyT]:
        return _Replies(self, owns=not self._entered)

    async def receive(self) -> ReplyT:
        """Waits for a reply.

        Raises:
            EndOfStream: the last one has come.
            Error: the call failed.
        """
        self._driven("receive")
        received: Any = self._received()
        reply: ReplyT = await self._take() if received is None else received
        return reply


class ClientStreamCall(_StreamCall[RequestT, ReplyT]):
    """A call with a stream of requests and one reply.

        reply = await client.join(messages)

        async with client.join() as call:
            await call.send(message)
            reply = await call.finish()

    Leaving the block before ``finish()`` cancels the call.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, ReplyT]:
        return self._run().__await__()

    async def send(self, message: RequestT) -> None:
        """Sends a request, waiting while the server does not read.

        Raises:
            InvalidArgument: the request cannot be encoded; the call goes on. If the client has stream interceptors, the
                call ends with this error instead, because they may still change the request.
            EndOfStream: the server has ended the call; ``finish()`` tells how.
            Error: the call failed.
        """
        await self._put(message)

    async def finish(self) -> ReplyT:
        """Says that there are no more requests, and waits for the reply.

        Raises:
            Error: the call failed.
        """
        exchange = self._driven("finish")
        if self._requests is None:
            await exchange.end()
        reply: ReplyT = await self._only_reply()
        return reply

    async def _run(self) -> ReplyT:
        if self._requests is None:
            name = self._bound.method.python_name
            raise TypeError(
                f"await client.{name}(messages) needs messages; without them: async with client.{name}() as call"
            )
        if self._loop is not None or self._outcome is not None:
            raise RuntimeError("this call was made already; make a new one")
        try:
            await self._start()
            reply: ReplyT = await self._only_reply()
            return reply
        finally:
            self.cancel()


class BidiStreamCall(_StreamCall[RequestT, ReplyT]):
    """A call with a stream of requests and a stream of replies.

        async for reply in client.chat(messages):
            ...

        async with client.chat() as call:
            await call.send(message)
            reply = await call.receive()
            await call.end()

    Leaving the loop or the block early cancels the call.
    """

    __slots__ = ()

    def __aiter__(self) -> AsyncIterator[ReplyT]:
        if self._requests is None and not self._entered:
            name = self._bound.method.python_name
            raise TypeError(
                f"async for ... in client.{name}(messages) needs messages; without them: async with client.{name}() as call"
            )
        return _Replies(self, owns=not self._entered)

    async def send(self, message: RequestT) -> None:
        """Sends a request, waiting while the server does not read.

        Raises:
            InvalidArgument: the request cannot be encoded; the call goes on. If the client has stream interceptors, the
                call ends with this error instead, because they may still change the request.
            EndOfStream: the server has ended the call; ``receive()`` tells how.
            Error: the call failed.
        """
        await self._put(message)

    async def end(self) -> None:
        """Says that there are no more requests; replies go on."""
        await self._feedable("end").end()

    async def receive(self) -> ReplyT:
        """Waits for a reply.

        Raises:
            EndOfStream: the last one has come.
            Error: the call failed.
        """
        self._driven("receive")
        received: Any = self._received()
        reply: ReplyT = await self._take() if received is None else received
        return reply


class _Replies(AsyncIterator[ReplyT]):
    """The replies of one loop.

    Args:
        call: what is iterated.
        owns: whether the call ends with the loop.
    """

    __slots__ = ("_began", "_call", "_owns")

    def __init__(self, call: _StreamCall[Any, ReplyT], *, owns: bool) -> None:
        self._call = call
        self._owns = owns
        self._began = False

    async def __anext__(self) -> ReplyT:
        call = self._call
        if call._receiving:  # pyright: ignore[reportPrivateUsage]
            raise call._busy()  # pyright: ignore[reportPrivateUsage]
        self._began = True  # Only now: a loop that was refused does not end the call of another one.
        try:
            received: Any = call._received()  # pyright: ignore[reportPrivateUsage]
            reply: ReplyT = await call._take() if received is None else received  # pyright: ignore[reportPrivateUsage]
        except EndOfStream:
            raise StopAsyncIteration from None
        except BaseException:
            self._leave()
            raise
        return reply

    async def aclose(self) -> None:
        """Ends the call, if it belongs to this loop and is not over."""
        self._leave()

    def __del__(self) -> None:
        self._leave()

    def _leave(self) -> None:
        if self._owns and self._began:
            self._call._abandon()  # pyright: ignore[reportPrivateUsage]


def _note_outgoing(error: Error, exchange: Exchange) -> None:
    """Notes that an error is that of a call which this process made, unless the iterator of requests raised it."""
    if error is not exchange.raised:
        error.outgoing = True
