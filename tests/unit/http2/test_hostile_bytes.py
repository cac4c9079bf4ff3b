"""Whatever arrives: nothing is raised, nothing is a mistake of ours, and what is kept stays within the limits."""

from __future__ import annotations

# pyright: reportPrivateUsage=false
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from micro_rt.http2.connection import Connection
from micro_rt.http2.errors import BufferFullError, ErrorCode
from micro_rt.http2.frames import PREFACE
from tests.helpers.sizes import Size
from tests.unit.http2.peers import GET, OK, POST, Block, Pairs, client, frames_of, headers, raw, seen, server
from tests.unit.http2.peers import settings as settings_frame

SMALL: dict[str, Any] = {
    "streams": 3,
    "closed_streams": 4,
    "header_block": 16_384,
    "stream_window": 2_000,
    "connection_window": 65_535,
    "stream_buffer": 40_000,
    "connection_buffer": 60_000,
    "resets": 50,
}
"""Limits that hostile bytes can reach."""

PING, TRAILERS = raw(6, 0, 0, b"12345678"), headers(1, ((b"a", b"b"),), ended=True)
FRAMES = [
    *(headers(number, pairs, ended) for number in (1, 3, 5) for pairs in (GET, OK) for ended in (False, True)),
    *(raw(0, flags, number, data) for number in (0, 1, 3) for flags in (0, 1, 8) for data in (b"", b"\x02xyz\0\0")),
    *(raw(8, 0, number, size) for number in (0, 1) for size in (bytes(4), b"\0\0\1\0", b"\x7f\xff\xff\xff")),
    *(raw(3, 0, number, b"\0\0\0\x08") for number in (1, 3)),
    *(settings_frame(pair) for pair in ((1, 0), (2, 0), (3, 0), (4, 0), (4, 1), (4, 2**31 - 1), (5, 16_384), (6, 0))),
    *(raw(1, 0, 1, Block.of(GET)[:9]), raw(9, 0, 1, Block.of(GET)[9:20]), raw(9, 4, 1, Block.of(GET)[20:])),
    *(PING, TRAILERS, raw(4, 1), raw(6, 1, 0, bytes(8)), raw(7, 0, 0, bytes(8)), raw(5, 4, 1, bytes(4)), raw(0xBE)),
    *(raw(2, 0, 3, b"\0\0\0\1x"), raw(1, 0x2D, 3, b"\1\0\0\0\x07x" + Block.of(POST) + b"\0")),
]

Mutation = tuple[int, int, bytes]
"""A place, how many bytes are taken there, and what is put there."""

CONVERSATIONS = st.lists(st.sampled_from(FRAMES), max_size=30)
MUTATIONS = st.lists(st.tuples(st.integers(0, 2_000), st.integers(0, 12), st.binary(max_size=12)), max_size=4)
CUTS = st.lists(st.integers(1, 200), min_size=1, max_size=4)


def mutated(data: bytes, mutations: list[Mutation]) -> bytes:
    for place, size, piece in mutations:
        place %= len(data) + 1
        data = data[:place] + piece + data[place + size :]
    return data


def check_what_is_kept(connection: Connection) -> None:
    limits = connection.limits
    assert len(connection.streams) <= max(limits.streams, 3)
    assert len(connection._closed) <= limits.closed_streams
    assert len(connection._rest) <= 9 + limits.frame
    assert connection._block is None or len(connection._block) <= limits.header_block
    queues = {number: stream.queue for number, stream in connection.streams.items() if stream.queue is not None}
    assert all(0 < len(queue) <= limits.stream_buffer for queue in queues.values())
    assert sum(map(len, queues.values())) == connection.waiting <= limits.connection_buffer
    assert set(connection._turns) <= set(queues)
    assert not connection._turns or connection._window <= 0
    assert all(not stream.closed for stream in connection.streams.values())
    assert len(connection._counts) < 12
    held = sum(connection._stream_room - stream.window - stream.taken for stream in connection.streams.values())
    if not isinstance(connection, type(client())):  # A client may have more from streams that have ended.
        assert held == limits.connection_window - connection._room - connection._taken


