r"""Reads batches of records without trust: for what aiokafka cannot parse, and so could never read on from.

The rules that it keeps, and why:

- Kafka checks little of what a producer sends. It stores names of headers that are not UTF-8, records in compressed batches
  whose lengths are wrong, offsets that are not the records' own, and data behind a compressed stream. aiokafka raises
  at such a record each time, and all records behind it wait for ever.
- What can be read of such a batch is read. A name of a header that is not UTF-8 is written with escapes: ``b"\xff"`` becomes
  ``"\\xff"``.
- A record that cannot be read is returned with its bytes as its value, and with the reason in the header ``UNREADABLE``.
- The offsets of a batch are those that the broker gave it: a record has the offset of its place, whatever it says itself, unless
  records were removed from the batch since (compaction).
- What is not the producer's doing is not passed over: a batch that was damaged since the broker checked it, and one whose
  compression nothing here can read. Another broker may have it whole, and another installation may read it.
- Nothing is decompressed beyond ``MOST`` bytes, as far as the format allows to stop.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from struct import unpack_from
from typing import Any, NamedTuple, cast

import aiokafka.codec  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.record.util  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.broker.base import UNREADABLE

__all__ = ["Batch", "DamagedError", "RawRecord", "batch_at", "records_of"]

MOST = 256 << 20
"""Bytes of a batch that is decompressed."""
KEPT = 256 << 10
"""Bytes that are kept of a record which cannot be read; a dead letter must have room for them."""

_HEAD = ">qiibIhiqqqhii"
_HEAD_SIZE = 61
_AFTER_LENGTH = 12
_CHECKED_FROM = 21
"""Where begins what the checksum covers."""
_MAGIC = 2
_CODEC, _LOG_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
_LONGEST_VARINT = 10

_codecs: Any = cast("Any", aiokafka.codec)
_crc32c: Callable[[bytes], int] = cast("Any", aiokafka.record.util).calc_crc32c


class DamagedError(Exception):
    """A batch that must not be passed over, and why."""


class RawRecord(NamedTuple):
    """A record as Kafka has it."""

    offset: int
    timestamp: int
    """Milliseconds since 1970."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Batch(NamedTuple):
    """What the head of a batch says, and what follows it."""

    base: int
    """The offset of its first record."""
    last: int
    """The offset of its last record, also if that was removed."""
    attributes: int
    timestamp: int
    """Of the first record, in milliseconds since 1970."""
    latest: int
    """The latest timestamp of a record."""
    producer: int
    records: int
    """How many records it says that it has."""
    payload: bytes

    @property
    def control(self) -> bool:
        """Whether it is a broker's own, such as the end of a transaction."""
        return bool(self.attributes & _CONTROL)

    @property
    def transactional(self) -> bool:
        """Whether it is part of a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)


class _WrongError(Exception):
    """What is wrong with a record."""


def batch_at(data: bytes, offset: int) -> Batch | None:
    """Returns the batch that holds an offset, or the first one behind it; None if there is none.

    Args:
        data: as a broker answers a request for records.
        offset: of a record.

    Raises:
        DamagedError: the batch is not as the broker that accepted it checked it, or is of a format that is not known.
    """
    at = 0
    while len(data) - at >= _HEAD_SIZE:
        head = unpack_from(_HEAD, data, at)
        base, length, _, magic, crc, attributes, last, timestamp, latest, producer, _, _, count = head
        end = at + _AFTER_LENGTH + length
        if length < _HEAD_SIZE - _AFTER_LENGTH or end > len(data):
            break  # A broker may cut the last one off.
        if magic != _MAGIC:
            raise DamagedError(f"the format of its batch is {magic}, and only {_MAGIC} is known")
        if _crc32c(data[at + _CHECKED_FROM : end]) != crc:
            raise DamagedError("the checksum of its batch is wrong: the broker's copy is damaged")
        if base + last >= offset:
            payload = data[at + _HEAD_SIZE : end]
            return Batch(base, base + last, attributes, timestamp, latest, producer, count, payload)
        at = end
    return None


def records_of(batch: Batch) -> list[RawRecord]:
    """Returns the records of a batch; those that cannot be read with the header ``UNREADABLE``.

    Raises:
        DamagedError: nothing here can read its compression.
    """
    try:
        data = _decompress(batch.attributes & _CODEC, batch.payload)
    except DamagedError:
        raise
    except Exception as error:
        reason = f"it cannot be decompressed: {type(error).__name__}: {error}"
        return [_unreadable(batch, batch.base, batch.last, batch.payload, reason)]
    records: list[RawRecord] = []
    removed = batch.records != batch.last - batch.base + 1
    previous, at = batch.base - 1, 0
    for index in range(batch.records):
        start = at
        offset = batch.base + index
        try:
            length, at = _varint(data, at, len(data))
            if not 0 < length <= len(data) - at:
                raise _WrongError(f"its length is {length}, and {len(data) - at} bytes follow")
            if removed:
                offset = batch.base + _delta(data, at, at + length)
                if not previous < offset <= batch.last:
                    raise _WrongError(f"its offset would be {offset}")
        except _WrongError as wrong:
            # Where the next one begins is not known, nor which offset it has.
            first = min(previous + 1, batch.last)
            records.append(_unreadable(batch, first, batch.last, data[start:], str(wrong)))
            break
        body = data[at : at + length]
        at += length
        previous = offset
        try:
            records.append(_record(batch, offset, body))
        except _WrongError as wrong:
            records.append(_unreadable(batch, offset, offset, body, str(wrong)))
    return records


def _record(batch: Batch, offset: int, data: bytes) -> RawRecord:
    end = len(data)
    later, at = _varint(data, 1, end)  # behind attributes, of which there are none
    _, at = _varint(data, at, end)
    key, at = _bytes(data, at, end, "key")
    value, at = _bytes(data, at, end, "value")
    count, at = _varint(data, at, end)
    if not 0 <= count <= end - at:
        raise _WrongError(f"it has {count} headers")
    headers: list[tuple[str, bytes | None]] = []
    for _ in range(count):
        name, at = _bytes(data, at, end, "name of a header")
        if name is None:
            raise _WrongError("a header has no name")
        held, at = _bytes(data, at, end, "header")
        headers.append((name.decode(errors="backslashreplace"), held))
    if at != end:
        raise _WrongError(f"{end - at} bytes follow it")
    timestamp = batch.latest if batch.attributes & _LOG_TIME else batch.timestamp + later
    return RawRecord(offset, timestamp, key, value, tuple(headers))


def _unreadable(batch: Batch, first: int, last: int, data: bytes, reason: str) -> RawRecord:
    which = f"the record at offset {first}" if first == last else f"the records from offset {first} to {last}"
    text = f"{which} cannot be read: {reason}"
    if len(data) > KEPT:
        text += f"; the first {KEPT} of {len(data)} bytes are kept"
    # Whoever is done with it is done with all of them.
    return RawRecord(last, batch.latest, None, data[:KEPT], ((UNREADABLE, text.encode(errors="backslashreplace")),))


def _delta(data: bytes, at: int, end: int) -> int:
    """Returns how far the offset of a record is behind that of its batch, as the record says."""
    _, at = _varint(data, at + 1, end)
    return _varint(data, at, end)[0]


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Reads a number, zigzag with seven bits a byte; returns it and where it ends."""
    number = shift = 0
    for at in range(at, min(end, at + _LONGEST_VARINT)):  # noqa: B020 - goes on from there
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + 1
        shift += 7
    raise _WrongError("it ends within a number, or has a number without end")


