"""How a connection ends: gently by GOAWAY, or by an error (RFC 9113, sections 5.4.1 and 6.8)."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import pytest

from micro_rt.http2.errors import ErrorCode, NoMoreStreamsError
from micro_rt.http2.events import GoAway
from micro_rt.http2.frames import MAX_STREAM_ID
from micro_rt.http2.server import ServerConnection
from tests.unit.http2.peers import (
    GET,
    OK,
    POST,
    Pairs,
    begun,
    client,
    exchange,
    frames_of,
    headers,
    kinds,
    raw,
    seen,
    server,
    settings,
)

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
TRAILERS: Pairs = ((b"grpc-status", b"0"),)


def goaway(last: int, code: int = 0, debug: bytes = b"") -> bytes:
    return raw(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + debug)


def test_a_server_drains_in_two_steps() -> None:  # 6.8
    one, other = client(), server()
    one.request(POST)
    exchange(one, other)
    other.drain()
    other.drain()
    assert not other.finished
    late = one.request(POST)  # It is under way when GOAWAY comes.
    request = one.data_to_send()
    first = other.data_to_send()
    assert frames_of(first)[0] == (GOAWAY, 0, 0, b"\x7f\xff\xff\xff\0\0\0\0")
    assert kinds(seen(one, first, 0.0)) == ["goaway", "ping"]
    with pytest.raises(NoMoreStreamsError):
        one.request(GET)
    assert kinds(seen(other, request, 0.0)) == ["request"]
    assert seen(other, one.data_to_send(), 0.0) == []  # The PING comes back.
    second = other.data_to_send()
    assert frames_of(second) == [(GOAWAY, 0, 0, b"\0\0\0\x03\0\0\0\0")]
    assert kinds(seen(one, second, 0.0)) == ["goaway"]
    assert not late.closed
    assert seen(other, headers(5, POST) + raw(DATA, 0, 5, b"x") + raw(DATA, 1, 5), 0.0) == []
    assert other.data_to_send() == b""
    for stream in list(one.streams.values()):
        one.send_data(stream, b"", ended=True)
    exchange(one, other)
    for stream in list(other.streams.values()):
        assert not other.finished
        other.respond(stream, OK, b"x", TRAILERS)
    assert kinds(exchange(one, other)[0]) == ["response", "data", "trailers"] * 2
    assert not other.ended
    assert one.finished
    assert other.finished


def test_a_connection_without_streams_is_finished_when_the_peer_knows() -> None:  # 6.8
    one, other = client(), server()
    other.drain()
    assert not other.finished
    assert not one.finished
    exchange(one, other)
    assert other.finished
    assert one.finished


def test_close_takes_the_second_step_at_once() -> None:  # 6.8
    connection = server()
    begun(connection, 7)
    connection.drain()
    connection.data_to_send()
    connection.close(ErrorCode.ENHANCE_YOUR_CALM, b"too_many_pings")
    connection.close()
    assert frames_of(connection.data_to_send()) == [(GOAWAY, 0, 0, b"\0\0\0\x07\0\0\0\x0btoo_many_pings")]
    assert list(connection.streams) == [7]


def test_the_last_stream_of_our_goaway_does_not_rise() -> None:  # 6.8
    connection = server()
    begun(connection, 1)
    connection.close()
    seen(connection, headers(3, POST) + raw(PING, 0, 1))
    assert [payload[:4] for kind, _, _, payload in frames_of(connection.data_to_send()) if kind == GOAWAY] == [
        b"\0\0\0\x01",
        b"\0\0\0\x01",
    ]


def test_streams_above_the_last_one_were_not_processed() -> None:  # 6.8
    connection = client()
    streams = [connection.request(POST) for _ in range(3)]
    connection.data_to_send()
    events = seen(connection, goaway(3, 2, b"d" * 1_000), 0.0)
    assert events[0] == ("goaway", None, GoAway(3, 2, b"d" * 256), False)
    ((kind, stream, error, by_peer),) = events[1:]
    assert (kind, stream, by_peer) == ("reset", streams[2], True)
    assert error.unprocessed
    assert list(connection.streams) == [1, 3]
    assert kinds(seen(connection, headers(3, OK, ended=True), 0.0)) == ["response"]
    assert connection.free == 0


def test_a_second_goaway_may_name_a_lower_stream() -> None:  # 6.8
    connection = client()
    connection.request(POST)
    assert kinds(seen(connection, goaway(MAX_STREAM_ID), 0.0)) == ["goaway"]
    assert kinds(seen(connection, goaway(0), 0.0)) == ["goaway", "reset"]


# Ends


def test_every_stream_hears_of_the_end() -> None:  # 5.4.1
    connection = server()
    streams = [begun(connection, number) for number in (1, 3)]
    connection.send_headers(streams[0], OK)
    connection.send_data(streams[0], b"x" * 100_000)
    events = seen(connection, raw(PING, 0, 5, b""), 0.0)
    assert [(event[0], event[1], event[3]) for event in events] == [
        ("reset", streams[0], False),
        ("reset", streams[1], False),
        ("ended", None, False),
    ]
    assert all(stream.closed for stream in streams)
    assert [event[2].of_connection for event in events if event[0] == "reset"] == [True, True]
    assert connection.waiting == 0
    assert connection.send_data(streams[0], b"x") == 0
    last = frames_of(connection.data_to_send())[-1]
    assert last == (GOAWAY, 0, 0, b"\0\0\0\x03\0\0\0\x01PING on a stream")
    assert connection.lost() == []


def test_the_caller_may_have_had_enough() -> None:
    connection = server()
    stream = begun(connection)
    events = connection.abort(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings")
    assert [(event[0], event[1], event[3]) for event in events] == [("reset", stream, False), ("ended", None, False)]
    assert frames_of(connection.data_to_send()) == [(GOAWAY, 0, 0, b"\0\0\0\x01\0\0\0\x0btoo_many_pings")]
    assert connection.finished
    assert connection.abort(0, "again") == []
    assert connection.data_to_send() == b""


def test_a_connection_keeps_nothing_of_the_events() -> None:
    connection = server()
    events = seen(connection, headers(1, POST) + raw(DATA, 0, 1, b"x" * 1_000))
    assert connection._events == []
    assert len(events) == 2


def test_a_lost_connection_ends_everything() -> None:
    connection = client()
    stream = connection.request(POST)
    connection.data_to_send()
    events = connection.lost()
    assert [(event[0], event[1], event[3]) for event in events] == [("reset", stream, True), ("ended", None, True)]
    assert connection.data_to_send() == b""
    assert connection.lost() == []
    assert seen(connection, settings(), 0.0) == []
    connection.ping(b"12345678")
    connection.close()
    connection.drain()
    assert connection.data_to_send() == b""
    with pytest.raises(NoMoreStreamsError):
        connection.request(GET)


def test_a_mistake_of_ours_ends_the_connection_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = server()
    monkeypatch.setattr(ServerConnection, "_on_ping", None)
    events = seen(connection, raw(PING, 0, 0, bytes(8)), 0.0)
    assert events[-1][0] == "ended"
    assert events[-1][2].code == ErrorCode.INTERNAL_ERROR
    assert isinstance(events[-1][2].__cause__, TypeError)
