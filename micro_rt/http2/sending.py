"""What we send: header sections, and data within the peer's windows (RFC 9113, sections 4.3, 5.2 and 6.9).

Rules kept here:

- The caller's half of a stream follows ``streams.NEXT``, as the peer's does. Breaking it raises ``LocalError``, and
  nothing is sent. Sending on a stream that was reset, or whose connection has ended, is no mistake, since the caller
  could not know: it does nothing.
- A frame of data fits the window of its stream, the window of the connection and the peer's frame size. What does not
  fit waits in the queue of its stream.
- When the window of the connection is used up, streams take turns: one frame each (``_turns``). A stream whose own
  window is used up has no turn and costs nothing. So a stream has a turn only while the window of the connection is
  used up, and data of another stream cannot overtake it.
- Trailers wait behind the data of their stream and are encoded when they are sent: header blocks are sent in the order
  in which they are encoded (section 4.3).
- What waits is bounded: ``Limits.stream_buffer`` and ``Limits.connection_buffer``.
- Frames are joined once for each ``data_to_send``.
- The cheap path is a stream on which nothing waits, and data that fits: three comparisons, and no queue.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from micro_rt.http2.blocks import Encoder
from micro_rt.http2.errors import BufferFullError, ErrorCode, LocalError
from micro_rt.http2.events import Event
from micro_rt.http2.frames import DATA, END_HEADERS, END_STREAM, HEADERS, block_frames, frame_header, rst_stream
from micro_rt.http2.limits import Limits
from micro_rt.http2.settings import PeerSettings
from micro_rt.http2.streams import (
    DATA_INPUT,
    DONE,
    GONE,
    HEAD,
    HEADERS_INPUT,
    INTERIM_INPUT,
    NEXT,
    VIOLATIONS,
    Stream,
)

__all__ = ["Sender"]

_SUBSTANTIAL: Final = 1024
"""Bytes of a frame out of a queue that count as progress: a peer that opens its window byte by byte makes none."""


class Sender:
    """The part of a connection that sends. Its state is shared with the part that receives."""

    __slots__ = (
        "_encoder",
        "_events",
        "_initial",
        "_largest",
        "_out",
        "_progress",
        "_turns",
        "_window",
        "drained",
        "limits",
        "peer",
        "streams",
        "waiting",
    )

    def __init__(self, encoder: Encoder, limits: Limits) -> None:
        self.limits = limits
        """The limits of this connection."""
        self.peer = PeerSettings()
        """What the peer has told about itself."""
        self.streams: dict[int, Stream] = {}
        """The streams that have not ended, by number. Only for reading."""
        self.waiting = 0
        """Bytes of data that wait until the peer opens a window, over all streams."""
        self.drained: int = 0
        """DATA frames that were sent after they had waited; tiny ones do not count."""
        self._encoder = encoder
        self._out: list[bytes | bytearray | memoryview] = []
        self._events: list[Event] = []
        self._largest = self.peer.frame
        """Bytes of the largest payload that the peer takes."""
        self._window: int = self.peer.window
        """Bytes that we may send on the connection."""
        self._initial: int = self.peer.window
        """Bytes that we may send on a new stream; ``Stream.credit`` is added to it."""
        self._turns: OrderedDict[int, Stream] = OrderedDict()
        """The streams that wait only for the window of the connection, in the order of their turns."""
        self._progress: int = 0
        """Streams opened and DATA frames sent in this interval: see limits.py."""

    def data_to_send(self) -> bytes:
        """Returns what is to be written now, in one piece; empty if nothing is."""
        out = self._out
        if not out:
            return b""
        data = b"".join(out)
        out.clear()
        return data

    def send_headers(self, stream: Stream, fields: Any, ended: bool = False) -> None:
        """Sends the header section of our message; or its trailers, if that has been sent before (section 8.1).

        Args:
            stream: of this connection.
            fields: what the encoder takes. The caller answers for their legality (section 8.2).
            ended: whether nothing follows; trailers must be the end.

        Raises:
            LocalError: a header section has no place there.
        """
        state = NEXT[stream.local][HEADERS_INPUT + ended]
        if state > DONE:
            self._refuse(stream, state)
            return
        stream.local = state
        if stream.queue is not None:
            stream.trailers = fields
            return
        self._send_block(stream.id, fields, ended)
        if state == DONE and stream.remote == DONE:
            self._close(stream)

    def send_interim(self, stream: Stream, fields: Any) -> None:
        """Sends a response with a status of 1xx, before the final one (section 8.1).

        Args:
            stream: of this connection.
            fields: what the encoder takes.

        Raises:
            LocalError: the final response has been sent.
        """
        state = NEXT[stream.local][INTERIM_INPUT]
        if state > DONE:
            self._refuse(stream, state)
        else:
            self._send_block(stream.id, fields, False)

    def send_data(self, stream: Stream, data: bytes, ended: bool = False) -> int:
        """Sends data, as far as the peer's windows allow; the rest waits.

        Args:
            stream: of this connection.
            data: as many bytes as the limits allow to wait.
            ended: whether it ends our message.

        Returns:
            The bytes that wait on the stream. The event ``"sent"`` tells when none does any more.

        Raises:
            LocalError: data has no place there.
            BufferFullError: more would wait than the limits allow.
        """
        state = NEXT[stream.local][DATA_INPUT + ended]
        if state > DONE:
            self._refuse(stream, state)
            return 0
        size = len(data)
        if (
            size <= self._largest
            and size <= self._window
            and size <= self._initial + stream.credit
            and stream.queue is None
        ):
            self._window -= size
            stream.credit -= size
            self._progress += 1
            self._out += (frame_header(size << 8 | DATA, ended, stream.id), data)
            stream.local = state
            if state == DONE and stream.remote == DONE:
                self._close(stream)
            return 0
        return self._send_later(stream, data, state)

    def respond(self, stream: Stream, fields: Any, data: bytes, trailers: Any) -> int:
        """Sends a whole message: does what ``send_headers``, ``send_data`` and ``send_headers`` do, in half the time.

        Args:
            stream: of this connection, on which nothing has been sent.
            fields: the header section.
            data: all data.
            trailers: the fields that end the message.

        Returns:
            The bytes that wait on the stream.

        Raises:
            LocalError: something has been sent on the stream.
            BufferFullError: more would wait than the limits allow. The header section has been sent.
        """
        size = len(data)
        if (
            stream.local == HEAD
            and size <= self._largest
            and size <= self._window
            and size <= self._initial + stream.credit
        ):
            number, largest = stream.id, self._largest
            head, tail = self._encoder.encode(fields), self._encoder.encode(trailers)
            if len(head) <= largest and len(tail) <= largest:
                self._out += (
                    frame_header(len(head) << 8 | HEADERS, END_HEADERS, number),
                    head,
                    frame_header(size << 8 | DATA, 0, number),
                    data,
                    frame_header(len(tail) << 8 | HEADERS, END_HEADERS | END_STREAM, number),
                    tail,
                )
            else:
                self._out += block_frames(number, head, 0, largest)
                self._out += (frame_header(size << 8 | DATA, 0, number), data)
                self._out += block_frames(number, tail, END_STREAM, largest)
            self._window -= size
            stream.credit -= size
            self._progress += 1
            stream.local = DONE
            if stream.remote == DONE:
                self._close(stream)
            return 0
        self.send_headers(stream, fields)
        self.send_data(stream, data)
        self.send_headers(stream, trailers, True)
        return stream.waiting

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """Ends a stream at once, both ways (section 6.4). What waits on it is dropped. Does nothing if it has ended.

        Args:
            stream: of this connection.
            code: why.
        """
        if self.streams.get(stream.id) is stream:
            self._out.append(rst_stream(stream.id, code))
            self._abandon(stream)

    def window(self, stream: Stream) -> int:
        """Returns the bytes of data that can be sent on a stream now; what is more would wait.

        Args:
            stream: of this connection.
        """
        if stream.queue is not None:
            return 0
        return max(0, min(self._window, self._initial + stream.credit))

    # For the part that receives

    def _close(self, stream: Stream) -> None:
        """Takes a stream off the connection both of whose halves have ended."""
        raise NotImplementedError

    def _abandon(self, stream: Stream) -> None:
        """Takes a stream off the connection that has ended too early."""
        raise NotImplementedError

    def _drop_queue(self, stream: Stream) -> None:
        """Forgets what waits on a stream, and marks both halves as gone."""
        stream.local = stream.remote = GONE
        if stream.queue is not None:
            self.waiting -= len(stream.queue)
            stream.queue = stream.trailers = None
            self._turns.pop(stream.id, None)

    def _window_opened(self, stream: Stream) -> None:
        """Gives a stream a turn after its own window has grown."""
        if stream.queue is not None and self._initial + stream.credit > 0:
            self._turns[stream.id] = stream

    def _take_turns(self) -> None:
        """Sends what waits, one frame of each stream in turn, until the window of the connection is used up."""
        turns = self._turns
        while turns and self._window > 0:
            number, stream = turns.popitem(last=False)
            if self._initial + stream.credit <= 0:  # Used up, or closed by SETTINGS.
                continue
            self._send_next(stream)
            if stream.queue is None:
                self._events.append(("sent", stream, 0, stream.local == DONE))
            else:
                turns[number] = stream

    # Helpers

    def _refuse(self, stream: Stream, violation: int) -> None:
        """Answers a caller that sends what has no place there; does nothing if the stream was reset."""
        if stream.local != GONE:
            raise LocalError(f"stream {stream.id}: {VIOLATIONS[violation][1]}")

    def _send_block(self, number: int, fields: Any, ended: bool) -> None:
        block = self._encoder.encode(fields)
        size = len(block)
        flags = END_STREAM if ended else 0
        if size <= self._largest:
            self._out += (frame_header(size << 8 | HEADERS, flags | END_HEADERS, number), block)
        else:
            self._out += block_frames(number, block, flags, self._largest)

    def _send_later(self, stream: Stream, data: bytes, state: int) -> int:
        """Sends what the windows allow of data that does not fit into one frame, and queues the rest."""
        size = len(data)
        room = 0 if stream.queue is not None else max(0, min(size, self._window, self._initial + stream.credit))
        waiting = size - room
        self._check_buffers(stream, waiting)
        stream.local = state
        self.waiting += waiting
        if stream.queue is not None:
            stream.queue += data
            return len(stream.queue)
        view = memoryview(data)
        ended = state == DONE and not waiting
        for start in range(0, room or not size, self._largest):  # An empty frame needs no window.
            piece = view[start : min(start + self._largest, room)]
            last = ended and start + len(piece) == room
            self._out += (frame_header(len(piece) << 8 | DATA, last, stream.id), piece)
            self._progress += 1
        self._window -= room
        stream.credit -= room
        if waiting:
            stream.queue = bytearray(view[room:])
            self._window_opened(stream)
        elif ended and stream.remote == DONE:
            self._close(stream)
        return waiting

    def _check_buffers(self, stream: Stream | None, size: int) -> None:
        """Checks that so many more bytes may wait, on a stream that may not exist yet."""
        limits, there = self.limits, 0 if stream is None else stream.waiting
        if size > 0 and (there + size > limits.stream_buffer or self.waiting + size > limits.connection_buffer):
            raise BufferFullError(f"{there} bytes wait on the stream, and {self.waiting} on the connection")

    def _send_next(self, stream: Stream) -> None:
        """Sends the next frame of what waits on a stream whose windows are open, and what needs no window after it."""
        queue = stream.queue
        if queue is None:
            return
        size = min(len(queue), self._largest, self._window, self._initial + stream.credit)
        ended = size == len(queue) and stream.local == DONE and stream.trailers is None
        self._out += (frame_header(size << 8 | DATA, ended, stream.id), queue[:size])
        self._window -= size
        stream.credit -= size
        self.waiting -= size
        del queue[:size]
        if size >= _SUBSTANTIAL or not queue:
            self._progress += 1
            self.drained += 1
        if queue:
            return
        stream.queue = None
        if stream.trailers is not None:
            self._send_block(stream.id, stream.trailers, True)
            stream.trailers = None
        if stream.local == DONE and stream.remote == DONE:
            self._close(stream)
