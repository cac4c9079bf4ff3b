"""SETTINGS (RFC 9113, section 6.5): what each side tells the other about itself.

Rules kept here:

- A payload is a multiple of six bytes; an unknown setting is ignored; the last value of a setting counts.
- ``RANGES`` says which values are legal, and which error an illegal one is. All of them are errors of the connection.
- What the peer has not sent has the initial value of section 6.5.2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from struct import Struct
from types import MappingProxyType
from typing import Any, Final

from micro_rt.http2.errors import ErrorCode, FatalError

__all__ = [
    "DEFAULT_FRAME",
    "DEFAULT_TABLE",
    "DEFAULT_WINDOW",
    "ENABLE_PUSH",
    "HEADER_TABLE_SIZE",
    "INITIAL_WINDOW_SIZE",
    "MAX_CONCURRENT_STREAMS",
    "MAX_FRAME_SIZE",
    "MAX_HEADER_LIST_SIZE",
    "PeerSettings",
    "pack_settings",
    "read_settings",
]

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

DEFAULT_WINDOW: Final = 65_535
DEFAULT_FRAME: Final = 16_384
DEFAULT_TABLE: Final = 4_096
UNLIMITED: Final = 2**32 - 1

RANGES: Mapping[int, tuple[int, int, ErrorCode]] = MappingProxyType(
    {
        ENABLE_PUSH: (0, 1, ErrorCode.PROTOCOL_ERROR),
        INITIAL_WINDOW_SIZE: (0, 2**31 - 1, ErrorCode.FLOW_CONTROL_ERROR),
        MAX_FRAME_SIZE: (DEFAULT_FRAME, 2**24 - 1, ErrorCode.PROTOCOL_ERROR),
    }
)
"""The lowest and the highest value of a setting, and the error of any other (section 6.5.2)."""

_SETTING = Struct(">HI")


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """What the peer has told about itself; the defaults hold until it does (section 6.5.2)."""

    header_table: int = DEFAULT_TABLE
    """Bytes of the table that we may use for the blocks that we send."""
    push: int = 1
    """1 if a server could push, which we never do; or 0."""
    streams: int = UNLIMITED
    """Streams that we may have open at once."""
    window: int = DEFAULT_WINDOW
    """Bytes of DATA that we may send on a new stream."""
    frame: int = DEFAULT_FRAME
    """Bytes of a payload that we may send."""
    header_list: int = UNLIMITED
    """Bytes of the largest header list that the peer takes, as HPACK counts them."""

    def updated(self, values: Mapping[int, int]) -> PeerSettings:
        """Returns these settings with the changes that ``read_settings`` has read."""
        known: dict[str, Any] = {_NAMES[each]: value for each, value in values.items() if each in _NAMES}
        return replace(self, **known)


_NAMES: Mapping[int, str] = MappingProxyType(
    {
        HEADER_TABLE_SIZE: "header_table",
        ENABLE_PUSH: "push",
        MAX_CONCURRENT_STREAMS: "streams",
        INITIAL_WINDOW_SIZE: "window",
        MAX_FRAME_SIZE: "frame",
        MAX_HEADER_LIST_SIZE: "header_list",
    }
)


def pack_settings(values: Mapping[int, int]) -> bytes:
    """Returns the payload of a SETTINGS frame."""
    return b"".join([_SETTING.pack(identifier, value) for identifier, value in values.items()])


def read_settings(payload: bytes) -> list[tuple[int, int]]:
    """Reads the payload of a SETTINGS frame, with unknown settings, in its order.

    Raises:
        FatalError: its length is no multiple of six (FRAME_SIZE_ERROR), or a value is illegal.
    """
    if len(payload) % _SETTING.size:
        raise FatalError(ErrorCode.FRAME_SIZE_ERROR, f"SETTINGS of {len(payload)} bytes")
    pairs: list[tuple[int, int]] = list(_SETTING.iter_unpack(payload))
    for identifier, value in pairs:
        if identifier in RANGES:
            low, high, code = RANGES[identifier]
            if not low <= value <= high:
                raise FatalError(code, f"setting {identifier} of {value}")
    return pairs
