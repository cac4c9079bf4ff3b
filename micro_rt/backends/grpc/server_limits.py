"""Every limit of a server, in one place: what clients can make it spend is bounded here.

**Memory of one connection** is bounded by ``ServerLimits.memory``. The largest parts of it are what a client may send
before handlers read it: ``WINDOW`` bytes on each stream, and besides ``large_messages`` for messages that are larger
than that; and what handlers have sent and the client has not taken: ``SEND_PIECE`` bytes on each stream. A handler
that sends more waits, with its message. The window of the connection is as large as all that it may hold, so that
calls which nobody reads stop no other call of their connection.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

from micro_rt.backends.grpc.framing import MAX_MESSAGE
from micro_rt.http2.limits import Limits

__all__ = ["SEND_PIECE", "WINDOW", "ServerLimits"]

WINDOW: Final = 65_535
"""Bytes that a client may send on a stream before the handler reads them; HTTP/2 begins with as many."""
SEND_PIECE: Final = 32 << 10
"""Bytes of replies that wait on a stream at most while the client opens no window."""
_UNANNOUNCED: Final = 1 << 20
"""Bytes that handlers have read and the server has not acknowledged yet."""
_CALL_BYTES: Final = 4 << 10
"""What an open call keeps besides its messages, in bytes, rounded up."""
_BUFFER: Final = 4 << 20
"""What the transport of the event loop holds of what is written, and the write under way, in bytes, rounded up."""
_MAY_BE_ZERO: Final = frozenset({"ping_interval", "ping_strikes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """The limits of a server, for each connection unless it says otherwise. Times are in seconds; None means no limit.

    Raises:
        ValueError: a limit is out of its range.
    """

    receive: int = MAX_MESSAGE
    """Bytes of a message that a client sends. A call with a larger one ends with RESOURCE_EXHAUSTED."""
    send: int = MAX_MESSAGE
    """Bytes of a message that a handler sends. Sending a larger one raises ``ResourceExhausted``."""
    streams: int = 1_000
    """Calls at once. One more is refused: the client may make it elsewhere, or again."""
    header_list: int = 16 << 10
    """Bytes of the metadata of a request, as HTTP/2 counts them. A larger one ends its call."""
    large_messages: int = 16 << 20
    """Bytes of messages that are larger than the window of a stream, together. They take turns. At least one may be
    under way, however large."""
    connections: int = 16_384
    """Connections of the listener. One more is closed at once."""
    begin: int = 64
    """Calls of one connection that begin in a row, before other connections have their turn."""
    waiting: int = 256
    """Calls that were accepted and have not begun, above which the connection is not read."""
    replies: int = 8 << 20
    """Bytes of replies that wait for windows, above which no further call of the connection begins."""
    handshake: float = 10.0
    """From a connection to the client's first SETTINGS frame. A silent client is cut off."""
    idle: float | None = None
    """Without a call, until the connection is ended gently (gRFC A9)."""
    age: float | None = None
    """Until a connection is ended gently (gRFC A9); up to a tenth longer, so that not all go at once."""
    age_grace: float | None = None
    """Which calls get to end after that, until they are cut off (gRFC A9)."""
    keepalive: float | None = 7200.0
    """Of silence, until the client gets a PING (gRFC A8)."""
    keepalive_timeout: float = 20.0
    """Within which anything must come after that, or the connection is cut (gRFC A8)."""
    ping_interval: float = 300.0
    """Which a client must leave between two PINGs unless the server has sent something meanwhile (gRFC A8)."""
    pings_without_calls: bool = False
    """Whether it may send them at that interval while it has no call; otherwise one in two hours (gRFC A8)."""
    ping_strikes: int = 2
    """PINGs too many that are forgiven. One more ends the connection with ``too_many_pings`` (gRFC A8)."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            least = 0 if field.name in _MAY_BE_ZERO else 1e-3
            if value is not None and not isinstance(value, bool) and not least <= value < 2**31:
                raise ValueError(f"{field.name} is from {least:g} to {2**31 - 1:,}, not {value!r}")

    @property
    def http2(self) -> Limits:
        """The limits of HTTP/2 that follow from these."""
        large = max(self.large_messages, self.receive + WINDOW)
        window = min(self.streams * WINDOW + large + _UNANNOUNCED, 2**31 - 1)
        return Limits(
            streams=self.streams,
            header_list=self.header_list,
            stream_window=WINDOW,
            connection_window=window,
            stream_buffer=2 * SEND_PIECE,
            connection_buffer=min(self.streams * 2 * SEND_PIECE, 2**31 - 1),
        )

    @property
    def memory(self) -> int:
        """The bound on what one connection keeps, in bytes, without what its handlers keep themselves."""
        return self.http2.memory + self.streams * _CALL_BYTES + _BUFFER
