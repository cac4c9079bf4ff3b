"""Unmodified clients of grpcio call the server of our own engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.rpc.status_pb2 import Status

from micro_rt.backends.grpc.server import GrpcListener, listen
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.errors import EndOfStream, NotFound
from micro_rt.metadata import Metadata
from micro_rt.transport.base import ServerStream
from tests.helpers.waiting import eventually, soon


class Lab:
    """Serves what the tests call."""

    def __init__(self) -> None:
        self.waiting = self.cancelled = 0

    async def __call__(self, stream: ServerStream) -> None:
        name = stream.path.rpartition("/")[2]
        await getattr(self, name.lower())(stream)

    async def echo(self, stream: ServerStream) -> None:
        await stream.send_headers(Metadata([pair for pair in stream.metadata.pairs if pair[0].startswith("echo")]))
        try:
            while True:
                await stream.send(await stream.receive())
        except EndOfStream:
            await stream.finish(None, Metadata([("tail-bin", b"\0\1\xff")]))

    async def count(self, stream: ServerStream) -> None:
        for number in range(int(await stream.receive())):
            await stream.send(b"%d" % number)
        await stream.finish(None)

    async def sum(self, stream: ServerStream) -> None:
        total = 0
        try:
            while True:
                total += int(await stream.receive())
        except EndOfStream:
            await stream.send(b"%d" % total)
            await stream.finish(None)

    async def fail(self, stream: ServerStream) -> None:
        await stream.finish(NotFound("no order 42: ümlaut %", id="orders.not_found"))

    async def wait(self, stream: ServerStream) -> None:
        self.waiting += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled += 1


@pytest.fixture
async def lab() -> Lab:
    return Lab()


@pytest.fixture
async def listener(lab: Lab) -> AsyncIterator[GrpcListener]:
    listener = await listen("127.0.0.1:0", lab)
    yield listener
    await listener.close()


@pytest.fixture
async def channel(listener: GrpcListener) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(listener.address) as channel:
        yield channel


async def test_unary_with_metadata(channel: grpc.aio.Channel) -> None:
    call = channel.unary_unary("/lab.Lab/Echo")(b"hello", metadata=(("echo-text", "x"), ("echo-bin", b"\0\xff")))
    assert await soon(call) == b"hello"
    head = dict((await call.initial_metadata()) or ())
    assert (head["echo-text"], head["echo-bin"]) == ("x", b"\0\xff")
    assert dict((await call.trailing_metadata()) or ())["tail-bin"] == b"\0\1\xff"


async def test_many_calls_at_once(channel: grpc.aio.Channel) -> None:
    echo = channel.unary_unary("/lab.Lab/Echo")
    replies = await soon(asyncio.gather(*(echo(b"%d" % number) for number in range(200))))
    assert replies == [b"%d" % number for number in range(200)]


async def test_streams(channel: grpc.aio.Channel) -> None:
    counted = [int(each) async for each in channel.unary_stream("/lab.Lab/Count")(b"1000")]
    assert counted == list(range(1000))

    async def numbers() -> AsyncIterator[bytes]:
        for number in range(1000):
            yield b"%d" % number

    assert await soon(channel.stream_unary("/lab.Lab/Sum")(numbers())) == b"%d" % sum(range(1000))
    echoed = [int(each) async for each in channel.stream_stream("/lab.Lab/Echo")(numbers())]
    assert echoed == list(range(1000))


async def test_large_messages(channel: grpc.aio.Channel) -> None:
    large = bytes(range(256)) * (12 << 10)
    assert await soon(channel.unary_unary("/lab.Lab/Echo")(large)) == large
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await soon(channel.unary_unary("/lab.Lab/Echo")(bytes((4 << 20) + 1)))
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_an_error(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await soon(channel.unary_unary("/lab.Lab/Fail")(b""))
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "no order 42: ümlaut %")
    packed = dict(caught.value.trailing_metadata() or ())["grpc-status-details-bin"]
    assert isinstance(packed, bytes)
    assert Status.FromString(packed).details


async def test_a_deadline_and_a_cancellation_reach_the_handler(channel: grpc.aio.Channel, lab: Lab) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await soon(channel.unary_unary("/lab.Lab/Wait")(b"", timeout=0.3))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await eventually(lambda: lab.cancelled == lab.waiting)
    begun = lab.waiting
    call = channel.unary_unary("/lab.Lab/Wait")(b"")
    await eventually(lambda: lab.waiting > begun)
    call.cancel()
    await eventually(lambda: lab.cancelled == lab.waiting)


async def test_a_client_comes_back_when_its_connection_is_old(lab: Lab) -> None:
    listener = await listen("127.0.0.1:0", lab, ServerLimits(age=0.3, age_grace=5.0))
    async with grpc.aio.insecure_channel(listener.address) as channel:
        echo = channel.unary_unary("/lab.Lab/Echo")
        links: set[int] = set()
        async with asyncio.timeout(60):
            while len(links) < 3:
                assert await echo(b"x") == b"x"
                links |= {id(link) for link in listener._links}  # pyright: ignore[reportPrivateUsage]
                await asyncio.sleep(0.01)
    await listener.close()


async def test_a_unix_socket(lab: Lab, tmp_path: Path) -> None:
    listener = await listen(f"unix:{tmp_path}/lab.sock", lab)
    async with grpc.aio.insecure_channel(listener.address) as channel:
        assert await soon(channel.unary_unary("/lab.Lab/Echo")(b"locally")) == b"locally"
    await listener.close()
