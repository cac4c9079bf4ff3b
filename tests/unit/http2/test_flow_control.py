"""Flow control, both ways (RFC 9113, sections 5.2, 6.1 and 6.9)."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import pytest

from micro_rt.http2.client import ClientConnection
from micro_rt.http2.errors import BufferFullError, ErrorCode
from micro_rt.http2.server import ServerConnection
from micro_rt.http2.streams import Stream
from tests.unit.http2.peers import (
    GET,
    OK,
    POST,
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

DATA, HEADERS, SETTINGS, WINDOW_UPDATE = 0, 1, 4, 8
TRAILERS = ((b"grpc-status", b"0"),)


def update(stream: int, increment: int) -> bytes:
    return raw(WINDOW_UPDATE, 0, stream, increment.to_bytes(4, "big"))


def sent(connection: ClientConnection | ServerConnection) -> list[tuple[int, int, bool]]:
    """Returns the DATA frames that were sent: stream, size, whether they end it."""
    return [
        (stream, len(payload), bool(flags & 1))
        for kind, flags, stream, payload in frames_of(connection.data_to_send())
        if kind == DATA
    ]


def streams(connection: ServerConnection, count: int) -> list[Stream]:
    """Opens streams, all with a response begun."""
    events = seen(connection, b"".join([headers(2 * each + 1, GET, ended=True) for each in range(count)]), 0.0)
    found = [stream for kind, stream, _, _ in events if kind == "request" and stream is not None]
    for stream in found:
        connection.send_headers(stream, OK)
    connection.data_to_send()
    assert len(found) == count
    return found


# What we send


def test_data_is_cut_into_frames() -> None:  # 4.2
    connection = server()
    (stream,) = streams(connection, 1)
    assert connection.send_data(stream, b"x" * 40_000, ended=True) == 0
    assert sent(connection) == [(1, 16_384, False), (1, 16_384, False), (1, 40_000 - 2 * 16_384, True)]
    assert not connection.streams


@pytest.mark.parametrize("size", [16_384, 2 * 16_384, 65_535])
def test_the_last_frame_ends_the_stream_when_it_is_full(size: int) -> None:
    connection = server()
    (stream,) = streams(connection, 1)
    assert connection.send_data(stream, b"x" * size, ended=True) == 0
    frames = sent(connection)
    assert sum(size for _, size, _ in frames) == size
    assert [ended for *_, ended in frames] == [False] * (len(frames) - 1) + [True]


def test_what_does_not_fit_waits_and_says_how_much() -> None:  # 5.2
    connection = server()
    (stream,) = streams(connection, 1)
    assert connection.send_data(stream, b"x" * 70_000) == 70_000 - 65_535
    assert connection.send_data(stream, b"y" * 10, ended=True) == 70_010 - 65_535
    assert stream.waiting == connection.waiting == 70_010 - 65_535
    assert sum(size for _, size, _ in sent(connection)) == 65_535
    assert seen(connection, update(1, 10_000), 0.0) == []
    assert sent(connection) == []
    assert seen(connection, update(0, 10_000), 0.0) == [("sent", stream, 0, True)]
    assert sent(connection) == [(1, 70_010 - 65_535, True)]
    assert connection.waiting == stream.waiting == 0
    assert not connection.streams


def test_an_end_waits_behind_data() -> None:
    connection = server()
    (stream,) = streams(connection, 1)
    connection.send_data(stream, b"x" * 65_536)
    assert connection.send_data(stream, b"", ended=True) == 1
    assert [ended for *_, ended in sent(connection)] == [False] * 4
    assert connection.streams
    seen(connection, update(0, 1) + update(1, 1))
    assert sent(connection) == [(1, 1, True)]
    assert not connection.streams


def test_trailers_wait_behind_data() -> None:
    connection = server()
    (stream,) = streams(connection, 1)
    connection.send_data(stream, b"x" * 65_536)
    connection.send_headers(stream, TRAILERS, ended=True)
    assert [kind for kind, *_ in frames_of(connection.data_to_send())] == [DATA] * 4
    assert stream.state == "half-closed (remote)"
    seen(connection, update(0, 1) + update(1, 1), 0.0)
    assert [(kind, flags) for kind, flags, *_ in frames_of(connection.data_to_send())] == [(DATA, 0), (HEADERS, 5)]
    assert stream.state == "closed"


def test_streams_take_turns() -> None:
    connection = server()
    many = streams(connection, 3)
    seen(connection, b"".join([update(each.id, 100_000) for each in many]), 0.0)
    assert connection.send_data(many[0], b"x" * 65_535) == 0
    for stream in many:
        connection.send_data(stream, b"x" * 40_000, ended=True)
    sent(connection)
    seen(connection, update(0, 5 * 16_384), 0.0)
    assert [stream for stream, *_ in sent(connection)] == [1, 3, 5, 1, 3]
    seen(connection, update(0, 100_000), 0.0)
    assert [stream for stream, *_ in sent(connection)] == [5, 1, 3, 5]


def test_windows_of_one_byte() -> None:
    connection = server()
    seen(connection, settings((4, 0)), 0.0)
    one, other = streams(connection, 2)
    connection.send_data(one, b"abc", ended=True)
    connection.send_data(other, b"def")
    connection.send_headers(other, TRAILERS, ended=True)
    connection.data_to_send()
    for _ in range(3):
        seen(connection, update(1, 1) + update(3, 1), 0.0)
    frames = frames_of(connection.data_to_send())
    assert b"".join([payload for _, _, stream, payload in frames if stream == 1]) == b"abc"
    assert [(flags, payload) for _, flags, stream, payload in frames if stream == 3][:3] == [
        (0, b"d"),
        (0, b"e"),
        (0, b"f"),
    ]
    assert frames[-1][:3] == (HEADERS, 5, 3)
    assert not connection.streams


def test_a_change_of_the_initial_window_changes_all_streams() -> None:  # 6.9.2
    connection = server()
    (stream,) = streams(connection, 1)
    connection.send_data(stream, b"x" * 60_000)
    seen(connection, settings((4, 10_000)) + update(0, 100_000), 0.0)
    sent(connection)
    assert connection.send_data(stream, b"y" * 1_000) == 1_000  # The window is 10,000 - 60,000.
    seen(connection, update(1, 50_000), 0.0)
    assert sent(connection) == []
    seen(connection, update(1, 1), 0.0)
    assert sent(connection) == [(1, 1, False)]
    seen(connection, settings((4, 10_100)), 0.0)
    assert sent(connection) == [(1, 100, False)]
    seen(connection, settings((4, 100_000)), 0.0)
    assert sent(connection) == [(1, 899, False)]


def test_settings_close_the_window_of_a_stream_that_has_a_turn() -> None:  # 6.9.2
    connection = server()
    one, other = streams(connection, 2)
    connection.send_data(one, b"x" * 65_535)
    connection.send_data(other, b"y" * 100)
    seen(connection, settings((4, 0)))
    seen(connection, update(0, 1_000))
    assert sent(connection)[-1] == (1, 65_535 - 3 * 16_384, False)
    seen(connection, settings((4, 60)))
    assert sent(connection) == [(3, 60, False)]


def test_a_stream_ends_while_its_window_is_negative() -> None:  # 6.9.1: an empty frame needs no window
    connection = server()
    (stream,) = streams(connection, 1)
    connection.send_data(stream, b"x" * 60_000)
    seen(connection, settings((4, 10)), 0.0)
    sent(connection)
    assert connection.send_data(stream, b"", ended=True) == 0
    assert sent(connection) == [(1, 0, True)]
    assert not connection.streams


def test_a_stream_whose_window_is_used_up_does_not_hold_up_others() -> None:
    connection = server()
    one, other = streams(connection, 2)
    seen(connection, update(0, 100_000), 0.0)
    connection.send_data(one, b"x" * 70_000)
    sent(connection)
    assert connection.send_data(other, b"y", ended=True) == 0
    assert sent(connection) == [(3, 1, True)]


def test_a_reset_drops_what_waits() -> None:
    connection = server()
    one, other = streams(connection, 2)
    connection.send_data(one, b"x" * 70_000)
    connection.send_data(other, b"y" * 10)
    connection.reset(one)
    assert (one.waiting, connection.waiting) == (0, 10)
    connection.data_to_send()
    seen(connection, update(0, 10), 0.0)
    assert sent(connection) == [(3, 10, False)]


def test_what_waits_is_bounded() -> None:
    connection = server(stream_buffer=1_000, connection_buffer=1_500)
    one, other = streams(connection, 2)
    connection.send_data(one, b"x" * 66_535)
    with pytest.raises(BufferFullError):
        connection.send_data(one, b"x")
    connection.send_data(other, b"x" * 500)
    with pytest.raises(BufferFullError):
        connection.send_data(other, b"x")
    assert (one.waiting, other.waiting, connection.waiting) == (1_000, 500, 1_500)
    seen(connection, update(0, 500) + update(1, 500), 0.0)
    assert (
        connection.send_data(other, b"x" * 250) == 250
    )  # Its turn came first, since the window of the other was used up.


def test_frames_are_as_large_as_the_peer_allows() -> None:  # 4.2
    connection = server()
    seen(connection, settings((5, 50_000)), 0.0)
    (stream,) = streams(connection, 1)
    connection.send_data(stream, b"x" * 60_000)
    assert sent(connection) == [(1, 50_000, False), (1, 10_000, False)]


def test_a_whole_response_waits_if_it_must() -> None:
    connection = server()
    events = seen(connection, headers(1, GET, ended=True), 0.0)
    stream = events[0][1]
    assert stream is not None
    assert connection.respond(stream, OK, b"x" * 70_000, TRAILERS) == 70_000 - 65_535
    assert seen(connection, update(0, 10_000) + update(1, 10_000), 0.0) == [("sent", stream, 0, True)]
    frames = frames_of(connection.data_to_send())
    assert sum(len(payload) for kind, *_, payload in frames if kind == DATA) == 70_000
    assert frames[-1][:3] == (HEADERS, 5, 1)
    assert not connection.streams


# What the peer sends


def test_the_peer_is_told_what_it_may_send() -> None:
    connection = server(established=False, stream_window=100_000, connection_window=1_000_000)
    frames = frames_of(connection.data_to_send())
    assert frames[0][3][12:18] == b"\0\x04" + (100_000).to_bytes(4, "big")
    assert frames[1] == (WINDOW_UPDATE, 0, 0, (1_000_000 - 65_535).to_bytes(4, "big"))


def test_more_than_the_window_of_a_stream_resets_it() -> None:  # 6.9.1
    connection = server(stream_window=20_000)
    seen(connection, headers(1, POST) + raw(DATA, 0, 1, b"x" * 16_384), 0.0)
    events = seen(connection, raw(DATA, 0, 1, b"x" * 3_617), 0.0)
    assert [(event[0], getattr(event[2], "code", None)) for event in events] == [
        ("reset", ErrorCode.FLOW_CONTROL_ERROR)
    ]


def test_more_than_the_window_of_the_connection_ends_it() -> None:  # 6.9.1
    connection = server(stream_window=100_000, connection_window=65_535)
    seen(connection, headers(1, POST) + headers(3, POST), 0.0)
    seen(connection, 3 * raw(DATA, 0, 1, b"x" * 16_384) + raw(DATA, 0, 3, b"x" * 16_383), 0.0)
    assert not connection.ended
    events = seen(connection, raw(DATA, 0, 3, b"x"), 0.0)
    assert events[-1][0] == "ended"
    assert events[-1][2].code == ErrorCode.FLOW_CONTROL_ERROR


def test_the_windows_open_when_half_is_acknowledged() -> None:
    connection = server(stream_window=32_768, connection_window=65_536)
    stream = seen(connection, headers(1, POST) + raw(DATA, 0, 1, b"x" * 16_384), 0.0)[0][1]
    assert stream is not None
    connection.acknowledge(stream, 16_383)
    assert connection.data_to_send() == b""
    connection.acknowledge(stream, 1)
    assert frames_of(connection.data_to_send()) == [(WINDOW_UPDATE, 0, 1, (16_384).to_bytes(4, "big"))]
    seen(connection, raw(DATA, 0, 1, b"x" * 16_384), 0.0)
    connection.acknowledge(stream, 16_384)
    frames = frames_of(connection.data_to_send())
    assert frames == [
        (WINDOW_UPDATE, 0, 1, (16_384).to_bytes(4, "big")),
        (WINDOW_UPDATE, 0, 0, (32_768).to_bytes(4, "big")),
    ]


def test_a_window_is_widened_once() -> None:  # 6.9
    connection = server(stream_window=65_535, connection_window=1 << 20)
    stream = seen(connection, headers(1, POST) + raw(DATA, 0, 1, b"x" * 10_000))[0][1]
    connection.widen(stream, 100_000)
    connection.widen(stream, 0)
    assert frames_of(connection.data_to_send()) == [(WINDOW_UPDATE, 0, 1, (100_000).to_bytes(4, "big"))]
    for _ in range(9):
        assert kinds(seen(connection, raw(DATA, 0, 1, b"x" * 16_000))) == ["data"]
    connection.acknowledge(stream, 100_000)
    assert frames_of(connection.data_to_send()) == [], "the peer was told before"
    connection.acknowledge(stream, 54_000)
    assert frames_of(connection.data_to_send()) == [(WINDOW_UPDATE, 0, 1, (54_000).to_bytes(4, "big"))]
    assert (stream.window, stream.taken, connection._taken) == (65_535, 0, 154_000)
    seen(connection, raw(DATA, 1, 1, b"x" * 16_000))
    connection.widen(stream, 100_000)
    assert connection.data_to_send() == b""
    connection.reset(stream)
    assert connection._taken == 170_000


def test_a_window_is_not_widened_above_the_largest() -> None:  # 6.9.1
    connection = server(stream_window=65_535)
    stream = seen(connection, headers(1, POST))[0][1]
    connection.widen(stream, 2**32)
    assert stream.window == 2**31 - 1


def test_a_large_window_of_the_connection_stays_nearly_as_large() -> None:  # 6.9
    connection = server(stream_window=2**21, connection_window=2**26)
    stream = seen(connection, headers(1, POST) + raw(DATA, 0, 1, b"x" * 16_384) * 65)[0][1]
    connection.acknowledge(stream, 2**20)
    assert frames_of(connection.data_to_send())[-1] == (WINDOW_UPDATE, 0, 0, (2**20).to_bytes(4, "big"))


def test_how_much_can_be_sent_at_once() -> None:  # 5.2
    connection = server()
    (stream,) = streams(connection, 1)
    assert connection.window(stream) == 65_535
    connection.send_data(stream, b"x" * 60_000)
    assert connection.window(stream) == 5_535
    seen(connection, update(1, 10_000))
    assert connection.window(stream) == 5_535
    connection.send_data(stream, b"x" * 5_536)
    seen(connection, update(0, 0x7FFF))
    assert (stream.queue, connection.window(stream)) == (None, 9_999)
    connection.send_data(stream, b"x" * 10_000)
    assert connection.window(stream) == 0


def test_nobody_acknowledges_more_than_has_come() -> None:
    connection = server(stream_window=32_768, connection_window=65_536)
    stream = seen(connection, headers(1, POST) + raw(DATA, 0, 1, b"x" * 100), 0.0)[0][1]
    assert stream is not None
    connection.acknowledge(stream, 10**9)
    connection.acknowledge(stream, -5)
    connection.acknowledge(stream, 5)
    assert connection.data_to_send() == b""
    assert stream.taken == 100


def test_padding_counts_and_is_acknowledged_at_once() -> None:  # 6.1
    connection = server(stream_window=65_535, connection_window=65_535)
    seen(connection, headers(1, POST), 0.0)
    for _ in range(1_000):  # 256 bytes each, of which one is data: the windows would be full after 255 of them.
        seen(connection, raw(DATA, 8, 1, b"\xfex" + bytes(254)), 0.0)
    assert not connection.ended
    assert connection.streams[1].window + connection.streams[1].taken == 65_535 - 1_000


def test_data_of_closed_streams_is_acknowledged_at_once() -> None:  # 5.1, 6.9
    connection = server(stream_window=65_535, connection_window=65_535)
    stream = seen(connection, headers(1, POST) + raw(DATA, 0, 1, b"x" * 16_000), 0.0)[0][1]
    assert stream is not None
    connection.reset(stream)
    for _ in range(20):
        seen(connection, raw(DATA, 0, 1, b"x" * 16_000), 0.0)
    assert not connection.ended
    updates = [payload for kind, _, number, payload in frames_of(connection.data_to_send()) if kind == 8 and not number]
    assert sum(int.from_bytes(each, "big") for each in updates) > 16_000 * 18


def test_what_a_reset_has_acknowledged_is_not_acknowledged_again() -> None:
    connection = server(stream_window=65_535, connection_window=65_535)
    stream = seen(connection, headers(1, POST) + raw(DATA, 0, 1, b"x" * 16_000))[0][1]
    connection.reset(stream)
    connection.acknowledge(stream, 16_000)
    assert connection._taken == 16_000


def test_a_server_acknowledges_a_request_by_answering_it() -> None:
    connection = server(stream_window=65_535, connection_window=65_535)
    for number in range(1, 41, 2):
        stream = seen(connection, headers(number, POST) + raw(DATA, 1, number, b"x" * 16_000), 0.0)[0][1]
        assert stream is not None
        connection.send_headers(stream, OK, ended=True)
    assert not connection.ended


def test_a_client_acknowledges_a_response_after_its_end() -> None:
    connection = client(stream_window=65_535, connection_window=65_535)
    for _ in range(20):
        stream = connection.request(GET, ended=True)
        data = raw(DATA, 0, stream.id, b"x" * 16_000)
        events = seen(connection, headers(stream.id, OK) + 2 * data + raw(DATA, 1, stream.id, b"x" * 16_000))
        assert events[-1] == ("data", stream, b"x" * 16_000, True)
        connection.acknowledge(stream, 48_000)
    assert not connection.ended
    assert {number for kind, _, number, _ in frames_of(connection.data_to_send()) if kind == WINDOW_UPDATE} == {0}


def test_the_end_of_a_response_acknowledges_it_to_the_connection() -> None:
    connection = client(stream_window=65_535, connection_window=65_535)
    for _ in range(20):
        stream = connection.request(GET, ended=True)
        seen(connection, headers(stream.id, OK) + raw(DATA, 1, stream.id, b"x" * 16_000))
    assert not connection.ended


def test_window_updates_are_counted() -> None:
    connection = client()
    stream = connection.request(POST)
    assert seen(connection, update(0, 1) + update(stream.id, 1), 0.0) == []
    assert connection.window_updates == 2


def test_a_smaller_window_holds_from_its_acknowledgment() -> None:  # 6.5.3
    connection = server(established=False, stream_window=100)
    seen(connection, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings() + headers(1, POST), 0.0)
    events = seen(connection, raw(DATA, 0, 1, b"x" * 1_000), 0.0)
    assert [event[0] for event in events] == ["data"]
    seen(connection, raw(SETTINGS, 1) + headers(3, POST), 0.0)
    assert (connection.streams[1].window, connection.streams[3].window) == (100 - 1_000, 100)
    events = seen(connection, raw(DATA, 0, 3, b"x" * 101), 0.0)
    assert [event[0] for event in events] == ["reset"]
    connection.acknowledge(connection.streams[1], 1_000)
    assert frames_of(connection.data_to_send())[-1] == (WINDOW_UPDATE, 0, 1, (1_000).to_bytes(4, "big"))


def test_empty_data_is_not_an_end() -> None:  # 6.1
    connection = server()
    events = seen(
        connection, headers(1, POST) + raw(DATA, 0, 1) + raw(DATA, 8, 1, b"\x02\0\0") + raw(DATA, 0, 1, b"x"), 0.0
    )
    assert [(kind, value if kind == "data" else None, ended) for kind, _, value, ended in events] == [
        ("request", None, False),
        ("data", b"x", False),
    ]
    assert seen(connection, raw(DATA, 1, 1), 0.0) == [("data", events[0][1], b"", True)]


@pytest.mark.parametrize("window", [1, 7, 1_000, 100_000])
def test_megabytes_pass_through_small_windows(window: int) -> None:
    size = min(1_000_000, window * 300)
    one = client(established=False, stream_window=window)
    other = server(established=False, stream_window=window)
    exchange(one, other)
    stream = one.request(POST)
    one.send_data(stream, b"q" * size, ended=True)
    arrived = 0
    answered: Stream | None = None
    back = 0
    for _ in range(3_000):
        for kind, each, value, ended in seen(other, one.data_to_send(), 0.0):
            if kind == "data" and each is not None:
                arrived += len(value)
                other.acknowledge(each, len(value))
                if ended:
                    answered = each
                    other.respond(each, OK, b"a" * size, TRAILERS)
        for kind, each, value, _ in seen(one, other.data_to_send(), 0.0):
            if kind == "data" and each is not None:
                back += len(value)
                one.acknowledge(each, len(value))
    assert arrived == back == size
    assert answered is not None
    assert answered.closed
    assert stream.closed
    assert one.waiting == other.waiting == 0
