"""What arrives for the connection itself, and the frames that only steer a stream (RFC 9113, sections 6.3 to 6.9).

Rules kept here:

- Our settings do not change. Larger values than the initial ones hold at once, smaller ones from the acknowledgment
  (section 6.5.3): until then, the peer may not know them.
- The peer's settings hold when their frame has come. A change of SETTINGS_INITIAL_WINDOW_SIZE changes the windows of
  all streams, which may become negative (section 6.9.2).
- No window exceeds ``MAX_WINDOW`` (section 6.9.1).
- WINDOW_UPDATE and RST_STREAM are ignored for a stream that is closed, and an error for one that is idle (section 5.1).
- Frames of unknown types, PRIORITY, and unknown settings are ignored (sections 5.3, 5.5 and 6.5.2). PUSH_PROMISE is
  refused (section 8.4): a client says so in its settings, and a server takes none from a client.
- A connection ends gently in two steps (section 6.8): GOAWAY with the highest number that there is, and when a PING
  has come back, so that the peer knows, GOAWAY with the last stream that we have taken. Later streams are ignored.
- The last stream of GOAWAY does not rise (section 6.8).
"""

from __future__ import annotations

from typing import Final

from micro_rt.http2.blocks import Decoder, Encoder
from micro_rt.http2.errors import ErrorCode, FatalError, StreamError
from micro_rt.http2.events import DEBUG_BYTES, GoAway
from micro_rt.http2.frames import (
    ACK,
    CONTINUATION,
    GOAWAY,
    MAX_STREAM_ID,
    MAX_WINDOW,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    check_shape,
    frame,
    goaway,
    uint32,
)
from micro_rt.http2.limits import Limits
from micro_rt.http2.receiving import RESET_BY_PEER, Receiver
from micro_rt.http2.settings import (
    DEFAULT_TABLE,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    MAX_CONCURRENT_STREAMS,
    MAX_FRAME_SIZE,
    MAX_HEADER_LIST_SIZE,
    read_settings,
)
from micro_rt.http2.streams import HEAD

__all__ = ["Control"]

_DRAIN_PING: Final = b"\0drain\0\0"
"""The PING that comes back when the peer has read the first GOAWAY."""

# How far we are with GOAWAY
_OPEN: Final = 0
_DRAINING: Final = 1
"""The first one has been sent."""
_CLOSED: Final = 2
"""The last one has been sent."""


