"""gRPC over HTTP/2 (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md), on grpclib.

grpclib's protocol layer does the HTTP/2 work. Its client and server classes are not used: they report a failed call by
cancelling the caller's task without taking that back, cannot drain, and do not say whether a request was sent. No other
module of the runtime knows grpclib.

The rules that this module keeps, and why:

- ``may_have_run`` is False only if the request provably reached no handler: no connection was made, the headers were
  not sent, the server reset the stream with REFUSED_STREAM, its GOAWAY says that it will not process the stream, or the
  first thing that it sends is a status that says so. Retries rely on it.
- A connection is used only after the server's first frame. The kernel accepts connections for a process that is
  stopped, stuck or gone, and what is sent before the first frame could not be said not to have run.
- Everybody who needs a connection waits for the same attempt. Its outcome is copied for each: an error belongs to one
  call.
- A call is ended from outside (a reset, a lost connection, the deadline) by cancelling the wait under way, and the
  cancellation is taken back at once and becomes the call's error. A cancellation that comes from elsewhere at the same
  time goes on.
- A status that has arrived wins over everything that comes after it: messages and status that were received stay
  readable.
- After a GOAWAY without an error, no new call is made on the connection, calls that the server has taken go on, and the
  last one closes it. Calls above its last stream id are refused, and may be sent elsewhere.
- A server that drains takes no new connections and refuses new calls; those in flight go on. Closing then cancels
  handlers and waits for them.
- A server that has finished its calls ends its half of a connection, and reads and throws away what still comes until the client
  closes the other half, ``LINGER`` seconds at most. If it closed at once, what the client sends meanwhile would be answered with
  a TCP reset, and the client would lose replies that it has received and not read yet (RFC 9112, section 9.6).
- Windows: a call that does not read may hold ``STREAM_WINDOW`` bytes, and must not stop the other calls of its
  connection. So the window of the connection is as large as HTTP/2 allows.
- Headers larger than the other side takes are refused here, before sending: many peers close the whole connection for
  it.
- A peer that breaks the rules in one stream (a wrong content-length) ends that stream, not the connection.
- Every call releases its stream and its timer when it ends, and a cycle between a call and its stream is cut, so that
  no call is left to the garbage collector.
- Connections get their GOAWAY, and are closed, in the order in which they were made.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from copy import copy
from typing import Any, cast

from grpclib.client import Handler as ClientHandler
from grpclib.config import Configuration
from grpclib.protocol import AbstractHandler, EventsProcessor, H2Protocol, Stream
from grpclib.protocol import Connection as Http2Connection
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    AlternativeServiceAvailable,
    ConnectionTerminated,
    Event,
    InformationalResponseReceived,
    PingAckReceived,
    RemoteSettingsChanged,
    StreamReset,
    UnknownFrameReceived,
)
from h2.exceptions import InvalidBodyLengthError, NoAvailableStreamIDError, ProtocolError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, HeadersFrame, PingFrame, WindowUpdateFrame

from micro_rt.context import CallInfo
from micro_rt.errors import (
    NOT_SERVED,
    Cancelled,
    Code,
    DeadlineExceeded,
    EndOfStream,
    Error,
    FailedPrecondition,
    Internal,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
    Unknown,
)
from micro_rt.kit.interruptible import Interruptible
from micro_rt.kit.net import detect_dead_peers, join, listen, split
from micro_rt.kit.ordered import OrderedSet
from micro_rt.logs import log_sparsely, logger, quieten, sparsely
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.text import printable, utf8
from micro_rt.transport.base import (
    Capabilities,
    ClientStream,
    Connection,
    Dispatch,
    Listener,
    ServerStream,
    ended_already,
    handler_failed,
    handler_task,
    many_replies,
    no_reply,
    wait_for_cancelled,
)
from micro_rt.transport.connecting import CONNECT_TIMEOUT, cannot_connect, hung_up, problem_of
from micro_rt.transport.silence import Pace, Silence
from micro_rt.transport.wire import (
    Headers,
    code_of_http_status,
    content_subtype_of,
    content_type_of,
    decode_metadata,
    decode_timeout,
    encode_metadata,
    encode_timeout,
    error_of_trailers,
    frame,
    malformed,
    request_headers,
    size_of,
    trailers_of,
)

__all__ = ["GrpclibTransport"]

BACKLOG = 512
"""Connections that may wait to be accepted."""
DEADLINE_SLACK = 0.002
"""Seconds before its deadline from which on a call that the server cancels counts as one that took too long."""
FLUSH_TIMEOUT = 1.0
"""Seconds that a connection that is closed gets to send what it still holds."""
LINGER = 3.0
"""Seconds that clients get to close a connection whose server has finished."""
STREAM_WINDOW = 4 << 20
"""Bytes that one call may have received without reading them."""
CONNECTION_WINDOW = (1 << 31) - 1
"""Bytes that all calls of a connection may have received without reading them: as much as HTTP/2 allows, because a
smaller one lets a call that does not read stop those that do."""
MAX_CALLS = (1 << 31) - 1
"""Calls that one client may have in flight on a connection. It has one per node, and a stream may stay open for days."""
SWEEP_AT = 64
"""Streams of a connection that are known at least, open and closed, when the closed ones are forgotten."""
MAX_HEADERS = 16 << 10
"""Bytes of metadata that are sent at most, as HTTP/2 counts them. Peers that get more than they take close the
connection, with every call on it; many take no more than this."""

_log = logger("micro_rt.backends.grpclib.transport")


class GrpclibTransport:
    """The transport ``grpclib``: gRPC over HTTP/2, with or without TLS.

    Args:
        tls: secures the connections to other nodes, and is set to offer HTTP/2; None for connections without TLS.
            Listeners of this transport have no TLS.
    """

    name = "grpc"
    """The protocol, as nodes name it in the registry."""
    capabilities = Capabilities(unix_sockets=False, limits=False, ordered_waiting=False, empty_frames=False)
    """What grpclib lacks, and what this module therefore does not do."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        quieten("hpack", logging.INFO)  # At DEBUG it logs every header, and some hold tokens.
        if tls is not None:
            tls.set_alpn_protocols(["h2"])

    def connection(self, address: str) -> Connection:
        """Makes a connection to ``host:port``, without connecting yet."""
        _refuse_unix(address, "connect to")
        return _GrpcConnection(address, self._tls)

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        """Listens on ``host:port``; port 0 picks a free one."""
        _refuse_unix(address, "listen on")
        host, port = split(address)
        log_sparsely("asyncio", "socket.accept() out of system resource")  # Logged once for each place in the backlog.
        listener = _GrpcListener(dispatch)
        try:
            server = await listen(listener.new_protocol, host, port, backlog=BACKLOG)
        except OSError as error:
            raise FailedPrecondition(
                f"cannot listen on {address}: {error.strerror or error}; "
                "choose another address= (MICRO_ADDRESS), or port 0 for a free one",
                id="micro.listen_failed",
            ) from None
        listener.started(server, host)
        return listener


