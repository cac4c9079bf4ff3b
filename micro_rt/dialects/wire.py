"""Protobuf's wire format, one value at a time: what unrolled encoders and decoders call for all but the common case.

The common case is in the generated code itself: a number below 4,096 is looked up, one below 128 is a byte. The
functions here do the rest, and all that a careful decoder must refuse. Reading functions take the buffer and a
position, and return a value and the next position.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from struct import Struct, calcsize, pack, unpack_from
from struct import error as StructError  # noqa: N812

__all__ = [
    "LIMIT",
    "SMALL",
    "DecodeError",
    "StructError",
    "boolean",
    "float32",
    "int32",
    "int64",
    "negative_zero",
    "pack_bools",
    "pack_double",
    "pack_fixed32",
    "pack_fixed64",
    "pack_many",
    "pack_sfixed32",
    "pack_sfixed64",
    "read_varint",
    "signed32",
    "signed64",
    "sint32",
    "sint64",
    "skip",
    "tag",
    "uint32",
    "uint64",
    "unpack_double",
    "unpack_fixed32",
    "unpack_fixed64",
    "unpack_float",
    "unpack_many",
    "unpack_sfixed32",
    "unpack_sfixed64",
    "unzigzag32",
    "unzigzag64",
    "varint",
]


class DecodeError(ValueError):
    """Bytes, or JSON, that are no message of the type they are read as."""


LIMIT = 100
"""How deep messages may be nested in each other, as in every other runtime of protobuf."""

SMALL = tuple(
    bytes((number,)) if number < 0x80 else bytes((number & 0x7F | 0x80, number >> 7)) for number in range(4096)
)
"""The varints below 4,096."""

pack_double = Struct("<d").pack
pack_fixed32 = Struct("<I").pack
pack_fixed64 = Struct("<Q").pack
pack_sfixed32 = Struct("<i").pack
pack_sfixed64 = Struct("<q").pack
unpack_double = Struct("<d").unpack_from
unpack_fixed32 = Struct("<I").unpack_from
unpack_fixed64 = Struct("<Q").unpack_from
unpack_float = Struct("<f").unpack_from
unpack_sfixed32 = Struct("<i").unpack_from
unpack_sfixed64 = Struct("<q").unpack_from


def varint(value: int) -> bytes:
    r"""Encodes a number that is not negative.

    >>> varint(300)
    b'\xac\x02'
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def int32(value: int) -> bytes:
    """Encodes an ``int32`` or the number of an enum."""
    if not -0x80000000 <= value <= 0x7FFFFFFF:
        raise ValueError(f"{value} is out of the range of int32")
    return varint(value & 0xFFFFFFFFFFFFFFFF)


def int64(value: int) -> bytes:
    """Encodes an ``int64``."""
    if not -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        raise ValueError(f"{value} is out of the range of int64")
    return varint(value & 0xFFFFFFFFFFFFFFFF)


def uint32(value: int) -> bytes:
    """Encodes a ``uint32``."""
    if not 0 <= value <= 0xFFFFFFFF:
        raise ValueError(f"{value} is out of the range of uint32")
    return varint(value)


def uint64(value: int) -> bytes:
    """Encodes a ``uint64``."""
    if not 0 <= value <= 0xFFFFFFFFFFFFFFFF:
        raise ValueError(f"{value} is out of the range of uint64")
    return varint(value)


def sint32(value: int) -> bytes:
    """Encodes a ``sint32``."""
    if not -0x80000000 <= value <= 0x7FFFFFFF:
        raise ValueError(f"{value} is out of the range of sint32")
    return varint(value << 1 if value >= 0 else ~(value << 1))


def sint64(value: int) -> bytes:
    """Encodes a ``sint64``."""
    if not -0x8000000000000000 <= value <= 0x7FFFFFFFFFFFFFFF:
        raise ValueError(f"{value} is out of the range of sint64")
    return varint(value << 1 if value >= 0 else ~(value << 1))


def boolean(value: int) -> int:
    """Returns 1 or 0 for a value of a ``bool`` field.

    Raises:
        TypeError: the value is neither a bool nor an integer.
    """
    return 1 if value | 0 else 0


