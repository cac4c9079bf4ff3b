"""One HTTP/2 connection without I/O (RFC 9113): give it the bytes that arrive, write the bytes that it gives.

    connection = ServerConnection(encoder, decoder)
    write(connection.data_to_send())
    while data := read():
        for kind, stream, value, ended in connection.receive(data, clock()):
            ...
        write(connection.data_to_send())
    connection.lost()

Rules kept here:

- ``receive`` never raises, whatever arrives. A stream error is answered with RST_STREAM, a connection error with
  GOAWAY, and both are events (section 5.4). After a connection error, whatever arrives is dropped.
- All frames of a read are taken in one loop. The frames of a usual call have a short way through it: DATA that is not
  padded and fits the windows, HEADERS that is a whole block without padding and priority, and WINDOW_UPDATE.
  ``_on_data``, ``_on_headers`` and ``_on_control`` are the long way, with every rule.
- A frame that is larger than we allow ends the connection before its payload is read (section 4.2). An incomplete
  frame is kept until it is complete, and looked at once.
- A client begins with the preface, and both sides with SETTINGS; the peer's first SETTINGS frame means that the
  connection is established (section 3.4).
- The package reads no clock: the caller says what time it is, for the limits of ``Limits.interval``.
"""

from __future__ import annotations

from typing import ClassVar, Final

from micro_rt.http2.blocks import Decoder, Encoder
from micro_rt.http2.control import Control
from micro_rt.http2.errors import ErrorCode, FatalError, StreamError
from micro_rt.http2.events import Event
from micro_rt.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER_BYTES,
    HEADERS,
    MAX_STREAM_ID,
    PADDED,
    PRIORITY_FLAG,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    goaway,
    read_header,
    rst_stream,
    uint32,
    window_update,
)
from micro_rt.http2.limits import Limits
from micro_rt.http2.settings import DEFAULT_WINDOW, pack_settings
from micro_rt.http2.streams import BODY, DONE

__all__ = ["Connection"]

_SIMPLE: Final = END_HEADERS | PADDED | PRIORITY_FLAG
"""The flags that decide whether a HEADERS frame takes the short way."""


