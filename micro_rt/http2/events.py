"""What ``Connection.receive`` reports.

An event is a tuple ``(kind, stream, value, ended)``. Tuples, because events are made for every frame and read once: a class
of its own costs two to four times as much, and a handler object with methods costs half as much but lets the caller's code
run, and fail, in the middle of a read. A list also lets a later frame of the same read end a call before its handler begins:
see ``Stream.closed``.

Type checkers narrow an event by ``event[0] == "data"``. The order is that of the frames. These promises hold:

- ``stream`` is the same object in every event of a stream; ``context`` of it is the caller's.
- What the peer sends on a stream ends with an event that is ``ended``, or with ``"reset"``. After ``ended``, there may be a
  ``"reset"`` only while our half has not ended. A stream that the caller resets itself has no events after that.
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
    tuple[Literal["request"], Stream, Fields, bool]
    # A client opens a stream. Only a server gets it.
    | tuple[Literal["interim"], Stream, Fields, bool]
    # A response with a status of 1xx; others follow. Only a client gets it.
    | tuple[Literal["response"], Stream, Fields, bool]
    # The response. Only a client gets it.
    | tuple[Literal["data"], Stream, bytes, bool]
    # Data, without padding; empty only if it ends the stream. ``Connection.acknowledge`` lets the peer send more.
    | tuple[Literal["trailers"], Stream, Fields, bool]
    # Trailers; always ended.
    | tuple[Literal["reset"], Stream, StreamError, bool]
    # The stream has ended too early; the fourth says whether the peer has said so. ``StreamError.unprocessed``: send it again.
    | tuple[Literal["refused"], None, StreamError, bool]
    # The peer has broken a rule, or a limit, with a stream that the caller does not know. It was reset.
    | tuple[Literal["sent"], Stream, int, bool]
    # Nothing waits on the stream any more, after something did; the fourth says whether the caller has ended it.
    | tuple[Literal["established"], None, PeerSettings, bool]
    # The peer's first SETTINGS frame has come (section 3.4).
    | tuple[Literal["settings"], None, PeerSettings, bool]
    # Another one has come.
    | tuple[Literal["ping"], None, bytes, bool]
    # The peer has sent a PING, which is answered.
    | tuple[Literal["pong"], None, bytes, bool]
    # The peer has answered a PING of the caller.
    | tuple[Literal["goaway"], None, GoAway, bool]
    # The peer takes no further streams. "reset" events follow for streams that it has not processed.
    | tuple[Literal["ended"], None, FatalError, bool]
    # The connection has ended: send what ``data_to_send`` gives, and close it. The fourth says whether the peer ended it.
)
