r"""Reads batches of records without trust: those that aiokafka cannot parse, and would fail at each time.

The rules that it keeps, and why:

- Kafka checks little of what a producer sends. It stores names of headers that are not UTF-8, records in compressed batches
  whose lengths are wrong, offsets that are not the records' own, and data after a compressed stream. aiokafka raises
  at such a record each time, and all records after it wait for ever.
- What can be read of such a batch is read. A name of a header that is not UTF-8 is written with escapes: ``b"\xff"`` becomes
  ``"\\xff"``.
- A record that cannot be read is returned with its bytes as its value, and with the reason in the header ``UNREADABLE``.
- The offset of a record follows from its place in the batch, whatever the record itself states. The exception is a batch from which
  compaction has removed records.
- A batch that was damaged after the broker had checked it is not passed over, nor is one whose compression cannot be read here:
  another broker may have an intact copy, and another installation may have the library.
- A batch that is larger after it is decompressed than ``compression.limit_of`` allows counts as one record that cannot be read.
- Records are parsed as they are asked for: a batch can have millions of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct, pack_into, unpack_from
from typing import Any, NamedTuple, cast

import aiokafka.record.util  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.backends.kafka.compression import DamagedError, decompress, is_bounded
from micro_rt.broker.base import UNREADABLE

__all__ = ["Batch", "RawRecord", "batch_at", "bounded", "records_of"]

KEPT = 256 << 10
"""Bytes that are kept of a record which cannot be read; few enough for a dead letter."""

_HEAD = ">qiibIhiqqqhii"
_HEAD_SIZE = 61
_LENGTH_AT = 8
_AFTER_LENGTH = 12
_ABOUT = Struct(">i4xb4xh").unpack_from
"""Reads the length, the format and the attributes of a batch, from ``_LENGTH_AT`` on."""
_CHECKED_FROM = 21
"""Where the bytes begin that the checksum covers."""
_MAGIC = 2
_CODEC, _LOG_TIME, _TRANSACTIONAL, _CONTROL = 0x07, 0x08, 0x10, 0x20
_LONGEST_VARINT = 10

_crc32c: Callable[[bytes], int] = cast("Any", aiokafka.record.util).calc_crc32c


class RawRecord(NamedTuple):
    """A record as Kafka has it."""

    offset: int
    timestamp: int
    """Milliseconds since 1970."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Batch(NamedTuple):
    """The head of a batch, and the bytes that follow it."""

    base: int
    """The offset of its first record."""
    last: int
    """The offset of its last record, even if compaction has removed that record."""
    attributes: int
    timestamp: int
    """Of the first record, in milliseconds since 1970."""
    latest: int
    """The latest timestamp of a record."""
    producer: int
    records: int
    """The number of its records, as the head states it."""
    payload: bytes

    @property
    def control(self) -> bool:
        """Whether the broker wrote it for itself, such as the end of a transaction."""
        return bool(self.attributes & _CONTROL)

    @property
    def transactional(self) -> bool:
        """Whether it is part of a transaction."""
        return bool(self.attributes & _TRANSACTIONAL)


class _WrongError(Exception):
    """What is wrong with a record."""


def batch_at(data: bytes, offset: int) -> Batch | None:
    """Returns the batch that holds an offset, or the first one after it. Returns None if ``data`` has no such batch.

    Args:
        data: as a broker answers a request for records.
        offset: of a record.

    Raises:
        DamagedError: the checksum of the batch is wrong, or its format is not known.
    """
    at = 0
    while len(data) - at >= _HEAD_SIZE:
        head = unpack_from(_HEAD, data, at)
        base, length, _, magic, crc, attributes, last, timestamp, latest, producer, _, _, count = head
        end = at + _AFTER_LENGTH + length
        if length < _HEAD_SIZE - _AFTER_LENGTH or end > len(data):
            break  # A broker may cut off the last batch.
        if magic != _MAGIC:
            raise DamagedError(f"the format of its batch is {magic}, and only {_MAGIC} is known")
        if _crc32c(data[at + _CHECKED_FROM : end]) != crc:
            raise DamagedError("the checksum of its batch is wrong: the broker's copy is damaged")
        if base + last >= offset:
            payload = data[at + _HEAD_SIZE : end]
            return Batch(base, base + last, attributes, timestamp, latest, producer, count, payload)
        at = end
    return None


