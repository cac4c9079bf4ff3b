"""How one method runs: what comes is decoded for the handler, and what the handler gives is sent.

The rules that it keeps, and why:

- A reply is checked by its class. A wrong one is an error of the server and is logged; encoding it could send nonsense.
- A method that does not stream requests takes exactly one, and its handler begins when the client has ended its requests:
  only then is it known that there is no second one. None, or a second one, is ``UNIMPLEMENTED`` (gRPC's statuscodes.md). A
  client of go-micro never ends the one request of a server stream, so the handler does not wait for that.
- A request that cannot be decoded is ``INVALID_ARGUMENT``: the client's error. So is one that breaks the rules of its .proto file.
- Rules are checked right before the handler, inside all interceptors. So what an interceptor refuses is not told which rules there
  are, and what it puts in place of a request is checked too. Of a stream of requests, each is checked when the handler takes it.
- Replies are closed in the task of the call, however it ends, and with them what each interceptor was given. So the
  ``finally`` blocks of async generators run there and at once, with the context of the call, and before the call stops
  counting as in flight.
- A stream of replies gives way every ``FAIR_SHARE`` messages: sending only waits when a window is full.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from inspect import iscoroutine
from typing import Any, cast

from micro_rt.codec.base import Codec
from micro_rt.context import Context
from micro_rt.errors import EndOfStream, Internal, InvalidArgument
from micro_rt.interceptor import ServerSide, chain_stream, chain_unary, close
from micro_rt.logs import logger, sparsely
from micro_rt.method import Kind, Method
from micro_rt.transport.base import ServerStream, no_request
from micro_rt.transport.limits import rules_of
from micro_rt.validation.checks import Check

__all__ = ["Route", "StreamRoute", "UnaryRoute"]

FAIR_SHARE = 64
"""Replies that one call sends in a row before others get their turn: sending waits only when a window is full."""

_log = logger("micro_rt.server")


class Route(ABC):
    """One method of one handler.

    Args:
        method: the rpc.
        function: the handler's bound method.
        codec: how messages are encoded.
        interceptors: around it.
        check: raises the error of a request that breaks its rules; None if it has none.
    """

    def __init__(
        self,
        method: Method[Any, Any],
        function: Any,
        codec: Codec,
        interceptors: Sequence[ServerSide],
        check: Check | None = None,
    ) -> None:
        self.method = method
        self.sizes = rules_of(method)
        self.function = function if check is None else _checking(function, check, method.kind)
        self._handle = function
        self._check = check
        self._interceptors = interceptors
        self._encode = codec.encoder(method.reply_type)
        self._decode = codec.decoder(method.request_type)
        self.prepare(interceptors)

    def in_codec(self, codec: Codec) -> Route:
        """Returns the same route with another codec."""
        return type(self)(self.method, self._handle, codec, self._interceptors, self._check)

    @abstractmethod
    def prepare(self, interceptors: Sequence[ServerSide]) -> None:
        """Puts the interceptors around the handler's method."""

    @abstractmethod
    async def serve(self, stream: ServerStream, context: Context, ends: bool) -> None:
        """Runs the method on what comes, and sends what it gives.

        Args:
            stream: the call.
            context: for the handler.
            ends: whether the client ends its requests.
        """

    def decoded(self, message: bytes) -> Any:
        """Returns the request that a message is."""
        try:
            return self._decode(message)
        except ValueError as error:
            raise InvalidArgument(f"the request of {self.method.path} cannot be read: {error}") from None

    async def reply(self, stream: ServerStream, context: Context, reply: Any) -> None:
        """Encodes and sends one reply, after the headers that the handler set."""
        if reply.__class__ is not self.method.reply_type:
            raise self._wrong_reply(reply)
        headers = context.take_headers()
        if headers is not None:
            await stream.send_headers(headers)
        await stream.send(self._encode(reply))

    def _wrong_reply(self, reply: Any) -> Internal:
        path, wanted = self.method.path, self.method.reply_type.__name__
        _log.error("%s gave %r, not %s", path, reply, wanted, extra=sparsely(path))
        return Internal(
            f"{self.method.python_name}() gave {type(reply).__name__}, not {self.method.reply_type.__name__}; "
            "that is a bug of the server"
        )