def _refuse_unix(address: str, what: str) -> None:
    """Raises if an address is that of a Unix socket.

    Raises:
        FailedPrecondition: it is one.
    """
    if address.startswith("unix:"):
        raise FailedPrecondition(
            printable(f"transport='grpclib' does not {what} Unix sockets, such as {address}; transport='grpc' does")
        )


# The client


class _GrpcConnection(Connection):
    def __init__(self, address: str, tls: ssl.SSLContext | None) -> None:
        self._address = address
        self._host, self._port = split(address)
        self._tls = tls
        self._protocol: _Protocol | None = None
        self._protocols: OrderedSet[_Protocol] = OrderedSet()
        self._connecting: asyncio.Task[_Protocol | Unavailable] | None = None
        self._closed = False
        self._pace = Pace()

    async def connect(self) -> None:
        await self._connected(None)

    async def open(
        self, path: str, content_subtype: str, metadata: Metadata, deadline: float | None, info: CallInfo
    ) -> _GrpcClientStream:
        protocol = self._protocol
        if protocol is None or protocol.lost:
            protocol = await self._connected(deadline)
            if protocol.lost:
                raise Unavailable(
                    f"the connection to {self._address} was lost at once", id="micro.connect_failed", may_have_run=False
                )
        stream = _GrpcClientStream(self._address, protocol, info)
        await stream.start(path, content_subtype, metadata, deadline)
        return stream

    async def close(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        await _close_all(self._protocols)

    async def _connected(self, deadline: float | None) -> _Protocol:
        if self._closed:
            raise Unavailable(f"the connection to {self._address} is closed", id="micro.closed", may_have_run=False)
        if self._protocol is not None and not self._protocol.lost:
            return self._protocol
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name=f"connect to {self._address}")
            self._connecting.add_done_callback(self._connect_done)
        connecting = self._connecting
        try:
            async with asyncio.timeout_at(deadline):
                outcome = await asyncio.shield(connecting)
        except TimeoutError:
            raise DeadlineExceeded(
                f"the deadline passed while connecting to {self._address}", id="micro.deadline", may_have_run=False
            ) from None
        except asyncio.CancelledError:
            if connecting.cancelled() and self._closed:
                raise Unavailable(
                    f"the connection to {self._address} was closed", id="micro.closed", may_have_run=False
                ) from None
            raise
        if isinstance(outcome, Error):
            raise copy(outcome)  # several wait for it
        return outcome

    async def _connect(self) -> _Protocol | Unavailable:
        """Connects; returns why it could not, for everyone who waits for it."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT):
                _, protocol = await loop.create_connection(
                    self._new_protocol,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    server_hostname=None if self._tls is None else self._host,
                )
                # The kernel accepts for a process that is stopping, stuck or gone: only the first frame tells that
                # somebody is there. What is sent before it could not be said not to have run.
                try:
                    answered = await protocol.ready
                except BaseException:
                    protocol.shut()
                    raise
        except Exception as error:
            return cannot_connect(self._address, problem_of(error, CONNECT_TIMEOUT))
        if not answered:
            return cannot_connect(self._address, hung_up(self._tls is not None))
        self._protocol = protocol
        return protocol

    def _new_protocol(self) -> _Protocol:
        scheme = "http" if self._tls is None else "https"
        # A zone means something on this machine alone, and is no part of what is sent (RFC 6874).
        authority = join(self._host.partition("%")[0], self._port)
        return _Protocol(ClientHandler(), self._protocols, scheme, authority, self._pace)

    def _connect_done(self, task: asyncio.Task[_Protocol | Unavailable]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report it as lost


class _GrpcClientStream(ClientStream):
    """The client's end of one call.

    What ends the call from outside (a reset, a lost connection, the deadline) ends the waits of both directions,
    except that what was received before a status stays readable.
    """

    __slots__ = (
        "_address",
        "_ended",
        "_got_headers",
        "_info",
        "_outcome",
        "_path",
        "_protocol",
        "_reader",
        "_receiving",
        "_release",
        "_sending",
        "_stream",
        "_timer",
    )

    def __init__(self, address: str, protocol: _Protocol, info: CallInfo) -> None:
        self._address = address
        self._protocol = protocol
        self._info = info
        self._path = ""
        self._stream = _Http2Stream(protocol, self)
        self._reader = _MessageReader(self._stream)
        self._sending = Interruptible()
        self._receiving = Interruptible()
        self._ended = False
        self._got_headers = False
        self._outcome: Error | None = None
        self._release: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, path: str, content_subtype: str, metadata: Metadata, deadline: float | None) -> None:
        self._path = path
        headers = [
            (":method", "POST"),
            (":scheme", self._protocol.scheme),
            (":path", path),
            (":authority", self._protocol.authority),
        ]
        if deadline is not None:
            loop = asyncio.get_running_loop()
            remaining = deadline - loop.time()
            if remaining <= 0:
                raise self._fail(self._deadline_error(), ran=False)
            headers.append(("grpc-timeout", encode_timeout(remaining)))
            self._timer = loop.call_at(deadline, self._expire)
        headers += request_headers(content_subtype)
        if metadata.pairs:
            headers += _as_bytes(encode_metadata(metadata))
            room = self._protocol.header_room
            if size_of(headers) > room:
                raise self._fail(
                    ResourceExhausted(
                        f"{path}: the metadata makes headers of {size_of(headers)} bytes; {room} can be sent"
                    ),
                    ran=False,
                )
        protocol = self._protocol
        protocol.starting[self] = None
        if protocol.silence.timer is None:
            protocol.silence.watch()
        try:
            with self._sending:
                self._release = await self._stream.send_request(headers, _processor=protocol.processor)
            if protocol.lost:
                self.terminated("Connection lost")
                with self._sending:
                    pass
        except NoAvailableStreamIDError:
            protocol.use_up()
            raise self._fail(
                Unavailable(
                    f"{path}: the connection to {self._address} has carried as many calls as one can; "
                    "the next call makes a new one",
                    id="micro.refused",
                ),
                ran=False,
            ) from None
        except ProtocolError as error:
            raise self._fail(
                Unavailable(f"the connection to {self._address} is closing: {error}", id="micro.connection_lost"),
                ran=False,
            ) from None
        except Error as error:
            raise self._fail(error, ran=False) from None
        except BaseException:
            self._close()
            raise
        finally:
            protocol.starting.pop(self, None)

    async def send(self, message: bytes, *, end: bool = False) -> None:
        if self._ended:
            raise ended_already(self._path)
        self._ended = end
        try:
            with self._sending:
                if self._protocol.connection.is_closing():
                    raise self._termination("Connection lost")
                await self._stream.send_data(frame(message), end_stream=end)
        except (ProtocolError, Error) as error:
            raise self._send_failure(error) from None
        except asyncio.CancelledError:
            self.cancel()  # part of the message may be out, and nothing can follow it
            raise

    async def end(self) -> None:
        if self._ended:
            return
        self._ended = True
        try:
            with self._sending:
                await self._stream.end()
        except (ProtocolError, Error):
            pass  # the call is over, and receiving tells how
        except asyncio.CancelledError:
            self._ended = False
            raise

    async def receive(self) -> bytes:
        message = await self._next()
        if message is None:
            raise self._fail(EndOfStream("the server sent its last message already"))
        return message

    async def only_reply(self, path: str) -> bytes:
        # Without the exception that would end every call that goes well.
        reply = await self._next()
        if reply is None:
            raise self._fail(no_reply(path))
        if await self._next() is not None:
            raise self._fail(many_replies(path))
        self._close()
        return reply

    async def _next(self) -> bytes | None:
        """Waits for a message; None if the call has ended with status OK."""
        if self._outcome is not None:
            raise copy(self._outcome)
        stream = self._stream
        try:
            with self._receiving:
                if not self._got_headers:
                    self._take_headers(await stream.recv_headers())
                message = await self._reader.read()
                if message is None:
                    self._take_status(stream.trailers)
                return message
        except Error as error:
            raise self._fail(error) from None

    def cancel(self) -> None:
        if self._outcome is None:
            error = Cancelled("the call was cancelled by this client")
            self._sending.fail(error)
            self._receiving.fail(error)
            self._fail(error)

    def terminated(self, reason: str) -> None:
        """The stream was reset, or its connection lost."""
        error = self._termination(reason)
        if not self._has_status():
            self._receiving.fail(error)
        self._sending.fail(error)

    def ended(self) -> None:
        """The server has sent its last frame: nobody reads what is sent from now on."""
        self._sending.end()

    def _expire(self) -> None:
        error = self._deadline_error()
        if not self._has_status():
            self._receiving.fail(error)
            self._reset()
        self._sending.fail(error)

    def _deadline_error(self) -> DeadlineExceeded:
        return DeadlineExceeded(
            f"{self._path}: no reply from {self._address} before the deadline", id="micro.deadline", unanswered=True
        )

    def _termination(self, reason: str) -> Error:
        reset = _RESET_CODE.search(reason)
        if reset is None and not self._protocol.lost:
            return Internal(f"{self._path}: the answer of {self._address} breaks the rules of HTTP/2")
        if reset is None:
            why = self._protocol.problem
            return Unavailable(
                f"{self._path}: the connection to {self._address} was lost before the reply{why and f': {why}'}",
                id="micro.connection_lost",
                unanswered=True,
            )
        code = int(reset[1])
        if code == ErrorCodes.REFUSED_STREAM:
            return Unavailable(
                f"{self._address} refused {self._path}: it is stopping or full", id="micro.refused", may_have_run=False
            )
        if code == ErrorCodes.CANCEL:
            # grpc-go ends a call like this when it sees the deadline pass before the client does.
            timer = self._timer
            if timer is not None and timer.when() - DEADLINE_SLACK <= asyncio.get_running_loop().time():
                return self._deadline_error()
            return Cancelled(f"{self._path}: {self._address} cancelled the call")
        if code == ErrorCodes.ENHANCE_YOUR_CALM:
            return ResourceExhausted(f"{self._path}: {self._address} asks for fewer calls")
        return Internal(f"{self._path}: {self._address} reset the call with HTTP/2 error code {code}")

    def _has_status(self) -> bool:
        headers = self._stream.headers
        return self._stream.trailers is not None or (
            headers is not None and any(name == "grpc-status" for name, _ in headers)
        )

    def _send_failure(self, error: Exception) -> Error:
        """What a failed send tells: the server's status if there is one, for that is why."""
        if self._outcome is not None:
            return copy(self._outcome)
        if self._has_status():
            # The call is not over here: replies that came before the status are still to be received.
            status = self._status_of(self._stream.trailers or self._stream.headers or [])
            return status or EndOfStream("the server has ended the call")
        if isinstance(error, Error):
            return error
        return Unavailable(
            f"{self._path}: the connection to {self._address} is closing", id="micro.connection_lost", unanswered=True
        )

    def _take_headers(self, headers: Headers) -> None:
        self._got_headers = True
        fields = dict(headers)
        if fields.get(":status") != "200":
            code = code_of_http_status(fields.get(":status", ""))
            problem = f"{self._address} answered {self._path} with HTTP status {fields.get(':status')}"
            if code is Code.UNIMPLEMENTED:  # Nothing is served at that path, so nothing ran.
                raise Unimplemented(problem, id=NOT_SERVED, may_have_run=False)
            raise Error.of(code, problem)
        if "grpc-status" in fields:
            self._stream.trailers = headers  # "Trailers-Only"
            return
        if content_subtype_of(fields.get("content-type", "")) is None:
            raise Unknown(f"{self._address} does not speak gRPC: content-type {fields.get('content-type')!r}")
        self._info.headers = _reply_metadata(headers)

    def _take_status(self, trailers: Headers | None) -> None:
        """Raises what the trailers say, unless it is OK."""
        if trailers is None:
            raise Internal(f"{self._address} ended {self._path} without a status")
        self._info.trailers = _reply_metadata(trailers)
        error = self._status_of(trailers)
        if error is not None:
            raise error

    def _status_of(self, trailers: Headers) -> Error | None:
        """Returns the error that the trailers tell of; None for status OK."""
        error = error_of_trailers(dict(trailers), self._path)
        if error is not None and trailers is not self._stream.headers:
            error.may_have_run = True  # A server that refuses a call says nothing before that ("Trailers-Only").
        return error

    def _fail(self, error: Error, *, ran: bool = True) -> Error:
        """Ends the call here, with what every later receive will raise."""
        if not ran:
            error.may_have_run = False
        if self._outcome is None:
            self._outcome = copy(error)  # what is raised now is its receiver's
            self._close()
        return error

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._release is not None:
            self._reset()
            release, self._release = self._release, None
            release()
            self._protocol.released()
        self._stream.forget()

    def _reset(self) -> None:
        if self._release is not None and self._stream.closable:
            self._stream.reset_nowait(ErrorCodes.CANCEL)


