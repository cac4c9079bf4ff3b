"""What ``Capabilities`` promise of transports over HTTP/2, shown with peers that speak it.

Each transport that declares one has it, and each that does not still lacks it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.http2.frames import PREFACE
from micro_rt.testing.contracts.transport.declared import declared
from micro_rt.testing.contracts.transport.harness import echo
from micro_rt.transport.base import Capabilities, Dispatch, ServerStream, capabilities_of
from tests.helpers.engines import Engine, on_each_engine
from tests.helpers.waiting import soon
from tests.interop.test_http2_peers import FRAME, HEADERS, OK, REQUEST, Peer, call, server, statuses
from tests.unit.http2.peers import Block, raw, settings

RST_STREAM, SETTINGS = 3, 4
MAX_CONCURRENT_STREAMS = 3
END_HEADERS = 4
REFUSED_STREAM = bytes([0, 0, 0, 7])
ANNOUNCED = b"\0\xff\xff\xff\xff" + bytes(1_000)
"""The beginning of a message of 4 GiB."""


@asynccontextmanager
async def listening(
    engine: Engine, dispatch: Dispatch
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Listens, and gives a connection that nothing has been sent on."""
    listener = await engine().listen("127.0.0.1:0", dispatch)
    host, _, port = listener.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()
        await listener.close()


async def payload(reader: asyncio.StreamReader, kind: int) -> bytes:
    """Reads until a frame of a type has come, and returns what is in it; a frame without content does not count."""
    while True:
        head = await soon(reader.readexactly(9))
        content = await soon(reader.readexactly(int.from_bytes(head[:3], "big")))
        if head[3] == kind and content:
            return content


def test_what_the_transports_declare() -> None:
    everything: dict[str, Any] = dict.fromkeys(Capabilities.__dataclass_fields__, True)
    assert capabilities_of(GrpcTransport()) == Capabilities(**everything)
    assert capabilities_of(GrpclibTransport()) == Capabilities()


# Frames without content


@on_each_engine
@pytest.mark.parametrize("position", [0, 3, 6])
async def test_an_empty_data_frame_in_a_request_means_nothing(engine: Engine, position: int) -> None:
    messages: list[bytes] = []

    async def read(stream: ServerStream) -> None:
        messages.append(await stream.receive())
        await stream.finish(None)

    async with listening(engine, read) as streams:
        peer = Peer(*streams, client=True)
        peer.h2.send_headers(1, REQUEST)
        if position:
            peer.h2.send_data(1, FRAME[:position])
        peer.h2.send_data(1, b"")
        peer.h2.send_data(1, FRAME[position:], end_stream=True)
        answers = await statuses(peer, 1)
        with declared(engine(), "empty_frames"):
            assert (answers[1]["grpc-status"], messages) == ("0", [b"hi"])


@on_each_engine
@pytest.mark.parametrize("position", [0, 3, 6])
async def test_an_empty_data_frame_in_a_reply_means_nothing(engine: Engine, position: int) -> None:
    async def proxy(peer: Peer) -> None:
        async for stream in peer.requests():
            peer.h2.send_headers(stream, HEADERS)
            if position:
                peer.h2.send_data(stream, FRAME[:position])
            peer.h2.send_data(stream, b"")
            peer.h2.send_data(stream, FRAME[position:])
            peer.h2.send_headers(stream, OK, end_stream=True)

    async with server(engine, proxy) as connection:
        with declared(engine(), "empty_frames"):
            assert await call(connection) == b"hi"


# Limits


@on_each_engine
async def test_a_request_announced_as_4_gib_is_refused_before_it_comes(engine: Engine) -> None:
    async with listening(engine, echo) as streams:
        peer = Peer(*streams, client=True)
        peer.h2.send_headers(1, REQUEST)
        peer.h2.send_data(1, ANNOUNCED)
        peer.h2.send_headers(3, REQUEST)
        peer.h2.send_data(3, FRAME, end_stream=True)
        answers = await statuses(peer, 1)  # Of the call that is answered first.
        with declared(engine(), "limits"):
            assert answers.get(1, {}).get("grpc-status") == "8", "it waits for the rest"


@on_each_engine
async def test_a_reply_announced_as_4_gib_is_refused(engine: Engine) -> None:
    async def announce(peer: Peer) -> None:
        async for stream in peer.requests():
            await peer.answer(stream, ANNOUNCED)

    async with server(engine, announce) as connection:
        with declared(engine(), "limits"), pytest.raises(micro.ResourceExhausted, match="4294967295 bytes"):
            await call(connection)


@on_each_engine
async def test_one_call_more_than_the_limit_of_a_server_is_refused(engine: Engine) -> None:
    handlers = 0

    async def hold(stream: ServerStream) -> None:
        nonlocal handlers
        handlers += 1
        await asyncio.Event().wait()

    async with listening(engine, hold) as (reader, writer):
        writer.write(PREFACE + settings())
        sent = await payload(reader, SETTINGS)
        pairs = [sent[start : start + 6] for start in range(0, len(sent), 6)]
        advertised = {int.from_bytes(pair[:2], "big"): int.from_bytes(pair[2:], "big") for pair in pairs}
        with declared(engine(), "limits"):
            limit = advertised.get(MAX_CONCURRENT_STREAMS, 1 << 32)
            assert limit <= 1_000, "as many calls as there is memory for"
            block = Block.of([(name.encode(), value.encode()) for name, value in REQUEST])
            writer.write(b"".join([raw(1, END_HEADERS, 2 * number + 1, block) for number in range(limit + 1)]))
            assert await payload(reader, RST_STREAM) == REFUSED_STREAM
            assert handlers <= limit


# Calls that wait


@on_each_engine
async def test_calls_that_wait_begin_in_order_and_cost_the_same_however_many_wait(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    wakeups = 0
    call_soon = loop.call_soon

    def counting(*arguments: Any, **options: Any) -> asyncio.Handle:
        nonlocal wakeups
        wakeups += 1
        return call_soon(*arguments, **options)

    monkeypatch.setattr(loop, "call_soon", counting)

    async def one_at_a_time(peer: Peer) -> None:
        async for stream in peer.requests():
            assert peer.h2.open_inbound_streams == 1
            await peer.answer(stream)

    async def per_call(count: int) -> float:
        """Makes calls that wait for their turn, and returns the callbacks of the event loop per call."""
        order: list[int] = []

        async def numbered(number: int) -> None:
            assert await call(connection) == b"hi"
            order.append(number)

        before = wakeups
        await asyncio.gather(*map(numbered, range(count)))
        spent = (wakeups - before) / count
        assert order == list(range(count))
        return spent

    async with server(engine, one_at_a_time, MAX_CONCURRENT_STREAMS=1) as connection:
        await connection.connect()
        with declared(engine(), "ordered_waiting"):
            few = await per_call(20)
            assert await per_call(200) < 2 * few
