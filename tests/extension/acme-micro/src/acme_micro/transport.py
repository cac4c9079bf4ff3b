"""Transport ``acme``: calls over TCP, in frames of our own."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from base64 import b64decode, b64encode
from collections.abc import Iterable
from copy import copy
from typing import Any

from acme_micro.link import Incoming, Kind, Link, Outgoing
from micro_rt.context import CallInfo
from micro_rt.errors import Cancelled, DeadlineExceeded, EndOfStream, Error, FailedPrecondition, Internal, Unavailable
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.transport.base import (
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
    wait_for_cancelled,
)

__all__ = ["AcmeTransport"]

CONNECT_TIMEOUT = 5.0
"""Seconds until the server must have said hello."""
FLUSH_TIMEOUT = 1.0
"""Seconds that a connection which is closed gets to send what it holds."""

_log = logging.getLogger("acme_micro.transport")


class AcmeTransport:
    """Calls over TCP; one connection for each node."""

    name = "acme"

    def connection(self, address: str) -> Connection:
        """Makes a connection to ``host:port``, without connecting yet."""
        return _AcmeConnection(address)

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        """Listens on ``host:port``; port 0 picks a free one, and ``[::]`` includes IPv4."""
        host, port = _split(address)
        listener = _AcmeListener(dispatch)
        loop = asyncio.get_running_loop()
        try:
            if host == "::" and socket.has_dualstack_ipv6():
                bound = socket.create_server((host, port), family=socket.AF_INET6, dualstack_ipv6=True)
                server = await loop.create_server(listener.link, sock=bound)
            else:
                server = await loop.create_server(listener.link, host, port)
        except OSError as error:
            raise FailedPrecondition(f"cannot listen on {address}: {error.strerror}; choose another address") from None
        listener.started(server, host)
        return listener


# The client


class _AcmeConnection(Connection):
    def __init__(self, address: str) -> None:
        self._address = address
        self._host, self._port = _split(address)
        self._link: Link | None = None
        self._connecting: asyncio.Task[Link | Unavailable] | None = None
        self._hello: asyncio.Future[None] | None = None
        self._calls: dict[int, _AcmeClientStream] = {}
        self._number = 0
        self._closed = False

    async def connect(self) -> None:
        await self._connected(None)

    async def open(
        self, path: str, content_subtype: str, metadata: Metadata, deadline: float | None, info: CallInfo
    ) -> ClientStream:
        link = await self._connected(deadline)
        loop = asyncio.get_running_loop()
        timeout = None if deadline is None else deadline - loop.time()
        if timeout is not None and timeout <= 0:
            raise DeadlineExceeded(f"{path}: the deadline has passed", may_have_run=False)
        self._number += 1
        head = {"path": path, "subtype": content_subtype, "metadata": _pack(metadata), "timeout": timeout}
        link.post(Kind.OPEN, self._number, json.dumps(head).encode())
        call = self._calls[self._number] = _AcmeClientStream(self._calls, link, self._number, path, info)
        if deadline is not None:
            late = DeadlineExceeded(f"{path}: no reply before the deadline", unanswered=True)
            call.timer = loop.call_at(deadline, call.fail, late)
        return call

    async def close(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        for call in list(self._calls.values()):
            call.fail(Unavailable(f"the connection to {self._address} was closed", unanswered=True))
        if self._link is not None:
            await _close([self._link])

    async def _connected(self, deadline: float | None) -> Link:
        if self._closed:
            raise Unavailable(f"the connection to {self._address} is closed", may_have_run=False)
        if self._link is not None and self._link.alive:
            return self._link
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name=f"connect to {self._address}")
        connecting = self._connecting
        try:
            async with asyncio.timeout_at(deadline):
                await asyncio.wait((connecting,))
        except TimeoutError:
            raise DeadlineExceeded(f"connecting to {self._address} took too long", may_have_run=False) from None
        outcome: Link | Unavailable | None = None if connecting.cancelled() else connecting.result()
        if outcome is None:
            raise Unavailable(f"the connection to {self._address} was closed", may_have_run=False)
        if isinstance(outcome, Unavailable):
            raise copy(outcome)  # several wait for it, and each gets its own
        if not outcome.alive:
            raise Unavailable(f"the connection to {self._address} was lost at once", may_have_run=False)
        return outcome

    async def _connect(self) -> Link | Unavailable:
        loop = asyncio.get_running_loop()
        self._hello = hello = loop.create_future()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, link = await loop.create_connection(lambda: Link(self._received, self._lost), self._host, self._port)
                try:
                    # The kernel accepts for a process that is stuck or stopping: only its hello tells that it is there.
                    await asyncio.wait((hello, link.closed), return_when=asyncio.FIRST_COMPLETED)
                except BaseException:
                    link.abort()
                    raise
        except OSError as error:  # which a timeout is too
            return Unavailable(f"cannot connect to {self._address}: {error or 'no answer'}", may_have_run=False)
        finally:
            self._connecting = None
        if not hello.done():
            return Unavailable(f"{self._address} hung up before it said hello", may_have_run=False)
        self._link = link
        return link

    def _received(self, link: Link, number: int, kind: Kind, payload: bytes) -> None:
        if kind is Kind.HELLO:
            if self._hello is not None and not self._hello.done():
                self._hello.set_result(None)
        elif (call := self._calls.get(number)) is not None:
            call.received(kind, payload)

    def _lost(self, link: Link) -> None:
        for call in [call for call in self._calls.values() if call.link is link]:
            call.fail(Unavailable(f"the connection to {self._address} was lost before the reply", unanswered=True))


class _AcmeClientStream(ClientStream):
    def __init__(self, calls: dict[int, _AcmeClientStream], link: Link, number: int, path: str, info: CallInfo) -> None:
        self._calls = calls
        self._number = number
        self._path = path
        self._info = info
        self._ended = False
        self._outgoing = Outgoing(link, number)
        self._incoming = Incoming(lambda size: link.post(Kind.GRANT, number, size.to_bytes(4, "big")))
        self.link = link
        self.timer: asyncio.TimerHandle | None = None

    async def send(self, message: bytes, *, end: bool = False) -> None:
        if self._ended:
            raise ended_already(self._path)
        self._ended = end
        try:
            await self._outgoing.send(message)
        except asyncio.CancelledError:
            self.cancel()  # a part of the message may be out, and nothing can follow it
            raise
        if end:
            self.link.post(Kind.END, self._number)

    async def end(self) -> None:
        if not self._ended:
            self._ended = True
            self.link.post(Kind.END, self._number)

    async def receive(self) -> bytes:
        return await self._incoming.receive()

    def cancel(self) -> None:
        self.fail(Cancelled("the call was cancelled by this client"))

    def fail(self, error: Error) -> None:
        """Ends the call here, and has the server end it; does nothing if it is over."""
        if self._number in self._calls:
            self._over(error)
            self._incoming.end(error, drop=True)
            self.link.post(Kind.CANCEL, self._number)

    def received(self, kind: Kind, payload: bytes) -> None:
        """Takes a frame of this call."""
        if kind in (Kind.PART, Kind.LAST_PART):
            self._incoming.feed(payload, kind is Kind.LAST_PART)
        elif kind is Kind.GRANT:
            self._outgoing.grant(int.from_bytes(payload, "big"))
        elif kind is Kind.HEADERS:
            self._info.headers = _unpack(json.loads(payload))
        elif kind is Kind.REFUSED:
            self.fail(Unavailable(f"{self._path} was refused: the server is stopping", may_have_run=False))
        elif kind is Kind.STATUS:
            size = int.from_bytes(payload[:4], "big")
            self._info.trailers = _unpack(json.loads(payload[4 : 4 + size]))
            status = payload[4 + size :]
            error = decode_error(status) if status else EndOfStream("the server has ended the call")
            self._over(error)
            self._incoming.end(error)

    def _over(self, error: Error) -> None:
        self._calls.pop(self._number, None)
        self._outgoing.end(error)
        if self.timer is not None:
            self.timer.cancel()


# The server


class _AcmeListener(Listener):
    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._calls: dict[Link, dict[int, _AcmeServerStream]] = {}
        self._server: asyncio.Server | None = None
        self._draining = False
        self.address = ""

    def started(self, server: asyncio.Server, host: str) -> None:
        self._server = server
        self.address = _join(host, server.sockets[0].getsockname()[1])

    def link(self) -> Link:
        return Link(self._received, self._lost, self._made)

    async def drain(self) -> None:
        self._draining = True
        if self._server is not None:
            self._server.close()

    async def close(self) -> None:
        await self.drain()
        tasks = [call.task for calls in self._calls.values() for call in calls.values() if call.task is not None]
        await _close(list(self._calls))
        for task in tasks:
            task.cancel()
        await wait_for_cancelled(tasks, _log)

    def _made(self, link: Link) -> None:
        self._calls[link] = {}
        link.post(Kind.HELLO)

    def _received(self, link: Link, number: int, kind: Kind, payload: bytes) -> None:
        calls = self._calls[link]
        if kind is not Kind.OPEN:
            if number in calls:
                calls[number].received(kind, payload)
        elif self._draining:
            link.post(Kind.REFUSED, number)
        else:
            call = calls[number] = _AcmeServerStream(link, number, json.loads(payload))
            call.task = handler_task(_serve(call, self._dispatch), name=f"serve {call.path}")
            call.task.add_done_callback(lambda _: calls.pop(number, None))

    def _lost(self, link: Link) -> None:
        for call in self._calls.pop(link).values():
            call.gone()


async def _serve(call: _AcmeServerStream, dispatch: Dispatch) -> None:
    limit = asyncio.timeout_at(call.deadline)
    try:
        async with limit:
            await dispatch(call)
    except asyncio.CancelledError:
        await call.finish(Cancelled(f"{call.path} was cancelled by the server"))
        raise
    except _ClientGone:
        return
    except Exception as error:
        if isinstance(error, TimeoutError) and limit.expired():
            await call.finish(DeadlineExceeded("the deadline passed before the handler was done"))
        else:
            _log.exception("%s raised an unexpected exception", call.path)
            await call.finish(handler_failed(call.path))
    else:
        await call.finish(Internal(f"the server ended {call.path} without a status"))


class _ClientGone(Cancelled):
    """The client cannot be reached any more."""


class _AcmeServerStream(ServerStream):
    def __init__(self, link: Link, number: int, head: dict[str, Any]) -> None:
        self._link = link
        self._number = number
        self._finished = False
        self._outgoing = Outgoing(link, number)
        self._incoming = Incoming(lambda size: link.post(Kind.GRANT, number, size.to_bytes(4, "big")))
        self.path = head["path"]
        self.content_subtype = head["subtype"]
        self.metadata = _unpack(head["metadata"])
        timeout = head["timeout"]
        self.deadline = None if timeout is None else asyncio.get_running_loop().time() + timeout
        self.peer = link.peer
        self.task: asyncio.Task[None] | None = None

    async def receive(self) -> bytes:
        return await self._incoming.receive()

    async def send_headers(self, headers: Metadata) -> None:
        self._link.post(Kind.HEADERS, self._number, json.dumps(_pack(headers)).encode())

    async def send(self, message: bytes) -> None:
        await self._outgoing.send(message)

    async def finish(self, error: Error | None, trailers: Metadata = EMPTY) -> None:
        if not self._finished:
            status = b"" if error is None else encode_error(error)
            packed = json.dumps(_pack(trailers)).encode()
            self._finished = True
            self._link.post(Kind.STATUS, self._number, len(packed).to_bytes(4, "big") + packed + status)
            self._outgoing.end(EndOfStream("the call has ended"))

    def received(self, kind: Kind, payload: bytes) -> None:
        """Takes a frame of this call."""
        if kind in (Kind.PART, Kind.LAST_PART):
            self._incoming.feed(payload, kind is Kind.LAST_PART)
        elif kind is Kind.GRANT:
            self._outgoing.grant(int.from_bytes(payload, "big"))
        elif kind is Kind.END:
            self._incoming.end(EndOfStream("the client sent its last message already"))
        elif kind is Kind.CANCEL:
            self.gone()

    def gone(self) -> None:
        """The client has given the call up, or is lost."""
        error = _ClientGone(f"the client of {self.path} went away")
        self._finished = True
        self._incoming.end(error, drop=True)
        self._outgoing.end(error)
        if self.task is not None:
            self.task.cancel()


# Both sides


async def _close(links: list[Link]) -> None:
    """Closes connections, and cuts those off that do not take what they are sent."""
    if links:
        for link in links:
            link.close()
        await asyncio.wait([link.closed for link in links], timeout=FLUSH_TIMEOUT)
        for link in links:
            link.abort()
        await asyncio.wait([link.closed for link in links])


def _pack(metadata: Metadata) -> list[tuple[str, str]]:
    return [(key, value if isinstance(value, str) else b64encode(value).decode()) for key, value in metadata.pairs]


def _unpack(pairs: Iterable[tuple[str, str]]) -> Metadata:
    return Metadata.received((key, b64decode(value) if key.endswith("-bin") else value) for key, value in pairs)


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise FailedPrecondition(f"{address!r} is not an address: write host:port, such as 127.0.0.1:0")
    return host.strip("[]"), int(port)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