class _Http2Stream(Stream):
    """A stream of grpclib's that tells its call what happens to it."""

    def __init__(self, protocol: _Protocol, call: _GrpcClientStream) -> None:
        connection = protocol.connection
        super().__init__(connection, connection._connection, connection._transport)  # pyright: ignore[reportPrivateUsage]
        self._call: _GrpcClientStream | None = call

    def __terminated__(self, reason: str) -> None:
        if self._call is not None:
            self._call.terminated(reason)

    def __ended__(self) -> None:
        super().__ended__()
        if self._call is not None:
            self._call.ended()

    def forget(self) -> None:
        """Lets go of the call, which holds the stream: without this every call would be left to the garbage collector."""
        self._call = None


# The server


class _GrpcListener(Listener):
    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch
        self._protocols: OrderedSet[_Protocol] = OrderedSet()
        self._draining = False
        self._server: asyncio.Server | None = None
        self.address = ""

    def started(self, server: asyncio.Server, host: str) -> None:
        self._server = server
        name = server.sockets[0].getsockname()
        self.address = join(host, name[1])

    def new_protocol(self) -> _Protocol:
        return _Protocol(_ServerHandler(self), self._protocols)

    async def drain(self) -> None:
        self._draining = True
        if self._server is not None:
            self._server.close()
        for protocol in self._protocols:
            protocol.leave()

    async def close(self) -> None:
        await self.drain()
        await asyncio.sleep(0)  # A call that has just ended gives its stream back in the next turn of the event loop.
        tasks: list[asyncio.Task[None]] = []
        for protocol in self._protocols:
            if isinstance(protocol.handler, _ServerHandler):
                tasks += protocol.handler.tasks.values()
        finished = [protocol.closed for protocol in self._protocols if protocol.finish()]
        if finished:
            await asyncio.wait(finished, timeout=LINGER)
        await _close_all(self._protocols)
        for task in tasks:
            task.cancel()
        await wait_for_cancelled(tasks, _log)
        if self._server is not None:
            await self._server.wait_closed()

    def serve(self, stream: Stream, headers: Headers) -> asyncio.Task[None] | None:
        """Starts serving a call, or refuses it."""
        if self._draining:
            stream.reset_nowait(ErrorCodes.REFUSED_STREAM)
            return None
        return handler_task(_serve(stream, headers, self._dispatch), name="serve")


