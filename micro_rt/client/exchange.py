"""One stream of messages between a client and a node, below the calls that users hold.

``DirectExchange`` is the stream of the node, with messages instead of bytes. ``InterceptedExchange`` runs the stream
interceptors, which see iterators: a task of its own pulls them, so that ``send`` and ``receive`` by hand work with
interceptors too.

The rules that they keep, and why:

- ``send`` raises ``EndOfStream`` when the server is done, and ``receive`` then says how it ended: a status may come
  while the client still sends, and only one of both sides may report it.
- A streaming call goes to another node only until its first reply, and only if its single request is known: what a
  client streams is not kept, so it cannot be sent again. ``Attempts`` decides whether the policy allows it.
- A first reply counts as an answer of the node, and pays into the retry budget. Later ones say nothing new about the
  node.
- Each exchange counts its node as in use exactly once, and gives it back exactly once, however it ends: a node that is
  gone closes its connection when the last call has given it back.
- ``cancel`` ends the call at once on both sides and does nothing after the end. A reason given with the first
  ``cancel`` is what ``receive`` raises; what comes later does not replace it.
- A stream without a deadline reaches a node within the timeout of the service, or fails. Another node, after a failure, gets that time again.
- A call that is cancelled while it is being opened, or while it waits for another node, stops waiting at once and is not
  sent: no stream is left on a node that nobody reads.
- Requests are pumped by a task of their own. An error of the user's iterator, and a request that cannot be encoded, end
  the call with that error. An error of the call ends the pump without being raised there, because ``receive`` raises it.
- A sender gives way every ``FAIR_SHARE`` requests: sending only waits when a window is full, and one call must not keep
  the loop.
- The deadline of a call bounds its interceptors too, but not the time that the caller takes to read a reply.
- Pipes between interceptors and the caller hold one message: an interceptor sees a message when it is its turn, not in
  advance.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from micro_rt.client.attempts import Attempts
from micro_rt.client.bound import BoundMethod
from micro_rt.client.expiry import Expiry, deadline_passed
from micro_rt.client.remote import RemoteNode
from micro_rt.client.unexpected import unexpected
from micro_rt.context import ClientCall
from micro_rt.errors import Cancelled, EndOfStream, Error, Internal
from micro_rt.interceptor import ClientSide, StreamNext, chain_stream, close
from micro_rt.kit.interruptible import Interruptible
from micro_rt.kit.pipe import Pipe
from micro_rt.transport.base import ClientStream, ended_already

__all__ = ["Exchange", "bind_interceptors", "make_exchange", "pump"]

FAIR_SHARE = 64
"""Requests that one call sends in a row before others get their turn: sending waits only when a window is full."""


class Exchange(ABC):
    """Messages both ways, until one side is done.

    Attributes:
        encode: returns a request as ``send`` takes it. Raises ``TypeError`` if it is not the method's request message, and
            ``InvalidArgument`` if it cannot be encoded; the call goes on.
    """

    encode: Callable[[Any], Any]
    raised: BaseException | None = None
    """What the user's iterator of requests raised: an error of its own, not of the call."""

    @abstractmethod
    async def open(self, request: Any = None) -> None:
        """Begins the call, on another node if one cannot be reached; raises the reason if it is cancelled meanwhile.

        Args:
            request: the only request, if the client does not stream.
        """

    @abstractmethod
    async def send(self, encoded: Any) -> None:
        """Sends what ``encode`` returned; raises the call's error, or ``EndOfStream`` if the server is done."""

    @abstractmethod
    async def end(self) -> None:
        """Says that there are no more requests."""

    @abstractmethod
    async def receive(self) -> Any:
        """Waits for a reply; raises the call's error, or ``EndOfStream`` after the last one."""

    def received(self) -> Any:
        """Returns a reply that has come already; None if it must be waited for, or the call has ended."""
        return None

    @abstractmethod
    def cancel(self, reason: BaseException | None = None) -> None:
        """Ends the call at once; does nothing if it is over.

        Args:
            reason: what ``receive`` raises then, if not ``Cancelled``.
        """


def bind_interceptors(bound: BoundMethod, interceptors: Sequence[ClientSide]) -> None:
    """Puts the stream interceptors around a method's streams, once."""
    innermost = _Innermost(bound)
    chained = chain_stream(interceptors, innermost)
    if chained is not innermost:
        bound.stream_chain = chained


def make_exchange(bound: BoundMethod, call: ClientCall) -> Exchange:
    """Returns the exchange of a streaming call; ``open`` begins it.

    Args:
        bound: the method.
        call: the call, its clock started.
    """
    if bound.stream_chain is None:
        return DirectExchange(bound, call)
    return InterceptedExchange(bound.stream_chain, call)


