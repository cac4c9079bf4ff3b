"""What the limits of a server come to in HTTP/2, and in memory.

**Memory of one connection** is bounded by ``ServerLimits.memory``. The largest parts of it are what a client may send
before handlers read it: ``WINDOW`` bytes on each stream, and besides ``large_messages`` for messages that are larger
than that; and what handlers have sent and the client has not taken: ``SEND_PIECE`` bytes on each stream. A handler
that sends more waits, with its message. The window of the connection is as large as all that it may hold, so that
calls which nobody reads stop no other call of their connection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from micro_rt.http2.limits import Limits as Http2Limits
from micro_rt.transport.limits import MAX_MESSAGE, Limits, MessageRules, ServiceLimits

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits(Limits):
    """The limits of a server of gRPC: those that a service says, and how large messages may be.

    Raises:
        ValueError: a limit is out of its range.
    """

    receive: int = MAX_MESSAGE
    """Bytes of a message that a client sends. A call with a larger one ends with RESOURCE_EXHAUSTED."""
    send: int = MAX_MESSAGE
    """Bytes of a message that a handler sends. Sending a larger one raises ``ResourceExhausted``."""
    compression: str = ""
    """How messages that are sent are compressed, on both sides."""
    sizes: Callable[[str], MessageRules | None] | None = None
    """Returns what is said of the method of a path instead; None if nothing is said of any."""
    largest: int = MAX_MESSAGE
    """Bytes of the largest message that any method takes, if that is more than ``receive``."""
    floods: Http2Limits = field(default_factory=Http2Limits)
    """What a client may make HTTP/2 itself spend. What follows from the limits here is replaced: see ``http2``."""

    def of(self, limits: ServiceLimits) -> ServerLimits:
        """Returns these limits with what a service says instead."""
        said: dict[str, Any] = {
            "sizes": limits.sizes,
            "largest": max(limits.largest_request, 1),
        }
        if limits.compression is not None:
            said["compression"] = limits.compression
        if limits.server is not None:
            said |= {each.name: getattr(limits.server, each.name) for each in fields(Limits)}
        if limits.max_message is not None:
            said |= {"receive": limits.max_message, "send": limits.max_message}
        return replace(self, **said)

    @property
    def http2(self) -> Http2Limits:
        """The limits of HTTP/2 that follow from these."""
        large = max(self.large_messages, max(self.receive, self.largest) + WINDOW)
        window = min(self.streams * WINDOW + large + _UNANNOUNCED, 2**31 - 1)
        return replace(
            self.floods,
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
