"""What arrives on streams: header blocks and data (RFC 9113, sections 4.3, 5.1, 5.2, 6.1, 6.2 and 6.10).

Rules kept here:

- Every header block is decoded, also if its stream is refused or closed: later blocks depend on it (section 4.3).
- Between HEADERS and the last CONTINUATION of its block comes no other frame (section 6.10).
- DATA counts for flow control with its padding, also if its stream is closed (sections 5.2 and 6.1). What the caller
  never sees is acknowledged at once.
- The peer may send more when half of a window is used up and acknowledged, so that WINDOW_UPDATE frames are few; on the
  connection also when ``_WORTHWHILE`` bytes are, so that a large window stays nearly as large as it is.
- A stream may be given more than its window, once, for data that the caller wants whole (``widen``).
- What the caller has not acknowledged of a stream is acknowledged when it ends, also if the caller keeps it: the number
  of streams bounds that.
- A frame for a closed stream (section 5.1) is ignored if we have reset the stream, is a stream error if the peer has,
  and is an error of the connection if the stream had ended both ways. Streams that were reset are remembered up to
  ``Limits.closed_streams``; for what has been forgotten, a frame is a stream error.
- What brings nothing is counted: see limits.py.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from micro_rt.http2.blocks import Decoder, Encoder, Fields
from micro_rt.http2.errors import ErrorCode, FatalError, StreamError
from micro_rt.http2.frames import (
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_WINDOW,
    PADDED,
    PRIORITY_BYTES,
    PRIORITY_FLAG,
    check_shape,
    uint32,
    unpadded,
    window_update,
)
from micro_rt.http2.limits import GROWING, PER_PROGRESS, Limits
from micro_rt.http2.messages import TRAILERS, Head, check
from micro_rt.http2.sending import Sender
from micro_rt.http2.settings import DEFAULT_WINDOW
from micro_rt.http2.streams import DATA_INPUT, DONE, HEADERS_INPUT, NEXT, VIOLATIONS, Stream

__all__ = ["RESET_BY_PEER", "RESET_BY_US", "Receiver"]

_WORTHWHILE: Final = 1 << 20
"""Bytes that are acknowledged on the connection and always worth a WINDOW_UPDATE."""

RESET_BY_US: Final = True
RESET_BY_PEER: Final = False


class Receiver(Sender):
    """The part of a connection that takes header blocks and data."""

    __slots__ = (
        "_block",
        "_block_flags",
        "_block_stream",
        "_closed",
        "_continuations",
        "_counts",
        "_decoder",
        "_forgotten",
        "_highest",
        "_opened",
        "_room",
        "_stream_room",
        "_strict",
        "_taken",
        "_worthwhile",
    )

    def __init__(self, encoder: Encoder, decoder: Decoder, limits: Limits) -> None:
        super().__init__(encoder, limits)
        self._decoder = decoder
        self._highest = 0
        """The highest number of a stream that the peer has opened."""
        self._closed: OrderedDict[int, bool] = OrderedDict()
        """Streams that were reset, and whether by us."""
        self._forgotten = 0
        """The highest stream that is no longer in ``_closed``."""
        self._block: bytearray | None = None
        """The header block that is incomplete, and what is known about it."""
        self._block_stream = self._block_flags = self._continuations = 0
        self._room = DEFAULT_WINDOW
        """Bytes that the peer may still send on the connection."""
        self._taken = 0
        """Bytes that are acknowledged, and the peer has not been told."""
        self._worthwhile = min(limits.connection_window // 2, _WORTHWHILE)
        """How many of them are worth a WINDOW_UPDATE."""
        self._stream_room: int = max(limits.stream_window, DEFAULT_WINDOW)
        """The window of a new stream: the initial one until the peer has acknowledged a smaller one (section 6.5.3)."""
        self._opened = 0
        """Streams that the peer has opened in this interval."""
        self._strict = True
        """Whether only some frames may come next: SETTINGS at first, CONTINUATION inside a header block."""
        self._counts: dict[str, int] = {}
        """What has come in this interval, by the name of its limit."""

    def acknowledge(self, stream: Stream, size: int) -> None:
        """Lets the peer send as much again, since the caller has dealt with data (section 5.2).

        What is not acknowledged when a stream ends, or is reset, is acknowledged then, to the connection: so a short
        message needs no call of this method.

        Args:
            stream: of this connection; it may have ended.
            size: bytes of data; of more than events have delivered, as much as they have.
        """
        held = self._stream_room - stream.window - stream.taken
        if size > held:
            size = held
        if size <= 0:
            return
        taken = stream.taken = stream.taken + size
        if stream.remote < DONE and taken * 2 >= self._stream_room:
            self._out.append(window_update(stream.id, taken))
            stream.window += taken
            stream.taken = 0
        self._taken += size
        if self._taken >= self._worthwhile:
            self._announce()

    def widen(self, stream: Stream, size: int) -> None:
        """Lets the peer send more on a stream than its window, once (section 6.9).

        The window is back at its size when as much more was acknowledged. The window of the connection is as it was.

        Args:
            stream: of this connection; nothing happens if the peer has ended it.
            size: bytes of data more.
        """
        size = min(size, MAX_WINDOW - stream.window)
        if size > 0 and stream.remote < DONE:
            self._out.append(window_update(stream.id, size))
            stream.window += size
            stream.taken -= size

    # For the connection

    def _new_stream(self, stream_id: int, fields: Fields, ended: bool) -> None:
        """Takes a header section of a stream that is not among the streams."""
        raise NotImplementedError

    def _first_section(self, stream: Stream, fields: Fields, ended: bool) -> None:
        """Takes a header section of a stream that waits for its first one."""
        raise NotImplementedError

    def _idle(self, stream_id: int) -> bool:
        """Whether a stream has never been opened."""
        raise NotImplementedError

    def _on_data(self, flags: int, stream_id: int, data: bytes) -> None:
        """Takes a DATA frame (section 6.1)."""
        size = len(data)
        self._room -= size
        if self._room < 0:
            raise FatalError(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window of the connection")
        stream = self.streams.get(stream_id)
        if stream is None:
            self._taken += size
            if self._taken >= self._worthwhile:
                self._announce()
            self._on_closed(stream_id)
            return
        stream.window -= size
        ended = flags & END_STREAM
        state = NEXT[stream.remote][DATA_INPUT + ended]
        if state > DONE:
            raise StreamError(stream_id, *VIOLATIONS[state])
        if stream.window < 0:
            raise StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window of the stream")
        if flags & PADDED:
            data = unpadded(data)
            self.acknowledge(stream, size - len(data))
        if stream.expected >= 0:
            self._expect(stream, len(data), ended)
        if ended:
            stream.remote = DONE
            self._events.append(("data", stream, data, True))
            if stream.local == DONE and stream.queue is None:
                self._close(stream)
        elif data:
            self._events.append(("data", stream, data, False))
        else:
            self._count("empty_frames")

    def _on_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        """Takes a HEADERS frame that is padded, has a priority or does not end its block (section 6.2)."""
        check_shape(HEADERS, stream_id, len(payload))
        if flags & PADDED:
            payload = unpadded(payload)
        if flags & PRIORITY_FLAG:
            if len(payload) < PRIORITY_BYTES:
                raise FatalError(ErrorCode.FRAME_SIZE_ERROR, "no room for the priority")
            if uint32(payload) == stream_id:
                raise FatalError(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")
            payload = payload[PRIORITY_BYTES:]
        if flags & END_HEADERS:
            self._on_block(stream_id, payload, flags & END_STREAM)
            return
        self._strict = True
        self._block = bytearray()
        self._block_stream, self._block_flags, self._continuations = stream_id, flags, 0
        self._add_to_block(payload)

    def _on_continuation(self, flags: int, payload: bytes) -> None:
        """Takes a CONTINUATION frame of the block that is incomplete (section 6.10)."""
        self._continuations += 1
        if self._continuations > self.limits.continuations:
            raise FatalError(ErrorCode.ENHANCE_YOUR_CALM, "too many CONTINUATION frames")
        block = self._add_to_block(payload)
        if flags & END_HEADERS:
            self._strict = False
            self._block = None
            self._on_block(self._block_stream, bytes(block), self._block_flags & END_STREAM)

    def _on_block(self, stream_id: int, block: bytes, ended: int) -> None:
        """Takes a complete header block."""
        try:
            fields = self._decoder.decode(block)
        except Exception as error:  # Whatever it is: the table is lost.
            raise FatalError(ErrorCode.COMPRESSION_ERROR, "a header block that HPACK does not allow") from error
        stream = self.streams.get(stream_id)
        if stream is None:
            self._new_stream(stream_id, fields, ended == 1)
        elif stream.remote:
            self._trailers(stream, fields, ended)
        else:
            self._first_section(stream, fields, ended == 1)

    def _check(self, kind: int, stream_id: int, fields: Fields) -> Head:
        """Checks a header section by the rules of messages.py, and notes the verdict on it."""
        if fields.too_large:
            raise StreamError(stream_id, ErrorCode.ENHANCE_YOUR_CALM, "a header list that is too large")
        head = fields.verdict = check(kind, stream_id, fields)
        return head

    def _on_closed(self, stream_id: int) -> None:
        """Answers DATA, or HEADERS, for a stream that is not open (section 5.1)."""
        if self._idle(stream_id):
            raise FatalError(ErrorCode.PROTOCOL_ERROR, "a frame for a stream that is idle")
        by_us = self._closed.get(stream_id)
        if by_us is None and stream_id > self._forgotten:
            raise FatalError(ErrorCode.STREAM_CLOSED, "a frame for a stream that has ended")
        if by_us is not RESET_BY_US:
            raise StreamError(stream_id, ErrorCode.STREAM_CLOSED, "a frame for a stream that was reset")
        self._count("ignored")

    def _close(self, stream: Stream) -> None:
        del self.streams[stream.id]
        held = self._stream_room - stream.window - stream.taken
        if held > 0:
            stream.taken += held
            self._taken += held
            if self._taken >= self._worthwhile:
                self._announce()

    def _abandon(self, stream: Stream, *, by_us: bool = RESET_BY_US) -> None:
        del self.streams[stream.id]
        self._drop_queue(stream)
        self._remember(stream.id, by_us)
        self._settle(stream)

    def _settle(self, stream: Stream) -> None:
        """Acknowledges on the connection what the caller has not acknowledged of a stream."""
        held = self._stream_room - stream.window - stream.taken
        if held > 0:
            stream.taken += held
            self._taken += held
            if self._taken >= self._worthwhile:
                self._announce()

    def _remember(self, stream_id: int, by_us: bool = RESET_BY_US) -> None:
        """Records that a stream was reset; forgets the oldest one if there are too many."""
        closed = self._closed
        closed[stream_id] = by_us
        if len(closed) > self.limits.closed_streams:
            oldest, _ = closed.popitem(last=False)
            self._forgotten = max(self._forgotten, oldest)

    def _count(self, what: str) -> None:
        """Counts what brings nothing.

        Raises:
            FatalError: there has been more of it in this interval than the limit of that name allows.
        """
        number = self._counts[what] = self._counts.get(what, 0) + 1
        limit: int = getattr(self.limits, what)
        if number > limit and (what not in GROWING or number > limit + PER_PROGRESS * self._progress):
            raise FatalError(ErrorCode.ENHANCE_YOUR_CALM, f"more {what} than the limit allows")

    # Helpers

    def _announce(self) -> None:
        """Lets the peer send as much again on the connection."""
        self._out.append(window_update(0, self._taken))
        self._room += self._taken
        self._taken = 0

    def _add_to_block(self, payload: bytes) -> bytearray:
        block = self._block
        assert block is not None  # noqa: S101 - the type checkers cannot know
        block += payload
        if len(block) > self.limits.header_block:
            raise FatalError(ErrorCode.ENHANCE_YOUR_CALM, "a header block that is too large")
        return block

    def _expect(self, stream: Stream, size: int, ended: int) -> None:
        """Counts data against its content-length (section 8.1.1)."""
        stream.expected -= size
        if stream.expected < 0 or (ended and stream.expected):
            raise StreamError(stream.id, ErrorCode.PROTOCOL_ERROR, "data that is not as long as its content-length")

    def _trailers(self, stream: Stream, fields: Fields, ended: int) -> None:
        """Takes the header section that ends a stream (section 8.1)."""
        state = NEXT[stream.remote][HEADERS_INPUT + ended]
        if state > DONE:
            raise StreamError(stream.id, *VIOLATIONS[state])
        head = fields.verdict
        if head is None or head.kind != TRAILERS:
            self._check(TRAILERS, stream.id, fields)
        if stream.expected > 0:
            self._expect(stream, 0, ended)
        stream.remote = DONE
        self._events.append(("trailers", stream, fields, True))
        if stream.local == DONE and stream.queue is None:
            self._close(stream)