class _ServerHandler(AbstractHandler):
    """What grpclib tells about the calls of one connection."""

    def __init__(self, listener: _GrpcListener) -> None:
        self._listener = listener
        self._cancelled: set[Stream] = set()
        self.tasks: dict[Stream, asyncio.Task[None]] = {}

    def accept(self, stream: Stream, headers: Headers, release_stream: Callable[[], None]) -> None:
        task = self._listener.serve(stream, headers)
        if task is None:
            release_stream()
            return
        self.tasks[stream] = task

        def done(task: asyncio.Task[None]) -> None:
            self.tasks.pop(stream, None)
            self._cancelled.discard(stream)
            if stream.closable:  # it was not finished: whoever waits for it must not wait for ever
                stream.reset_nowait(ErrorCodes.CANCEL if task.cancelled() else ErrorCodes.INTERNAL_ERROR)
            release_stream()

        task.add_done_callback(done)

    def cancel(self, stream: Stream) -> None:
        task = self.tasks.get(stream)
        if task is not None and stream not in self._cancelled:
            self._cancelled.add(stream)
            task.cancel()

    def close(self) -> None:
        # A handler that is cleaning up after its call is not cancelled again.
        for stream in list(self.tasks):
            self.cancel(stream)


async def _serve(stream: Stream, headers: Headers, dispatch: Dispatch) -> None:
    call = _GrpcServerStream(stream)
    try:
        refusal = call.accept(headers)
        if refusal is not None:
            await call.refuse(*refusal)
            return
        limit = asyncio.timeout_at(call.deadline)
        try:
            async with limit:
                await dispatch(call)
        except TimeoutError:
            if not limit.expired():
                raise
            await call.finish(DeadlineExceeded("the deadline passed before the handler was done", id="micro.deadline"))
        else:
            if not call.finished:
                await call.finish(Internal(f"the server ended {call.path} without a status"))
    except _ClientGone:
        _log.debug("the client of %s went away", call.path)
    except Exception:
        _log.exception("%s raised an unexpected exception", call.path, extra=sparsely("call"))
        with suppress(_ClientGone):
            await call.finish(handler_failed(call.path))


