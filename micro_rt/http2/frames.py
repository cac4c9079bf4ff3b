"""Frames on the wire (RFC 9113, sections 4 and 6): constants, the rules that need no state, and how frames are written.

Rules kept here:

- A frame begins with nine bytes: length (24 bits), type (8), flags (8), a reserved bit and the stream (31). The
  reserved bit is ignored (section 4.1).
- ``SHAPES`` says for each type whether it belongs to a stream or to the connection, and which lengths are legal. A
  violation is an error of the connection, but for a PRIORITY frame of a wrong length (section 6.3).
- A frame of a type that is not in ``SHAPES`` is ignored (section 5.5).
- Flags that have no meaning for a type are ignored (section 4.1).
- Padding is at most as long as what is left of the frame (sections 6.1 and 6.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from struct import Struct
from types import MappingProxyType
from typing import Final, NamedTuple

from micro_rt.http2.errors import ErrorCode, FatalError, StreamError

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "GOAWAY",
    "HEADERS",
    "HEADER_BYTES",
    "MAX_STREAM_ID",
    "MAX_WINDOW",
    "PADDED",
    "PING",
    "PREFACE",
    "PRIORITY",
    "PRIORITY_BYTES",
    "PRIORITY_FLAG",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "WINDOW_UPDATE",
    "block_frames",
    "check_shape",
    "frame",
    "frame_header",
    "goaway",
    "read_header",
    "rst_stream",
    "uint32",
    "unpadded",
    "window_update",
]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client sends first (section 3.4)."""
HEADER_BYTES: Final = 9
PRIORITY_BYTES: Final = 5
MAX_WINDOW: Final = 2**31 - 1
MAX_STREAM_ID: Final = 2**31 - 1

# Types (section 6)
DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

# Flags
END_STREAM: Final = 0x01
"""On DATA and HEADERS."""
ACK: Final = 0x01
"""On SETTINGS and PING."""
END_HEADERS: Final = 0x04
"""On HEADERS and CONTINUATION."""
PADDED: Final = 0x08
"""On DATA and HEADERS."""
PRIORITY_FLAG: Final = 0x20
"""On HEADERS."""

_HEADER = Struct(">IBI")  # The length and the type share the first four bytes.
_UINT32 = Struct(">I")
_GOAWAY = Struct(">II")

frame_header = _HEADER.pack
"""Packs ``length << 8 | type``, flags and stream into the nine bytes that begin a frame."""
read_header = _HEADER.unpack_from
"""Unpacks the same three numbers from a buffer at a position; the stream has its reserved bit."""


class Shape(NamedTuple):
    """What a frame of one type looks like, whatever the state of the connection."""

    name: str
    on_stream: bool | None
    """Whether it belongs to a stream; None if it may belong to the connection as well."""
    least: int = 0
    """The fewest bytes of its payload."""
    most: int | None = None
    """The most bytes of its payload; None if only SETTINGS_MAX_FRAME_SIZE bounds them."""


SHAPES: Mapping[int, Shape] = MappingProxyType(
    {
        DATA: Shape("DATA", True),  # 6.1
        HEADERS: Shape("HEADERS", True),  # 6.2
        PRIORITY: Shape("PRIORITY", True, 5, 5),  # 6.3
        RST_STREAM: Shape("RST_STREAM", True, 4, 4),  # 6.4
        SETTINGS: Shape("SETTINGS", False),  # 6.5; a multiple of six bytes: see settings.py
        PUSH_PROMISE: Shape("PUSH_PROMISE", True, 4),  # 6.6
        PING: Shape("PING", False, 8, 8),  # 6.7
        GOAWAY: Shape("GOAWAY", False, 8),  # 6.8
        WINDOW_UPDATE: Shape("WINDOW_UPDATE", None, 4, 4),  # 6.9
        CONTINUATION: Shape("CONTINUATION", True),  # 6.10
    }
)


def check_shape(kind: int, stream_id: int, length: int) -> None:
    """Checks what ``SHAPES`` says about a frame.

    Raises:
        FatalError: the frame is on the wrong stream (PROTOCOL_ERROR), or its length is wrong (FRAME_SIZE_ERROR).
        StreamError: a PRIORITY frame has the wrong length (section 6.3).
    """
    shape = SHAPES.get(kind)
    if shape is None:
        return
    if shape.on_stream is not None and shape.on_stream != (stream_id != 0):
        where = "on stream 0" if shape.on_stream else "on a stream"
        raise FatalError(ErrorCode.PROTOCOL_ERROR, f"{shape.name} {where}")
    if length < shape.least or (shape.most is not None and length > shape.most):
        reason = f"{shape.name} of {length} bytes"
        if kind == PRIORITY:
            raise StreamError(stream_id, ErrorCode.FRAME_SIZE_ERROR, reason)
        raise FatalError(ErrorCode.FRAME_SIZE_ERROR, reason)


def unpadded(payload: bytes) -> bytes:
    """Returns the payload of a frame that has the flag PADDED, without its padding.

    Raises:
        FatalError: the padding is longer than the frame (PROTOCOL_ERROR), or its length is missing (FRAME_SIZE_ERROR).
    """
    if not payload:
        raise FatalError(ErrorCode.FRAME_SIZE_ERROR, "no length of the padding")
    end = len(payload) - payload[0]
    if end < 1:
        raise FatalError(ErrorCode.PROTOCOL_ERROR, "padding longer than its frame")
    return payload[1:end]


def uint32(payload: bytes, position: int = 0) -> int:
    """Reads 32 bits and drops the first, which is reserved wherever this is used for a stream or an increment."""
    number: int = _UINT32.unpack_from(payload, position)[0]
    return number & 0x7FFF_FFFF


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Returns one frame."""
    return frame_header(len(payload) << 8 | kind, flags, stream_id) + payload


def block_frames(stream_id: int, block: bytes, flags: int, most: int) -> list[bytes]:
    """Returns a header block as HEADERS and, if it is larger than a frame may be, CONTINUATION (section 4.3).

    Args:
        stream_id: the stream.
        block: the encoded fields.
        flags: END_STREAM or 0.
        most: the most bytes that the peer allows in a frame.
    """
    pieces = [block[start : start + most] for start in range(0, len(block), most)] or [b""]
    kinds = [HEADERS] + [CONTINUATION] * (len(pieces) - 1)
    ends = [0] * (len(pieces) - 1) + [END_HEADERS]
    first = [flags] + [0] * (len(pieces) - 1)
    return [
        frame(kind, end | flag, stream_id, piece)
        for kind, end, flag, piece in zip(kinds, ends, first, pieces, strict=True)
    ]


def window_update(stream_id: int, increment: int) -> bytes:
    """Returns a WINDOW_UPDATE frame (section 6.9); stream 0 stands for the connection."""
    return frame(WINDOW_UPDATE, 0, stream_id, _UINT32.pack(increment))


def rst_stream(stream_id: int, code: int) -> bytes:
    """Returns a RST_STREAM frame (section 6.4)."""
    return frame(RST_STREAM, 0, stream_id, _UINT32.pack(code))


def goaway(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """Returns a GOAWAY frame (section 6.8)."""
    return frame(GOAWAY, 0, 0, _GOAWAY.pack(last_stream_id, code) + debug)
