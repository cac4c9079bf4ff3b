"""The framing in which clients of a schema registry write values: a byte 0, the id of the schema, and then the message.

https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format. Before a message of protobuf
there are also the indexes of its type within the file: a number of indexes, and each of them, as zigzag varints; a 0 alone is
the first message. No message of protobuf, and no JSON, begins with a byte 0, so a framed value is never taken for a bare one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["framing_of", "reads_framed"]

_HEAD = 5
"""Bytes before the indexes: a 0, and the id."""
_DEEPEST = 32
"""Indexes of a message that lies in others, at most."""
_VARINT = 5
"""Bytes of an index, at most."""


def framing_of(data: bytes) -> str:
    """Says in which framing a value is, for a person; empty if it is in none."""
    if data[:1] != b"\0" or len(data) <= _HEAD:
        return ""
    return f"the framing of a schema registry (magic byte 0, schema id {int.from_bytes(data[1:_HEAD], 'big')})"


def reads_framed(decode: Callable[[bytes], Any], *, json: bool) -> Callable[[bytes], Any]:
    """Returns a function that reads a message in the framing of a schema registry; one without it is read as it is.

    The function raises ``ValueError`` for a framing that is damaged, and what ``decode`` raises.

    Args:
        decode: reads a message.
        json: whether what it reads is JSON, which has no indexes in front.
    """

    def read(data: bytes) -> Any:
        if data[:1] != b"\0":
            return decode(data)
        return decode(data[_HEAD if json else _end_of_indexes(data) :])

    return read


def _end_of_indexes(data: bytes) -> int:
    count, at = _varint(data, _HEAD)
    if not 0 <= count <= _DEEPEST:
        raise ValueError(f"the framing of its value is damaged: {count} message indexes")
    for _ in range(count):
        _, at = _varint(data, at)
    return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Returns a zigzag varint, and where it ends."""
    value = 0
    for index, byte in enumerate(data[at : at + _VARINT]):
        value |= (byte & 0x7F) << 7 * index
        if not byte & 0x80:
            return (value >> 1) ^ -(value & 1), at + index + 1
    raise ValueError("the framing of its value is damaged: it ends within the message indexes")