class _ClientGone(Cancelled):
    """The client cannot be reached any more: it cancelled the call, or its connection is lost."""


class _GrpcServerStream(ServerStream):
    __slots__ = (
        "finished",
        "_reader",
        "_started",
        "_stream",
        "content_subtype",
        "deadline",
        "metadata",
        "path",
        "peer",
    )

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._reader = _MessageReader(stream)
        self._started = False
        self.finished = False
        self.path = ""
        self.content_subtype = "proto"
        self.metadata = EMPTY
        self.deadline = None
        self.peer = ""

    def accept(self, headers: Headers) -> tuple[int, Error] | None:
        """Reads the request's headers; returns an HTTP status and an error if they are not gRPC's."""
        fields = dict(headers)
        self.path = fields.get(":path", "")
        if fields.get(":method") != "POST":
            return 405, Unknown("gRPC calls are POST requests")
        subtype = content_subtype_of(fields.get("content-type", ""))
        if subtype is None:
            return 415, Unknown(f"content-type {fields.get('content-type')!r} is not gRPC's application/grpc")
        self.content_subtype = subtype
        encoding = fields.get("grpc-encoding", "identity")
        if encoding != "identity":
            return 200, Unimplemented(f"message encoding {encoding!r} is not supported; send identity")
        try:
            if "grpc-timeout" in fields:
                self.deadline = asyncio.get_running_loop().time() + decode_timeout(fields["grpc-timeout"])
            self.metadata = decode_metadata(headers)
        except ValueError as error:
            return 200, InvalidArgument(str(error))
        self.peer = _peer(self._stream)
        return None

    async def refuse(self, http_status: int, error: Error) -> None:
        headers = [(":status", str(http_status)), ("content-type", "application/grpc"), *trailers_of(error, EMPTY)]
        self.finished = True
        await self._send_headers(headers, end=True)
        self._close_request()

    async def receive(self) -> bytes:
        message = await self._reader.read()
        if message is None:
            raise EndOfStream("the client sent its last message already")
        return message

    async def send_headers(self, headers: Metadata) -> None:
        sent = [*self._reply_headers(), *encode_metadata(headers)]
        room = self._header_room
        if size_of(sent) > room:
            raise ResourceExhausted(f"{self.path}: reply headers of {size_of(sent)} bytes; {room} can be sent")
        self._started = True
        await self._send_headers(_as_bytes(sent))

    async def send(self, message: bytes) -> None:
        if not self._started:
            self._started = True
            await self._send_headers(self._reply_headers())
        self._check()
        try:
            await self._stream.send_data(frame(message))
        except ProtocolError:
            raise self._gone() from None

    async def finish(self, error: Error | None, trailers: Metadata = EMPTY) -> None:
        if self.finished:
            return
        headers = [] if self._started else self._reply_headers()
        headers += trailers_of(error, trailers, self._header_room - size_of(headers), self.path)
        self.finished = True  # only now: if something about the error cannot be encoded, the call still needs a status
        await self._send_headers(_as_bytes(headers) if trailers.pairs else headers, end=True)
        self._close_request()

    async def _send_headers(self, headers: Headers, *, end: bool = False) -> None:
        self._check()
        try:
            await self._stream.send_headers(headers, end_stream=end)
        except ProtocolError:
            raise self._gone() from None

    @property
    def _header_room(self) -> int:
        return _header_room(self._stream.connection)

    def _check(self) -> None:
        """Raises if the connection is closed; writing to it then does nothing on one event loop, and raises on another."""
        if self._stream.connection.is_closing():
            raise self._gone()

    def _gone(self) -> _ClientGone:
        return _ClientGone(f"the client of {self.path} went away")

    def _close_request(self) -> None:
        """Tells a client that still sends that nobody reads it (RFC 9113, section 8.1)."""
        if self._stream.closable:
            self._stream.reset_nowait(ErrorCodes.NO_ERROR)

    def _reply_headers(self) -> Headers:
        return [(":status", "200"), ("content-type", content_type_of(self.content_subtype))]


