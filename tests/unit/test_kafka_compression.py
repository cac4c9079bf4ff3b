"""Bounds of compressed batches: what producers write is read, and what is too large is not decompressed."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Mapping

import aiokafka.codec
import cramjam
import pytest

from micro_rt.backends.kafka.batch import batch_at, bounded, records_of
from micro_rt.backends.kafka.compression import MOST, decompress, is_bounded, limit_of
from micro_rt.broker.base import UNREADABLE
from tests.helpers.kafka_raw import RawRecord, batch_of


def snappy(data: bytes) -> bytes:
    return bytes(cramjam.snappy.compress_raw(data))


def zstd(data: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(data, level=1))


WRITERS: Mapping[str, tuple[int, Callable[[bytes], bytes]]] = {
    "gzip": (1, gzip.compress),
    "snappy in blocks": (2, aiokafka.codec.snappy_encode),
    "snappy": (2, snappy),
    "lz4": (3, aiokafka.codec.lz4_encode),
    "zstd": (4, aiokafka.codec.zstd_encode),
    "zstd, another level": (4, zstd),
}
SIZES = (1, 5, 100, 64 << 10, 128 << 10, 300_000, 2_000_000)


@pytest.mark.parametrize("writer", WRITERS)
def test_what_producers_write_is_within_the_bound(writer: str) -> None:
    codec, encode = WRITERS[writer]
    rng = random.Random(13)
    for size in SIZES:
        for data in (bytes(size), rng.randbytes(size), (rng.randbytes(99) * (size // 99 + 1))[:size]):
            packed = bytes(encode(data))
            assert is_bounded(codec, packed), size
            assert decompress(codec, packed) == data
            if not writer.startswith("snappy"):  # Its blocks have no end that another stream could follow.
                assert decompress(codec, packed * 2) == data * 2


@pytest.mark.parametrize("writer", ["gzip", "lz4", "zstd"])
def test_what_is_too_large_is_not_decompressed(writer: str) -> None:
    codec, encode = WRITERS[writer]
    packed = bytes(encode(bytes(MOST + (1 << 20))))
    assert limit_of(len(packed)) == MOST
    half = bytes(encode(bytes(MOST // 2 + (1 << 20))))
    for data in (packed, half * 2):
        assert not is_bounded(codec, data)
        with pytest.raises(ValueError, match=f"more than {MOST} bytes"):
            decompress(codec, data)


def test_streams_of_gzip_that_are_not_next_to_each_other_are_not_bounded() -> None:
    hidden = gzip.compress(b"") + b"\0" + gzip.compress(bytes(MOST + (1 << 20)))
    assert not is_bounded(1, hidden)
    assert decompress(1, hidden) == b""


@pytest.mark.parametrize("codec", [2, 3, 4, 5, 6, 7])
def test_what_is_not_understood_is_not_bounded(codec: int) -> None:
    packed = {2: aiokafka.codec.snappy_encode, 3: aiokafka.codec.lz4_encode, 4: aiokafka.codec.zstd_encode}
    data = bytes(packed.get(codec, gzip.compress)(bytes(100)))
    for wrong in (data[:-2], data + b"\xff" * 9, b"\xff" * 20):
        assert not is_bounded(codec, wrong)
        with pytest.raises(Exception, match=r"."):
            decompress(codec, wrong)


def test_batches_before_one_that_is_too_large_stay() -> None:
    good = batch_of([RawRecord()], compress=True)
    bad = batch_of([RawRecord()] * 3, codec=4, payload=zstd(bytes(MOST + (1 << 20))))
    whole = good * 3 + good[:30]
    assert bounded(whole) is whole
    assert bounded(good * 2 + bad + good) == good * 2
    head = bounded(bad + good)
    assert len(head) == 61
    with pytest.raises(Exception, match="checksum"):
        batch_at(head, 0)
    batch = batch_at(bad, 0)
    assert batch is not None
    (record,) = records_of(batch)
    assert record.offset == 2
    assert b"more than" in (dict(record.headers)[UNREADABLE] or b"")