async def pump(requests: AsyncIterable[Any] | Iterable[Any], exchange: Exchange) -> None:
    """Sends requests as they come, and closes an async generator that they come from.

    An error of the iterator, and a request that cannot be encoded, end the call with that error. An error of the call ends
    only this, because ``receive`` raises it.
    """
    sent, encode = 0, exchange.encode
    source: AsyncIterator[Any] | None = None
    try:
        source = aiter(requests) if isinstance(requests, AsyncIterable) else _each(requests)
        async for request in source:
            try:
                encoded = encode(request)
            except Exception as error:
                exchange.cancel(error)
                return
            try:
                await exchange.send(encoded)
            except Error:
                return
            sent += 1
            if not sent % FAIR_SHARE:
                await asyncio.sleep(0)
    except Exception as error:
        exchange.raised = error
        exchange.cancel(error)
        return
    finally:
        await close(source)
    with suppress(Error):
        await exchange.end()


def _unchanged(message: Any) -> Any:
    return message


async def _each(requests: Iterable[Any]) -> AsyncIterator[Any]:
    for request in requests:
        yield request


class DirectExchange(Exchange):
    """An exchange with a node.

    A call whose only request is known may go to another node until the first reply has come.
    """

    __slots__ = (
        "_attempts",
        "_bound",
        "_call",
        "_decode",
        "_failure",
        "_opening",
        "_over",
        "_remote",
        "_replied",
        "_request",
        "_rules",
        "_stream",
    )

    def __init__(self, bound: BoundMethod, call: ClientCall) -> None:
        self.encode = bound.encode_next
        self._decode = bound.decode
        self._bound = bound
        self._call = call
        self._rules = bound.rules_of(call.info)
        self._attempts = Attempts(bound.service_nodes(call), call, bound.retry)
        self._remote: RemoteNode | None = None
        self._stream: ClientStream | None = None
        self._failure: BaseException | None = None
        self._opening = Interruptible()
        self._request: bytes | None = None
        self._replied = False
        self._over = False

    async def open(self, request: Any = None) -> None:
        if not self._bound.method.kind.client_streams:
            self._request = self._bound.encode(request)
        await self._open()

    async def send(self, encoded: bytes) -> None:
        try:
            await self._open_stream().send(encoded)
        except Error:
            raise
        except Exception as error:
            raise self._broken(error) from None

    async def end(self) -> None:
        try:
            await self._open_stream().end()
        except Error:
            raise
        except Exception as error:
            raise self._broken(error) from None

    def received(self) -> Any:
        stream = self._stream
        if stream is None or not self._replied:  # The first reply says more than itself: see ``receive``.
            return None
        try:
            data = stream.receive_nowait()
            return None if data is None else self._decode(data)
        except Error:
            raise
        except Exception as error:
            raise self._broken(error) from None

    async def receive(self) -> Any:
        while True:
            try:
                data = await self._open_stream().receive()
            except EndOfStream:
                self._over = True
                self._done()
                raise
            except Error as error:
                failure = self._failure or error
                remote = self._remote
                self._done()
                if failure is not error or remote is None or self._replied or self._request is None:
                    if failure is error and remote is not None:
                        self._attempts.note(remote, error)
                    raise failure from None
                with self._opening:
                    await self._attempts.failed(remote, error)
                await self._open()
            except Exception as error:
                raise self._broken(error) from None
            else:
                if not self._replied:
                    self._replied = True
                    if self._remote is not None:
                        self._remote.answered()
                        self._attempts.service_nodes.budget.earn()
                return self._bound.decode(data)

    def cancel(self, reason: BaseException | None = None) -> None:
        if self._failure is None and not self._over:
            self._failure = reason or Cancelled("the call was cancelled by this client")
            self._opening.fail(self._failure)
        if self._stream is not None:
            self._stream.cancel()
        self._done()

    async def _open(self) -> None:
        with self._opening:
            timeout = self._bound.opening_timeout if self._call.deadline is None else None
            if timeout is None:
                self._stream, self._remote = await self._bound.attempt(self._attempts, self._start)
                return
            limit = asyncio.timeout(timeout)
            try:
                async with limit:
                    self._stream, self._remote = await self._bound.attempt(self._attempts, self._start)
            except TimeoutError as error:
                if isinstance(error, Error) or not limit.expired():
                    raise
                raise self._attempts.late(timeout) from None

    async def _start(self, remote: RemoteNode) -> ClientStream:
        stream = await self._bound.open(remote, self._call, self._rules)
        if self._request is not None:
            try:
                await stream.send(self._request, end=True)
            except EndOfStream:
                pass  # answered before it was asked: the replies tell
            except BaseException:
                stream.cancel()
                raise
        return stream

    def _open_stream(self) -> ClientStream:
        if self._stream is None:
            raise self._failure or Internal("the call is not open")
        return self._stream

    def _broken(self, error: Exception) -> BaseException:
        """Ends the call, whose transport raised something else than ``micro.Error``; returns what it ends with."""
        failure = self._failure
        if failure is None:
            failure = unexpected(self._call.method.path, self._remote, error)
            self.cancel(failure)
        return failure

    def _done(self) -> None:
        remote, self._remote = self._remote, None
        if remote is not None:
            remote.done()