# Both sides


class _Protocol(H2Protocol):
    """One connection.

    Args:
        handler: what grpclib tells about its calls.
        group: where it is while it lives.
        scheme: of the calls that are made on it.
        authority: of the calls that are made on it.
        pace: of a client, when to find out whether a silent server is there.
    """

    def __init__(
        self,
        handler: AbstractHandler,
        group: OrderedSet[_Protocol],
        scheme: str = "http",
        authority: str = "",
        pace: Pace | None = None,
    ) -> None:
        client = isinstance(handler, ClientHandler)
        config = Configuration()
        super().__init__(handler, config.__for_client__() if client else config.__for_server__(), _H2_CONFIG[client])
        self._group = group
        self.scheme = scheme
        self.authority = authority
        self._leaving = False
        self._pace = pace or Pace()
        self.silence = Silence(
            self._pace, busy=self._busy, heard=self._heard, ping=self._ping, cut=self._cut_silent, moved=self._moved
        )
        self.problem = ""
        """Why this side has cut it."""
        self._transport: asyncio.Transport | None = None
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[bool] = loop.create_future()
        """Whether the other side has said that it speaks HTTP/2, once that is known."""
        self.closed: asyncio.Future[None] = loop.create_future()
        """Done when the connection is closed."""
        self.starting: dict[_GrpcClientStream, None] = {}
        """Calls that wait for their stream: grpclib does not know them yet."""

    @property
    def lost(self) -> bool:
        """Whether no new call can be made on it."""
        if not isinstance(self.handler, ClientHandler):
            return False
        # A transport whose last write failed closes in the next turn of the event loop, and throws away what is written.
        return self.handler.connection_lost or self.connection.is_closing()

    @property
    def header_room(self) -> int:
        """How many bytes of headers may be sent."""
        return _header_room(self.connection)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # grpclib's own takes the limit of h2, 100 calls, and tells its window after the fact.
        h2 = _Http2(config=self.h2_config)
        h2.local_settings = Settings(client=self.h2_config.client_side, initial_values=dict(_SETTINGS))
        h2.initiate_connection()
        h2.increment_flow_control_window(CONNECTION_WINDOW - h2.inbound_flow_control_window)
        self._transport = cast("asyncio.Transport", transport)
        self.connection = _Http2Connection(h2, self._transport, config=self.config)
        self.connection.flush()
        self.connection.initialize()
        self.processor = EventsProcessor(self.handler, self.connection)
        self._group.add(self)
        processors = cast("dict[type[Event], Callable[[Any], None]]", self.processor.processors)
        processors[ConnectionTerminated] = self._goaway
        processors[RemoteSettingsChanged] = self._settings
        processors[PingAckReceived] = self._ping_answered
        for event in (AlternativeServiceAvailable, InformationalResponseReceived, UnknownFrameReceived):
            # RFC 9113, section 5.5: to be ignored; grpclib raises NotImplementedError.
            processors[event] = _ignore
        sock = transport.get_extra_info("socket")
        if sock is not None:
            detect_dead_peers(sock)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._group.discard(self)
        self.silence.end()
        super().connection_lost(exc)
        self._end_starting("Connection lost")
        if not self.ready.done():
            self.ready.set_result(False)
        if not self.closed.done():
            self.closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except Exception as error:
            # Whatever the other side has sent: asyncio would log it anew for each connection.
            name = type(error).__name__
            what = "a connection is closed, because what came on it cannot be read: %s"
            _log.warning(what, name, exc_info=error, extra=sparsely("unreadable"))
            self.problem = f"what came on it cannot be read ({name})"
            self.cut()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.connection.flush()  # what was decided while nothing could be written, such as to cancel a call

    def leave(self) -> None:
        """Says that no new calls are taken (GOAWAY); those in flight go on."""
        if self._leaving or self.connection.is_closing():
            return
        self._leaving = True
        h2 = self.connection._connection  # pyright: ignore[reportPrivateUsage]
        state = h2.state_machine.state
        try:
            h2.close_connection()
        except ProtocolError:
            return
        h2.state_machine.state = state  # h2 has it that nothing can follow; RFC 9113, section 6.8, says otherwise
        self.connection.flush()

    def shut(self) -> None:
        """Says goodbye (GOAWAY) and closes."""
        processor: EventsProcessor | None = getattr(self, "processor", None)
        if processor is None or self.connection.is_closing():
            return
        try:
            self.connection._connection.close_connection()  # pyright: ignore[reportPrivateUsage]
            self.connection.flush()
        except ProtocolError:
            pass  # the peer has said goodbye first
        processor.close("Connection lost")

    def finish(self) -> bool:
        """Says goodbye (GOAWAY) on a server's connection without calls, and sends nothing more.

        Returns:
            Whether this is for the client to close now; False if the connection must be shut.
        """
        transport = self._transport
        if transport is None or self.connection.is_closing() or self.processor.streams:
            return False
        self.leave()
        cast("_Http2Connection", self.connection).finished = True
        transport.set_protocol(_Finished(self))
        if transport.can_write_eof():
            try:
                transport.write_eof()
            except OSError:  # The client has reset the connection, and the event loop has not noticed yet.
                return False
        return True

    def cut(self) -> None:
        """Closes without waiting for anything."""
        if self._transport is not None and not self.closed.done():
            self._transport.abort()

    def released(self) -> None:
        """A call of a client has ended; the last one closes a connection that the server has said goodbye to."""
        if self._leaving and not self.processor.streams:
            self.shut()

    def _settings(self, event: RemoteSettingsChanged) -> None:
        self.processor.process_remote_settings_changed(event)
        if not self.ready.done():
            self.ready.set_result(True)

    def _goaway(self, event: ConnectionTerminated) -> None:
        if event.error_code != ErrorCodes.NO_ERROR:
            if event.additional_data == b"too_many_pings":
                self._pace.slow_down()
            self._refuse_after(event.last_stream_id)
            self.processor.process_connection_terminated(event)
        elif isinstance(self.handler, ClientHandler):
            # RFC 9113, section 6.8: no new calls, and those that the server has taken go on.
            self._refuse_after(event.last_stream_id)
            self.use_up()

    def _busy(self) -> bool:
        # A call that the server has ended may wait to be read for long. Servers take few PINGs while they have no call.
        streams = self.connection._connection.streams  # pyright: ignore[reportPrivateUsage]
        return bool(self.starting) or any(
            (stream := streams.get(id)) is not None and stream.open for id in self.processor.streams
        )

    def _heard(self) -> int:
        return cast("_Http2", self.connection._connection).heard  # pyright: ignore[reportPrivateUsage]

    def _moved(self) -> int:
        """Returns a number that changes while the other side takes what is sent to it."""
        moved = cast("_Http2", self.connection._connection).moved  # pyright: ignore[reportPrivateUsage]
        # While writing has to wait, what is sent is as much as the other side has taken. Otherwise it may lie in buffers.
        return moved if self.connection.write_ready.is_set() else moved + self.connection.data_sent

    def _ping(self) -> None:
        if not self.connection.is_closing():
            self.connection._connection.ping(bytes(8))  # pyright: ignore[reportPrivateUsage]
            self.connection.flush()

    def _ping_answered(self, event: PingAckReceived) -> None:
        self.silence.answered()

    def _cut_silent(self, problem: str) -> None:
        self.problem = problem
        self.cut()

    def use_up(self) -> None:
        """Makes no new calls: the server takes none, or there are no numbers left for them (RFC 9113, section 5.1.1)."""
        if isinstance(self.handler, ClientHandler):
            self.handler.connection_lost = True
            self._leaving = True
            self._end_starting(_REFUSED)
            self.released()

    def _refuse_after(self, last: int | None) -> None:
        """Ends the calls that the server says it has not processed and will not process."""
        if last is not None and isinstance(self.handler, ClientHandler):
            for stream in list(self.processor.streams.values()):
                if stream.id is not None and stream.id > last:
                    stream.__terminated__(_REFUSED)

    def _end_starting(self, reason: str) -> None:
        for call in list(self.starting):
            call.terminated(reason)