def float32(value: float) -> bytes:
    """Encodes a ``float``; what is too large for it becomes infinity."""
    try:
        return _pack_float(value)
    except OverflowError:
        return _pack_float(_INFINITY if value > 0 else -_INFINITY)


def pack_bools(values: Sequence[int]) -> bytes:
    """Encodes a packed list of bools.

    Raises:
        TypeError: a value is neither a bool nor an integer.
    """
    with suppress(TypeError, ValueError):
        packed = bytes([*values])
        if not packed.strip(b"\x00\x01"):
            return packed
    return bytes(map(boolean, values))


def pack_many(code: str, values: Sequence[float]) -> bytes:
    """Encodes a packed list of numbers of a fixed size.

    Args:
        code: the type, as ``struct`` calls it.
        values: the numbers.
    """
    try:
        return pack(f"<{len(values)}{code}", *values)
    except OverflowError:
        return b"".join(map(float32, values))


def unpack_many(code: str, data: bytes, position: int, end: int) -> tuple[float, ...]:
    """Reads a packed list of numbers of a fixed size."""
    size = calcsize(code)
    count, rest = divmod(end - position, size)
    if rest:
        raise DecodeError("a number is longer than its list")
    return unpack_from(f"<{count}{code}", data, position)


def negative_zero(value: float) -> bool:
    """Returns whether a number that is zero is the negative one, which is not the default."""
    return value.__class__ is float and pack_double(value)[7] == 0x80


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Reads a varint, of which 64 bits count."""
    byte = data[position]
    if byte < 0x80:
        return byte, position + 1
    result = byte & 0x7F
    byte = data[position + 1]
    if byte < 0x80:
        return result | byte << 7, position + 2
    result |= (byte & 0x7F) << 7
    byte = data[position + 2]
    if byte < 0x80:
        return result | byte << 14, position + 3
    result |= (byte & 0x7F) << 14
    position += 3
    shift = 21
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
        shift += 7
        if shift > 63:
            raise DecodeError("a varint is longer than ten bytes")


def tag(data: bytes, position: int) -> tuple[int, int]:
    """Reads the tag of a field."""
    result, position = read_varint(data, position)
    if result > 0xFFFFFFFF:
        raise DecodeError("a tag is longer than 32 bits")
    return result, position


def signed32(value: int) -> int:
    """Makes an ``int32`` of a varint: its lower 32 bits count."""
    value &= 0xFFFFFFFF
    return value - 0x100000000 if value & 0x80000000 else value


def signed64(value: int) -> int:
    """Makes an ``int64`` of a varint."""
    return value - 0x10000000000000000 if value & 0x8000000000000000 else value


def unzigzag32(value: int) -> int:
    """Makes a ``sint32`` of a varint."""
    value &= 0xFFFFFFFF
    return value >> 1 ^ -(value & 1)


def unzigzag64(value: int) -> int:
    """Makes a ``sint64`` of a varint."""
    return value >> 1 ^ -(value & 1)


def skip(data: bytes, position: int, tag: int, end: int, depth: int) -> int:
    """Returns where a field that nobody knows ends.

    Args:
        data: the buffer.
        position: behind the field's tag.
        tag: the field's tag.
        end: of the message that the field is in.
        depth: how deep that message is nested.
    """
    if tag < 8:
        raise DecodeError("a field has the number 0")
    kind = tag & 7
    if kind == 0:
        _, position = read_varint(data, position)
    elif kind == 1:
        position += 8
    elif kind == 2:
        length, position = read_varint(data, position)
        position += length
    elif kind == 3:
        position = _skip_group(data, position, tag, end, depth + 1)
    elif kind == 5:
        position += 4
    else:
        raise DecodeError(f"a field has the wire type {kind}, which is none or ends what did not begin")
    if position > end:
        raise DecodeError("a field is longer than its message")
    return position


_pack_float = Struct("<f").pack
_INFINITY = float("inf")


def _skip_group(data: bytes, position: int, start: int, end: int, depth: int) -> int:
    if depth > LIMIT:
        raise DecodeError(f"messages are nested deeper than {LIMIT}")
    while position < end:
        inner, position = read_varint(data, position)
        if inner == start + 1:
            return position
        position = skip(data, position, inner, end, depth)
    raise DecodeError("a group does not end")