class InterceptedExchange(Exchange):
    """An exchange with interceptors around it."""

    def __init__(self, chain: StreamNext, call: ClientCall) -> None:
        self.encode = _unchanged  # An interceptor may replace a request; it is encoded after them.
        self._requests = Pipe[Any](1)
        self._replies = Pipe[Any](1)
        self._path = call.method.path
        self._client_streams = call.method.kind.client_streams
        self._ended = False
        self._cancelled = False
        self._handing_over = False
        self._late = False
        self._reason: BaseException | None = None
        """What ``receive`` raises, if the caller has ended the call."""
        self._overdue: Error | None = None
        self._expiry = Expiry(call, partial(self._expire, call))
        self._task = asyncio.create_task(self._run(chain, call), name=f"interceptors of {call.method.path}")
        self._task.add_done_callback(self._ended_all)

    async def open(self, request: Any = None) -> None:
        if not self._client_streams:
            await self.send(request)
            await self.end()

    async def send(self, encoded: Any) -> None:
        if self._ended:
            raise ended_already(self._path)
        if self._cancelled:
            raise EndOfStream("the call is over")
        await self._requests.put(encoded)

    async def end(self) -> None:
        self._ended = True
        self._requests.end(EndOfStream("the client sent its last message already"))

    async def receive(self) -> Any:
        try:
            return await self._replies.get()
        except Error:
            if self._reason is not None and self._reason is self.raised:
                raise self._reason from None  # The pipe raises a copy.
            raise

    def cancel(self, reason: BaseException | None = None) -> None:
        if not self._replies.ended:
            self._reason = reason
            self._replies.stop(reason or Cancelled("the call was cancelled by this client"))
            self._cancelled = True
            # The requests are stopped when the interceptors have ended: to them, a call that is cancelled has no last request.
            self._task.cancel()

    def _ended_all(self, _: asyncio.Task[None]) -> None:
        if not self._requests.ended:
            self._requests.stop(EndOfStream("the call is over"))

    def _expire(self, call: ClientCall) -> None:
        """Ends the call after its deadline, unless only the caller is being waited for: what has come stays readable."""
        if self._handing_over:
            self._late = True
            return
        self._overdue = deadline_passed(call)
        self._replies.end(self._overdue)
        self._task.cancel()

    async def _run(self, chain: StreamNext, call: ClientCall) -> None:
        outcome: BaseException = EndOfStream("the server sent its last message already")
        try:
            replies = chain(_Items(self._requests), call)
            try:
                async for reply in replies:
                    self._handing_over = True
                    await self._replies.put(reply)
                    self._handing_over = False
                    if self._late:
                        self._late = False
                        self._expiry = Expiry(call, partial(self._expire, call))
            finally:
                await close(replies)
        except asyncio.CancelledError:
            outcome = self._overdue or Cancelled("the call was cancelled by this client")
            raise
        except Exception as error:
            outcome = error
        finally:
            self._expiry.stop()
            self._replies.end(outcome)
            self._requests.stop(outcome if isinstance(outcome, Error) else EndOfStream("the call is over"))


class _Innermost:
    """The end of an intercepted stream: the exchange with the node, as iterators."""

    def __init__(self, bound: BoundMethod) -> None:
        self._bound = bound

    async def __call__(self, requests: AsyncIterator[Any], call: ClientCall) -> AsyncIterator[Any]:
        bound = self._bound
        sender: asyncio.Task[None] | None = None
        exchange = DirectExchange(bound, call)
        if bound.method.kind.client_streams:
            await exchange.open()
            sender = asyncio.create_task(pump(requests, exchange), name=f"requests of {bound.method.path}")
        else:
            await exchange.open(await anext(requests))
        try:
            while True:
                try:
                    reply = await exchange.receive()
                except EndOfStream:
                    return
                yield reply
        finally:
            exchange.cancel()
            if sender is not None and not sender.done():
                # What it takes the requests from is closed in the task that runs it.
                sender.cancel()
                await asyncio.wait((sender,))


class _Items(AsyncIterator[Any]):
    """The items of a pipe, up to its end."""

    __slots__ = ("_pipe",)

    def __init__(self, pipe: Pipe[Any]) -> None:
        self._pipe = pipe

    async def __anext__(self) -> Any:
        try:
            return await self._pipe.get()
        except EndOfStream:
            raise StopAsyncIteration from None