class Control(Receiver):
    """The part of a connection that takes all frames but HEADERS and DATA."""

    __slots__ = (
        "_farewell",
        "_last_allowed",
        "_own_pings",
        "_peers_last",
        "acknowledged",
        "closing",
        "ended",
        "established",
        "window_updates",
    )

    def __init__(self, encoder: Encoder, decoder: Decoder, limits: Limits) -> None:
        super().__init__(encoder, decoder, limits)
        self.established = False
        """Whether the peer's first SETTINGS frame has come."""
        self.acknowledged = False
        """Whether the peer has acknowledged our settings."""
        self.closing = False
        """Whether no further stream is opened, because of GOAWAY of either side."""
        self.ended = False
        """Whether the connection has ended: only ``data_to_send`` has something to give still."""
        self.window_updates = 0
        """WINDOW_UPDATE frames that have come: they show that the peer takes what we send, and there is no event for them."""
        self._own_pings = 0
        """PING frames that have not come back."""
        self._farewell = _OPEN
        self._last_allowed = MAX_STREAM_ID
        """The last stream of the GOAWAY that we have sent."""
        self._peers_last = MAX_STREAM_ID
        """The last stream of the GOAWAY that the peer has sent."""
        decoder.max_table_size = max(limits.header_table, DEFAULT_TABLE)

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen on the connection: its transport can be closed."""
        return self.ended or (self.closing and not self.streams and self._farewell != _DRAINING)

    def close(self, code: int = ErrorCode.NO_ERROR, debug: bytes = b"") -> None:
        """Sends GOAWAY: the peer's streams so far go on, later ones are ignored (section 6.8). Again: does nothing.

        Args:
            code: why.
            debug: for the peer's log.
        """
        if not self.ended and self._farewell < _CLOSED:
            self.closing = True
            self._farewell = _CLOSED
            self._last_allowed = self._highest
            self._out.append(goaway(self._highest, code, debug))

    def drain(self) -> None:
        """Ends the connection gently, in two steps; ``close`` takes the second one at once, if the peer is too slow."""
        if not self.ended and self._farewell < _DRAINING:
            self.closing = True
            self._farewell = _DRAINING
            self._out += (goaway(MAX_STREAM_ID, ErrorCode.NO_ERROR), frame(PING, 0, 0, _DRAIN_PING))
            self._own_pings += 1

    def ping(self, payload: bytes) -> None:
        """Sends a PING (section 6.7); ``"pong"`` tells when it comes back.

        Args:
            payload: eight bytes.

        Raises:
            ValueError: it has another length.
        """
        if len(payload) != 8:
            raise ValueError(f"a ping has 8 bytes, not {len(payload)}")
        if not self.ended:
            self._out.append(frame(PING, 0, 0, payload))
            self._own_pings += 1

    # For the connection

    def _on_control(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        """Takes a frame of any type but DATA, HEADERS and WINDOW_UPDATE; of that, one of a wrong length."""
        check_shape(kind, stream_id, len(payload))
        if kind == RST_STREAM:
            self._on_rst_stream(stream_id, payload)
        elif kind == PING:
            self._on_ping(flags, payload)
        elif kind == SETTINGS:
            self._on_settings(flags, payload)
        elif kind == GOAWAY:
            self._on_goaway(payload)
        elif kind == PRIORITY:
            self._on_priority(stream_id, payload)
        elif kind == CONTINUATION:
            if self._block is None:
                raise FatalError(ErrorCode.PROTOCOL_ERROR, "CONTINUATION without HEADERS")
            self._on_continuation(flags, payload)
        elif kind == PUSH_PROMISE:
            raise FatalError(ErrorCode.PROTOCOL_ERROR, "a push, which nobody allows")
        else:
            self._count("ignored")

    def _on_window_update(self, stream_id: int, increment: int) -> None:
        """Takes a WINDOW_UPDATE frame (section 6.9)."""
        self.window_updates += 1
        self._count("window_updates")
        if not stream_id:
            if not increment:
                raise FatalError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            self._window += increment
            if self._window > MAX_WINDOW:
                raise FatalError(ErrorCode.FLOW_CONTROL_ERROR, "the window of the connection is too large")
        else:
            stream = self.streams.get(stream_id)
            if stream is None:
                if self._idle(stream_id):
                    raise FatalError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE for a stream that is idle")
                return
            if not increment:
                raise StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            stream.credit += increment
            if self._initial + stream.credit > MAX_WINDOW:
                raise StreamError(stream_id, ErrorCode.FLOW_CONTROL_ERROR, "the window of the stream is too large")
            self._window_opened(stream)
        if self._turns:
            self._take_turns()

    def _on_rst_stream(self, stream_id: int, payload: bytes) -> None:
        """Takes a RST_STREAM frame (section 6.4)."""
        stream = self.streams.get(stream_id)
        if stream is None:
            if self._idle(stream_id):
                raise FatalError(ErrorCode.PROTOCOL_ERROR, "RST_STREAM for a stream that is idle")
            self._count("ignored")
            return
        unanswered = stream.local == HEAD
        self._abandon(stream, by_us=RESET_BY_PEER)
        code = int.from_bytes(payload, "big")
        self._events.append(("reset", stream, StreamError(stream_id, code, "reset by the peer"), True))
        if unanswered:
            self._count("resets")

    def _on_ping(self, flags: int, payload: bytes) -> None:
        """Takes a PING frame (section 6.7)."""
        if not flags & ACK:
            self._count("pings")
            self._out.append(frame(PING, ACK, 0, payload))
            self._events.append(("ping", None, payload, False))
        elif not self._own_pings:
            self._count("ignored")
        else:
            self._own_pings -= 1
            if payload == _DRAIN_PING and self._farewell == _DRAINING:
                self.close()
            else:
                self._events.append(("pong", None, payload, False))

    def _on_settings(self, flags: int, payload: bytes) -> None:
        """Takes a SETTINGS frame (section 6.5)."""
        if flags & ACK:
            if payload:
                raise FatalError(ErrorCode.FRAME_SIZE_ERROR, "an acknowledgment of SETTINGS that is not empty")
            if self.acknowledged:
                self._count("ignored")
            else:
                self.acknowledged = True
                self._settings_acknowledged()
            return
        self._count("settings")
        pairs = read_settings(payload)
        values = dict(pairs)
        self._check_settings(values)
        peer = self.peer = self.peer.updated(values)
        self._out.append(frame(SETTINGS, ACK, 0))
        if HEADER_TABLE_SIZE in values:
            # The smallest one counts, too, since it clears the table (RFC 7541, section 4.2).
            sizes = [min(value, self.limits.header_table) for setting, value in pairs if setting == HEADER_TABLE_SIZE]
            for size in dict.fromkeys((min(sizes), sizes[-1])):
                self._encoder.max_table_size = size
        self._largest = peer.frame
        self._initial = peer.window
        if INITIAL_WINDOW_SIZE in values:
            for stream in list(self.streams.values()):
                if self._initial + stream.credit > MAX_WINDOW:
                    raise FatalError(ErrorCode.FLOW_CONTROL_ERROR, "SETTINGS make the window of a stream too large")
                self._window_opened(stream)
        if self.established:
            self._events.append(("settings", None, peer, False))
        else:
            self.established = True
            self._strict = False
            self._events.append(("established", None, peer, False))
        self._take_turns()

    def _on_goaway(self, payload: bytes) -> None:
        """Takes a GOAWAY frame (section 6.8)."""
        self._count("ignored")
        last = uint32(payload)
        if last > self._peers_last:
            raise FatalError(ErrorCode.PROTOCOL_ERROR, "GOAWAY with a higher stream than before")
        self._peers_last = last
        self.closing = True
        code = int.from_bytes(payload[4:8], "big")
        self._events.append(("goaway", None, GoAway(last, code, payload[8 : 8 + DEBUG_BYTES]), False))
        self._not_processed(last)

    def _on_priority(self, stream_id: int, payload: bytes) -> None:
        """Ignores a PRIORITY frame (section 6.3), unless it makes a stream depend on itself."""
        self._count("priorities")
        if uint32(payload) == stream_id:
            raise StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    # For both sides

    def _own_settings(self) -> dict[int, int]:
        """Returns our settings, but for those that have the initial value."""
        limits = self.limits
        return {
            HEADER_TABLE_SIZE: limits.header_table,
            MAX_CONCURRENT_STREAMS: limits.streams,
            INITIAL_WINDOW_SIZE: limits.stream_window,
            MAX_FRAME_SIZE: limits.frame,
            MAX_HEADER_LIST_SIZE: limits.header_list,
        }

    def _check_settings(self, values: dict[int, int]) -> None:
        """Checks what only one side may say."""

    def _not_processed(self, last: int) -> None:
        """Ends the streams that the peer will not process."""

    def _settings_acknowledged(self) -> None:
        """Begins to insist on settings that are smaller than the initial ones."""
        self._decoder.max_table_size = self.limits.header_table
        change = self.limits.stream_window - self._stream_room
        if change:
            self._stream_room += change
            for stream in self.streams.values():
                stream.window += change
