"""The server's end of one connection: what its events do to calls, and which connections are ended.

Rules kept here, and why:

- A call begins after all events of the read that brought it. One that is reset in the same read costs no task, and
  one whose message is there does not wait for it.
- Calls begin in batches, and other connections have their turn between them. While many wait to begin, the connection
  is not read. While many bytes of replies wait for windows, no call begins: that connection's client does not read.
- A server that drains refuses new calls, and lets the client know that they never ran (REFUSED_STREAM).
- A handler that goes on after its call was reset counts: a client that makes and resets calls has no more handlers
  than ``2 * ServerLimits.streams`` on a connection.
- Messages that are larger than the window take turns, so that those that have begun can end (``grant``).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import Context
from typing import Any, ClassVar, Protocol

from micro_rt.backends.grpc.deadlines import Deadlines
from micro_rt.backends.grpc.fields import FieldEncoder
from micro_rt.backends.grpc.link import Link
from micro_rt.backends.grpc.requests import Request, read_request
from micro_rt.backends.grpc.server_call import ServerCall
from micro_rt.backends.grpc.server_incoming import Incoming
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.backends.grpc.server_watch import Watch
from micro_rt.http2.errors import ErrorCode, FatalError, StreamError, code_name
from micro_rt.http2.events import Event
from micro_rt.http2.hpack import Decoder, Encoder
from micro_rt.http2.limits import Limits
from micro_rt.http2.server import ServerConnection
from micro_rt.http2.streams import GONE, Stream
from micro_rt.kit.net import join
from micro_rt.logs import logger, sparsely
from micro_rt.transport.base import Dispatch, handler_task

__all__ = ["ServerLink", "Serving"]

_log = logger("micro_rt.backends.grpc")


class Serving(Protocol):
    """What the connections of a listener share."""

    dispatch: Dispatch
    """Serves a call."""
    limits: ServerLimits
    http2_limits: Limits
    context: Context
    """The context variables that handlers begin with a copy of."""
    deadlines: Deadlines
    draining: bool
    """Whether new calls are refused."""

    def add(self, link: ServerLink) -> None:
        """Notes a connection that has begun."""
        ...

    def discard(self, link: ServerLink) -> None:
        """Forgets a connection that is lost."""
        ...


class ServerLink(Link[ServerConnection]):
    """One connection.

    Args:
        serving: what the connections of the listener share.
    """

    __slots__ = (
        "_backlog",
        "_beginning",
        "_drained",
        "_reserved",
        "_wanting",
        "_watch",
        "calls",
        "held",
        "limits",
        "moved",
        "peer",
        "serving",
    )

    lingers: ClassVar[bool] = True

    def __init__(self, serving: Serving, peer: str = "") -> None:
        limits = serving.http2_limits
        encoder, decoder = FieldEncoder(Encoder(limit=limits.header_table)), Decoder(max_list_size=limits.header_list)
        super().__init__(ServerConnection(encoder, decoder, limits))
        self.serving = serving
        self.limits = serving.limits
        self.peer = peer
        """Address of the client: as a proxy says it, or that of the connection."""
        self.calls: dict[ServerCall, None] = {}
        """Calls whose handlers run, also if they were reset."""
        self.held: list[ServerCall] = []
        """Calls that hold replies until the end of the turn."""
        self.moved = False
        """Whether replies were sent since the last PING."""
        self._drained: int = 0
        """DATA frames that had waited and were sent before the last PING."""
        self._backlog: deque[ServerCall] | None = None
        """Calls that were accepted and have not begun."""
        self._beginning = False
        """Whether more of them begin in the next turn."""
        self._wanting: dict[Incoming, None] = {}
        """Calls that wait to be granted the rest of a large message."""
        self._reserved = 0
        """Bytes that were granted."""
        self._watch = Watch(self)

    # What the event loop says

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the connection."""
        if not self.peer:
            name: tuple[str, int] | str | None = transport.get_extra_info("peername")
            self.peer = join(*name[:2]) if isinstance(name, tuple) else "unix:"
        self.serving.add(self)
        super().connection_made(transport)
        if self.serving.draining:
            self.leave()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends the connection, and with it every call."""
        super().connection_lost(exc)
        self._watch.end()
        self.held.clear()
        self.serving.discard(self)

    def handle(self, events: list[Event]) -> None:
        """Tells the calls what has happened to them, and begins new ones."""
        kind: str
        stream: Any
        value: Any
        for kind, stream, value, ended in events:
            if kind == "data":
                call = stream.context
                if call is not None:
                    call.on_data(value, ended)
            elif kind == "request":
                self._on_request(stream, value)
            elif kind == "sent":
                if stream.context is not None:
                    stream.context.on_sent()
            elif kind == "reset":
                call, stream.context = stream.context, None
                if call is not None:
                    call.on_gone()
                if not ended and not value.of_connection:
                    self._tell(value)
            elif kind == "trailers":
                if stream.context is not None:
                    stream.context.on_end()
            else:
                self._on_connection_event(kind, value, ended)
        if self._backlog:
            self._begin()

    def flush(self) -> None:
        """Writes what is to be sent, at once."""
        held = self.held
        if held:
            for call in held:
                if not call.finished:
                    call.release()
            held.clear()
        super().flush()

    # Calls

    def ended(self, call: ServerCall) -> None:
        """Forgets a call that is over."""
        calls = self.calls
        if calls.pop(call, self) is None and not calls:
            self._watch.idle_since = self.loop.time()

    def grant(self, call: Incoming, size: int) -> None:
        """Lets a client send more than the window of a call, as soon as it is its turn.

        Args:
            call: that waits for a large message.
            size: bytes more.
        """
        call.wanted = size
        self._wanting[call] = None
        self._grant_next()

    def take_back(self, call: Incoming) -> None:
        """Gives the turn to others: a call has its large message, or is over."""
        self._reserved -= call.granted
        call.granted = call.wanted = 0
        self._wanting.pop(call, None)
        self._grant_next()

    # Ending

    def leave(self) -> None:
        """Takes no new calls, and ends when those in flight have ended."""
        if self.transport is not None:
            self.http2.drain()
            self.flush_soon()
            self._watch.left()

    def finish(self) -> bool:
        """Says goodbye (GOAWAY) on a connection without calls, and sends nothing more.

        Returns:
            Whether it is for the client to close it now; False if the connection must be closed.
        """
        self.flush()
        if self.transport is None or self.transport.is_closing() or self.http2.streams:
            return False
        self.http2.close()
        self.flush()
        return self.writable

    def say_goodbye(self) -> None:
        """Sends GOAWAY, and closes. Calls in flight end with the connection."""
        self.http2.close()
        self.close()

    # Helpers: calls

    def _on_request(self, stream: Stream, fields: Any) -> None:
        """Accepts a call, or refuses it."""
        if stream.local == GONE:
            return  # It was reset in the same read, or its connection has ended.
        known: Request | None = fields.note
        request = read_request(fields) if known is None else known
        fields.note = request
        if request.malformed:
            self.http2.reset(stream, ErrorCode.PROTOCOL_ERROR)
            return
        backlog = self._backlog
        held_up = len(self.calls) >= 2 * self.limits.streams
        if held_up or self.serving.draining:
            if held_up:
                _log.info(
                    "a call of %s is refused: handlers go on after it reset their calls",
                    self.peer,
                    extra=sparsely("held up"),
                )
            self.http2.reset(stream, ErrorCode.REFUSED_STREAM)
            return
        if backlog is None:
            backlog = self._backlog = deque()
        call = stream.context = ServerCall(self, stream, request)
        backlog.append(call)

    def _begin(self) -> None:
        """Begins calls that were accepted: so many that others have their turn."""
        backlog, serving = self._backlog, self.serving
        if backlog is None:
            return
        if self.http2.waiting > self.limits.replies:  # Until the client has taken some of it.
            _log.info("no call of %s begins now: it does not read its replies", self.peer, extra=sparsely("replies"))
            return
        calls, context = self.calls, serving.context
        for _ in range(min(self.limits.begin, len(backlog))):
            call = backlog.popleft()
            if not call.over:
                calls[call] = None
                task = handler_task(call.serve(), name="serve", context=context.copy())
                if not call.over:
                    call.task = task
        if not backlog:
            if not self.reading:
                self.go_on_reading()
            return
        if len(backlog) > self.limits.waiting:
            if self.reading:
                _log.info("%s is not read now: many of its calls wait to begin", self.peer, extra=sparsely("waiting"))
            self.stop_reading()
        elif not self.reading:
            self.go_on_reading()
        if not self._beginning:
            self._beginning = True
            self.loop.call_soon(self._begin_more)

    def _begin_more(self) -> None:
        self._beginning = False
        if self._backlog and self.transport is not None:
            self._begin()
            self.flush_soon()

    def _grant_next(self) -> None:
        most = self.limits.large_messages
        while self._wanting:
            call = next(iter(self._wanting))
            if self._reserved and self._reserved + call.wanted > most:
                _log.info("a large message of %s waits for its turn", self.peer, extra=sparsely("turns"))
                return
            del self._wanting[call]
            self._reserved += call.wanted
            call.granted += call.wanted
            call.widen(call.wanted)
            call.wanted = 0
            self.flush_soon()

    # Helpers: the connection

    def _tell(self, fault: StreamError) -> None:
        """Logs why one call of a client is ended, or refused."""
        _log.info("a call of %s is ended: %s", self.peer, fault.reason, extra=sparsely(code_name(fault.code)))

    def _on_connection_event(self, kind: str, value: Any, by_peer: bool) -> None:
        if kind == "established":
            self._watch.established()
        elif kind == "ping":
            drained = self.http2.drained
            replied = self.moved or drained != self._drained
            self.moved, self._drained = False, drained
            if self._watch.pinged(replied):
                self.handle(self.http2.abort(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings"))
        elif kind == "refused":
            self._tell(value)
        elif kind == "ended" and not by_peer:
            error: FatalError = value
            self.problem = self.problem or error.reason
            cause = error.__cause__
            _log.warning(
                "the connection of %s is ended: %s",
                self.peer,
                error,
                exc_info=cause if error.code == ErrorCode.INTERNAL_ERROR else None,
                extra=sparsely(code_name(error.code)),
            )
