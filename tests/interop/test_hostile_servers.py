"""Servers that do to our own client what HTTP/2 allows and few do, or what it forbids."""

from __future__ import annotations

import asyncio
import tracemalloc
from typing import Any

import hpack
import pytest
from h2.errors import ErrorCodes
from h2.events import DataReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes

import micro_rt as micro
from micro_rt.backends.grpc.client_unary import UnaryCall
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.context import CallInfo
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.transport.base import Connection
from tests.helpers.sizes import Size
from tests.helpers.waiting import eventually, soon
from tests.interop.test_http2_peers import FRAME, HEADERS, OK, Peer, call, server

DATA, HEADERS_FRAME, PUSH_PROMISE, GOAWAY = 0, 1, 5, 7


def raw(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def block(*fields: tuple[str, str]) -> bytes:
    """A header block that changes no table."""
    return bytes(hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*field) for field in fields], huffman=False))


def waiting(connection: Connection) -> int:
    inside: Any = connection
    return len(inside._link.waiting)


# What is allowed


async def test_empty_data_frames_and_padding_are_nothing() -> None:
    async def proxy(peer: Peer) -> None:
        async for stream in peer.requests():
            peer.h2.send_headers(stream, HEADERS)
            peer.h2.send_data(stream, b"")
            for position in range(len(FRAME)):
                peer.h2.send_data(stream, FRAME[position : position + 1], pad_length=position * 30)
                peer.h2.send_data(stream, b"")
                peer.h2.send_data(stream, b"", pad_length=9)
            peer.h2.send_headers(stream, OK, end_stream=True)

    async with server(GrpcTransport, proxy) as connection:
        for _ in range(3):
            assert await call(connection) == b"hi"
        stream = await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
        assert await soon(stream.receive()) == b"hi"
        with pytest.raises(micro.EndOfStream):
            await soon(stream.receive())


@pytest.mark.parametrize("size", [1, 300])
async def test_windows_of_one_byte(size: int) -> None:
    received = bytearray()

    async def stingy(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, DataReceived):
                received.extend(event.data)
                if not event.stream_ended:
                    peer.h2.increment_flow_control_window(1, event.stream_id)
            elif isinstance(event, StreamEnded):
                assert event.stream_id is not None
                await peer.answer(event.stream_id)

    async with server(GrpcTransport, stingy, INITIAL_WINDOW_SIZE=1) as connection:
        message = bytes(range(256)) * 2
        reply = connection.unary("/a.B/C", "proto", EMPTY, None, CallInfo(), message[:size])
        assert await soon(reply) == b"hi"
    assert bytes(received[5:]) == message[:size]


async def test_settings_may_change_in_the_middle() -> None:
    changes: list[dict[SettingCodes | int, int]] = [
        {SettingCodes.INITIAL_WINDOW_SIZE: 3},
        {SettingCodes.MAX_CONCURRENT_STREAMS: 1},
        {SettingCodes.HEADER_TABLE_SIZE: 0},
        {SettingCodes.MAX_FRAME_SIZE: 1 << 20, SettingCodes.INITIAL_WINDOW_SIZE: 1 << 20},
        {SettingCodes.HEADER_TABLE_SIZE: 4096, SettingCodes.MAX_CONCURRENT_STREAMS: 100},
    ]
    seen: list[str] = []

    async def changing(peer: Peer) -> None:
        left = list(changes)
        async for event in peer.events():
            if isinstance(event, RequestReceived):
                assert event.headers is not None
                headers: Any = dict(event.headers)
                seen.append(headers["sent"])
                if left:
                    peer.h2.update_settings(left.pop(0))
            elif isinstance(event, DataReceived) and not event.stream_ended:
                peer.h2.increment_flow_control_window(len(event.data), event.stream_id)
            elif isinstance(event, StreamEnded):
                assert event.stream_id is not None
                await peer.answer(event.stream_id)

    async with server(GrpcTransport, changing) as connection:
        for number in range(12):
            metadata = Metadata({"sent": f"value {number % 2}", "always": "the same"})
            reply = connection.unary("/a.B/C", "proto", metadata, None, CallInfo(), b"hello" * number)
            assert await soon(reply) == b"hi"
    assert seen == [f"value {number % 2}" for number in range(12)]


