"""Batches of records as bytes, with whatever faults a test wants, and a Produce request that sends them as they are."""

from __future__ import annotations

import asyncio
import gzip
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiokafka.record.util import calc_crc32c

__all__ = ["RawRecord", "Refused", "batch_of", "produce", "varint"]


def varint(number: int) -> bytes:
    """A number as Kafka's records have them: zigzag, seven bits a byte."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _sized(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


@dataclass
class RawRecord:
    """One record; ``body`` replaces all that follows its offset, ``length`` what it says of its length."""

    value: bytes | None = b"value"
    key: bytes | None = b"key"
    headers: Sequence[tuple[bytes, bytes | None]] = ()
    header_count: int | None = None
    body: bytes | None = None
    length: int | None = None

    def encode(self, number: int) -> bytes:
        body = self.body
        if body is None:
            count = len(self.headers) if self.header_count is None else self.header_count
            body = _sized(self.key) + _sized(self.value) + varint(count)
            body += b"".join(_sized(name) + _sized(value) for name, value in self.headers)
        body = b"\0" + varint(0) + varint(number) + body
        return varint(len(body) if self.length is None else self.length) + body


def batch_of(
    records: Sequence[RawRecord],
    *,
    compress: bool = False,
    codec: int | None = None,
    payload: bytes | None = None,
    count: int | None = None,
    last_delta: int | None = None,
    length: int = 0,
    attributes: int = 0,
    timestamp: int | None = None,
    crc: int | None = None,
    magic: int = 2,
    producer: tuple[int, int, int] = (-1, -1, -1),
) -> bytes:
    """Returns a batch.

    Args:
        records: what is in it.
        compress: with gzip.
        codec: what it says of its compression.
        payload: replaces the records.
        count: what it says of the number of records.
        last_delta: what it says of the last record's offset.
        length: is added to what it says of its length.
        attributes: more of them.
        timestamp: milliseconds; the present, if not given.
        crc: replaces the right one.
        magic: the version of its format.
        producer: id, epoch and sequence.
    """
    data = b"".join(record.encode(number) for number, record in enumerate(records))
    if compress:
        data = gzip.compress(data)
    if payload is not None:
        data = payload
    stamp = round(time.time() * 1000) if timestamp is None else timestamp
    total = len(records)
    tail = struct.pack(
        ">hiqqqhii",
        (int(compress) if codec is None else codec) | attributes,
        total - 1 if last_delta is None else last_delta,
        stamp,
        stamp,
        *producer,
        total if count is None else count,
    )
    tail += data
    check = calc_crc32c(tail) if crc is None else crc
    return struct.pack(">qiibI", 0, len(tail) + 9 + length, -1, magic, check) + tail


class Refused(Exception):
    """The code of the broker's answer, where it is not 0."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


async def produce(address: str, topic: str, batch: bytes, partition: int = 0, *, transaction: str | None = None) -> int:
    """Sends a batch to a broker that leads the partition; returns the offset of its first record.

    Raises:
        Refused: the broker does not take it.
    """
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        name = topic.encode()
        body = struct.pack(">hhih", 0, 7, 1, -1)  # Produce, version 7, no client id
        body += (
            struct.pack(">h", -1) if transaction is None else struct.pack(">h", len(transaction)) + transaction.encode()
        )
        body += struct.pack(">hi", -1, 10_000)  # all replicas
        body += struct.pack(">ih", 1, len(name)) + name + struct.pack(">iii", 1, partition, len(batch)) + batch
        writer.write(struct.pack(">i", len(body)) + body)
        await writer.drain()
        (size,) = struct.unpack(">i", await reader.readexactly(4))
        answer = await reader.readexactly(size)
    finally:
        writer.close()
    code, offset = struct.unpack_from(">hq", answer, 4 + 4 + 2 + len(name) + 4 + 4)
    if code:
        raise Refused(code)
    return int(offset)
