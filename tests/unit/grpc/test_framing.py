"""Messages in the DATA of a stream, however it is cut."""

from __future__ import annotations

import random
import sys
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest

from micro_rt.backends.grpc.framing import MessageReader, frame
from micro_rt.errors import Internal, ResourceExhausted

MESSAGES = [b"", b"1", b"", b"12345", bytes(range(256)) * 20, b"", b"end"]


def taken(reader: MessageReader) -> list[bytes]:
    messages: list[bytes] = []
    while (message := reader.take()) is not None:
        messages.append(message)
    return messages


def chunks_of(reader: Any) -> Iterable[object]:
    chunks: Iterable[object] = reader._chunks
    return chunks


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 600, 1 << 14])
@pytest.mark.parametrize("late", [False, True])
def test_messages_arrive_whole_however_they_are_cut(size: int, late: bool) -> None:
    data = b"".join(map(frame, MESSAGES))
    reader = MessageReader()
    messages: list[bytes] = []
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        if not late:
            messages += taken(reader)
    messages += taken(reader)
    assert messages == MESSAGES
    assert {type(message) for message in messages} == {bytes}
    assert reader.held == 0
    reader.end()


def test_messages_arrive_whole_when_cut_and_taken_at_random() -> None:
    chance = random.Random(19)
    for _ in range(200):
        sent = [chance.randbytes(chance.choice([0, 1, 4, 5, 30, 700, 3000])) for _ in range(chance.randrange(1, 9))]
        data = b"".join(map(frame, sent))
        reader = MessageReader()
        received: list[bytes] = []
        while data:
            size = chance.choice([1, 2, 5, 9, 511, 512, 2000])
            reader.feed(data[:size])
            data = data[size:]
            if chance.random() < 0.3 and (message := reader.take()) is not None:
                received.append(message)
        assert received + taken(reader) == sent
        reader.end()


def test_messages_that_come_whole_keep_their_place_among_those_that_do_not() -> None:
    chance = random.Random(20)
    for _ in range(200):
        reader = MessageReader()
        sent: list[bytes] = []
        received: list[bytes] = []
        for _ in range(chance.randrange(1, 40)):
            messages = [chance.randbytes(chance.choice([0, 1, 30, 700])) for _ in range(chance.choice([1, 1, 1, 3]))]
            data = b"".join(map(frame, messages))
            cut = chance.choice([0, 0, 0, 0, chance.randrange(len(data))])
            for part in (data[:cut], data[cut:]):
                reader.feed(part)
                if chance.random() < 0.3 and (message := reader.take()) is not None:
                    received.append(message)
            sent += messages
            held = sum(len(message) + 5 for message in sent[len(received) :])
            assert reader.held in (held, held - 5)  # The prefix of the next one may be read.
            assert reader.missing <= 0 or not reader.ready
        assert received + taken(reader) == sent
        assert (reader.held, reader.missing) == (0, 5)
        reader.end()


def test_thousands_of_tiny_messages_take_little_more_memory_than_their_bytes() -> None:
    reader = MessageReader()
    message = frame(b"12")
    tracemalloc.start()
    try:
        for _ in range(200_000):
            reader.feed(bytes(memoryview(message)))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * 200_000 * len(message)
    assert len(taken(reader)) == 200_000


def test_what_is_ready_can_be_taken_after_a_message_that_is_refused() -> None:
    reader = MessageReader(limit=10)
    for part in (frame(b"1"), frame(b"2"), frame(bytes(11)), frame(b"3")):
        reader.feed(part)
    assert reader.refused
    assert reader.held == 12
    assert [reader.take(), reader.take()] == [b"1", b"2"]
    with pytest.raises(ResourceExhausted):
        reader.take()


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_stream_that_ends_inside_of_a_message_is_an_error(cut: int) -> None:
    reader = MessageReader()
    reader.feed(frame(b"whole") + frame(b"cut")[:-cut] if cut < 8 else frame(b"whole") + b"\0")
    assert reader.take() == b"whole"
    assert reader.take() is None
    if cut < 8:
        with pytest.raises(Internal, match="ended in the middle of a message"):
            reader.end()


@pytest.mark.parametrize("cut", [0, 1, 4, 5, 9])
@pytest.mark.parametrize("before", [[], [b"before"]])
def test_a_message_that_is_announced_as_too_large_is_refused_and_not_kept(cut: int, before: list[bytes]) -> None:
    reader = MessageReader(limit=1000)
    data = b"".join(map(frame, before)) + b"\0\xff\xff\xff\xff" + bytes(4000)
    for part in (data[:cut], data[cut:]):
        reader.feed(part)
    assert reader.refused is not bool(before)
    assert bool(reader.held) is bool(before), "kept before anybody takes it"
    assert [reader.take() for _ in before] == before
    for _ in range(2):
        with pytest.raises(ResourceExhausted, match="4294967295 bytes was announced; 1000 is the most"):
            reader.take()
    assert reader.refused
    for _ in range(100):
        reader.feed(bytes(16 << 10))
    assert reader.held == 0


def test_a_message_of_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    reader = MessageReader(limit=1000)
    reader.feed(frame(bytes(1000)))
    assert reader.take() == bytes(1000)
    reader.feed(frame(bytes(1001)))
    assert reader.refused
    assert reader.held == 0
    with pytest.raises(ResourceExhausted):
        reader.take()


@pytest.mark.parametrize("flag", [1, 2, 255])
def test_a_message_that_is_compressed_is_an_error(flag: int) -> None:
    reader = MessageReader()
    reader.feed(frame(b"before") + bytes([flag, 0, 0, 0, 1]) + b"x")
    assert reader.take() == b"before"
    with pytest.raises(Internal, match="no compression was agreed on"):
        reader.take()


def test_tiny_chunks_take_little_more_memory_than_their_bytes() -> None:
    reader = MessageReader()
    message = bytes(60_000)
    data = frame(message)
    for start in range(0, len(data), 2):
        reader.feed(data[start : start + 2])
    assert sum(map(sys.getsizeof, chunks_of(reader))) < 2 * len(data)
    assert reader.take() == message


def test_a_large_message_is_kept_as_its_chunks() -> None:
    reader = MessageReader()
    data = frame(bytes((1 << 20) - 5))
    chunks = [data[start : start + (16 << 10)] for start in range(0, len(data), 16 << 10)]
    for chunk in chunks:
        reader.feed(chunk)
    assert list(map(id, chunks_of(reader))) == list(map(id, chunks[1:]))
    assert reader.take() == data[5:]


def test_what_was_dropped_is_gone() -> None:
    reader = MessageReader()
    reader.feed(frame(b"1") + frame(b"2")[:6])
    reader.clear()
    assert reader.take() is None
    reader.feed(frame(b"3"))
    assert reader.take() == b"3"
