"""One port for all protocols: the first bytes of a connection decide which one it speaks.

Rules kept here:

- HTTP/2 with prior knowledge begins with its preface (RFC 9113, section 3.3). The protocol of HTTP/2 gets the
  connection, with all that has come, as soon as the whole preface is there.
- A request of HTTP/1.1 gets an answer of HTTP/1.1 that says what is served here, and so does a handshake of TLS, whose
  clients know that answer. Anything else gets the connection error of a wrong preface (RFC 9113, section 3.4), with
  the same text. All of them are closed. What they send meanwhile is thrown away, so that the answer is not lost
  (RFC 9112, section 9.6).
- A connection on which not enough comes in time is cut.
- There is a limit of connections. One more is closed at once.
- A port with TLS serves nothing else, and answers a client without TLS with a text that says so. After the handshake,
  ALPN decides the protocol; if the client names none, the first bytes do.
- Where the PROXY protocol is expected, it comes before everything else, TLS included (``proxied.py``).
- Another protocol gets a case of its own in ``_Arrival.data_received``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Callable, Sequence
from typing import Final, cast

from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import PREFACE, SETTINGS, frame, goaway
from micro_rt.kit.net import join
from micro_rt.kit.ordered import OrderedSet
from micro_rt.kit.secured import Secured, Turns
from micro_rt.listener.address import Bound, bind
from micro_rt.listener.places import Network, Place
from micro_rt.listener.proxied import NoClaimError, read_claim
from micro_rt.logs import logger, sparsely

__all__ = ["BACKLOG", "Port", "open_port"]

BACKLOG: Final = 512
"""Connections that may wait to be accepted."""
ANSWER_TIMEOUT: Final = 1.0
"""Seconds that somebody who speaks another protocol gets to read the answer."""
_LATE: Final = 1.0
"""Seconds; a timer that is later than this shows that the event loop was blocked."""
_TEXT: Final = "This port serves gRPC, which takes HTTP/2: without TLS, and with prior knowledge (h2c).\n"
_TLS_TEXT: Final = "This port takes TLS.\n"
_IN_TLS_TEXT: Final = "This port serves gRPC, which takes HTTP/2: name h2 in the handshake of TLS (ALPN).\n"
_TLS: Final = b"\x16\x03"
"""What a handshake of TLS begins with."""
_HTTP1: Final = (b"GET ", b"HEAD ", b"POST ", b"PUT ", b"DELETE ", b"CONNECT ", b"OPTIONS ", b"TRACE ", b"PATCH ")
"""What a request of HTTP/1.1 begins with (RFC 9110, section 9.1, and RFC 5789)."""
_STARTS: Final = (PREFACE, _TLS, *_HTTP1)

_log = logger("micro_rt.listener")


async def open_port(
    address: str,
    http2: Callable[[str], asyncio.Protocol],
    *,
    connections: int,
    patience: float,
    open: Callable[[], int] = int,
    tls: Callable[[], ssl.SSLContext] | None = None,
) -> Port:
    """Listens wherever an address says, and hands the connections over.

    Args:
        address: one or several places: see ``places.py``.
        http2: makes the protocol for a connection that speaks HTTP/2, of the client's address; which is empty if it is
            that of the connection.
        connections: that there may be at once, at all places together.
        patience: seconds in which a connection must say what it speaks.
        open: returns how many of those that were handed over are not lost.
        tls: returns the context of a new connection, and no connection may do without TLS; None for no TLS.

    Raises:
        FailedPrecondition: the address cannot be used.
    """
    port = Port(http2, connections, patience, open, tls)
    port.bound = await bind(address, port.new_arrival, backlog=BACKLOG)
    port.address = port.bound[0].address
    if len(port.bound) > 1:
        _log.info("it listens on %s", ", ".join(bound.address for bound in port.bound))
    return port


class Port:
    """A port that is open; ``open_port`` makes it."""

    def __init__(
        self,
        http2: Callable[[str], asyncio.Protocol],
        connections: int,
        patience: float,
        open: Callable[[], int],
        tls: Callable[[], ssl.SSLContext] | None,
    ) -> None:
        self.http2 = http2
        self.tls = tls
        self.patience = patience
        self.address = ""
        """The first of the places where it listens."""
        self.bound: Sequence[Bound] = ()
        self.arrivals: OrderedSet[_Arrival] = OrderedSet()
        """Connections that have not said what they speak, or speak nothing that is served here."""
        self.handshakes: OrderedSet[Secured] = OrderedSet()
        """Connections whose TLS handshake is not over."""
        self.turns = Turns()
        self._connections = connections
        self._open = open

    @property
    def full(self) -> bool:
        """Whether there are as many connections as there may be."""
        return len(self.arrivals) + len(self.handshakes) + self._open() >= self._connections

    def new_arrival(self, place: Place) -> asyncio.Protocol:
        """Makes the protocol of a new connection."""
        return _Arrival(self, place)

    def stop(self) -> None:
        """Accepts no further connections, and cuts those that have said nothing yet; again: does nothing."""
        for bound in self.bound:
            bound.stop()
        for arrival in list(self.arrivals):
            arrival.cut()
        for handshake in list(self.handshakes):
            handshake.cut()

    async def close(self) -> None:
        """Stops, and waits until the event loop has let go of the port."""
        self.stop()
        for bound in self.bound:
            await bound.wait_closed()


class _Arrival(asyncio.Protocol):
    """A connection that has not said what it speaks."""

    __slots__ = ("_answered", "_due", "_first", "_peer", "_place", "_port", "_secure", "_timer", "_transport")

    def __init__(self, port: Port, place: Place, *, secure: bool = False, peer: str | None = None) -> None:
        self._port = port
        self._place = place
        self._peer = peer if place.proxied else ""
        """Address of the client, as far as a proxy has said it; None before it has."""
        self._secure = secure or port.tls is None
        """Whether HTTP/2 may begin: the connection has TLS, or needs none."""
        self._first: bytes = b""
        self._answered = False
        self._due = 0.0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._port.full:
            _log.warning("a connection is closed: there are as many as the limit allows", extra=sparsely("full"))
            self._transport.abort()
            return
        if self._peer is None and self._place.proxies and not _is_of(transport, self._place.proxies):
            self._refuse("it does not come from a proxy that is allowed")
            return
        self._port.arrivals.add(self)
        self._wait(self._port.patience)

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if self._answered or transport is None or transport.is_closing():
            return
        first = self._first + data if self._first else data
        if self._peer is None:
            try:
                claim = read_claim(first)
            except NoClaimError as error:
                self._refuse(str(error))
                return
            if claim is None:
                self._first = first
                return
            self._first, self._peer = b"", claim.peer
            first = first[claim.size :]
            if not first:
                return
        if not self._secure and first[0] == _TLS[0]:
            self._begin_tls(transport, first)
        elif first.startswith(PREFACE) and self._secure:
            self._leave()
            protocol = self._port.http2(self._peer)
            transport.set_protocol(protocol)
            protocol.connection_made(transport)
            protocol.data_received(first)
        elif any(start.startswith(first) for start in _STARTS if len(first) < len(start)):
            self._first = first
        else:
            self._answer(transport, first)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self._leave()

    def cut(self) -> None:
        """Closes without waiting for anything."""
        if self._transport is not None:
            self._transport.abort()

    def _begin_tls(self, transport: asyncio.Transport, first: bytes) -> None:
        """Hands the connection over to TLS, and what is in it then to HTTP/2."""
        port, tls, place, claimed = self._port, self._port.tls, self._place, self._peer
        assert tls is not None  # noqa: S101 - the type checkers cannot know
        peer = claimed or _peer_of(transport)

        def made(spoken: str | None) -> asyncio.Protocol:
            port.handshakes.discard(secured)
            return port.http2(claimed or "") if spoken == "h2" else _Arrival(port, place, secure=True, peer=claimed)

        def refused(reason: str) -> None:
            port.handshakes.discard(secured)
            _log.warning("the connection of %s is refused: %s", peer, reason, extra=sparsely(reason[:40]))

        secured = Secured(
            tls(), made, server_side=True, patience=port.patience, refused=refused, turns=port.turns, first=first
        )
        port.handshakes.add(secured)
        self._leave()
        transport.set_protocol(secured)
        secured.connection_made(transport)

    def _refuse(self, reason: str) -> None:
        """Closes a connection that does not begin with the PROXY protocol, or may not use it; logs why."""
        transport = self._transport
        assert transport is not None  # noqa: S101 - the type checkers cannot know
        _log.warning("the connection of %s is refused: %s", _peer_of(transport), reason, extra=sparsely(reason[:40]))
        transport.abort()

    def _answer(self, transport: asyncio.Transport, first: bytes) -> None:
        """Says what is served here, and ends our half."""
        self._answered = True
        known = first.startswith((_TLS, *_HTTP1))
        what = "TLS" if first.startswith(_TLS) else "another protocol than HTTP/2"
        if not self._secure:
            what = "no TLS"
        _log.info("a connection is closed, because it speaks %s", what, extra=sparsely(what))
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(ANSWER_TIMEOUT, self.cut)
        text = _TLS_TEXT if not self._secure else _TEXT if self._port.tls is None else _IN_TLS_TEXT
        transport.write(_answer_of(text, http1=known))
        try:
            transport.write_eof()
        except OSError:  # It is gone, and the event loop has not noticed yet.
            transport.abort()

    def _wait(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + seconds
        self._timer = loop.call_at(self._due, self._too_late)

    def _too_late(self) -> None:
        if asyncio.get_running_loop().time() > self._due + _LATE:
            self._wait(_LATE)  # This event loop was blocked, and may not have read what came.
            return
        _log.info("a connection is cut: it did not say in time what it speaks", extra=sparsely("silent"))
        self.cut()

    def _leave(self) -> None:
        self._stop_timer()
        self._port.arrivals.discard(self)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _answer_of(text: str, *, http1: bool) -> bytes:
    """Returns what a connection gets that speaks something else than is served here."""
    if not http1:
        return frame(SETTINGS, 0, 0) + goaway(0, ErrorCode.PROTOCOL_ERROR, text.encode())
    return (
        f"HTTP/1.1 505 HTTP Version Not Supported\r\n"
        "content-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(text)}\r\n"
        f"connection: close\r\n\r\n{text}"
    ).encode()


def _is_of(transport: asyncio.BaseTransport, networks: Sequence[Network]) -> bool:
    """Whether a connection comes from one of some networks."""
    name: tuple[str, int] | str | None = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return False
    host = ipaddress.ip_address(name[0].partition("%")[0])
    if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
        host = host.ipv4_mapped
    return any(host in network for network in networks)


def _peer_of(transport: asyncio.Transport) -> str:
    name: tuple[str, int] | str | None = transport.get_extra_info("peername")
    return join(*name[:2]) if isinstance(name, tuple) else "unix:"