class _Finished(asyncio.Protocol):
    """A connection that is only read until the client closes it, and whose content nobody wants.

    Args:
        protocol: the connection as it was before.
    """

    def __init__(self, protocol: _Protocol) -> None:
        self._protocol = protocol

    def connection_lost(self, exc: BaseException | None) -> None:
        self._protocol.connection_lost(exc)


class _Http2(H2Connection):
    """HTTP/2 as h2 does it, except for what it does to many calls.

    Those in flight may go on after a GOAWAY (RFC 9113, section 6.8), and are not counted for each new one. A
    content-length that is wrong ends its own call and no other (section 8.1.1).
    """

    _sweep_at = SWEEP_AT
    heard = 0
    """HEADERS and DATA frames that have come."""
    moved = 0
    """WINDOW_UPDATE and PING frames that have come, answers to PINGs not counted."""

    def _open_streams(self, remainder: int) -> int:
        """How many streams one side has opened, or more if that is below its limit too; forgets those that are closed.

        h2 asks before every new stream, only to compare with the limit, and goes through all of them to tell.
        """
        known = len(self.streams)
        settings = self.remote_settings if remainder == int(self.config.client_side) else self.local_settings
        if known < self._sweep_at and known < settings.max_concurrent_streams:
            return known
        count = super()._open_streams(remainder)
        self._sweep_at = max(SWEEP_AT, 2 * len(self.streams))
        return count

    def _receive_headers_frame(self, frame: HeadersFrame) -> tuple[list[Frame], list[Event]]:
        self.heard += 1
        try:
            frames, events = super()._receive_headers_frame(frame)
        except ProtocolError as error:
            if "content-length" not in str(error):
                raise
            return self._reset_malformed(frame.stream_id)
        for event in events:
            headers: Headers | None = getattr(event, "headers", None)
            if headers and malformed(headers):
                return self._reset_malformed(frame.stream_id)
        return frames, events

    def _receive_data_frame(self, frame: DataFrame) -> tuple[list[Frame], list[Event]]:
        self.heard += 1
        try:
            return super()._receive_data_frame(frame)
        except InvalidBodyLengthError:
            self.acknowledge_received_data(frame.flow_controlled_length, frame.stream_id)
            return self._reset_malformed(frame.stream_id)

    def _receive_window_update_frame(self, frame: WindowUpdateFrame) -> tuple[list[Frame], list[Event]]:
        self.moved += 1
        return super()._receive_window_update_frame(frame)

    def _receive_ping_frame(self, frame: PingFrame) -> tuple[list[Frame], list[Event]]:
        if "ACK" not in frame.flags:
            self.moved += 1
        return super()._receive_ping_frame(frame)

    def _reset_malformed(self, stream_id: int) -> tuple[list[Frame], list[Event]]:
        self.reset_stream(stream_id, ErrorCodes.PROTOCOL_ERROR)
        return [], [StreamReset(stream_id=stream_id, error_code=ErrorCodes.PROTOCOL_ERROR, remote_reset=False)]

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        state, unsent = self.state_machine.state, self._data_to_send
        result = super()._receive_goaway_frame(frame)
        self.state_machine.state, self._data_to_send = state, unsent
        return result