def bounded(data: bytes) -> bytes:
    """Returns batches up to the first one that aiokafka must not decompress, because it may be too large.

    Args:
        data: as a broker answers a request for records.

    Returns:
        The batches before that one; if it is the first, its head with a wrong checksum, at which aiokafka fails.
    """
    at, size, about = 0, len(data), _ABOUT
    while size - at >= _HEAD_SIZE:  # Some programs write each record in a batch of its own, so this is short.
        length, magic, attributes = about(data, at + _LENGTH_AT)
        end = at + _AFTER_LENGTH + length
        # A broker may cut off the last batch.
        compressed = attributes & _CODEC and magic == _MAGIC and end <= size
        if compressed and not is_bounded(attributes & _CODEC, data[at + _HEAD_SIZE : end]):
            return data[:at] or _head_alone(data)
        if end <= at:
            break
        at = end
    return data


def _head_alone(data: bytes) -> bytes:
    head = bytearray(data[:_HEAD_SIZE])
    pack_into(">i", head, _LENGTH_AT, _HEAD_SIZE - _AFTER_LENGTH)
    pack_into(">I", head, _CHECKED_FROM - 4, _crc32c(bytes(head[_CHECKED_FROM:])) ^ 1)
    return bytes(head)


def records_of(batch: Batch) -> Iterator[RawRecord]:
    """Returns the records of a batch, those that cannot be read with the header ``UNREADABLE``.

    Raises:
        DamagedError: nothing here can read its compression.
    """
    try:
        data = decompress(batch.attributes & _CODEC, batch.payload)
    except DamagedError:
        raise
    except Exception as error:
        reason = f"it cannot be decompressed: {type(error).__name__}: {error}"
        return iter([_unreadable(batch, batch.base, batch.last, batch.payload, reason)])
    return _parsed(batch, data)


def _parsed(batch: Batch, data: bytes) -> Iterator[RawRecord]:
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
            # Neither the place nor the offset of the next record is known.
            first = min(previous + 1, batch.last)
            yield _unreadable(batch, first, batch.last, data[start:], str(wrong))
            return
        body = data[at : at + length]
        at += length
        previous = offset
        try:
            yield _record(batch, offset, body)
        except _WrongError as wrong:
            yield _unreadable(batch, offset, offset, body, str(wrong))


def _record(batch: Batch, offset: int, data: bytes) -> RawRecord:
    end = len(data)
    later, at = _varint(data, 1, end)  # The first byte is for attributes, and Kafka defines none.
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
    # It has the last offset: to commit it is to commit all of them.
    return RawRecord(last, batch.latest, None, data[:KEPT], ((UNREADABLE, text.encode(errors="backslashreplace")),))


def _delta(data: bytes, at: int, end: int) -> int:
    """Returns the distance from the offset of the batch to that of a record, as the record states it."""
    _, at = _varint(data, at + 1, end)
    return _varint(data, at, end)[0]


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Reads a number, zigzag with seven bits a byte; returns it and where it ends."""
    number = shift = 0
    for at in range(at, min(end, at + _LONGEST_VARINT)):  # noqa: B020 - the new value begins where the old one is
        byte = data[at]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at + 1
        shift += 7
    raise _WrongError("it ends within a number, or has a number without end")


def _bytes(data: bytes, at: int, end: int, what: str) -> tuple[bytes | None, int]:
    """Reads bytes that follow their length; returns them and where they end. A negative length stands for None."""
    length, at = _varint(data, at, end)
    if length < 0:
        return None, at
    if length > end - at:
        raise _WrongError(f"its {what} has {length} bytes, and {end - at} follow")
    return data[at : at + length], at + length
