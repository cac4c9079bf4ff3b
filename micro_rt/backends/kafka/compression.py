"""Decompresses batches within a bound: a few thousand bytes that a producer compressed can be gigabytes.

The rules that it keeps, and why:

- A batch may have ``MOST`` bytes, or ``RATIO`` times its compressed size if that is more. ``limit_of`` computes the limit.
- Each format says in its framing how large its data can be at most. Reading the framing costs little, and needs no memory.
- The bound of gzip is far above what its data usually has. Only for a batch that is larger than the limit by this bound, the data is
  decompressed, up to the limit, to find its size.
- A framing that is not understood gives no bound: aiokafka does not get such a batch, and it is not decompressed here either.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from struct import error as StructError  # noqa: N812 - it is an exception
from struct import unpack_from
from typing import Any, cast

import aiokafka.codec  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

__all__ = ["DamagedError", "decompress", "is_bounded", "limit_of"]

MOST = 64 << 20
"""Bytes that every batch may have after it is decompressed."""
RATIO = 64
"""How many times larger than the compressed data a batch may be in any case."""

_GZIP = 1
_GZIP_RATIO = 1032
"""The most that deflate can compress."""
_GZIP_HEAD = b"\x1f\x8b"
_XERIAL_HEAD = b"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01"
_LZ4_HEAD = 0x184D2204
_LZ4_BLOCKS: Mapping[int, int] = {4: 64 << 10, 5: 256 << 10, 6: 1 << 20, 7: 4 << 20}
_LZ4_RATIO = 255
_ZSTD_HEAD = 0xFD2FB528
_ZSTD_BLOCK = 128 << 10
_SKIPPED_HEAD = 0x184D2A50
"""What begins a frame without data; its last four bits can have any value."""

_codecs: Any = cast("Any", aiokafka.codec)


class DamagedError(Exception):
    """A batch that must not be passed over, and why."""


class _TooLargeError(ValueError):
    """The data has more bytes than the limit."""


def limit_of(size: int) -> int:
    """Returns how many bytes a batch may have after it is decompressed.

    Args:
        size: of the compressed data, in bytes.
    """
    return max(MOST, RATIO * size)


def is_bounded(codec: int, data: bytes) -> bool:
    """Returns whether data is known to have no more bytes than ``limit_of`` allows.

    Args:
        codec: the number of its compression in Kafka's protocol.
        data: the compressed data.
    """
    if codec == 0:
        return True
    limit = limit_of(len(data))
    if codec == _GZIP:
        if len(data) * _GZIP_RATIO <= limit:
            return True
        try:
            _, rest = _gunzip(data, limit)
        except (ValueError, zlib.error):
            return False
        return not rest  # Others may find more streams there.
    return _checked_bound(codec, data) <= limit


def decompress(codec: int, data: bytes) -> bytes:
    """Returns data that was compressed.

    Args:
        codec: the number of its compression in Kafka's protocol; 0 for none.
        data: the compressed data.

    Raises:
        DamagedError: nothing here can read this compression.
        Exception: the data is larger than ``limit_of`` allows, or is not what the compression writes.
    """
    if codec == 0:
        return data
    limit = limit_of(len(data))
    if codec == _GZIP:
        return _gunzip(data, limit)[0]  # Java passes over what follows the streams.
    name, decode = _DECODERS.get(codec, ("", None))
    if decode is None:
        raise DamagedError(f"its compression is {codec}, which is not known")
    if not getattr(_codecs, f"has_{name}")():
        raise DamagedError(f"it is compressed with {name}, and the library for that is not installed: install cramjam")
    bound = _checked_bound(codec, data)
    if bound > limit:
        raise ValueError(f"this is not {name}" if bound == _UNKNOWN else f"it has more than {limit} bytes")
    return decode(data)


def _gunzip(data: bytes, limit: int) -> tuple[bytes, bytes]:
    """Decompresses all streams of gzip; returns their data and what follows them."""
    found: list[bytes] = []
    left = limit
    while data[:2] == _GZIP_HEAD or not found:
        stream = zlib.decompressobj(wbits=31)
        found.append(stream.decompress(data, left + 1))
        left -= len(found[-1])
        if left < 0:
            raise _TooLargeError(f"it has more than {limit} bytes")
        if not stream.eof:
            raise ValueError("cut off")
        data = stream.unused_data
    return b"".join(found), data


def _checked_bound(codec: int, data: bytes) -> int:
    """Returns how many bytes data can have at most; ``_UNKNOWN`` if its framing is not understood."""
    bound = _BOUNDS.get(codec)
    if bound is None:
        return _UNKNOWN
    try:
        return bound(data)
    except (IndexError, StructError):  # The framing is cut off.
        return _UNKNOWN


def _bound_of_snappy(data: bytes) -> int:
    if len(data) <= len(_XERIAL_HEAD) or not data.startswith(_XERIAL_HEAD):
        return _length_of_snappy(data, 0)
    total, at = 0, len(_XERIAL_HEAD)
    while at < len(data):
        (size,) = unpack_from(">i", data, at)
        if size < 0 or size > len(data) - at - 4:
            return _UNKNOWN
        if size:
            total += _length_of_snappy(data, at + 4)
        at += 4 + size
    return total


def _length_of_snappy(data: bytes, at: int) -> int:
    """Returns the length that a block says it has, which its decoder checks: a number of at most 32 bits."""
    length = 0
    for shift in range(0, 35, 7):
        byte = data[at]
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            return length
        at += 1
    return _UNKNOWN


def _bound_of_lz4(data: bytes) -> int:
    total = at = 0
    while at < len(data):
        head, flags, sizes = unpack_from("<IBB", data, at)
        if head & ~0xF == _SKIPPED_HEAD:
            at += 8 + unpack_from("<I", data, at + 4)[0]
            continue
        most = _LZ4_BLOCKS.get(sizes >> 4 & 7)
        if head != _LZ4_HEAD or most is None:
            return _UNKNOWN
        at += 7 + (8 if flags & 0x08 else 0) + (4 if flags & 0x01 else 0)
        while size := unpack_from("<I", data, at)[0]:
            length = size & 0x7FFFFFFF
            total += length if size > length else min(most, length * _LZ4_RATIO)
            at += 4 + length + (4 if flags & 0x10 else 0)
        at += 4 + (4 if flags & 0x04 else 0)
    return total if at == len(data) else _UNKNOWN


def _bound_of_zstd(data: bytes) -> int:
    total = at = 0
    while at < len(data):
        head, flags = unpack_from("<IB", data, at)
        if head & ~0xF == _SKIPPED_HEAD:
            at += 8 + unpack_from("<I", data, at + 4)[0]
            continue
        if head != _ZSTD_HEAD:
            return _UNKNOWN
        single = flags >> 5 & 1
        at += 5 + (1 - single) + (0, 1, 2, 4)[flags & 3] + (single, 2, 4, 8)[flags >> 6]
        last = 0
        while not last:
            low, high = unpack_from("<HB", data, at)
            header = high << 16 | low
            last, kind, size = header & 1, header >> 1 & 3, header >> 3
            total += size if kind < 2 else _ZSTD_BLOCK
            at += 3 + (1 if kind == 1 else size)
        at += 4 if flags & 0x04 else 0
    return total if at == len(data) else _UNKNOWN


_UNKNOWN = 1 << 63
_BOUNDS: Mapping[int, Callable[[bytes], int]] = {2: _bound_of_snappy, 3: _bound_of_lz4, 4: _bound_of_zstd}
_DECODERS: Mapping[int, tuple[str, Callable[[bytes], bytes] | None]] = {
    2: ("snappy", _codecs.snappy_decode),
    3: ("lz4", _codecs.lz4_decode),
    4: ("zstd", _codecs.zstd_decode),
}
