"""The life of a connection and of its streams, as the caller sees it (RFC 9113, sections 3.4, 5.1, 6.5 and 8.1)."""

# pyright: reportPrivateUsage=false
from __future__ import annotations

from typing import Any

import pytest

from micro_rt.http2.errors import BufferFullError, ErrorCode, LocalError, NoMoreStreamsError, TooManyStreamsError
from micro_rt.http2.frames import MAX_STREAM_ID, PREFACE
from micro_rt.http2.messages import RESPONSE, check
from micro_rt.http2.messages import TRAILERS as TRAILERS_KIND
from micro_rt.http2.settings import PeerSettings
from tests.unit.http2.peers import (
    GET,
    OK,
    POST,
    Block,
    FieldList,
    Pairs,
    PeerDecoder,
    answer_gets,
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


# Establishing


def test_both_sides_begin_with_settings() -> None:  # 3.4, 6.5
    one, other = client(established=False), server(established=False)
    greeting = one.data_to_send()
    assert greeting.startswith(PREFACE)
    assert frames_of(greeting)[0][:3] == (SETTINGS, 0, 0)
    assert b"\0\x02\0\0\0\0" in frames_of(greeting)[0][3]  # ENABLE_PUSH of 0
    assert frames_of(other.data_to_send())[0][:3] == (SETTINGS, 0, 0)


def test_the_first_settings_establish_a_connection() -> None:  # 3.4
    one, other = client(established=False), server(established=False)
    events = exchange(one, other)
    assert kinds(events[0]) == kinds(events[1]) == ["established"]
    assert one.established
    assert one.acknowledged
    assert one.peer.streams == 1_000
    assert one.peer.window == 1024 * 1024
    assert (other.peer.push, other.peer.header_list) == (0, 16 * 1024)


def test_later_settings_are_acknowledged_and_reported() -> None:  # 6.5.3
    connection = server()
    assert seen(connection, settings((3, 5), (6, 99)), 0.0) == [
        ("settings", None, PeerSettings(streams=5, header_list=99), False)
    ]
    assert frames_of(connection.data_to_send()) == [(SETTINGS, 1, 0, b"")]


@pytest.mark.parametrize("size", [0, 100, 4_096, 2**32 - 1])
def test_the_table_of_the_encoder_follows_the_peer(size: int) -> None:  # 4.3.1
    one, other = client(), server()
    exchange(one, other)
    seen(other, settings((1, size)), 0.0)
    assert other._encoder.max_table_size == min(size, 4_096)
    for _ in range(3):
        stream = one.request([*GET, (b"x", b"y" * 30)], ended=True)
        (events, _) = exchange(one, other)
        del events
        other.send_headers(other.streams[stream.id], [*OK, (b"x", b"z" * 30)], ended=True)
        one._decoder.max_table_size = min(size, 4_096)
        assert kinds(exchange(one, other)[0]) == ["response"]


def test_the_smallest_table_of_several_counts() -> None:  # 6.5.3, RFC 7541 section 4.2
    one, other = client(), server()
    fields = [*OK, (b"x", b"y" * 30)]
    for _ in range(3):
        stream = one.request(GET, ended=True)
        exchange(one, other)
        other.send_headers(other.streams[stream.id], fields, ended=True)
        assert kinds(exchange(one, other)[0]) == ["response"]
        seen(other, settings((1, 4_096), (1, 0), (1, 4_096)))
        encoder: Any = other._encoder
        sizes = encoder._encoder.table_size_changes
        assert list(sizes) == [0, 4_096]


# Streams


def test_a_call_both_ways() -> None:  # 8.1
    one, other = client(), server()
    stream = one.request(POST)
    assert stream.state == "open"
    one.send_data(stream, b"ask")
    one.send_headers(stream, TRAILERS, ended=True)
    assert stream.state == "half-closed (local)"
    events = exchange(one, other)[1]
    assert [(kind, ended) for kind, _, _, ended in events] == [("request", False), ("data", False), ("trailers", True)]
    answer = events[0][1]
    assert answer is not None
    assert answer.state == "half-closed (remote)"
    other.send_interim(answer, ((b":status", b"103"),))
    other.send_headers(answer, OK)
    other.send_data(answer, b"answer")
    other.send_headers(answer, TRAILERS, ended=True)
    assert answer.closed
    events = exchange(one, other)[0]
    assert [(kind, ended) for kind, _, _, ended in events] == [
        ("interim", False),
        ("response", False),
        ("data", False),
        ("trailers", True),
    ]
    assert {event[1] for event in events} == {stream}
    assert stream.closed
    assert not one.streams
    assert not other.streams


@pytest.mark.parametrize("size", [0, 5, 16_384, 16_385, 60_000])
def test_a_whole_request_is_what_its_parts_are(size: int) -> None:
    one, other = client(), client()
    for fields in (POST, [*POST, (b"x", bytes(range(33, 127)) * 300)], POST):
        stream = one.ask(fields, b"x" * size)
        parts = other.request(fields)
        other.send_data(parts, b"x" * size, ended=True)
        assert one.data_to_send() == other.data_to_send()
        assert (stream.local, stream.credit, stream.waiting) == (parts.local, parts.credit, parts.waiting)
        assert (one._window, one._next, one._progress) == (other._window, other._next, other._progress)


def test_a_whole_request_needs_room() -> None:
    connection = client(stream_buffer=1_000)
    with pytest.raises(BufferFullError):
        connection.ask(POST, b"x" * 66_536)
    assert client(stream_buffer=1_000).ask(POST, b"x" * 66_535).waiting == 1_000
    assert not connection.streams
    assert connection.data_to_send() == b""
    seen(connection, settings((3, 0)))
    with pytest.raises(TooManyStreamsError):
        connection.ask(POST, b"")


def test_a_server_may_answer_before_the_request_has_ended() -> None:  # 8.1
    connection = server()
    stream = begun(connection)
    connection.respond(stream, OK, b"no", TRAILERS)
    assert stream.state == "half-closed (local)"
    assert kinds(seen(connection, raw(DATA, 1, 1, b"rest"), 0.0)) == ["data"]
    assert stream.closed


def test_a_reset_ends_both_halves() -> None:  # 6.4
    one, other = client(), server()
    stream = one.request(POST)
    exchange(one, other)
    answer = other.streams[1]
    one.reset(stream)
    assert stream.closed
    (event,) = exchange(one, other)[1]
    assert event[0] == "reset"
    assert (event[2].code, event[3]) == (ErrorCode.CANCEL, True)
    assert answer.closed


def test_sending_on_a_stream_that_was_reset_does_nothing() -> None:
    connection = server()
    stream = begun(connection)
    seen(connection, raw(RST_STREAM, 0, 1, b"\0\0\0\x08"), 0.0)
    connection.send_interim(stream, ((b":status", b"100"),))
    connection.send_headers(stream, OK)
    assert connection.send_data(stream, b"x" * 100_000) == 0
    assert connection.respond(stream, OK, b"x", TRAILERS) == 0
    connection.send_headers(stream, TRAILERS, ended=True)
    connection.reset(stream)
    connection.acknowledge(stream, 5)
    assert connection.data_to_send() == b""


def test_sending_what_has_no_place_is_an_error_of_the_caller() -> None:  # 8.1
    connection = server()
    stream = begun(connection)
    with pytest.raises(LocalError, match="DATA before"):
        connection.send_data(stream, b"x")
    connection.send_headers(stream, OK)
    with pytest.raises(LocalError, match="trailers without END_STREAM"):
        connection.send_headers(stream, OK)
    with pytest.raises(LocalError, match="interim"):
        connection.send_interim(stream, ((b":status", b"100"),))
    with pytest.raises(LocalError):
        connection.respond(stream, OK, b"x", TRAILERS)
    connection.send_data(stream, b"", ended=True)
    for state in ("half-closed (local)", "closed"):
        assert stream.state == state
        with pytest.raises(LocalError, match="after END_STREAM"):
            connection.send_data(stream, b"x")
        seen(connection, raw(DATA, 1, 1), 0.0)
    connection = server()
    stream = begun(connection)
    connection.send_headers(stream, OK)
    connection.send_data(stream, b"", ended=True)
    assert [kind for kind, *_ in frames_of(connection.data_to_send())] == [HEADERS, DATA]


def test_large_header_sections_continue() -> None:  # 4.3, 6.10
    one, other = client(), server()
    one._decoder, other._decoder = PeerDecoder(100_000), PeerDecoder(100_000)
    large = ((b"x", bytes(range(33, 127)) * 300),)
    stream = one.request([*POST, *large])
    one.send_data(stream, b"x", ended=True)
    events = exchange(one, other)[1]
    assert kinds(events) == ["request", "data"]
    answer = events[0][1]
    assert answer is not None
    assert other.respond(answer, [*OK, *large], b"x", [*TRAILERS, *large]) == 0
    assert kinds(exchange(one, other)[0]) == ["response", "data", "trailers"]


def test_a_header_list_that_is_too_large_ends_its_stream() -> None:  # 10.5.1
    connection = server()
    data = headers(1, (*GET, (b"x", b"y" * 16_250)), ended=True)
    events = seen(connection, data + headers(3, GET, ended=True), 0.0)
    assert [(event[0], getattr(event[2], "code", None)) for event in events] == [
        ("refused", ErrorCode.ENHANCE_YOUR_CALM),
        ("request", None),
    ]
    assert frames_of(connection.data_to_send()) == [(RST_STREAM, 0, 1, b"\0\0\0\x0b")]


def test_a_client_opens_as_many_streams_as_the_server_allows() -> None:  # 5.1.2
    connection = client()
    seen(connection, settings((3, 2)), 0.0)
    first, _ = connection.request(GET, ended=True), connection.request(GET, ended=True)
    assert connection.free == 0
    connection.data_to_send()
    with pytest.raises(TooManyStreamsError):
        connection.request(GET)
    assert connection.data_to_send() == b""
    seen(connection, headers(first.id, OK, ended=True), 0.0)
    assert connection.free == 1
    assert connection.request(GET).id == 5


def test_a_client_runs_out_of_numbers() -> None:  # 5.1.1
    connection = client()
    connection._next = MAX_STREAM_ID
    assert connection.request(GET).id == MAX_STREAM_ID
    assert connection.free == 0
    with pytest.raises(NoMoreStreamsError):
        connection.request(GET)


def test_a_refused_stream_says_that_it_was_not_processed() -> None:  # 8.7
    one, other = client(), server(streams=1)
    first, second = one.request(POST), one.request(POST)
    events = exchange(one, other)
    assert kinds(events[1]) == ["request", "refused"]
    ((kind, stream, error, by_peer),) = events[0]
    assert (kind, stream, by_peer) == ("reset", second, True)
    assert error.code == ErrorCode.REFUSED_STREAM
    assert error.unprocessed
    assert not first.closed


def test_a_verdict_holds_for_one_kind_of_section_only() -> None:
    """A decoder may give the same fields for the same block, whatever the block is used for."""
    connection = server()
    known = FieldList(POST)

    class Remembering(PeerDecoder):
        def decode(self, block: bytes) -> FieldList:
            return known if block == Block.of(POST) else super().decode(block)

    connection._decoder = Remembering()
    for number in (1, 3, 5):
        assert kinds(seen(connection, headers(number, POST))) == ["request"]
    assert kinds(seen(connection, headers(1, POST, ended=True))) == ["reset"]
    assert kinds(seen(connection, headers(3, TRAILERS, ended=True))) == ["trailers"]
    assert kinds(seen(connection, headers(7, TRAILERS, ended=True))) == ["refused"]
    known = FieldList(TRAILERS)
    known.verdict = check(TRAILERS_KIND, 1, known)
    assert kinds(seen(connection, headers(11, POST))) == ["refused"]
    one = client()
    one._decoder = Remembering()
    known = FieldList(OK)
    known.verdict = check(TRAILERS_KIND, 1, FieldList(()))
    one.request(GET, ended=True)
    assert kinds(seen(one, headers(1, POST, ended=True))) == ["response"]
    assert known.verdict.kind == RESPONSE


# Ping


def test_a_ping_is_answered_and_reported() -> None:  # 6.7
    one, other = client(), server()
    one.ping(b"12345678")
    assert exchange(one, other) == ([("pong", None, b"12345678", False)], [("ping", None, b"12345678", False)])
    assert seen(other, raw(PING, 1, 0, b"12345678")) == []  # An acknowledgment of nothing.
    with pytest.raises(ValueError, match="8 bytes"):
        one.ping(b"1")


# How it reads


def test_a_server_of_ten_lines() -> None:
    connection = server(established=False)
    request = (
        PREFACE + settings() + headers(1, ((b":path", b"/a/b"), *GET[:2]), ended=True) + headers(3, POST, ended=True)
    )
    answers = [frame for frame in frames_of(answer_gets(connection, request)) if frame[2]]
    assert [(kind, flags, stream) for kind, flags, stream, _ in answers] == [(1, 4, 1), (0, 1, 1), (1, 5, 3)]
    assert answers[1][3] == b"/a/b"


def test_the_bytes_may_come_in_any_pieces() -> None:
    data = PREFACE + settings((4, 5)) + raw(HEADERS, 1, 1, Block.of(GET)[:7]) + raw(9, 4, 1, Block.of(GET)[7:])
    data += (
        headers(3, POST) + raw(DATA, 8, 3, b"\x03abc\0\0\0") + raw(PING, 0, 0, b"12345678") + raw(0xBE, 0, 0, b"x" * 20)
    )
    whole = seen(server(established=False), data, 0.0)
    for cut in range(len(data)):
        connection = server(established=False)
        events = seen(connection, data[:cut], 0.0) + seen(connection, data[cut:], 0.0)
        assert repr(kinds(events)) == repr(kinds(whole))
    connection = server(established=False)
    assert kinds([event for byte in data for event in seen(connection, bytes([byte]), 0.0)]) == kinds(whole)