async def test_a_table_of_size_0() -> None:
    async def tableless(peer: Peer) -> None:
        async for stream in peer.requests():
            await peer.answer(stream)

    async with server(GrpcTransport, tableless, HEADER_TABLE_SIZE=0) as connection:
        for _ in range(5):
            metadata = Metadata({"authorization": "Bearer 0123456789012345678901234567890123456789"})
            assert await soon(connection.unary("/a.B/C", "proto", metadata, None, CallInfo(), b"x")) == b"hi"


@pytest.mark.parametrize("size", [1, 30_000])
async def test_a_unary_call_that_was_lost_while_it_was_sent_did_not_run(size: int) -> None:
    async def lose(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, DataReceived):
                return

    async with server(GrpcTransport, lose, INITIAL_WINDOW_SIZE=100) as connection:
        with pytest.raises(micro.Unavailable) as caught:
            await soon(connection.unary("/a.B/C", "proto", EMPTY, None, CallInfo(), bytes(size)))
        assert caught.value.unanswered
        assert caught.value.may_have_run is (size < 100)


async def test_a_server_that_answers_early_is_told_that_nothing_more_comes() -> None:
    resets: list[int | None] = []

    async def early(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                await peer.answer(event.stream_id)
            elif isinstance(event, StreamReset):
                resets.append(event.stream_id)

    async with server(GrpcTransport, early) as connection:
        stream = await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
        assert await soon(stream.receive()) == b"hi"
        with pytest.raises(micro.EndOfStream):
            await soon(stream.receive())
        await eventually(lambda: resets, equals=[1])
        with pytest.raises(micro.EndOfStream):
            await stream.send(b"late")


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_status_in_headers_that_do_not_end_the_stream_gives_it_back(kind: str) -> None:
    async def half(peer: Peer) -> None:
        async for stream in peer.requests():
            peer.h2.send_headers(stream, [*HEADERS, ("grpc-status", "5"), ("grpc-message", "no")])

    async with server(GrpcTransport, half, MAX_CONCURRENT_STREAMS=1) as connection:
        for _ in range(3):
            with pytest.raises(micro.NotFound):
                if kind == "unary":
                    await call(connection)
                else:
                    stream = await soon(connection.open("/a.B/C", "proto", EMPTY, None, CallInfo()))
                    await soon(stream.receive())


# What is forbidden


async def test_a_push_ends_the_connection_and_the_next_call_gets_another() -> None:
    connections = 0

    async def push(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        async for stream in peer.requests():
            if connections == 1:
                promised = (2).to_bytes(4, "big") + block((":method", "GET"), (":path", "/"))
                peer.writer.write(raw(PUSH_PROMISE, 4, stream, promised))
            else:
                await peer.answer(stream)

    async with server(GrpcTransport, push) as connection:
        with pytest.raises(micro.Unavailable, match="a push, which nobody allows") as caught:
            await call(connection)
        assert caught.value.may_have_run
        assert caught.value.unanswered
        assert await call(connection) == b"hi"
    assert connections == 2


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_a_message_announced_as_4_gib_is_refused_at_once(kind: str) -> None:
    async def announce(peer: Peer) -> None:
        async for stream in peer.requests():
            peer.h2.send_headers(stream, HEADERS)
            peer.h2.send_data(stream, b"\0\xff\xff\xff\xff" + bytes(10_000))
            for _ in range(60):  # What is still under way.
                peer.writer.write(peer.h2.data_to_send() + raw(DATA, 0, stream, bytes(16_000)))

    async with server(GrpcTransport, announce) as connection:
        await connection.connect()
        tracemalloc.start()
        try:
            with pytest.raises(micro.ResourceExhausted, match="4294967295 bytes was announced"):
                if kind == "unary":
                    await call(connection)
                else:
                    stream = await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
                    await soon(stream.receive())
            # The server runs here too, and has what is under way.
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()


async def test_a_stream_is_given_back_although_nobody_receives_what_cannot_be_accepted() -> None:
    given_back = asyncio.Event()

    async def announce(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                peer.h2.send_headers(event.stream_id, HEADERS)
                peer.h2.send_data(event.stream_id, b"\0\xff\xff\xff\xff")
            elif isinstance(event, StreamReset):
                given_back.set()

    async with server(GrpcTransport, announce) as connection:
        stream = await soon(connection.open("/a.B/C", "proto", EMPTY, None, CallInfo()))
        await soon(given_back.wait())
        with pytest.raises(micro.ResourceExhausted, match="4294967295 bytes was announced"):
            await soon(stream.receive())


async def test_a_call_after_a_goaway_is_made_on_another_connection() -> None:
    connections = 0

    async def leave(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        leaves = connections == 1
        async for stream in peer.requests():
            if leaves and stream == 1:
                continue  # It stays open, and the connection with it.
            if leaves:
                peer.writer.write(raw(GOAWAY, 0, 0, stream.to_bytes(4, "big") + bytes(4)))
            await peer.answer(stream)

    async with server(GrpcTransport, leave) as connection:
        stays = await soon(connection.open("/a.B/C", "proto", EMPTY, None, CallInfo()))
        assert [await call(connection) for _ in range(3)] == [b"hi"] * 3
        assert connections == 2
        stays.cancel()


@pytest.mark.parametrize(
    ("frames", "error"),
    [
        ([raw(HEADERS_FRAME, 5, 1, block(("grpc-status", "0")))], "without a :status"),
        (
            [raw(HEADERS_FRAME, 4, 1, block((":status", "2"), ("content-type", "application/grpc")))],
            "without a :status",
        ),
        ([raw(DATA, 0, 1, FRAME)], "DATA before the header section"),
        (
            [raw(HEADERS_FRAME, 5, 1, block((":status", "200"), ("content-type", "application/grpc")))],
            "without a status",
        ),
        ([raw(HEADERS_FRAME, 5, 1, block((":status", "200"), ("grpc-status", "x\1")))], "break the rules"),
        (
            [raw(HEADERS_FRAME, 4, 1, block((":status", "200"), ("content-type", "application/grpc"), ("a", "\1")))],
            "rules",
        ),
    ],
)
async def test_an_answer_that_breaks_the_rules_fails_alone(frames: list[bytes], error: str) -> None:
    async def wrong(peer: Peer) -> None:
        async for stream in peer.requests():
            if stream == 1:
                peer.writer.write(b"".join(frames))
            else:
                await peer.answer(stream)

    async with server(GrpcTransport, wrong) as connection:
        with pytest.raises(micro.Internal, match=error) as caught:
            await call(connection)
        assert caught.value.may_have_run
        assert await call(connection) == b"hi"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (0, micro.Internal),
        (1, micro.Internal),
        (2, micro.Internal),
        (3, micro.Internal),
        (4, micro.Internal),
        (5, micro.Internal),
        (6, micro.Internal),
        (7, micro.Unavailable),
        (8, micro.Cancelled),
        (9, micro.Internal),
        (10, micro.Internal),
        (11, micro.ResourceExhausted),
        (12, micro.PermissionDenied),
        (13, micro.Internal),
        (0xFFFFFFFF, micro.Internal),
    ],
)
@pytest.mark.parametrize("replies", [0, 1])
async def test_every_code_of_a_reset(code: int, error: type[micro.Error], replies: int) -> None:
    async def reset(peer: Peer) -> None:
        async for stream in peer.requests():
            if replies:
                peer.h2.send_headers(stream, HEADERS)
                peer.h2.send_data(stream, FRAME)
            await peer.flush()
            peer.writer.write(raw(3, 0, stream, code.to_bytes(4, "big")))

    async with server(GrpcTransport, reset) as connection:
        with pytest.raises(error) as caught:
            await call(connection)
        assert type(caught.value) is error
        assert caught.value.may_have_run is (code != ErrorCodes.REFUSED_STREAM)
        assert not caught.value.unanswered
        stream = await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
        for _ in range(replies):
            assert await soon(stream.receive()) == b"hi"
        for _ in range(2):
            with pytest.raises(error):
                await soon(stream.receive())


async def test_a_reset_after_the_status_says_nothing() -> None:
    async def reset(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                await peer.answer(event.stream_id)
                peer.writer.write(raw(3, 0, event.stream_id, bytes(4)))

    async with server(GrpcTransport, reset) as connection:
        stream = await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
        assert await soon(stream.receive()) == b"hi"
        with pytest.raises(micro.EndOfStream):
            await soon(stream.receive())
        assert await call(connection) == b"hi"


@pytest.mark.parametrize("code", [0, 2, 11])
@pytest.mark.parametrize("last", [0, 1, 3, 2**31 - 1])
async def test_every_kind_of_goaway(code: int, last: int) -> None:
    """Calls above the last stream did not run; the others go on, whatever the code is, and new calls go elsewhere."""
    connections: list[Peer] = []

    async def goodbye(peer: Peer) -> None:
        connections.append(peer)
        first = len(connections) == 1
        streams: list[int] = []
        async for stream in peer.requests():
            streams.append(stream)
            if not first:
                await peer.answer(stream)
            elif len(streams) == 2:
                peer.writer.write(raw(GOAWAY, 0, 0, last.to_bytes(4, "big") + code.to_bytes(4, "big") + b"debug"))
                for taken in streams:
                    if taken <= last:
                        await peer.answer(taken)

    async with server(GrpcTransport, goodbye) as connection:
        answers = await asyncio.gather(call(connection), call(connection), return_exceptions=True)
        for number, answer in zip((1, 3), answers, strict=True):
            if number <= last:
                assert answer == b"hi"
            else:
                assert isinstance(answer, micro.Unavailable)
                assert not answer.may_have_run
        assert await call(connection) == b"hi"
        assert len(connections) == 2
        await eventually(connections[0].reader.at_eof)


@pytest.mark.parametrize(
    ("status", "error", "ran"),
    [
        ("400", micro.Internal, True),
        ("401", micro.Unauthenticated, True),
        ("403", micro.PermissionDenied, True),
        ("404", micro.Unimplemented, False),
        ("429", micro.Unavailable, True),
        ("502", micro.Unavailable, True),
        ("503", micro.Unavailable, True),
        ("504", micro.Unavailable, True),
        ("418", micro.Unknown, True),
    ],
)
@pytest.mark.parametrize("ends", [True, False])
async def test_an_http_error_with_html_is_not_read(
    status: str, error: type[micro.Error], ran: bool, ends: bool
) -> None:
    resets: list[int | None] = []

    async def html(peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, RequestReceived):
                assert event.stream_id is not None
                peer.h2.send_headers(event.stream_id, [(":status", status), ("content-type", "text/html")])
                peer.h2.send_data(event.stream_id, b"<html>", end_stream=ends)
            elif isinstance(event, StreamReset):
                resets.append(event.stream_id)

    async with server(GrpcTransport, html) as connection:
        with pytest.raises(error) as caught:
            await call(connection)
        assert caught.value.may_have_run is ran
        assert "<html>" not in str(caught.value)
        if not ends:
            await eventually(lambda: resets)


# Calls that wait for their turn


@pytest.mark.verify("calls")
async def test_a_call_costs_the_same_however_many_wait(size: Size, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0
    begin = UnaryCall.begin

    def counting(call: UnaryCall) -> None:
        nonlocal begun
        begun += 1
        begin(call)

    monkeypatch.setattr(UnaryCall, "begin", counting)

    async def one_at_a_time(peer: Peer) -> None:
        async for stream in peer.requests():
            assert peer.h2.open_inbound_streams == 1
            await peer.answer(stream)

    calls = size(2000, ci=200)
    async with server(GrpcTransport, one_at_a_time, MAX_CONCURRENT_STREAMS=1) as connection:
        await connection.connect()
        order: list[int] = []

        async def numbered(number: int) -> None:
            assert await call(connection) == b"hi"
            order.append(number)

        await asyncio.gather(*map(numbered, range(calls)))
    assert order == list(range(calls))
    assert calls <= begun < 2 * calls


@pytest.mark.parametrize("how", ["cancel", "deadline", "stream"])
async def test_a_call_that_ends_while_it_waits_leaves_its_place(how: str) -> None:
    go_on = asyncio.Event()
    requests: list[int] = []

    async def slow(peer: Peer) -> None:
        async for stream in peer.requests():
            requests.append(stream)
            await go_on.wait()
            await peer.answer(stream)

    async with server(GrpcTransport, slow, MAX_CONCURRENT_STREAMS=1) as connection:
        await connection.connect()
        first = asyncio.ensure_future(call(connection))
        await eventually(lambda: requests)
        if how == "stream":
            opening = connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
            second: asyncio.Future[Any] = asyncio.ensure_future(soon(opening))
        else:
            second = asyncio.ensure_future(call(connection, timeout=0.3 if how == "deadline" else None))
        last = asyncio.ensure_future(call(connection))
        await eventually(lambda: waiting(connection), equals=2)
        if how != "deadline":
            second.cancel()
        await asyncio.wait((second,))
        if how == "deadline":
            error = second.exception()
            assert isinstance(error, micro.DeadlineExceeded)
            assert (error.may_have_run, error.unanswered) == (False, False)
        else:
            assert second.cancelled()
        assert waiting(connection) == 1
        go_on.set()
        assert await first == b"hi"
        assert await last == b"hi"
    assert requests == [1, 3]
