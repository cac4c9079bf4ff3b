"""Every limit of a connection, in one place.

A limit is there because a peer can make us spend something: memory, which it fills, or time, which it takes from
others. The defaults are far above what a well-behaved peer needs. A peer that exceeds one of them loses a stream or
the connection; each field says which.

**Memory of one connection.** ``Limits.memory`` is the bound on what a connection keeps, in bytes: the frame that is
incomplete, the header block that is incomplete, the DATA that the caller has not acknowledged, what waits to be sent,
the header tables and the header blocks that are known, the open streams and the record of closed ones. What the caller keeps about a stream is its own.

**Floods.** Some frames cost work and bring nothing. For each kind, a limit says how many may come in one ``interval``.
Honest use of some of these frames grows with the traffic (a WINDOW_UPDATE for each DATA frame, say), so these limits
grow with it too: each stream that is opened and each DATA frame that *we* send adds ``PER_PROGRESS`` to them. An
attacker gains nothing from it: it would have to let us do what the connection is for. (Tiny frames that it makes us
send by tiny windows do not count.)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

__all__ = ["GROWING", "PER_PROGRESS", "Limits"]

PER_PROGRESS = 4
"""How many more frames of a flood are allowed for each stream that was opened and each DATA frame that was sent."""

GROWING = frozenset({"pings", "empty_frames", "window_updates", "priorities", "ignored"})
"""The limits that grow."""

KIB = 1024
MIB = 1024 * KIB
STREAM_BYTES = 600
"""What an open stream keeps here besides its DATA, in bytes, rounded up."""
CLOSED_BYTES = 200
"""What the record of a closed stream keeps, in bytes, rounded up."""


TABLE_FACTOR = 4
"""How much more the entries of an HPACK table take than the RFC reckons, as objects of Python, rounded up."""
KNOWN_BLOCKS_BYTES = 32 * KIB
"""What the decoder keeps of header blocks that it has seen, and of how they begin, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one connection, for both sides. Frozen: connections share one object.

    Raises:
        ValueError: a limit is outside the range that the protocol allows.
    """

    streams: int = 1_000
    """Streams that the peer may have open at once; SETTINGS_MAX_CONCURRENT_STREAMS (section 5.1.2). One more gets
    RST_STREAM with REFUSED_STREAM; see ``refused`` for a peer that goes on."""
    header_list: int = 16 * KIB
    """Bytes of one decoded header list, as HPACK counts them; SETTINGS_MAX_HEADER_LIST_SIZE (section 6.5.2). A larger
    one ends its stream with ENHANCE_YOUR_CALM."""
    header_block: int = 64 * KIB
    """Bytes of one header block before it is decoded, over all its frames (section 4.3); at least ``frame``. A larger
    one ends the connection: it cannot be skipped, since later blocks depend on it."""
    continuations: int = 16
    """CONTINUATION frames of one header block (section 6.10). One more ends the connection."""
    header_table: int = 4 * KIB
    """Bytes of each HPACK table: of ours, SETTINGS_HEADER_TABLE_SIZE, and at most of the peer's (section 4.3.1)."""
    frame: int = 16 * KIB
    """Bytes of the payload of a frame that the peer may send; SETTINGS_MAX_FRAME_SIZE (section 4.2), at least 16,384.
    A larger one ends the connection before its payload is read."""
    stream_window: int = 1 * MIB
    """Bytes of DATA that the peer may send on one stream before the caller acknowledges them;
    SETTINGS_INITIAL_WINDOW_SIZE (section 5.2). More ends the stream with FLOW_CONTROL_ERROR."""
    connection_window: int = 8 * MIB
    """The same for all streams together, at least 65,535. More ends the connection with FLOW_CONTROL_ERROR."""
    stream_buffer: int = 8 * MIB
    """Bytes that may wait on one stream until the peer opens its window. ``send_data`` raises ``BufferFullError`` for
    more."""
    connection_buffer: int = 32 * MIB
    """The same for all streams together."""
    closed_streams: int = 1_000
    """Streams that were reset and are remembered, so that frames still under way for them are told from errors
    (section 5.1, "closed"). Frames for older ones are answered with RST_STREAM."""
    interval: float = 1.0
    """Seconds (or ticks of whatever clock the caller has) in which the limits below count."""
    opened: int = 200_000
    """Streams that the peer may open in an interval. One more ends the connection, as do all limits below, with
    ENHANCE_YOUR_CALM."""
    refused: int = 5_000
    """Streams above ``streams`` that the peer may try to open in an interval. It may do so before it knows our
    settings."""
    resets: int = 2_000
    """Streams in an interval that the peer resets before we answer, or makes us reset by errors ("rapid reset"). The
    peer may cancel streams that have an answer as it likes: they cost it a round trip each."""
    pings: int = 5_000
    """PING frames in an interval, without acknowledgments (section 6.7). Grows with traffic: peers measure the path
    with it."""
    settings: int = 100
    """SETTINGS frames in an interval (section 6.5)."""
    empty_frames: int = 10_000
    """DATA frames in an interval without data and without END_STREAM (section 10.5). Grows with traffic."""
    window_updates: int = 20_000
    """WINDOW_UPDATE frames in an interval (section 6.9). Grows with traffic."""
    priorities: int = 5_000
    """PRIORITY frames in an interval (section 6.3), which we ignore. Grows with traffic."""
    ignored: int = 20_000
    """Frames in an interval of unknown types (section 5.5), or for closed streams, and GOAWAY. Grows with traffic."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            low, high = _RANGES.get(field.name, (0, 2**31 - 1))
            if not low <= value <= high:
                raise ValueError(f"{field.name} is from {low:,} to {high:,}, not {value!r}")
        if self.header_block < self.frame:
            raise ValueError("header_block is at least frame")

    @property
    def memory(self) -> int:
        """The bound on what one connection keeps, in bytes, without what the caller keeps about its streams."""
        incomplete = 2 * (9 + self.frame) + self.header_block
        streams = self.streams * STREAM_BYTES + self.closed_streams * CLOSED_BYTES
        headers = 2 * TABLE_FACTOR * self.header_table + KNOWN_BLOCKS_BYTES
        return incomplete + headers + self.connection_window + self.connection_buffer + streams


_RANGES: Mapping[str, tuple[float, float]] = {
    "frame": (2**14, 2**24 - 1),
    "connection_window": (65_535, 2**31 - 1),
    "header_block": (1, 2**31 - 1),
    "interval": (1e-9, 1e9),
}
