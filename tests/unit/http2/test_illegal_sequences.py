"""Sequences of frames that RFC 9113 forbids, with the error that it asks for, and legal ones that look alike.

Each row is a section, what it says, the bytes after the greeting, and the outcome: ``fatal`` is a connection error
(GOAWAY), ``reset`` a stream error (RST_STREAM).
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import pytest

from micro_rt.http2.connection import Connection
from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import PREFACE
from tests.unit.http2.peers import GET, OK, POST, Block, client, frames_of, headers, raw, seen, server, settings

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY_FLAG = 1, 1, 4, 8, 32

PROTOCOL = ErrorCode.PROTOCOL_ERROR
CLOSED = ErrorCode.STREAM_CLOSED
SIZE = ErrorCode.FRAME_SIZE_ERROR
FLOW = ErrorCode.FLOW_CONTROL_ERROR

BLOCK = Block.of(GET)
ASK = headers(1, GET, ended=True)
"""A whole request."""
BEGIN = headers(1, POST)
"""A request that goes on."""
END = raw(DATA, END_STREAM, 1, b"x")
CANCEL = raw(RST_STREAM, 0, 1, b"\0\0\0\x08")
RESPOND = headers(1, OK)
TRAILERS = headers(1, ((b"a", b"b"),), ended=True)

Outcome = tuple[str, ErrorCode]


def fatal(code: ErrorCode) -> Outcome:
    return "fatal", code


def reset(code: ErrorCode) -> Outcome:
    return "reset", code


def number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def outcome(connection: Connection, data: bytes) -> Outcome | None:
    """Returns what becomes of the connection; asserts that the frames and the events say the same."""
    events = seen(connection, data, 0.0)
    sent = frames_of(connection.data_to_send())
    resets = [payload for kind, _, _, payload in sent if kind == RST_STREAM]
    goaways = [payload for kind, _, _, payload in sent if kind == GOAWAY]
    failures = [value.code for kind, _, value, by_peer in events if kind in ("reset", "refused") and not by_peer]
    if goaways:
        assert [event[0] for event in events].count("ended") == 1
        assert events[-1][0] == "ended"
        assert events[-1][2].code == int.from_bytes(goaways[0][4:8], "big")
        assert connection.ended
        assert not connection.streams
        return fatal(ErrorCode(events[-1][2].code))
    assert not connection.ended
    assert failures == [int.from_bytes(payload, "big") for payload in resets]
    return reset(ErrorCode(failures[0])) if failures else None


SERVER = [
    ("4.2", "a frame larger than SETTINGS_MAX_FRAME_SIZE", BEGIN + raw(DATA, 0, 1, b"x" * 16_385), fatal(SIZE)),
    ("4.2", "a frame as large as that", BEGIN + raw(DATA, 0, 1, b"x" * 16_384), None),
    ("4.2", "HEADERS larger than that", raw(HEADERS, 4, 1, b"x" * 16_385), fatal(SIZE)),
    ("4.1", "the reserved bit", ASK[:5] + b"\x80" + ASK[6:], None),
    ("4.1", "flags without meaning", raw(PING, 0xFE, 0, b"12345678") + raw(HEADERS, 0xD5, 1, BLOCK), None),
    ("4.3", "a block that HPACK does not allow", raw(HEADERS, 5, 1, b"\x80"), fatal(ErrorCode.COMPRESSION_ERROR)),
    ("4.3", "the same on a refused stream", ASK + raw(HEADERS, 5, 1, b"\x80"), fatal(ErrorCode.COMPRESSION_ERROR)),
    ("5.1", "idle: DATA", raw(DATA, 0, 1, b"x"), fatal(PROTOCOL)),
    ("5.1", "idle: RST_STREAM", CANCEL, fatal(PROTOCOL)),
    ("5.1", "idle: WINDOW_UPDATE", raw(WINDOW_UPDATE, 0, 1, number(1)), fatal(PROTOCOL)),
    ("5.1", "idle: CONTINUATION", raw(CONTINUATION, 4, 1, BLOCK), fatal(PROTOCOL)),
    ("5.1", "idle: PRIORITY", raw(PRIORITY, 0, 1, number(3) + b"x"), None),
    ("5.1", "idle, of the other side: RST_STREAM", ASK + raw(RST_STREAM, 0, 2, number(8)), fatal(PROTOCOL)),
    ("5.1", "half-closed (remote): DATA", ASK + raw(DATA, 0, 1, b"x"), reset(CLOSED)),
    ("5.1", "half-closed (remote): HEADERS", ASK + ASK, reset(CLOSED)),
    ("5.1", "half-closed (remote): after trailers", BEGIN + TRAILERS + END, reset(CLOSED)),
    ("5.1", "half-closed (remote): WINDOW_UPDATE", ASK + raw(WINDOW_UPDATE, 0, 1, number(1)), None),
    ("5.1", "half-closed (remote): RST_STREAM", ASK + CANCEL, None),
    ("5.1", "half-closed (remote): PRIORITY", ASK + raw(PRIORITY, 0, 1, number(3) + b"x"), None),
    ("5.1", "reset by the peer: DATA", BEGIN + CANCEL + END, reset(CLOSED)),
    ("5.1", "reset by the peer: HEADERS", BEGIN + CANCEL + TRAILERS, reset(CLOSED)),
    ("5.1", "reset by the peer: RST_STREAM, WINDOW_UPDATE", BEGIN + 2 * CANCEL + raw(8, 0, 1, number(1)), None),
    ("5.1.1", "an even number", headers(2, GET, ended=True), fatal(PROTOCOL)),
    ("5.1.1", "a lower number", headers(5, GET) + headers(3, GET), fatal(CLOSED)),
    ("5.1.1", "DATA on a lower number", headers(5, GET) + raw(DATA, 0, 3), fatal(CLOSED)),
    ("5.1.1", "numbers that are skipped", headers(5, GET) + headers(99, GET), None),
    ("5.3", "HEADERS with a priority", raw(HEADERS, 0x25, 1, number(3) + b"x" + BLOCK), None),
    ("5.3", "without room for it", raw(HEADERS, 0x25, 1, b"1234"), fatal(SIZE)),
    ("5.3", "that depends on itself", raw(HEADERS, 0x25, 1, number(1) + b"x" + BLOCK), fatal(PROTOCOL)),
    ("5.3", "PRIORITY that depends on itself", BEGIN + raw(PRIORITY, 0, 1, number(1) + b"x"), reset(PROTOCOL)),
    ("5.5", "an unknown type", raw(0xBE, 0xFF, 0, b"x") + raw(0xBE, 0xFF, 9, b"x") + ASK, None),
    ("5.5", "an unknown type inside a block", raw(HEADERS, 0, 1, BLOCK) + raw(0xBE), fatal(PROTOCOL)),
    ("6.1", "DATA on stream 0", raw(DATA, 0, 0, b"x"), fatal(PROTOCOL)),
    ("6.1", "padding as long as the frame", BEGIN + raw(DATA, PADDED, 1, b"\x02x"), fatal(PROTOCOL)),
    ("6.1", "padding that fills the frame", BEGIN + raw(DATA, PADDED, 1, b"\x01x"), None),
    ("6.2", "HEADERS on stream 0", headers(0, GET), fatal(PROTOCOL)),
    ("6.2", "HEADERS on stream 0, in pieces", raw(HEADERS, 0, 0, BLOCK), fatal(PROTOCOL)),
    ("6.2", "HEADERS with padding", raw(HEADERS, 0xD, 1, b"\x02" + BLOCK + b"\0\0"), None),
    ("6.2", "with padding and priority", raw(HEADERS, 0x2D, 1, b"\x02\0\0\0\0x" + BLOCK + b"\0\0"), None),
    ("6.2", "padding as long as the frame", raw(HEADERS, 0xD, 1, b"\x05" + b"1234"), fatal(PROTOCOL)),
    ("6.2", "PADDED without padding", raw(HEADERS, 0xD, 1), fatal(SIZE)),
    ("6.3", "PRIORITY on stream 0", raw(PRIORITY, 0, 0, b"12345"), fatal(PROTOCOL)),
    ("6.3", "PRIORITY of 4 bytes", BEGIN + raw(PRIORITY, 0, 1, b"1234"), reset(SIZE)),
    ("6.3", "PRIORITY of 4 bytes on an idle stream", raw(PRIORITY, 0, 1, b"1234"), fatal(SIZE)),
    ("6.4", "RST_STREAM of 3 bytes", BEGIN + raw(RST_STREAM, 0, 1, b"123"), fatal(SIZE)),
    ("6.4", "RST_STREAM on stream 0", raw(RST_STREAM, 0, 0, number(8)), fatal(PROTOCOL)),
    ("6.5", "SETTINGS on a stream", raw(SETTINGS, 0, 1), fatal(PROTOCOL)),
    ("6.5", "SETTINGS of 5 bytes", raw(SETTINGS, 0, 0, b"12345"), fatal(SIZE)),
    ("6.5", "an acknowledgment that is not empty", raw(SETTINGS, ACK, 0, b"123456"), fatal(SIZE)),
    ("6.5", "an acknowledgment too many", raw(SETTINGS, ACK), None),
    ("6.5.2", "ENABLE_PUSH of 2", settings((2, 2)), fatal(PROTOCOL)),
    ("6.5.2", "ENABLE_PUSH of 1 from a client", settings((2, 1)), None),
    ("6.5.2", "INITIAL_WINDOW_SIZE of 2^31", settings((4, 2**31)), fatal(FLOW)),
    ("6.5.2", "MAX_FRAME_SIZE below 2^14", settings((5, 16_383)), fatal(PROTOCOL)),
    ("6.5.2", "MAX_FRAME_SIZE of 2^24", settings((5, 2**24)), fatal(PROTOCOL)),
    ("6.5.2", "an unknown setting", settings((0xABCD, 2**32 - 1)), None),
    ("6.6", "PUSH_PROMISE from a client", ASK + raw(PUSH_PROMISE, 4, 1, number(2) + BLOCK), fatal(PROTOCOL)),
    ("6.7", "PING on a stream", raw(PING, 0, 1, b"12345678"), fatal(PROTOCOL)),
    ("6.7", "PING of 7 bytes", raw(PING, 0, 0, b"1234567"), fatal(SIZE)),
    ("6.7", "an acknowledgment of no PING", raw(PING, ACK, 0, b"12345678"), None),
    ("6.8", "GOAWAY on a stream", raw(GOAWAY, 0, 1, bytes(8)), fatal(PROTOCOL)),
    ("6.8", "GOAWAY of 7 bytes", raw(GOAWAY, 0, 0, bytes(7)), fatal(SIZE)),
    ("6.8", "a last stream that rises", raw(7, 0, 0, bytes(8)) + raw(7, 0, 0, number(1) * 2), fatal(PROTOCOL)),
    ("6.8", "GOAWAY with an unknown code, then a request", raw(GOAWAY, 0, 0, bytes(4) + b"\xff" * 4) + ASK, None),
    ("6.9", "WINDOW_UPDATE of 5 bytes", raw(WINDOW_UPDATE, 0, 0, b"12345"), fatal(SIZE)),
    ("6.9", "WINDOW_UPDATE of 0 on the connection", raw(WINDOW_UPDATE, 0, 0, number(0)), fatal(PROTOCOL)),
    ("6.9", "WINDOW_UPDATE of 0 on a stream", BEGIN + raw(WINDOW_UPDATE, 0, 1, number(0)), reset(PROTOCOL)),
    ("6.9", "WINDOW_UPDATE of 0, reserved bit set", BEGIN + raw(8, 0, 1, number(2**31)), reset(PROTOCOL)),
    ("6.9.1", "a window of the connection of 2^31", raw(8, 0, 0, number(2**31 - 65_535)), fatal(FLOW)),
    ("6.9.1", "of 2^31 - 1", raw(WINDOW_UPDATE, 0, 0, number(2**31 - 65_536)), None),
    ("6.9.1", "a window of a stream of 2^31", BEGIN + raw(8, 0, 1, number(2**31 - 65_535)), reset(FLOW)),
    ("6.9.1", "of 2^31 - 1", BEGIN + raw(8, 0, 1, number(2**31 - 65_536)), None),
    ("6.9.2", "SETTINGS that make it 2^31", BEGIN + raw(8, 0, 1, number(1)) + settings((4, 2**31 - 1)), fatal(FLOW)),
    ("6.9.2", "SETTINGS that make it negative", BEGIN + settings((4, 0)), None),
    ("6.10", "CONTINUATION without HEADERS", ASK + raw(CONTINUATION, 4, 1, b""), fatal(PROTOCOL)),
    ("6.10", "CONTINUATION of another stream", raw(HEADERS, 0, 1, BLOCK) + raw(9, 4, 3), fatal(PROTOCOL)),
    ("6.10", "PING inside a block", raw(HEADERS, 0, 1, BLOCK) + raw(PING, 0, 0, b"12345678"), fatal(PROTOCOL)),
    ("6.10", "HEADERS inside a block", raw(HEADERS, 0, 1, BLOCK) + headers(3, GET), fatal(PROTOCOL)),
    ("6.10", "DATA inside a block", raw(HEADERS, 0, 1, BLOCK) + raw(DATA, 0, 1), fatal(PROTOCOL)),
    ("6.10", "a block in three", raw(1, 1, 1, BLOCK[:3]) + raw(9, 0, 1) + raw(9, 4, 1, BLOCK[3:]), None),
    ("8.1", "trailers without END_STREAM", BEGIN + headers(1, ((b"a", b"b"),)), reset(PROTOCOL)),
    ("8.1", "trailers", BEGIN + TRAILERS, None),
    ("8.1", "trailers with a pseudo-header field", BEGIN + headers(1, GET, ended=True), reset(PROTOCOL)),
    ("8.1.1", "a malformed request", headers(1, GET[1:], ended=True), reset(PROTOCOL)),
    ("8.1.1", "DATA after it", headers(1, GET[1:]) + END, reset(PROTOCOL)),
    (
        "8.1.1",
        "too much DATA",
        headers(1, (*POST, (b"content-length", b"1"))) + raw(DATA, 0, 1, b"xx"),
        reset(PROTOCOL),
    ),
    ("8.1.1", "too little DATA", headers(1, (*POST, (b"content-length", b"2"))) + END, reset(PROTOCOL)),
    ("8.1.1", "none", headers(1, (*POST, (b"content-length", b"2")), ended=True), reset(PROTOCOL)),
    ("8.1.1", "trailers too early", headers(1, (*POST, (b"content-length", b"2"))) + TRAILERS, reset(PROTOCOL)),
    ("8.1.1", "as much as announced", headers(1, (*POST, (b"content-length", b"1"))) + END, None),
    ("8.1.1", "none announced", headers(1, (*POST, (b"content-length", b"0")), ended=True), None),
]

CLIENT = [
    ("5.1", "half-closed (local): DATA before HEADERS", raw(DATA, 0, 1, b"x"), reset(PROTOCOL)),
    ("5.1", "half-closed (local): an early end", END, reset(PROTOCOL)),
    ("5.1", "closed: DATA after END_STREAM", RESPOND + END + END, fatal(CLOSED)),
    ("5.1", "closed: HEADERS after END_STREAM", RESPOND + END + RESPOND, fatal(CLOSED)),
    ("5.1", "closed: HEADERS after trailers", RESPOND + TRAILERS + TRAILERS, fatal(CLOSED)),
    ("5.1", "closed: WINDOW_UPDATE, RST_STREAM", RESPOND + END + raw(8, 0, 1, number(9)) + CANCEL, None),
    ("5.1", "reset by the peer: DATA", RESPOND + CANCEL + END, reset(CLOSED)),
    ("5.1", "idle: HEADERS of a stream of ours", headers(5, OK), fatal(PROTOCOL)),
    ("5.1", "idle: HEADERS of a stream of the server", headers(2, OK), fatal(PROTOCOL)),
    ("6.5.2", "ENABLE_PUSH from a server", settings((2, 1)), fatal(PROTOCOL)),
    ("6.5.2", "ENABLE_PUSH of 0 from a server", settings((2, 0)), None),
    ("8.1", "1xx, 1xx, response, trailers", 2 * headers(1, ((b":status", b"103"),)) + RESPOND + TRAILERS, None),
    ("8.1", "1xx with END_STREAM", headers(1, ((b":status", b"100"),), ended=True), reset(PROTOCOL)),
    ("8.1", "1xx after the response", RESPOND + headers(1, ((b":status", b"100"),)), reset(PROTOCOL)),
    ("8.1", "two responses", RESPOND + RESPOND, reset(PROTOCOL)),
    ("8.1", "trailers without END_STREAM", RESPOND + headers(1, ((b"a", b"b"),)), reset(PROTOCOL)),
    ("8.1.1", "a malformed response", headers(1, ((b"a", b"b"),)), reset(PROTOCOL)),
    ("8.1.1", "too much DATA", headers(1, (*OK, (b"content-length", b"0"))) + END, reset(PROTOCOL)),
    ("8.1.1", "too little DATA", headers(1, (*OK, (b"content-length", b"2"))) + END, reset(PROTOCOL)),
    ("8.1.1", "none at all, as after HEAD", headers(1, (*OK, (b"content-length", b"2")), ended=True), None),
    ("8.4", "a push", raw(PUSH_PROMISE, 4, 1, number(2) + BLOCK), fatal(PROTOCOL)),
    ("8.7", "a refusal", raw(RST_STREAM, 0, 1, number(7)), None),
]


def name(row: tuple[str, str, bytes, Outcome | None]) -> str:
    return f"{row[0]} {row[1]}"


@pytest.mark.parametrize("row", SERVER, ids=name)
def test_a_server_answers_by_the_sections(row: tuple[str, str, bytes, Outcome | None]) -> None:
    assert outcome(server(), row[2]) == row[3]


@pytest.mark.parametrize("row", CLIENT, ids=name)
def test_a_client_answers_by_the_sections(row: tuple[str, str, bytes, Outcome | None]) -> None:
    connection = client()
    connection.request(GET, ended=True)
    connection.data_to_send()
    assert outcome(connection, row[2]) == row[3]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", fatal(PROTOCOL)),  # 3.4
        (PREFACE[:-1] + b"x", fatal(PROTOCOL)),
        (PREFACE + raw(PING, 0, 0, b"12345678"), fatal(PROTOCOL)),
        (PREFACE + raw(SETTINGS, ACK), fatal(PROTOCOL)),
        (PREFACE + ASK, fatal(PROTOCOL)),
        (PREFACE + raw(0xBE), fatal(PROTOCOL)),
        (PREFACE, None),
        (PREFACE[:5], None),
        (PREFACE + settings((3, 5)) + ASK, None),
    ],
)
def test_a_client_begins_with_the_preface_and_settings(data: bytes, expected: Outcome | None) -> None:
    assert outcome(server(established=False), data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", fatal(SIZE)),
        (raw(PING, 0, 0, b"12345678"), fatal(PROTOCOL)),
        (raw(SETTINGS, ACK), fatal(PROTOCOL)),
        (RESPOND, fatal(PROTOCOL)),
        (settings(), None),
    ],
)
def test_a_server_begins_with_settings(data: bytes, expected: Outcome | None) -> None:  # 3.4
    connection = client(established=False)
    connection.request(GET, ended=True)
    connection.data_to_send()
    assert outcome(connection, data) == expected


def test_frames_for_a_stream_that_we_have_reset_are_ignored() -> None:  # 5.1
    connection = server()
    (_, stream, _, _) = seen(connection, BEGIN, 0.0)[0]
    assert stream is not None
    connection.reset(stream)
    assert frames_of(connection.data_to_send()) == [(RST_STREAM, 0, 1, number(8))]
    assert seen(connection, raw(DATA, 0, 1, b"x") + TRAILERS + CANCEL + raw(WINDOW_UPDATE, 0, 1, number(0)), 0.0) == []
    assert connection.data_to_send() == b""


def test_the_reserved_bit_is_no_part_of_the_number() -> None:  # 4.1
    (event,) = seen(server(), ASK[:5] + b"\x80" + ASK[6:])
    assert event[1].id == 1


def test_only_the_first_error_of_a_stream_is_answered() -> None:  # 5.4.2
    connection = server()
    events = seen(connection, BEGIN + 3 * headers(1, ((b"a", b"b"),)), 0.0)
    assert [event[0] for event in events] == ["request", "reset"]
    assert len(frames_of(connection.data_to_send())) == 1


def test_nothing_is_read_after_the_end() -> None:  # 5.4.1
    connection = server()
    assert seen(connection, BEGIN + raw(PING, 0, 1) + headers(3, GET), 0.0)[-1][0] == "ended"
    connection.data_to_send()
    assert seen(connection, headers(5, GET), 0.0) == []
    assert connection.data_to_send() == b""
