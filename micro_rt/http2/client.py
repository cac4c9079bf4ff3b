"""The client's side of a connection: it makes requests (RFC 9113, sections 3.4, 5.1.1, 5.1.2, 6.8 and 8.1).

Rules kept here:

- Streams have odd numbers that grow. When they are used up, or the server has sent GOAWAY, another connection is
  needed.
- Only as many streams are open as the server allows. A caller that has more waits for the end of one of them.
- Streams above the last one of a GOAWAY were not processed, and end as if the server had refused them.
- A response comes after any number of interim ones, and may be the end of its stream (section 8.1).
- A response is malformed, and its stream ends, if it breaks a rule of messages.py. Its content-length does not count
  if there is no data at all: so it is with HEAD and with status 304.
- The server pushes nothing (section 8.4).
"""

from __future__ import annotations

from typing import Any, ClassVar

from micro_rt.http2.blocks import Decoder, Encoder, Fields
from micro_rt.http2.connection import Connection
from micro_rt.http2.errors import ErrorCode, FatalError, NoMoreStreamsError, StreamError, TooManyStreamsError
from micro_rt.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_STREAM_ID,
    PREFACE,
    block_frames,
    frame_header,
)
from micro_rt.http2.limits import Limits
from micro_rt.http2.messages import NO_LENGTH, RESPONSE
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
        number = self._take_number()
        self._send_block(number, fields, ended)
        self._progress += 1
        stream = self.streams[number] = Stream(number, HEAD, DONE if ended else BODY, self._stream_room, NO_LENGTH)
        return stream

    def ask(self, fields: Any, data: bytes) -> Stream:
        """Makes a whole request: does what ``request`` and ``send_data`` do, in less time.

        Args:
            fields: what the encoder takes.
            data: all data of the request.

        Raises:
            TooManyStreamsError: as ``request`` does.
            NoMoreStreamsError: as ``request`` does.
            BufferFullError: more data would wait than the limits allow. There is no stream then.
        """
        size = len(data)
        if size > self._largest or size > self._window or size > self._initial:
            self._check_buffers(None, size - max(0, min(self._window, self._initial)))
            stream = self.request(fields)
            self.send_data(stream, data, True)
            return stream
        number = self._take_number()
        block = self._encoder.encode(fields)
        if len(block) <= self._largest:
            self._out += (
                frame_header(len(block) << 8 | HEADERS, END_HEADERS, number),
                block,
                frame_header(size << 8 | DATA, END_STREAM, number),
                data,
            )
        else:
            self._out += block_frames(number, block, 0, self._largest)
            self._out += (frame_header(size << 8 | DATA, END_STREAM, number), data)
        self._window -= size
        self._progress += 2
        stream = self.streams[number] = Stream(number, HEAD, DONE, self._stream_room, NO_LENGTH)
        stream.credit = -size
        return stream

    def _take_number(self) -> int:
        """Returns the number of a new stream, if one can be opened."""
        number = self._next
        if self.closing or number > MAX_STREAM_ID:
            raise NoMoreStreamsError("this connection opens no further streams")
        if len(self.streams) >= self.peer.streams:
            raise TooManyStreamsError(f"the server allows {self.peer.streams} streams at once")
        self._next = number + 2
        return number

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
