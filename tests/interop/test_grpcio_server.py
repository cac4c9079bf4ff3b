"""A client of ours calls an unmodified grpcio server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo

import micro_rt as micro
from micro_rt.context import CallInfo
from micro_rt.metadata import EMPTY
from tests.helpers.engines import ENGINES, Engine, on_each_engine
from tests.helpers.lab import BINARY, ERROR_MESSAGE, LARGE, SETTLE, GrpcioLab, grpcio_server, our_client
from tests.helpers.sizes import Size
from tests.helpers.waiting import overtaken, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


@pytest.fixture(params=ENGINES, ids=["grpc", "grpclib"])
async def called(request: pytest.FixtureRequest) -> AsyncIterator[tuple[GrpcioLab, LabClient]]:
    """A server, and a client with each transport over HTTP/2."""
    async with grpcio_server() as (lab, _, address), our_client(address, request.param()) as client:
        yield lab, client


@pytest.fixture
def lab(called: tuple[GrpcioLab, LabClient]) -> GrpcioLab:
    return called[0]


@pytest.fixture
def client(called: tuple[GrpcioLab, LabClient]) -> LabClient:
    return called[1]


async def test_unary(client: LabClient) -> None:
    assert (await client.act(Text(value="hello"))).value == "hello"
    assert (await client.act(Text())).value == ""


@pytest.mark.verify("calls")
async def test_server_streaming(client: LabClient, size: Size) -> None:
    count = size(10_000, ci=1_000)
    assert [reply.value async for reply in client.count(Number(value=count))] == list(range(count))


@pytest.mark.verify("calls")
async def test_client_streaming(client: LabClient, size: Size) -> None:
    count = size(10_000, ci=1_000)
    assert (await client.sum(Number(value=value) for value in range(count))).value == sum(range(count))
    assert (await client.sum(())).value == 0


@pytest.mark.verify("calls")
async def test_bidirectional_streaming(client: LabClient, size: Size) -> None:
    count = size(10_000, ci=1_000)
    async with client.talk() as call:
        for number in range(count):
            await call.send(Text(value=str(number)))
            assert (await call.receive()).value == f"re: {number}"
        await call.end()
        assert (await call.receive()).value == "bye"
        with pytest.raises(micro.EndOfStream):
            await call.receive()


@pytest.mark.verify("calls")
async def test_sending_everything_while_reading(client: LabClient, size: Size) -> None:
    count = size(10_000, ci=1_000)
    replies = [reply.value async for reply in client.talk(Text(value=str(number)) for number in range(count))]
    assert replies == [*(f"re: {number}" for number in range(count)), "bye"]


async def test_a_large_message(client: LabClient) -> None:
    text = "x" * (LARGE - len(Text(value="x" * LARGE).SerializeToString()) + LARGE)
    assert len(Text(value=text).SerializeToString()) == LARGE
    assert (await soon(client.act(Text(value=text)))).value == text


async def test_a_message_that_is_too_large_for_grpcio_is_refused_by_it(client: LabClient) -> None:
    with pytest.raises(micro.ResourceExhausted):
        await soon(client.act(Text(value="x" * (LARGE + 1))))
    assert (await client.act(Text(value="next"))).value == "next"


async def test_100_calls_at_once(client: LabClient) -> None:
    replies = await soon(asyncio.gather(*(client.act(Text(value=str(number))) for number in range(100))))
    assert [reply.value for reply in replies] == [str(number) for number in range(100)]


async def test_300_streams_at_once(client: LabClient) -> None:
    async with asyncio.timeout(SETTLE):
        calls = [client.talk() for _ in range(300)]
        for call in calls:
            await call.__aenter__()
            await call.send(Text(value="all"))
        assert {(await call.receive()).value for call in calls} == {"re: all"}
        for call in calls:
            call.cancel()


async def test_metadata_both_ways(client: LabClient) -> None:
    info = micro.CallInfo()
    sent = [("sent", "a"), ("sent", "b"), ("sent-bin", BINARY), ("sent-empty", "")]
    await client.act(Text(value="metadata"), metadata=sent, info=info)
    for where, metadata in (("head", info.headers), ("tail", info.trailers)):
        assert metadata.all(f"{where}-sent") == ["a", "b"]
        assert metadata.all(f"{where}-sent-bin") == [BINARY]
        assert metadata.all(f"{where}-sent-empty") == [""]


@pytest.mark.parametrize("code", [code for code in micro.Code if code is not micro.Code.OK])
async def test_every_error(client: LabClient, code: micro.Code) -> None:
    info = micro.CallInfo()
    with pytest.raises(micro.Error) as caught:
        await client.act(Text(value=f"fail {int(code)}"), info=info)
    error = caught.value
    assert error.code is code
    assert error.message == ERROR_MESSAGE
    assert error.id == "lab.failed"
    reason, retry, text = error.details
    assert isinstance(reason, ErrorInfo)
    assert (reason.reason, reason.domain) == ("lab.failed", "elsewhere")
    assert error.detail(RetryInfo) == retry
    assert error.detail(Text) == text == Text(value="a detail")
    assert error.may_have_run
    assert info.trailers["tail"] == "of an error"


async def test_a_method_that_does_not_exist(client: LabClient) -> None:
    with pytest.raises(micro.Unimplemented):
        await client.missing(Text())
    with pytest.raises(micro.Unimplemented):
        async for _ in client.missing_stream([Text()]):
            pass


async def test_a_deadline_ends_both_sides(lab: GrpcioLab, client: LabClient) -> None:
    await overtaken(lambda t: client.act(Text(value="hang"), timeout=t), lab.watched.started.is_set, 0.5)
    await soon(lab.watched.cancelled.wait())


async def test_a_deadline_reaches_the_handler(lab: GrpcioLab, client: LabClient) -> None:
    await client.act(Text(), timeout=100)
    assert lab.watched.deadline is not None
    assert 100 - SETTLE < lab.watched.deadline <= 101


async def test_a_cancelled_unary_call_cancels_its_handler(lab: GrpcioLab, client: LabClient) -> None:
    call = asyncio.create_task(client.act(Text(value="hang")))
    await soon(lab.watched.started.wait())
    call.cancel()
    await soon(lab.watched.cancelled.wait())


async def test_leaving_a_stream_cancels_its_handler(lab: GrpcioLab, client: LabClient) -> None:
    async with client.talk() as call:
        await call.send(Text(value="hang"))
        await soon(lab.watched.started.wait())
    await soon(lab.watched.cancelled.wait())


@on_each_engine
async def test_a_client_that_closes_cancels_its_calls(engine: Engine) -> None:
    async with grpcio_server() as (lab, _, address):
        async with our_client(address, engine()) as client:
            call = asyncio.create_task(client.act(Text(value="hang")))
            await soon(lab.watched.started.wait())
        with pytest.raises(micro.Unavailable) as caught:
            await soon(call)
        assert caught.value.may_have_run
        await soon(lab.watched.cancelled.wait())


async def test_a_handler_that_ends_early_answers(client: LabClient) -> None:
    numbers = (Number(value=value if value < 100 else -1) for value in range(100_000))
    assert (await soon(client.sum(numbers))).value == sum(range(100))
    async with client.sum() as call:
        await call.send(Number(value=-1))
        assert (await soon(call.finish())).value == 0


async def test_a_stream_that_ends_early_ends(client: LabClient) -> None:
    async with client.talk() as call:
        for text in ("a", "enough"):
            await call.send(Text(value=text))
        assert (await call.receive()).value == "re: a"
        with pytest.raises(micro.EndOfStream):
            await soon(call.receive())


async def test_a_stream_that_fails_early_fails(client: LabClient) -> None:
    async with client.talk() as call:
        for text in ("a", "fail"):
            await call.send(Text(value=text))
        assert (await call.receive()).value == "re: a"
        with pytest.raises(micro.Aborted) as caught:
            await soon(call.receive())
    assert caught.value.message == ERROR_MESSAGE


@on_each_engine
async def test_a_server_that_stops_lets_calls_in_flight_finish(engine: Engine) -> None:
    async with grpcio_server() as (_, server, address), our_client(address, engine()) as client:
        async with client.talk() as call:
            await call.send(Text(value="before"))
            assert (await call.receive()).value == "re: before"
            stopping = asyncio.create_task(server.stop(SETTLE))
            with pytest.raises(micro.Unavailable) as caught:
                while True:  # until it has said goodbye; what comes while it does, grpcio may cancel, or never answer
                    with suppress(micro.Cancelled, micro.DeadlineExceeded):
                        await soon(client.act(Text(), timeout=1.0))
                    await asyncio.sleep(0.01)
            assert not caught.value.may_have_run
            await call.send(Text(value="after"))
            assert (await soon(call.receive())).value == "re: after"
            await call.end()
            assert (await soon(call.receive())).value == "bye"
        await soon(stopping)


@on_each_engine
async def test_a_server_that_stops_at_once_fails_its_calls(engine: Engine) -> None:
    async with grpcio_server() as (lab, server, address), our_client(address, engine()) as client:
        call = asyncio.create_task(client.act(Text(value="hang")))
        await soon(lab.watched.started.wait())
        await server.stop(None)
        with pytest.raises(micro.Error) as caught:
            await soon(call)
        assert isinstance(caught.value, micro.Unavailable | micro.Cancelled)
        assert caught.value.may_have_run


@on_each_engine
async def test_a_server_that_comes_back_is_called_again(engine: Engine) -> None:
    async with grpcio_server() as (_, first, address), our_client(address, engine()) as client:
        assert (await client.act(Text(value="1"))).value == "1"
        await first.stop(None)
        again = grpc.aio.server()
        again.add_generic_rpc_handlers((GrpcioLab(),))
        again.add_insecure_port(address)
        await again.start()
        assert (await soon(client.act(Text(value="2")))).value == "2"
        await again.stop(None)


@on_each_engine
async def test_a_content_subtype_of_ours_reaches_grpcio(engine: Engine) -> None:
    seen: list[bytes] = []

    class Raw(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            async def echo(request: bytes, context: Any) -> bytes:
                seen.append(request)
                return request

            return grpc.unary_unary_rpc_method_handler(echo)  # bytes in, bytes out

    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Raw(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    connection = engine().connection(f"127.0.0.1:{port}")
    try:
        reply = await connection.unary("/a.B/C", "acme", EMPTY, None, CallInfo(), b"\xff raw")
    finally:
        await connection.close()
        await server.stop(0)
    assert (reply, seen) == (b"\xff raw", [b"\xff raw"])