def _bytes(data: bytes, at: int, end: int, what: str) -> tuple[bytes | None, int]:
    """Reads bytes with their length before them; a length below 0 is none."""
    length, at = _varint(data, at, end)
    if length < 0:
        return None, at
    if length > end - at:
        raise _WrongError(f"its {what} has {length} bytes, and {end - at} follow")
    return data[at : at + length], at + length


def _decompress(codec: int, data: bytes) -> bytes:
    if codec == 0:
        return data
    if codec == 1:
        return _gunzip(data)
    name, decode = _DECODERS.get(codec, ("", None))
    if decode is None:
        raise DamagedError(f"its compression is {codec}, which is not known")
    if not getattr(_codecs, f"has_{name}")():
        raise DamagedError(f"it is compressed with {name}, and the library for that is not installed: install cramjam")
    return decode(data)


def _gunzip(data: bytes) -> bytes:
    """Decompresses as Java does, which passes over what follows a stream and is none."""
    found: list[bytes] = []
    left = MOST
    while data[:2] == b"\x1f\x8b" or not found:
        stream = zlib.decompressobj(wbits=31)
        found.append(stream.decompress(data, left))
        left -= len(found[-1])
        if not stream.eof:
            raise ValueError(f"more than {MOST} bytes, or cut off" if stream.unconsumed_tail else "cut off")
        data = stream.unused_data
        if not left:
            break
    return b"".join(found)


_DECODERS: Mapping[int, tuple[str, Callable[[bytes], bytes] | None]] = {
    2: ("snappy", _codecs.snappy_decode),
    3: ("lz4", _codecs.lz4_decode),
    4: ("zstd", _codecs.zstd_decode),
}
