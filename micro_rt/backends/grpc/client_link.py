"""The client's end of one connection: what events do to calls, calls that wait for their turn, and silence.

Rules kept here, and why:

- A connection is established when the server's SETTINGS frame has come. The kernel accepts connections for a process
  that is stopped, stuck or gone, and what is sent before that frame could not be said not to have run.
- Calls beyond the server's SETTINGS_MAX_CONCURRENT_STREAMS wait in the order in which they came. When a stream ends,
  the first one begins at once, without a turn of the event loop: so a call costs the same however many wait, and no
  later call overtakes it.
- A call that waits when the connection takes no further ones (GOAWAY, or the end) did not run.
- After a GOAWAY no call begins here, those that the server has taken go on, and the last one closes the connection. A
  server that asks for fewer PINGs (``too_many_pings``) gets fewer from then on, on later connections too.
- A connection that says nothing while calls wait for it is sent PINGs, and is cut if they are not answered
  (``micro_rt.transport.silence``).
- A call that does not read must not stop the others of its connection, so the window of the connection is as large as
  HTTP/2 allows. The window of each stream bounds what a call holds.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, Final, Protocol, cast

from micro_rt.backends.grpc.fields import FieldEncoder, Recurring
from micro_rt.backends.grpc.link import Link
from micro_rt.http2.client import ClientConnection
from micro_rt.http2.errors import ErrorCode, StreamError
from micro_rt.http2.events import Event, GoAway
from micro_rt.http2.hpack import Decoder, Encoder
from micro_rt.http2.limits import Limits
from micro_rt.http2.streams import Stream
from micro_rt.kit.ordered import OrderedSet
from micro_rt.text import printable
from micro_rt.transport.silence import Pace, Silence

__all__ = ["LIMITS", "MAX_HEADERS", "Call", "ClientLink"]

MAX_HEADERS: Final = 16 << 10
"""Bytes of a request's headers that are sent at most, as HTTP/2 counts them. Peers that get more than they take close
the connection, with every call on it; many take no more than this."""
_MOST: Final = (1 << 31) - 1

LIMITS: Final = Limits(
    stream_window=4 << 20,
    connection_window=_MOST,
    stream_buffer=_MOST,
    connection_buffer=_MOST,
    ignored=1_000_000,
)
"""The limits of a connection. What waits to be sent is bounded by the calls, as each of them waits. Frames for
cancelled streams are ignored; a server may have sent many of them before it learns of the cancellation."""
_PING: Final = b"silence?"
_PING_FRAME: Final = 17
_SHOWN: Final = 200
"""Characters of a text of the server that errors show."""


class Call(Protocol):
    """What a connection tells a call."""

    def begin(self) -> None:
        """Opens its stream: its turn has come."""

    def left_out(self, *, closing: bool) -> None:
        """Ends it before it has begun.

        Args:
            closing: whether the server takes no more calls; False if the connection is lost.
        """

    def on_head(self, fields: Any, ended: bool) -> None:
        """Takes the header section of the answer."""

    def on_data(self, data: bytes, ended: bool) -> None:
        """Takes data of the answer."""

    def on_trailers(self, fields: Any) -> None:
        """Takes the trailers, which end the answer."""

    def on_reset(self, fault: StreamError, by_peer: bool) -> None:
        """Ends: the stream has ended too early."""

    def on_sent(self) -> None:
        """Notes that nothing waits to be sent any more."""


class ClientLink(Link[ClientConnection]):
    """One connection to a server.

    Args:
        links: where it is while it lives.
        address: of the server, for errors.
        pace: when to find out whether a silent server is there.
    """

    __slots__ = (
        "_heard",
        "_links",
        "_pace",
        "_pings",
        "_signs",
        "address",
        "farewell",
        "ready",
        "recurring",
        "silence",
        "waiting",
    )

    def __init__(self, links: OrderedSet[ClientLink], address: str, pace: Pace) -> None:
        limit = LIMITS.header_table
        encoder = FieldEncoder(Encoder(limit=limit))
        decoder = Decoder(limit, max_list_size=LIMITS.header_list)
        super().__init__(ClientConnection(encoder, decoder, LIMITS))
        self.address = address
        self.farewell = ""
        """What the server says about the end that it has announced, if that is no good end."""
        self.recurring = Recurring()
        """The metadata that comes again on this connection."""
        self.ready: asyncio.Future[bool] = self.loop.create_future()
        """Whether the server has said that it speaks HTTP/2, once that is known."""
        self.waiting: OrderedDict[Call, None] = OrderedDict()
        """Calls that wait until the server allows another stream."""
        self._links = links
        self._pace = pace
        self._heard = 0
        """Reads that brought HEADERS or DATA."""
        self._signs = 0
        """PING frames of the server."""
        self._pings = 0
        """PING frames of ours."""
        self.silence = Silence(
            pace, busy=self._busy, heard=self._count_heard, ping=self._ping, cut=self.cut, moved=self._count_moved
        )

    @property
    def usable(self) -> bool:
        """Whether a call can be made on it."""
        # A transport whose last write failed closes in the next turn of the loop, and throws away what is written.
        transport = self.transport
        return not self.http2.closing and transport is not None and not transport.is_closing()

    @property
    def header_room(self) -> int:
        """Bytes of headers that may be sent."""
        return min(self.http2.peer.header_list, MAX_HEADERS)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begins the connection."""
        self._links.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends the connection, and with it every call."""
        self._links.discard(self)
        self.silence.end()
        super().connection_lost(exc)
        self._leave_out(closing=False)
        if not self.ready.done():
            self.ready.set_result(False)

    def handle(self, events: list[Event]) -> None:
        """Tells calls what has happened to them."""
        heard = False
        for kind, stream, value, ended in cast("list[tuple[str, Stream | None, Any, bool]]", events):
            if stream is not None:
                call: Call | None = stream.context
                if kind == "data":
                    heard = True
                    if call is not None:
                        call.on_data(value, ended)
                elif kind == "response":
                    heard = True
                    if call is not None:
                        call.on_head(value, ended)
                elif kind == "trailers":
                    heard = True
                    if call is not None:
                        call.on_trailers(value)
                elif call is not None:
                    if kind == "reset":
                        call.on_reset(value, ended)
                    elif kind == "sent":
                        call.on_sent()
            elif kind == "established":
                if not self.ready.done():
                    self.ready.set_result(True)
            elif kind == "pong":
                self.silence.answered()
            elif kind == "ping":
                self._signs += 1
            elif kind == "goaway":
                self._on_goaway(value)
        if heard:
            self._heard += 1
        if self.waiting:
            self.next_turn()

    def wait(self, call: Call) -> None:
        """Has a call wait until the server allows another stream."""
        self.waiting[call] = None
        if self.silence.timer is None:
            self.silence.watch()

    def next_turn(self) -> None:
        """Begins calls that wait, as far as the server allows streams; leaves them out if it takes none any more."""
        http2, waiting = self.http2, self.waiting
        if http2.closing:
            self._leave_out(closing=not http2.ended)
            return
        while waiting and len(http2.streams) < http2.peer.streams:
            call, _ = waiting.popitem(last=False)
            call.begin()

    def reset(self, stream: Stream) -> None:
        """Ends a stream whose call has ended here."""
        stream.context = None
        self.http2.reset(stream, ErrorCode.CANCEL)
        self.flush_soon()
        if self.waiting:
            self.next_turn()

    def use_up(self) -> None:
        """Begins no further call: there are no numbers left for streams (RFC 9113, section 5.1.1)."""
        # Without a GOAWAY, for which some servers end the calls that are in flight.
        self.http2.closing = True
        self.flush_soon()
        self._leave_out(closing=True)

    def shut(self) -> None:
        """Says goodbye (GOAWAY) and closes; the calls end as those of a connection that is lost."""
        self.http2.close()
        self.close()

    # Helpers

    def _on_goaway(self, said: GoAway) -> None:
        if said.code != ErrorCode.NO_ERROR:
            self.farewell = printable(said.debug.decode("latin-1").strip(), _SHOWN)
        if said.code != ErrorCode.NO_ERROR and said.debug == b"too_many_pings":
            self._pace.slow_down()
        self._leave_out(closing=True)

    def _leave_out(self, *, closing: bool) -> None:
        while self.waiting:
            call, _ = self.waiting.popitem(last=False)
            call.left_out(closing=closing)

    def _busy(self) -> bool:
        return bool(self.http2.streams or self.waiting)

    def _count_heard(self) -> int:
        return self._heard

    def _count_moved(self) -> int:
        """Returns a number that changes while the other side takes what is sent to it."""
        moved = self._signs + self.http2.window_updates
        if self.paused and self.transport is not None:  # Otherwise what is written may lie in buffers.
            moved += self._pings * _PING_FRAME - self.transport.get_write_buffer_size()
        return moved

    def _ping(self) -> None:
        self._pings += 1
        self.http2.ping(_PING)
        self.flush_soon()