def torment(connection: Connection, data: bytes, cuts: list[int]) -> None:
    """Feeds bytes, and answers what comes as a busy caller does."""
    position = turn = 0
    ended = 0
    while position < len(data):
        size = cuts[turn % len(cuts)]
        piece = data[position : position + size]
        position += size
        turn += 1
        for kind, stream, value, _ in seen(connection, piece):
            assert not ended
            if kind == "ended":
                ended += 1
                assert value.code != ErrorCode.INTERNAL_ERROR, value.__cause__
            elif kind == "request":
                connection.send_headers(stream, OK)
                if turn % 2:
                    with contextlib.suppress(BufferFullError):
                        connection.send_data(stream, b"x" * 30_000)
                if turn % 5 == 0:
                    connection.reset(stream)
            elif kind == "data" and turn % 3:
                connection.acknowledge(stream, len(value))
        assert connection.ended == bool(ended)
        if not ended:
            check_what_is_kept(connection)
        assert len(connection.data_to_send()) <= 66_000 + 31_000 * len(piece) // 10
    connection.lost()
    assert not connection.streams
    assert not connection._closed
    assert not connection._turns
    assert connection.waiting == 0


@pytest.mark.verify("calls")
@pytest.mark.parametrize("side", ["server", "client"])
def test_hostile_bytes_neither_raise_nor_fill_memory(side: str, size: Size) -> None:
    def hostile(frames: list[bytes], mutations: list[Mutation], cuts: list[int]) -> None:
        if side == "server":
            connection: Connection = server(**SMALL)
        else:
            connection = client(**SMALL)
            for _ in range(3):
                connection.request(GET, ended=True)
            connection.data_to_send()
        torment(connection, mutated(b"".join(frames), mutations), cuts)

    check: Callable[[], None] = settings(
        max_examples=size(100_000, ci=300), deadline=None, derandomize=not size.full, database=None
    )(given(CONVERSATIONS, MUTATIONS, CUTS)(hostile))
    check()


@pytest.mark.verify("calls")
def test_any_bytes_at_all_are_survived(size: Size) -> None:
    @settings(max_examples=size(50_000, ci=100), deadline=None, derandomize=not size.full, database=None)
    @given(st.binary(max_size=300), CUTS)
    @example(b"\0\0\0\x04", [1])
    def check(data: bytes, cuts: list[int]) -> None:
        torment(server(established=False), data, cuts)
        torment(server(established=False), PREFACE + data, cuts)
        torment(client(established=False), data, cuts)
        torment(server(), data, cuts)

    check()


@pytest.mark.verify("calls")
def test_how_bytes_are_cut_makes_no_difference(size: Size) -> None:
    def log(data: bytes, cuts: list[int]) -> tuple[list[str], bytes]:
        connection = server(established=False, **SMALL)
        told: list[str] = []
        sent = b""
        position = turn = 0
        while position < len(data):
            step = cuts[turn % len(cuts)]
            told += [
                repr((kind, value if kind == "data" else 0, ended))
                for kind, _, value, ended in seen(connection, data[position : position + step])
            ]
            sent += connection.data_to_send()
            position += step
            turn += 1
        return told, sent

    @settings(max_examples=size(20_000, ci=150), deadline=None, derandomize=not size.full, database=None)
    @given(CONVERSATIONS, MUTATIONS, CUTS)
    def check(frames: list[bytes], mutations: list[Mutation], cuts: list[int]) -> None:
        data = PREFACE + settings_frame() + mutated(b"".join(frames), mutations)
        assert log(data, cuts) == log(data, [len(data)])

    check()


HUGE: Pairs = ((b"x", b"y" * 4_000),)


@pytest.mark.verify("calls")
def test_a_day_of_abuse_leaves_nothing_behind(size: Size) -> None:
    """Streams by the thousand that never end, end early, or end while data waits."""
    connection = server(streams=20, closed_streams=30, resets=10**6, opened=10**6, refused=10**6, ignored=10**6)
    for number in range(1, 2 * size(200_000, ci=3_000), 2):
        seen(connection, headers(number, POST) + raw(0, 0, number, b"x" * 100))
        stream = connection.streams.get(number)
        if stream is not None:
            connection.send_headers(stream, OK)
            connection.send_data(stream, b"x" * 5_000)
        if number % 3:
            seen(connection, raw(3, 0, number, b"\0\0\0\x08"))
        elif number % 5 and stream is not None:
            connection.reset(stream)
        connection.data_to_send()
        assert not connection.ended
    check_what_is_kept(connection)
    assert len(connection.streams) == 20
    assert frames_of(connection.data_to_send()) == []
