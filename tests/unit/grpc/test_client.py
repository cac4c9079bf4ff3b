"""Our own client beside our own server: what the contract of transports does not ask for."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.grpc.client_call import BaseCall
from micro_rt.backends.grpc.client_unary import UnaryCall
from micro_rt.backends.grpc.fields import request_group
from micro_rt.backends.grpc.framing import MAX_MESSAGE
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.context import CallInfo
from micro_rt.errors import EndOfStream, InvalidArgument, NotFound, ResourceExhausted
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.transport.base import Connection, Dispatch, ServerStream
from tests.helpers.waiting import eventually, soon

PATH = "/test.Test/Call"


async def echo(stream: ServerStream) -> None:
    try:
        while True:
            await stream.send(await stream.receive())
    except EndOfStream:
        await stream.finish(None)


async def fail(stream: ServerStream) -> None:
    await stream.finish(NotFound("nothing here"))


@asynccontextmanager
async def connected(
    dispatch: Dispatch = echo, address: str = "127.0.0.1:0", receive: int = MAX_MESSAGE, send: int = MAX_MESSAGE
) -> AsyncGenerator[Connection]:
    listener = await GrpcTransport(receive=64 << 20, send=64 << 20).listen(address, dispatch)
    connection = GrpcTransport(receive=receive, send=send).connection(listener.address)
    try:
        yield connection
    finally:
        await soon(connection.close())
        await soon(listener.close())


async def unary(
    connection: Connection,
    message: bytes,
    *,
    path: str = PATH,
    metadata: Metadata = EMPTY,
    info: CallInfo | None = None,
) -> bytes:
    return await soon(connection.unary(path, "proto", metadata, None, info or CallInfo(), message))


@pytest.mark.parametrize("path", ["", "a.B/C", "/a.B/C\r\nx: y", "/a\x7f", "/\udcff"])
async def test_a_path_that_cannot_be_sent_is_refused(path: str) -> None:
    async with connected() as connection:
        with pytest.raises(InvalidArgument, match="cannot be called") as caught:
            await unary(connection, b"", path=path)
        assert not caught.value.may_have_run
        assert caught.value.message.isprintable()
        assert await unary(connection, b"1") == b"1"


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_metadata_that_is_too_large_is_not_sent(kind: str) -> None:
    async with connected() as connection:
        metadata = Metadata({"a": "x" * 16_384})
        with pytest.raises(ResourceExhausted, match="16384 can be sent") as caught:
            if kind == "unary":
                await unary(connection, b"", metadata=metadata)
            else:
                await connection.open(PATH, "proto", metadata, None, CallInfo())
        assert not caught.value.may_have_run
        assert await unary(connection, b"1", metadata=Metadata({"a": "x" * 15_000})) == b"1"


async def test_a_message_that_is_too_large_to_be_sent_is_not() -> None:
    async with connected(send=1000) as connection:
        assert await unary(connection, bytes(1000)) == bytes(1000)
        with pytest.raises(ResourceExhausted, match="1001 bytes; 1000 is the most") as caught:
            await unary(connection, bytes(1001))
        assert not caught.value.may_have_run
        stream = await connection.open(PATH, "proto", EMPTY, None, CallInfo())
        for receiving in (stream.send(bytes(1001)), stream.receive(), stream.send(b"")):
            with pytest.raises(ResourceExhausted) as caught:
                await soon(receiving)
            assert caught.value.may_have_run


async def test_a_unary_call_begins_with_all_that_every_call_has() -> None:
    """``UnaryCall`` does not call what ``BaseCall`` is made with, to save time."""
    async with connected() as connection:
        await connection.connect()
        link: Any = connection
        given: Any = (link._link, PATH, request_group(PATH, "a", "proto"), (), None, CallInfo(), 7)
        base, call = BaseCall(*given), UnaryCall(b"", *given)
        names = [slot for slot in BaseCall.__slots__ if slot != "__weakref__"]
        assert [getattr(call, name) for name in names] == [getattr(base, name) for name in names]


@pytest.mark.parametrize("size", [1001, 100_000, 5 << 20])
async def test_a_message_that_is_too_large_to_be_taken_ends_its_call(size: int) -> None:
    async def large(stream: ServerStream) -> None:
        await stream.send(bytes(int(await stream.receive())))
        await stream.finish(None)

    async with connected(large, receive=1000) as connection:
        assert len(await unary(connection, b"1000")) == 1000
        with pytest.raises(ResourceExhausted, match=f"a message of {size} bytes was announced; 1000 is the most"):
            await unary(connection, b"%d" % size)
        stream = await connection.open(PATH, "proto", EMPTY, None, CallInfo())
        await stream.send(b"%d" % size, end=True)
        for _ in range(2):
            with pytest.raises(ResourceExhausted, match="was announced"):
                await soon(stream.receive())


@pytest.mark.parametrize("kind", ["unary", "stream", "stream that is received from later"])
async def test_a_reply_may_be_larger_than_the_window(kind: str) -> None:
    async def large(stream: ServerStream) -> None:
        await stream.receive()
        await stream.send(bytes(9 << 20))
        await stream.finish(None)

    async with connected(large, receive=16 << 20) as connection:
        if kind == "unary":
            assert len(await unary(connection, b"1")) == 9 << 20
            return
        stream = await connection.open(PATH, "proto", EMPTY, None, CallInfo())
        await stream.send(b"1", end=True)
        if kind != "stream":
            inside: Any = stream
            await eventually(lambda: inside._unacknowledged == 4 << 20, "the window is not used")
        assert len(await soon(stream.receive())) == 9 << 20


async def test_nothing_follows_a_message_that_was_cancelled_while_it_was_sent() -> None:
    async def deaf(stream: ServerStream) -> None:
        await asyncio.Event().wait()

    async with connected(deaf, send=16 << 20) as connection:
        stream = await connection.open(PATH, "proto", EMPTY, None, CallInfo())
        sending = asyncio.create_task(stream.send(bytes(9 << 20)))
        inside: Any = stream
        await eventually(lambda: inside._writable is not None, "it does not wait for the windows of the server")
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(sending)
        with pytest.raises(micro.Cancelled):
            await soon(stream.send(b"after"))


async def test_a_unix_socket(tmp_path: Path) -> None:
    async with connected(address=f"unix:{tmp_path / 'socket'}") as connection:
        assert await unary(connection, b"1") == b"1"


async def test_a_unix_socket_that_is_not_there(tmp_path: Path) -> None:
    connection = GrpcTransport().connection(f"unix:{tmp_path / 'socket'}")
    with pytest.raises(micro.Unavailable, match="No such file") as caught:
        await unary(connection, b"1")
    assert not caught.value.may_have_run
    await connection.close()


class Info(CallInfo):
    """One that weak references can be made to."""


@pytest.mark.parametrize("how", ["ok", "parts", "error", "deadline", "cancelled", "stream"])
async def test_a_call_is_not_left_to_the_garbage_collector(how: str) -> None:
    async def serve(stream: ServerStream) -> None:
        if how in ("deadline", "cancelled"):
            await asyncio.Event().wait()
        await (fail(stream) if how == "error" else echo(stream))

    async def one(connection: Connection) -> weakref.ref[Info]:
        info = Info()
        loop = asyncio.get_running_loop()
        if how == "stream":
            stream = await connection.open(PATH, "proto", EMPTY, loop.time() + 60, info)
            await stream.send(b"1", end=True)
            assert await stream.receive() == b"1"
            with pytest.raises(EndOfStream):
                await stream.receive()
            return weakref.ref(info)
        deadline = loop.time() + (0.3 if how == "deadline" else 60)
        calling = connection.unary(PATH, "proto", EMPTY, deadline, info, bytes(20_000 if how == "parts" else 1))
        if how == "cancelled":
            task = asyncio.ensure_future(calling)
            inside: Any = connection
            await eventually(lambda: inside._link is not None and inside._link.http2.streams)
            task.cancel()
            await asyncio.wait((task,))
        elif how in ("error", "deadline"):
            with pytest.raises(micro.Error):
                await soon(calling)
        else:
            await soon(calling)
        return weakref.ref(info)

    async with connected(serve) as connection:
        await connection.connect()
        gc.collect()
        gc.disable()
        try:
            info = await one(connection)
            for _ in range(5):
                await asyncio.sleep(0)
            if how in ("ok", "parts", "stream"):
                assert info() is None
            inside: Any = connection
            assert not inside._link.http2.streams
            assert not inside._link.waiting
            assert not len(inside._deadlines)
        finally:
            gc.enable()
        gc.collect()
        assert info() is None


async def test_metadata_of_an_earlier_attempt_does_not_stay() -> None:
    async def first_only(stream: ServerStream) -> None:
        first = await stream.receive() == b"first"
        if first:
            await stream.send_headers(Metadata({"head": "1"}))
        await stream.send(b"")
        await stream.finish(None, Metadata({"tail": "1"}) if first else EMPTY)

    async with connected(first_only) as connection:
        info = CallInfo()
        await unary(connection, b"first", info=info)
        assert (info.headers["head"], info.trailers["tail"]) == ("1", "1")
        await unary(connection, b"second", info=info)
        assert (info.headers, info.trailers) == (EMPTY, EMPTY)


async def test_a_call_waits_while_the_transport_holds_too_much() -> None:
    async with connected() as connection:
        await connection.connect()
        inside: Any = connection
        link = inside._link
        link.pause_writing()
        unaries = [asyncio.ensure_future(unary(connection, b"1")) for _ in range(5)]
        late = asyncio.ensure_future(
            connection.unary(PATH, "proto", EMPTY, asyncio.get_running_loop().time() + 0.05, CallInfo(), b"1")
        )
        await asyncio.wait((late,))
        error = late.exception()
        assert isinstance(error, micro.DeadlineExceeded)
        assert not error.may_have_run
        assert not link.http2.streams
        link.resume_writing()
        assert await asyncio.gather(*unaries) == [b"1"] * 5
