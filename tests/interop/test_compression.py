"""Compressed messages, against peers that are not ours."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from h2.events import DataReceived, RequestReceived, ResponseReceived, StreamEnded, TrailersReceived

import micro_rt as micro
from micro_rt.backends.grpc import client_call
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.context import CallInfo
from micro_rt.metadata import EMPTY
from micro_rt.transport.base import ServerStream
from micro_rt.transport.compression import LEAST
from micro_rt.transport.limits import MessageRules
from tests.helpers.lab import GrpcioLab, grpcio_server, our_client, our_server
from tests.helpers.waiting import soon
from tests.interop.test_hostile_clients import Reply
from tests.interop.test_http2_peers import HEADERS, OK, REQUEST, Peer, changed, client, server
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text

MIB = 1 << 20
LONG = b"all work and no play " * 100
GZIPPED = [*HEADERS, ("grpc-encoding", "gzip")]
ACCEPT = "identity,gzip,deflate,zstd"


def framed(message: bytes, flag: int = 0) -> bytes:
    return bytes([flag]) + len(message).to_bytes(4, "big") + message


def zipped(data: bytes) -> bytes:
    """Returns data as gzip has it; the same each time, as it is in the names of tests."""
    return gzip.compress(data, mtime=0)


def messages(data: bytes) -> list[tuple[int, bytes]]:
    """Returns the flag and the content of each message."""
    found: list[tuple[int, bytes]] = []
    while data:
        size = int.from_bytes(data[1:5], "big")
        found.append((data[0], data[5 : 5 + size]))
        data = data[5 + size :]
    return found


# Our client


class Recorder:
    """A server that records each request, and answers with given bytes."""

    def __init__(self, data: bytes = framed(b"hi"), headers: Any = None) -> None:
        self.headers: list[dict[str, str]] = []
        self.data = bytearray()
        self._answer = data
        self._headers = headers or HEADERS

    async def __call__(self, peer: Peer) -> None:
        async for event in peer.events():
            if isinstance(event, RequestReceived):
                headers: Any = event.headers
                self.headers.append(dict(headers))
            elif isinstance(event, DataReceived):
                assert event.data is not None and event.stream_id is not None
                self.data += event.data
                if event.data and not event.stream_ended:
                    peer.h2.increment_flow_control_window(len(event.data))
                    peer.h2.increment_flow_control_window(len(event.data), event.stream_id)
            elif isinstance(event, StreamEnded):
                assert event.stream_id is not None
                peer.h2.send_headers(event.stream_id, self._headers)
                for start in range(0, len(self._answer), 16384):
                    peer.h2.send_data(event.stream_id, self._answer[start : start + 16384])
                peer.h2.send_headers(event.stream_id, OK, end_stream=True)


async def ask(connection: Any, kind: str, message: bytes, compression: str | None = None) -> bytes:
    """Makes a call, as a unary one or as a stream."""
    rules, info = MessageRules(compression=compression), CallInfo()
    if kind == "unary":
        reply: bytes = await soon(connection.unary("/a.B/C", "proto", EMPTY, None, info, message, rules))
        return reply
    stream = await connection.open("/a.B/C", "proto", EMPTY, None, info, rules)
    try:
        await stream.send(message, end=True)
        reply = await soon(stream.receive())
        with pytest.raises(micro.EndOfStream):
            await soon(stream.receive())
        return reply
    finally:
        stream.cancel()


kinds = pytest.mark.parametrize("kind", ["unary", "stream"])


@kinds
@pytest.mark.parametrize("size", [LEAST - 1, LEAST, 10_000, 100_000])
async def test_requests_are_compressed_if_asked_for_and_long_enough(kind: str, size: int) -> None:
    peer, message = Recorder(), bytes(size)
    async with server(GrpcTransport, peer) as connection:
        assert await ask(connection, kind, message) == b"hi"
        assert messages(bytes(peer.data)) == [(0, message)]
        peer.data.clear()
        assert await ask(connection, kind, message, "gzip") == b"hi"
    ((flag, content),) = messages(bytes(peer.data))
    assert (flag, gzip.decompress(content) if flag else content) == (int(size >= LEAST), message)
    assert ["grpc-encoding" in headers for headers in peer.headers] == [False, True]
    assert {headers["grpc-accept-encoding"] for headers in peer.headers} == {ACCEPT}


async def test_a_request_of_a_stream_may_go_as_it_is() -> None:
    peer, info = Recorder(), CallInfo(compression="gzip")
    async with server(GrpcTransport, peer) as connection:
        inside: Any = connection
        stream = await inside.open("/a.B/C", "proto", EMPTY, None, info, MessageRules(compression="gzip"))
        for compression in ("gzip", "", None):
            info.compression = compression
            await stream.send(LONG)
        await stream.end()
        assert await soon(stream.receive()) == b"hi"
    assert [flag for flag, _ in messages(bytes(peer.data))] == [1, 0, 1]


@kinds
@pytest.mark.parametrize(("name", "pack"), [("gzip", zipped), ("deflate", zlib.compress)])
@pytest.mark.parametrize("size", [0, 10, 100_000, 3 * MIB])
async def test_replies_are_decompressed(kind: str, name: str, pack: Callable[[bytes], bytes], size: int) -> None:
    peer = Recorder(framed(pack(bytes(size)), 1), [*HEADERS, ("grpc-encoding", name)])
    async with server(GrpcTransport, peer) as connection:
        assert await ask(connection, kind, b"") == bytes(size)


async def test_replies_come_in_their_order_whether_they_are_compressed_or_not() -> None:
    sent = [b"%d" % number * 20 for number in range(300)]
    data = b"".join(framed(zipped(each), 1) if number % 3 else framed(each) for number, each in enumerate(sent))
    peer = Recorder(data, GZIPPED)
    async with server(GrpcTransport, peer) as connection:
        stream = await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
        await stream.end()
        found: list[bytes] = []
        with pytest.raises(micro.EndOfStream):
            while True:
                message = stream.receive_nowait()
                found.append(await soon(stream.receive()) if message is None else message)
    assert found == sent


async def test_a_receive_that_is_given_up_while_it_decompresses_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    working, go_on = asyncio.Event(), asyncio.Event()
    real: Any = client_call.decompress  # type: ignore[attr-defined]

    async def slowly(*arguments: Any) -> bytes:
        working.set()
        await go_on.wait()
        result: bytes = await real(*arguments)
        return result

    monkeypatch.setattr(client_call, "decompress", slowly)
    peer = Recorder(framed(zipped(b"first"), 1), GZIPPED)
    async with server(GrpcTransport, peer) as connection:
        stream = await connection.open("/a.B/C", "proto", EMPTY, None, CallInfo())
        await stream.end()
        receiving = asyncio.ensure_future(stream.receive())
        await soon(working.wait())
        stream.on_data(framed(b"second"), False)  # type: ignore[attr-defined]
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
        assert stream.receive_nowait() is None, "the first one is still to come"
        go_on.set()
        assert await soon(stream.receive()) == b"first"
        assert stream.receive_nowait() == b"second"


BAD = [
    (framed(zipped(b"x"), 1), HEADERS, micro.Internal, "no compression was agreed on"),
    (framed(b"x", 2), GZIPPED, micro.Internal, "the flag of a message is 2"),
    (framed(zipped(b"x")[:-1], 1), GZIPPED, micro.Internal, "its end is missing"),
    (framed(zipped(b"x") + b"y", 1), GZIPPED, micro.Internal, "something follows it"),
    (framed(b"", 1), GZIPPED, micro.Internal, "its end is missing"),
    (framed(b"x"), [*HEADERS, ("grpc-encoding", "br")], micro.Internal, "compressed with br, which was not asked for"),
    (framed(zipped(bytes(5 * MIB)), 1), GZIPPED, micro.ResourceExhausted, "come to more than 4194304"),
]


@kinds
@pytest.mark.parametrize(("data", "headers", "error", "match"), BAD, ids=range(len(BAD)))
async def test_replies_that_cannot_be_read_end_their_call_alone(
    kind: str, data: bytes, headers: Any, error: type[micro.Error], match: str
) -> None:
    peer = Recorder(data, headers)
    async with server(GrpcTransport, peer) as connection:
        for _ in range(2):
            with pytest.raises(error, match=match):
                await ask(connection, kind, b"")
        inside: Any = connection
        assert inside._link.usable


@kinds
async def test_a_bomb_in_a_reply_takes_no_memory(kind: str) -> None:
    peer = Recorder(framed(zipped(bytes(256 * MIB)), 1), GZIPPED)
    async with server(GrpcTransport, peer) as connection:
        with pytest.raises(micro.ResourceExhausted):
            await ask(connection, kind, b"")
        tracemalloc.start()
        try:
            with pytest.raises(micro.ResourceExhausted):
                await ask(connection, kind, b"")
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert most < 16 * MIB


# Our server


async def answered(peer: Peer, headers: list[tuple[str, str]], data: bytes) -> Reply:
    """Makes a call, and returns what it got."""
    peer.h2.send_headers(1, headers)
    for start in range(0, len(data), 16384):
        peer.h2.send_data(1, data[start : start + 16384])
    peer.h2.end_stream(1)
    reply = Reply()
    async for event in peer.events():
        if isinstance(event, ResponseReceived | TrailersReceived):
            found: Any = event.headers
            reply.fields.update(found)
        elif isinstance(event, DataReceived):
            assert event.data is not None
            reply.pieces.append(event.data)
        elif isinstance(event, StreamEnded):
            return reply
    raise AssertionError("the server hung up")


def text(value: str | int) -> bytes:
    return Text(value=value if isinstance(value, str) else "x" * value).SerializeToString()


@pytest.mark.parametrize(("name", "pack"), [("gzip", zipped), ("deflate", zlib.compress)])
@pytest.mark.parametrize("size", [0, 1000, 60_000])
async def test_requests_are_decompressed(name: str, pack: Callable[[bytes], bytes], size: int) -> None:
    async with client() as peer:
        fields = [*REQUEST, ("grpc-encoding", name)]
        reply = await soon(answered(peer, fields, framed(pack(text(size)), 1)))
    assert reply.fields["grpc-status"] == "0"
    assert "grpc-encoding" not in reply.fields, "nobody has asked for compressed replies"
    assert messages(b"".join(reply.pieces)) == [(0, text(size))]


@pytest.mark.parametrize(
    ("encoding", "data", "status", "match"),
    [
        (
            "br",
            framed(b"x", 1),
            "12",
            "compressed with 'br' cannot be read; this server reads identity, gzip, deflate, zstd",
        ),
        (None, framed(zipped(text("x")), 1), "13", "no compression was agreed on"),
        ("identity", framed(zipped(text("x")), 1), "13", "no compression was agreed on"),
        ("gzip", framed(text("x"), 3), "13", "flag of a message is 3"),
        ("gzip", framed(zipped(text("x"))[:-4], 1), "13", "its end is missing"),
        ("gzip", framed(zipped(bytes(5 * MIB)), 1), "8", "come to more than 4194304"),
    ],
    ids=range(6),
)
async def test_requests_that_cannot_be_read_are_refused(
    encoding: str | None, data: bytes, status: str, match: str
) -> None:
    async with client() as peer:
        fields = REQUEST if encoding is None else [*REQUEST, ("grpc-encoding", encoding)]
        reply = await soon(answered(peer, fields, data))
    assert reply.fields["grpc-status"] == status
    assert match in reply.fields["grpc-message"]
    assert not reply.pieces
    assert reply.fields.get("grpc-accept-encoding") == (ACCEPT if status == "12" else None)


async def test_requests_of_a_stream_come_in_their_order_whether_they_are_compressed_or_not() -> None:
    sent = ["x" * number for number in range(100)]
    data = b"".join(
        framed(zipped(text(each)), 1) if number % 3 else framed(text(each)) for number, each in enumerate(sent)
    )
    async with client() as peer:
        fields = [*changed(path="/lab.Lab/Talk"), ("grpc-encoding", "gzip")]
        reply = await soon(answered(peer, fields, data))
    assert reply.fields["grpc-status"] == "0"
    said = [Text.FromString(content).value for _, content in messages(b"".join(reply.pieces))]
    assert said == [*(f"re: {each}" for each in sent), "bye"]


@pytest.mark.parametrize(
    ("accepted", "used"),
    [(None, None), ("identity", None), ("br, x", None), ("deflate", None), ("br,gzip", "gzip"), (" gzip ,x", "gzip")],
)
async def test_replies_are_compressed_for_who_understands_it(accepted: str | None, used: str | None) -> None:
    async with client(compression="gzip") as peer:
        fields = REQUEST if accepted is None else [*REQUEST, ("grpc-accept-encoding", accepted)]
        reply = await soon(answered(peer, fields, framed(text(1000))))
    assert reply.fields.get("grpc-encoding") == used
    ((flag, content),) = messages(b"".join(reply.pieces))
    assert (flag, gzip.decompress(content) if flag else content) == (int(used is not None), text(1000))


async def test_a_bomb_in_a_request_takes_no_memory_and_no_handler_runs() -> None:
    bomb = framed(zipped(bytes(64 * MIB)), 1)
    async with client() as peer:
        tracemalloc.start()
        try:
            reply = await soon(answered(peer, [*REQUEST, ("grpc-encoding", "gzip")], bomb))
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert reply.fields["grpc-status"] == "8"
    assert most < 16 * MIB


async def test_a_message_that_cannot_be_read_stays_an_error_for_a_handler_that_receives_again() -> None:
    seen: list[str] = []

    async def twice(stream: ServerStream) -> None:
        for _ in range(2):
            with pytest.raises(micro.Internal, match="its end is missing") as caught:
                await stream.receive()
            seen.append(caught.value.message)
        await stream.finish(caught.value)

    listener = await GrpcTransport().listen("127.0.0.1:0", twice)
    host, _, port = listener.address.rpartition(":")
    peer = Peer(*await asyncio.open_connection(host, int(port)), client=True)
    broken = framed(zipped(text("x"))[:-4], 1)
    reply = await soon(answered(peer, [*REQUEST, ("grpc-encoding", "gzip")], broken + framed(text("y"))))
    assert reply.fields["grpc-status"] == "13"
    assert len(seen) == 2
    peer.writer.close()
    await listener.close()


# grpcio


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_client_of_grpcio_that_compresses(compression: Any) -> None:
    async with our_server(compression="gzip") as (_, service):
        assert service.node is not None
        async with grpc.aio.insecure_channel(service.node.address, compression=compression) as channel:
            act = channel.unary_unary(
                "/lab.Lab/Act", request_serializer=Text.SerializeToString, response_deserializer=Text.FromString
            )
            talk = channel.stream_stream(
                "/lab.Lab/Talk", request_serializer=Text.SerializeToString, response_deserializer=Text.FromString
            )
            for size in (0, 1000, 100_000, 2_000_000):
                call = act(Text(value="x" * size))
                assert (await call).value == "x" * size
                assert dict(await call.initial_metadata()).get("grpc-encoding", "gzip") == "gzip"
            said = [each.value async for each in talk(Text(value="y" * number) for number in range(0, 2000, 100))]
            assert said == [*(f"re: {'y' * number}" for number in range(0, 2000, 100)), "bye"]


@pytest.fixture(params=[grpc.Compression.Gzip, grpc.Compression.Deflate], ids=["gzip", "deflate"])
async def compressing(request: pytest.FixtureRequest) -> AsyncIterator[tuple[GrpcioLab, LabClient]]:
    """A server of grpcio that compresses, and a client of ours."""
    async with (
        grpcio_server(compression=request.param) as (lab, _, address),
        our_client(address, GrpcTransport()) as ours,
    ):
        yield lab, ours


async def test_a_server_of_grpcio_that_compresses(compressing: tuple[GrpcioLab, LabClient]) -> None:
    _, ours = compressing
    for size in (0, 1000, 100_000, 2_000_000):
        for compression in (None, "gzip", "deflate"):
            info = CallInfo(compression=compression)
            assert (await ours.act(Text(value="x" * size), info=info)).value == "x" * size
    assert [each.value async for each in ours.count(Number(value=500))] == list(range(500))
    said = [each.value async for each in ours.talk(Text(value="y" * number) for number in range(0, 2000, 100))]
    assert said == [*(f"re: {'y' * number}" for number in range(0, 2000, 100)), "bye"]


async def test_a_server_of_grpcio_that_does_not_know_the_algorithm_refuses_the_call_alone() -> None:
    async with grpcio_server() as (_, _, address), our_client(address, GrpcTransport()) as ours:
        with pytest.raises(micro.Internal, match="grpc-encoding"):  # It says INTERNAL, not UNIMPLEMENTED.
            await ours.act(Text(value="x" * 1000), info=CallInfo(compression="zstd"))
        assert (await ours.act(Text(value="x"))).value == "x"
