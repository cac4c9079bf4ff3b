"""What ``Connection.receive`` reports.

An event is a tuple ``(kind, stream, value, ended)``. Three ways were measured, to make an event and read it once: a
tuple (70 to 100 ns), an object of a class of its own (two to four times as much), and a call of a handler object (half
as much). A call lets the caller's code run, and fail, in the middle of a read; and with a list, a later frame of a
read can end a call before its handler has begun (see ``Stream.closed``), which makes a rapid reset cheap. So it is
tuples.

Type checkers narrow an event by ``event[0] == "data"``. The order is that of the frames. These promises hold:

- ``stream`` is the same object in every event of a stream; its ``context`` is the caller's.
- What the peer sends on a stream ends with an event that is ``ended``, or with ``"reset"``. After ``ended``, there may
  be a ``"reset"`` only while our half has not ended. A stream that the caller resets has no further events, but for
  those that the present list holds already.
- ``"ended"`` comes at most once and is the last event. Before it, every open stream gets its ``"reset"``.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from micro_rt.http2.blocks import Fields
from micro_rt.http2.errors import FatalError, StreamError
from micro_rt.http2.settings import PeerSettings
from micro_rt.http2.streams import Stream

__all__ = ["DEBUG_BYTES", "Event", "GoAway"]

DEBUG_BYTES = 256
"""How much of the debug data of a GOAWAY frame is kept."""


class GoAway(NamedTuple):
    """What a GOAWAY frame of the peer says (section 6.8)."""

    last_stream_id: int
    code: int
    debug: bytes
    """Up to ``DEBUG_BYTES`` of its debug data, as it came."""


Event: TypeAlias = (
    # A client opens a stream. Only a server gets it.
    tuple[Literal["request"], Stream, Fields, bool]
    # A response with a status of 1xx; others follow. Only a client gets it.
    | tuple[Literal["interim"], Stream, Fields, bool]
    # The response. Only a client gets it.
    | tuple[Literal["response"], Stream, Fields, bool]
    # Data without padding; empty only if it ends the stream. ``Connection.acknowledge`` lets the peer send more.
    | tuple[Literal["data"], Stream, bytes, bool]
    # Trailers; always ended.
    | tuple[Literal["trailers"], Stream, Fields, bool]
    # The stream has ended too early. The fourth says whether the peer has reset it. See ``StreamError.unprocessed``.
    | tuple[Literal["reset"], Stream, StreamError, bool]
    # The peer has broken a rule, or a limit, with a stream that the caller does not know. It was reset.
    | tuple[Literal["refused"], None, StreamError, bool]
    # Nothing waits on the stream any more, after something did. The fourth says whether the caller has ended it.
    | tuple[Literal["sent"], Stream, int, bool]
    # The peer's first SETTINGS frame has come: the connection is established (section 3.4).
    | tuple[Literal["established"], None, PeerSettings, bool]
    # Another SETTINGS frame has come.
    | tuple[Literal["settings"], None, PeerSettings, bool]
    # The peer has sent a PING, which is answered.
    | tuple[Literal["ping"], None, bytes, bool]
    # The peer has answered a PING of the caller.
    | tuple[Literal["pong"], None, bytes, bool]
    # The peer takes no further streams. "reset" follows for each stream that it has not processed.
    | tuple[Literal["goaway"], None, GoAway, bool]
    # The connection has ended: write what ``data_to_send`` gives, and close it. The fourth says whether by the peer.
    | tuple[Literal["ended"], None, FatalError, bool]
)
"""What ``Connection.receive`` gives a list of."""
