"""The server's side of a connection: it takes requests (RFC 9113, sections 3.4, 5.1.1, 5.1.2 and 8.1).

Rules kept here:

- A client opens streams, with odd numbers that grow. A stream that it skips is closed (section 5.1.1).
- A request is malformed, and its stream ends, if it breaks a rule of messages.py.
- A stream above ``Limits.streams`` is refused: the client may send its request again (section 5.1.2).
"""

from __future__ import annotations

from micro_rt.http2.blocks import Decoder, Encoder, Fields
from micro_rt.http2.connection import Connection
from micro_rt.http2.errors import ErrorCode, FatalError, StreamError
from micro_rt.http2.frames import PREFACE
from micro_rt.http2.limits import Limits
from micro_rt.http2.messages import REQUEST
from micro_rt.http2.streams import BODY, DONE, HEAD, Stream

__all__ = ["ServerConnection"]


class ServerConnection(Connection):
    """A connection that a client has opened.

    Args:
        encoder: encodes the header blocks of this connection.
        decoder: decodes those of the client.
        limits: of this connection.
    """

    __slots__ = ()

    def __init__(self, encoder: Encoder, decoder: Decoder, limits: Limits | None = None) -> None:
        super().__init__(encoder, decoder, limits or Limits())
        self._awaited = PREFACE

    def _idle(self, stream_id: int) -> bool:
        return stream_id > self._highest or not stream_id & 1

    def _new_stream(self, stream_id: int, fields: Fields, ended: bool) -> None:
        if stream_id <= self._highest:
            self._on_closed(stream_id)
            return
        if not stream_id & 1:
            raise FatalError(ErrorCode.PROTOCOL_ERROR, "a client opens a stream with an even number")
        self._highest = stream_id
        limits = self.limits
        self._opened += 1
        if self._opened > limits.opened:
            raise FatalError(ErrorCode.ENHANCE_YOUR_CALM, "more streams opened than the limit allows")
        if stream_id > self._last_allowed:
            self._remember(stream_id)
            self._count("refused")
            return
        if len(self.streams) >= limits.streams:
            raise StreamError(stream_id, ErrorCode.REFUSED_STREAM, "more streams than the limit allows")
        head = fields.verdict
        if head is None or head.kind != REQUEST:
            head = self._check(REQUEST, stream_id, fields)
        if ended and head.length > 0:
            raise StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "no data, against its content-length")
        self._progress += 1
        stream = Stream(stream_id, DONE if ended else BODY, HEAD, self._stream_room, head.length)
        self.streams[stream_id] = stream
        self._events.append(("request", stream, fields, ended))
