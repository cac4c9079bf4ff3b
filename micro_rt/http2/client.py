"""The client's side of a connection: it makes requests (RFC 9113, sections 3.4, 5.1.1, 5.1.2, 6.8 and 8.1).

Rules kept here:

- Streams have odd numbers that grow. When they are used up, or the server has sent GOAWAY, another connection is needed.
- Only as many streams are open as the server allows. A caller that has more waits for the end of one of them.
- Streams above the last one of a GOAWAY were not processed, and end as if the server had refused them.
- A response comes after any number of interim ones, and may be the end of its stream (section 8.1).
- A response is malformed, and its stream ends, if it breaks a rule of messages.py. Its content-length does not count if there
  is no data at all: so it is with HEAD and with status 304.
- The server pushes nothing (section 8.4).
"""

from __future__ import annotations

from typing import Any, ClassVar

from micro_rt.http2.blocks import Decoder, Encoder, Fields
from micro_rt.http2.connection import Connection
from micro_rt.http2.errors import ErrorCode, FatalError, NoMoreStreamsError, StreamError, TooManyStreamsError
from micro_rt.http2.frames import MAX_STREAM_ID, PREFACE
from micro_rt.http2.limits import Limits
from micro_rt.http2.messages import RESPONSE
from micro_rt.http2.settings import ENABLE_PUSH, MAX_CONCURRENT_STREAMS
from micro_rt.http2.streams import BODY, DONE, HEAD, Stream

__all__ = ["ClientConnection"]


class ClientConnection(Connection):
    """A connection that we have opened.

    Args:
        encoder: encodes the header blocks of this connection.
        decoder: decodes those of the server.
        limits: of this connection.
    """

    __slots__ = ("_next",)

    PREFACE: ClassVar[bytes] = PREFACE

    def __init__(self, encoder: Encoder, decoder: Decoder, limits: Limits | None = None) -> None:
        super().__init__(encoder, decoder, limits or Limits())
        self._next = 1
        """The number of the next stream."""

    @property
    def free(self) -> int:
        """How many further streams can be opened now."""
        if self.closing or self._next > MAX_STREAM_ID:
            return 0
        return max(0, self.peer.streams - len(self.streams))

    def request(self, fields: Any, ended: bool = False) -> Stream:
        """Opens a stream with the header section of a request.

        Args:
            fields: what the encoder takes. The caller answers for their legality (section 8.3.1).
            ended: whether nothing follows; otherwise ``send_data`` and ``send_headers`` do.

        Raises:
            TooManyStreamsError: the server allows no further stream now.
            NoMoreStreamsError: this connection opens none at all any more.
        """
        number = self._next
        if self.closing or number > MAX_STREAM_ID:
            raise NoMoreStreamsError("this connection opens no further streams")
        streams = self.streams
        if len(streams) >= self.peer.streams:
            raise TooManyStreamsError(f"the server allows {self.peer.streams} streams at once")
        self._send_block(number, fields, ended)
        self._next = number + 2
        self._progress += 1
        stream = streams[number] = Stream(number, HEAD, DONE if ended else BODY, self._stream_room, -1)
        return stream

    def _own_settings(self) -> dict[int, int]:
        settings = super()._own_settings()
        del settings[MAX_CONCURRENT_STREAMS]  # It would allow pushes.
        return {ENABLE_PUSH: 0, **settings}

    def _check_settings(self, values: dict[int, int]) -> None:
        if values.get(ENABLE_PUSH):
            raise FatalError(ErrorCode.PROTOCOL_ERROR, "a server that sets ENABLE_PUSH")

    def _idle(self, stream_id: int) -> bool:
        return stream_id >= self._next or not stream_id & 1

    def _new_stream(self, stream_id: int, fields: Fields, ended: bool) -> None:
        self._on_closed(stream_id)  # A server opens none.

    def _first_section(self, stream: Stream, fields: Fields, ended: bool) -> None:
        head = fields.verdict
        if head is None or head.kind != RESPONSE:
            head = self._check(RESPONSE, stream.id, fields)
        if head.interim:
            if ended:
                raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "an interim response that ends the stream")
            self._events.append(("interim", stream, fields, False))
            return
        stream.expected = head.length
        self._events.append(("response", stream, fields, ended))
        if not ended:
            stream.remote = BODY
            return
        stream.remote = DONE
        if stream.local == DONE and stream.queue is None:
            self._close(stream)

    def _not_processed(self, last: int) -> None:
        for number in [each for each in self.streams if each > last]:
            stream = self.streams[number]
            self._abandon(stream)
            error = StreamError(number, ErrorCode.REFUSED_STREAM, "not processed, says GOAWAY")
            self._events.append(("reset", stream, error, True))
