"""Limits: what a peer may cost, and what becomes of one that costs more (RFC 9113, section 10.5)."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.limits import CLOSED_BYTES, GROWING, PER_PROGRESS, STREAM_BYTES, Limits
from micro_rt.http2.server import ServerConnection
from tests.unit.http2.peers import GET, OK, POST, Block, frames_of, headers, raw, seen, server, settings

CANCEL = b"\0\0\0\x08"
BLOCK = Block.of(GET)


def stream_reset(number: int) -> bytes:
    return headers(2 * number + 1, GET, ended=True) + raw(3, 0, 2 * number + 1, CANCEL)


FLOODS: dict[str, Callable[[int], bytes]] = {
    "opened": lambda number: headers(2 * number + 1, GET, ended=True) + raw(3, 0, 2 * number + 1, CANCEL),
    "refused": lambda number: headers(2 * number + 3, GET, ended=True),
    "resets": stream_reset,
    "pings": lambda number: raw(6, 0, 0, bytes(8)),
    "settings": lambda number: settings((3, number)),
    "empty_frames": lambda number: raw(0, 0, 1),
    "window_updates": lambda number: raw(8, 0, 0, b"\0\0\0\x01"),
    "priorities": lambda number: raw(2, 0, 3, b"\0\0\0\x01x"),
    "ignored": lambda number: raw(0xBE, 0, 0),
}


def flooded(limit: int, what: str) -> ServerConnection:
    limits: dict[str, Any] = {"streams": 1 if what == "refused" else 1_000, what: limit}
    return server(**limits)


def begin(connection: ServerConnection, what: str) -> int:
    """Opens a stream if the flood needs one; returns how much progress that was."""
    if what in ("refused", "empty_frames"):
        seen(connection, headers(1, POST), 0.0)
        return 1
    return 0


def code_of(events: list[Any]) -> int | None:
    return events[-1][2].code if events and events[-1][0] == "ended" else None


@pytest.mark.parametrize("what", FLOODS)
def test_a_flood_ends_the_connection(what: str) -> None:
    connection = flooded(20, what)
    progress = begin(connection, what)
    allowed = 20 + (progress * PER_PROGRESS if what in GROWING else 0)
    if what == "settings":
        allowed -= 1  # The greeting.
    for number in range(allowed):
        assert code_of(seen(connection, FLOODS[what](number), 0.5)) is None
    assert code_of(seen(connection, FLOODS[what](allowed), 0.9)) == ErrorCode.ENHANCE_YOUR_CALM
    assert frames_of(connection.data_to_send())[-1][0] == 7


@pytest.mark.parametrize("what", FLOODS)
def test_the_limits_count_anew_in_each_interval(what: str) -> None:
    connection = flooded(20, what)
    begin(connection, what)
    for number in range(200):
        assert code_of(seen(connection, FLOODS[what](number), 1.0 + number // 19)) is None


@pytest.mark.parametrize("what", FLOODS)
def test_one_read_cannot_go_around_a_limit(what: str) -> None:
    connection = flooded(20, what)
    begin(connection, what)
    flood = b"".join([FLOODS[what](number) for number in range(500)])
    assert code_of(seen(connection, flood, 0.5)) == ErrorCode.ENHANCE_YOUR_CALM


def test_every_limit_of_a_flood_is_tested() -> None:
    counted = {field.name for field in fields(Limits)} - {
        *("streams", "header_list", "header_block", "continuations", "header_table", "frame", "interval"),
        *("stream_window", "connection_window", "stream_buffer", "connection_buffer", "closed_streams"),
    }
    assert counted == set(FLOODS)
    assert set(FLOODS) >= GROWING


def test_honest_traffic_raises_the_limits() -> None:
    connection = server(pings=5, window_updates=5, interval=1e6)
    seen(connection, raw(8, 0, 0, b"\x70\0\0\0"), 0.0)
    for number in range(1, 400, 2):
        events = seen(connection, headers(number, GET, ended=True) + 2 * raw(6, 0, 0, bytes(8)), 1.0)
        assert code_of(events) is None
        stream = events[0][1]
        assert stream is not None
        connection.respond(stream, OK, b"x" * 100, ())
        assert code_of(seen(connection, 2 * raw(8, 0, 0, b"\0\0\0\x64"), 1.0)) is None


def test_a_window_that_opens_byte_by_byte_is_a_flood() -> None:  # 10.5
    connection = server(window_updates=1_000, interval=1e6)
    stream = seen(connection, settings((4, 0)) + headers(1, GET, ended=True))[-1][1]
    connection.respond(stream, OK, b"x" * 100_000, ())
    for _ in range(1_000 + PER_PROGRESS):  # The stream that was opened is progress.
        assert code_of(seen(connection, raw(8, 0, 1, b"\0\0\0\1"))) is None
    assert code_of(seen(connection, raw(8, 0, 1, b"\0\0\0\1"))) == ErrorCode.ENHANCE_YOUR_CALM


def test_repeated_goaway_is_a_flood() -> None:  # 6.8
    connection = server(ignored=10)
    assert code_of(seen(connection, 10 * raw(7, 0, 0, bytes(8)))) is None
    assert code_of(seen(connection, raw(7, 0, 0, bytes(8)))) == ErrorCode.ENHANCE_YOUR_CALM


def test_cancelling_answered_streams_is_no_flood() -> None:
    connection = server(resets=5, interval=1e6)
    for number in range(1, 100, 2):
        stream = seen(connection, headers(number, GET, ended=True), 1.0)[0][1]
        assert stream is not None
        connection.send_headers(stream, OK)
        assert code_of(seen(connection, raw(3, 0, number, CANCEL), 1.0)) is None


CAUSES: list[Callable[[int], bytes]] = [
    lambda number: headers(number, GET[1:], ended=True),
    lambda number: headers(number, POST) + raw(8, 0, number, bytes(4)),
    lambda number: headers(number, POST) + raw(8, 0, number, b"\x7f\xff\xff\xff"),
    lambda number: headers(number, GET, ended=True) + raw(0, 0, number, b"x"),
    lambda number: headers(number, POST) + raw(2, 0, number, b"1234"),
    lambda number: headers(number, (*GET, (b"x", b"y" * 16_200))),
]
"""What makes us reset a stream."""


@pytest.mark.parametrize("cause", CAUSES)
def test_making_us_reset_streams_is_rapid_reset_too(cause: Callable[[int], bytes]) -> None:
    connection = server(resets=5, interval=1e6)
    codes = [code_of(seen(connection, cause(2 * number + 1), 1.0)) for number in range(6)]
    assert codes == [None] * 5 + [ErrorCode.ENHANCE_YOUR_CALM]


def test_a_stream_too_many_is_refused_and_the_others_go_on() -> None:  # 5.1.2
    connection = server(streams=3)
    events = seen(connection, b"".join([headers(number, POST) for number in (1, 3, 5, 7, 9)]), 0.0)
    assert [event[0] for event in events] == ["request"] * 3 + ["refused"] * 2
    assert frames_of(connection.data_to_send()) == [(3, 0, 7, b"\0\0\0\x07"), (3, 0, 9, b"\0\0\0\x07")]
    assert seen(connection, raw(0, 1, 7, b"x") + raw(0, 0, 9, b"x"), 0.0) == []
    stream = connection.streams[1]
    connection.send_headers(stream, OK, ended=True)
    seen(connection, raw(0, 1, 1), 0.0)
    assert [event[0] for event in seen(connection, headers(11, POST), 0.0)] == ["request"]


def test_the_table_of_a_refused_stream_is_kept() -> None:  # 4.3
    connection = server(streams=0)
    named = b"\x82\x86\x84\x41\x01a" + b"\x40\x01x\x01y"  # indexes :authority and x
    assert [event[0] for event in seen(connection, raw(1, 5, 1, named), 0.0)] == ["refused"]
    connection.limits = Limits(streams=1)
    event = seen(connection, raw(1, 5, 3, b"\x82\x86\x84\xbf\xbe"), 0.0)[0]
    assert event[0] == "request"
    assert [(field.name, field.value) for field in event[2]][3:] == [(b":authority", b"a"), (b"x", b"y")]


@pytest.mark.parametrize("piece", [b"", b"x"])
def test_continuation_frames_are_counted(piece: bytes) -> None:  # 6.10
    connection = server(continuations=5)
    seen(connection, raw(1, 0, 1, BLOCK) + 5 * raw(9, 0, 1), 0.0)
    assert not connection.ended
    assert code_of(seen(connection, raw(9, 0, 1, piece), 0.0)) == ErrorCode.ENHANCE_YOUR_CALM


def test_a_header_block_is_bounded() -> None:  # 6.10
    connection = server(header_block=20_000)
    assert code_of(seen(connection, raw(1, 0, 1, b"x" * 10_000) + raw(9, 0, 1, b"x" * 10_000), 0.0)) is None
    assert code_of(seen(connection, raw(9, 0, 1, b"x"), 0.0)) == ErrorCode.ENHANCE_YOUR_CALM


def test_a_large_frame_is_refused_before_it_is_read() -> None:  # 4.2
    connection = server()
    assert code_of(seen(connection, b"\xff\xff\xff\0\0\0\0\0\x01", 0.0)) == ErrorCode.FRAME_SIZE_ERROR


def test_the_record_of_closed_streams_is_bounded() -> None:  # 5.1
    connection = server(closed_streams=10, resets=1_000)
    for number in range(50):
        seen(connection, stream_reset(number), 0.0)
    assert list(connection._closed) == list(range(81, 101, 2))
    connection.data_to_send()
    events = seen(connection, raw(0, 1, 1, b"x"), 0.0)  # It was forgotten: perhaps it was we who had reset it.
    assert [(event[0], event[2].code) for event in events] == [("refused", ErrorCode.STREAM_CLOSED)]
    assert not connection.ended
    assert len(connection._closed) == 10


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame": 16_383},
        {"frame": 2**24},
        {"frame": 2**20},
        {"header_block": 0},
        {"connection_window": 65_534},
        {"stream_window": 2**31},
        {"streams": -1},
        {"interval": 0.0},
    ],
)
def test_impossible_limits_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=" is "):
        Limits(**wrong)


def test_the_bound_on_memory_is_documented() -> None:
    assert Limits().memory < 42 * 1024 * 1024
    assert Limits(connection_window=65_535, connection_buffer=65_536, streams=100).memory < 700 * 1024


def test_what_streams_keep_is_what_the_bound_counts() -> None:
    def kept(data: Callable[[int], bytes]) -> float:
        connection = server()
        seen(connection, b"".join([data(number) for number in range(1_001, 1_011, 2)]))
        reads = [data(number) for number in range(2_001, 4_001, 2)]
        tracemalloc.start()
        try:
            for read in reads:
                seen(connection, read)
            gc.collect()
            return tracemalloc.get_traced_memory()[0] / max(len(connection.streams), len(connection._closed))
        finally:
            tracemalloc.stop()

    assert kept(lambda number: headers(number, POST)) < STREAM_BYTES
    assert kept(lambda number: headers(number, POST) + raw(3, 0, number, CANCEL)) < CLOSED_BYTES