class Connection(Control):
    """What both sides of a connection have in common: use ``ServerConnection`` or ``ClientConnection``.

    Args:
        encoder: encodes the header blocks of this connection.
        decoder: decodes those of the peer. Its table and its list must have the sizes of the limits.
        limits: of this connection.
    """

    __slots__ = (
        "_awaited",
        "_interval_ends",
        "_needed",
        "_rest",
    )

    PREFACE: ClassVar[bytes] = b""
    """What we send before our settings."""

    def __init__(self, encoder: Encoder, decoder: Decoder, limits: Limits) -> None:
        super().__init__(encoder, decoder, limits)
        self._rest = bytearray()
        """The frame that is incomplete, and how many bytes there must be before it is worth a look."""
        self._needed = 0
        self._awaited = b""
        """What of the preface has not come."""
        self._interval_ends = float("-inf")
        self._out += (self.PREFACE, frame(SETTINGS, 0, 0, pack_settings(self._own_settings())))
        if limits.connection_window > DEFAULT_WINDOW:
            self._room = limits.connection_window
            self._out.append(window_update(0, limits.connection_window - DEFAULT_WINDOW))

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Takes bytes that have arrived. Never raises.

        Args:
            data: what one read has given; how it is cut makes no difference.
            now: the time, in the unit of ``Limits.interval``, by a clock that does not go backwards.

        Returns:
            What has happened, in the order of the frames: see events.py. Then look at ``data_to_send``.
        """
        events = self._events = []
        if self.ended:
            return events
        if now >= self._interval_ends:
            self._begin_interval(now)
        try:
            if self._awaited:
                data = self._after_preface(data)
            if self._needed:
                data = self._completed(data)
            if data:
                self._read(data)
        except FatalError as error:
            self._fail(error)
        except Exception as error:  # A mistake of ours must not take the caller's other connections with it.
            fatal = FatalError(ErrorCode.INTERNAL_ERROR, "a mistake in micro_rt.http2")
            fatal.__cause__ = error
            self._fail(fatal)
        self._events = []  # What they hold is the caller's alone.
        return events

    def lost(self, reason: str = "the transport has ended") -> list[Event]:
        """Ends the connection because nothing more will arrive.

        Args:
            reason: for a log.

        Returns:
            The events of the end; none if the connection had ended before.
        """
        events = self._events = []
        if not self.ended:
            self._end(FatalError(ErrorCode.NO_ERROR, reason), by_peer=True)
        return events

    def abort(self, code: int, reason: str) -> list[Event]:
        """Ends the connection because the caller has had enough: sends GOAWAY, and every stream ends.

        Args:
            code: of the GOAWAY.
            reason: for a log, and for the debug data of the GOAWAY.

        Returns:
            The events of the end; none if the connection had ended before.
        """
        events = self._events = []
        if not self.ended:
            self._fail(FatalError(code, reason))
        return events

    # Frames

    def _read(self, data: bytes) -> None:
        """Takes all complete frames, and keeps the rest."""
        position, end = 0, len(data)
        largest = self.limits.frame
        streams, events = self.streams, self._events
        while end - position >= HEADER_BYTES:
            head, flags, stream_id = read_header(data, position)
            size = head >> 8
            if size > largest:
                raise FatalError(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            start = position + HEADER_BYTES
            stop = start + size
            if stop > end:
                self._needed = HEADER_BYTES + size
                break
            position = stop
            kind = head & 0xFF
            stream_id &= MAX_STREAM_ID
            try:
                if self._strict:
                    self._check_order(kind, flags, stream_id)
                if kind == DATA:
                    stream = streams.get(stream_id) if flags <= END_STREAM else None
                    if (
                        stream is not None
                        and 0 < size <= stream.window
                        and size <= self._room
                        and stream.remote == BODY
                        and stream.expected < 0
                    ):
                        self._room -= size
                        stream.window -= size
                        if not flags:
                            events.append(("data", stream, data[start:stop], False))
                            continue
                        events.append(("data", stream, data[start:stop], True))
                        stream.remote = DONE
                        if stream.local == DONE and stream.queue is None:
                            self._close(stream)
                    else:
                        self._on_data(flags, stream_id, data[start:stop])
                elif kind == HEADERS:
                    if flags & _SIMPLE == END_HEADERS:
                        self._on_block(stream_id, data[start:stop], flags & END_STREAM)
                    else:
                        self._on_headers(flags, stream_id, data[start:stop])
                elif kind == WINDOW_UPDATE and size == 4:
                    self._on_window_update(stream_id, uint32(data, start))
                else:
                    self._on_control(kind, flags, stream_id, data[start:stop])
            except StreamError as error:
                self._on_stream_error(error)
        else:
            self._needed = HEADER_BYTES if position < end else 0
        if self._needed:
            self._rest += data[position:] if position else data

    def _completed(self, data: bytes) -> bytes:
        """Returns bytes with the frame that they complete; nothing, and keeps them, if they do not."""
        rest = self._rest
        if len(rest) + len(data) < self._needed:
            rest += data
            return b""
        data = b"".join((rest, data))
        rest.clear()
        self._needed = 0
        return data

    def _begin_interval(self, now: float) -> None:
        """Begins to count anew: see limits.py."""
        self._interval_ends = now + self.limits.interval
        self._counts.clear()
        self._progress = 0
        self._opened = 0

    def _after_preface(self, data: bytes) -> bytes:
        """Takes the preface of the client (section 3.4), and returns what follows it."""
        awaited = self._awaited
        size = min(len(awaited), len(data))
        if data[:size] != awaited[:size]:
            raise FatalError(ErrorCode.PROTOCOL_ERROR, "something else than the preface of HTTP/2")
        self._awaited = awaited[size:]
        return data[size:]

    def _check_order(self, kind: int, flags: int, stream_id: int) -> None:
        """Checks that SETTINGS come first, and that nothing interrupts a header block (sections 3.4 and 6.10)."""
        if not self.established:
            if kind != SETTINGS or flags & ACK:
                raise FatalError(ErrorCode.PROTOCOL_ERROR, "another frame before SETTINGS")
        elif kind != CONTINUATION or stream_id != self._block_stream:
            raise FatalError(ErrorCode.PROTOCOL_ERROR, "another frame inside a header block")

    def _on_stream_error(self, error: StreamError) -> None:
        """Ends a stream on which the peer has broken a rule (section 5.4.2)."""
        number = error.stream_id
        if self._idle(number):  # There is nothing to reset.
            raise FatalError(error.code, error.reason)
        self._out.append(rst_stream(number, error.code))
        stream = self.streams.get(number)
        if stream is None:
            self._remember(number)
            self._events.append(("refused", None, error, False))
        else:
            self._abandon(stream)
            self._events.append(("reset", stream, error, False))
        self._count("refused" if error.code == ErrorCode.REFUSED_STREAM else "resets")

    def _fail(self, error: FatalError) -> None:
        """Ends the connection because the peer has broken a rule (section 5.4.1)."""
        last = min(self._highest, self._last_allowed)  # It never rises (section 6.8).
        self._out.append(goaway(last, error.code, error.reason.encode()))
        self._end(error, by_peer=False)

    def _end(self, error: FatalError, *, by_peer: bool) -> None:
        self.ended = self.closing = True
        self._rest = bytearray()
        self._block = None
        for stream in list(self.streams.values()):
            self._drop_queue(stream)
            reason = f"the connection has ended: {error.reason}"
            fault = StreamError(stream.id, error.code, reason, of_connection=True)
            self._events.append(("reset", stream, fault, by_peer))
        self.streams.clear()
        self._turns.clear()
        self._closed.clear()
        self._events.append(("ended", None, error, by_peer))