class _Http2Connection(Http2Connection):
    """A connection of grpclib's that can be told things after it was closed."""

    finished = False
    """Whether this side sends nothing more."""

    def flush(self) -> None:
        if not self.finished and not self.is_closing():
            super().flush()

    def ack(self, stream_id: int, size: int) -> None:
        # What came before the connection was lost can still be read.
        if not self.is_closing():
            super().ack(stream_id, size)


async def _close_all(protocols: OrderedSet[_Protocol]) -> None:
    """Closes connections, and cuts off those whose other side does not take what it is sent."""
    closing = list(protocols)
    if not closing:
        return
    for protocol in closing:
        protocol.shut()
    await asyncio.wait([protocol.closed for protocol in closing], timeout=FLUSH_TIMEOUT)
    for protocol in closing:
        protocol.cut()


class _MessageReader:
    """Reads length-prefixed messages; a read that is cancelled in the middle can be taken up again."""

    __slots__ = ("_length", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._length: int | None = None

    async def read(self) -> bytes | None:
        """Returns the next message, or None at the end."""
        try:
            if self._length is None:
                prefix = await self._stream.recv_data(5)
                if not prefix:
                    return None
                if prefix[0]:
                    raise Unimplemented("compressed messages are not supported; send identity encoding")
                self._length = int.from_bytes(prefix[1:], "big")
            message = await self._stream.recv_data(self._length)
        except AssertionError:
            raise Internal("the stream ended in the middle of a message") from None
        if self._length and not message:
            raise Internal("the stream ended in the middle of a message")
        self._length = None
        return message


def _ignore(event: object) -> None:
    pass


def _header_room(connection: Http2Connection) -> int:
    """How many bytes of headers the other side takes, or we are ready to send."""
    limit = connection._connection.remote_settings.max_header_list_size  # pyright: ignore[reportPrivateUsage]
    return MAX_HEADERS if limit is None else min(limit, MAX_HEADERS)


def _reply_metadata(headers: Headers) -> Metadata:
    try:
        return decode_metadata(headers)
    except ValueError as error:
        raise Internal(f"the reply's metadata cannot be read: {error}") from None


def _as_bytes(headers: Headers) -> Headers:
    """Returns headers as hpack sends them unchanged: it would encode text as UTF-8, and ours has a character for each byte."""
    return [(name, value if value.isascii() else cast("str", _raw(value))) for name, value in headers]


def _raw(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:  # it came through a transport that carries text, not bytes
        return utf8(value).encode()


def _peer(stream: Stream) -> str:
    address = stream.connection.get_peer().addr()
    return join(address[0], address[1]) if address else ""


_RESET_CODE = re.compile(r"Stream reset by remote party, error_code: (\d+)")
_REFUSED = f"Stream reset by remote party, error_code: {int(ErrorCodes.REFUSED_STREAM)}"
_SETTINGS: Mapping[SettingCodes, int] = {
    SettingCodes.MAX_CONCURRENT_STREAMS: MAX_CALLS,
    SettingCodes.MAX_HEADER_LIST_SIZE: 64 << 10,
    SettingCodes.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
}
_H2_CONFIG: Mapping[bool, H2Configuration] = {
    client: H2Configuration(
        client_side=client,
        header_encoding="latin-1",  # takes every byte: one that must not be there is no reason to drop the connection
        validate_inbound_headers=False,
        validate_outbound_headers=False,
        normalize_inbound_headers=False,
        normalize_outbound_headers=False,
    )
    for client in (False, True)
}