def _checking(function: Any, check: Check, kind: Kind) -> Any:
    """Returns a handler's method that checks its requests first. A plain ``def`` keeps a unary call at one coroutine."""

    def one(request: Any, context: Context) -> Any:
        check(request)
        return function(request, context)

    def stream(requests: AsyncIterator[Any], context: Context) -> Any:
        return function(_Checked(requests, check), context)

    return stream if kind.client_streams else one


class _Checked(AsyncIterator[Any]):
    """Requests that are checked as the handler takes them."""

    __slots__ = ("_check", "_requests")

    def __init__(self, requests: AsyncIterator[Any], check: Check) -> None:
        self._requests = requests
        self._check = check

    async def __anext__(self) -> Any:
        request = await self._requests.__anext__()
        self._check(request)
        return request


class UnaryRoute(Route):
    """A method with one request and one reply."""

    def prepare(self, interceptors: Sequence[ServerSide]) -> None:
        """Puts the interceptors around the handler's method."""
        self._run = chain_unary(interceptors, self.function)

    async def serve(self, stream: ServerStream, context: Context, ends: bool) -> None:
        """Runs the method on what comes, and sends what it gives."""
        request = self.decoded(await stream.only_request())
        await self.reply(stream, context, await self._run(request, context))


class StreamRoute(Route):
    """Any streaming kind, as interceptors see it: requests in, replies out, each an iterator."""

    def prepare(self, interceptors: Sequence[ServerSide]) -> None:
        """Puts the interceptors around the handler's method."""
        innermost = {
            Kind.SERVER_STREAM: self._server_stream,
            Kind.CLIENT_STREAM: self._client_stream,
            Kind.BIDI_STREAM: self._bidi_stream,
        }[self.method.kind]
        self._run = chain_stream(interceptors, innermost)

    async def serve(self, stream: ServerStream, context: Context, ends: bool) -> None:
        """Runs the method on what comes, and sends what it gives."""
        replies = self._run(_Requests(self, stream, ends), context)
        try:
            sent = 0
            async for reply in replies:
                await self.reply(stream, context, reply)
                sent += 1
                if not sent % FAIR_SHARE:
                    await asyncio.sleep(0)
        finally:
            # However this ends, the finally blocks of interceptors and of the handler run now, and in this task.
            await close(replies)

    async def _server_stream(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        async for request in requests:
            replies = self._iterable(self.function(request, context))
            try:
                async for reply in replies:
                    yield reply
            finally:
                await close(replies)
            return
        raise no_request(self.method.path)

    async def _client_stream(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        yield await self.function(requests, context)

    def _bidi_stream(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:
        return self._iterable(self.function(requests, context))

    def _iterable(self, replies: Any) -> AsyncIterator[Any]:
        """Returns an iterator of what a streaming method returned."""
        if hasattr(replies, "__aiter__"):
            return aiter(cast("AsyncIterable[Any]", replies))
        if iscoroutine(replies):
            replies.close()
        name = self.method.python_name
        path = self.method.path
        _log.error("%s: %s() returned %r instead of an async iterator", path, name, replies, extra=sparsely(path))
        raise Internal(
            f"{name}() must be an async generator (async def with yield) or return an async iterator; that is a bug of the server"
        )


class _Requests(AsyncIterator[Any]):
    """The requests of one call, decoded as they come."""

    __slots__ = ("_one", "_over", "_route", "_stream")

    def __init__(self, route: Route, stream: ServerStream, ends: bool) -> None:
        self._route = route
        self._stream = stream
        self._one = ends and not route.method.kind.client_streams
        """Whether there must be exactly one."""
        self._over = False

    async def __anext__(self) -> Any:
        if self._over:
            raise StopAsyncIteration
        if self._one:
            message = await self._stream.only_request()
            self._over = True
            return self._route.decoded(message)
        try:
            message = await self._stream.receive()
        except EndOfStream:
            raise StopAsyncIteration from None
        return self._route.decoded(message)
