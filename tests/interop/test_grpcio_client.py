"""An unmodified grpcio client calls a service of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

import micro_rt as micro
from tests.helpers.lab import BINARY, ERROR_MESSAGE, LARGE, SETTLE, GrpcioClient, OurLab, grpcio_client, our_server
from tests.helpers.sizes import Size
from tests.helpers.waiting import overtaken, soon
from tests.protos.lab_pb2 import Number, Text


@pytest.fixture
async def served() -> AsyncIterator[tuple[OurLab, GrpcioClient]]:
    async with our_server() as (lab, service), grpcio_client(service) as client:
        yield lab, client


@pytest.fixture
def lab(served: tuple[OurLab, GrpcioClient]) -> OurLab:
    return served[0]


@pytest.fixture
def client(served: tuple[OurLab, GrpcioClient]) -> GrpcioClient:
    return served[1]


async def test_unary(client: GrpcioClient) -> None:
    assert (await client.act(Text(value="hello"))).value == "hello"
    assert (await client.act(Text())).value == ""


@pytest.mark.verify("calls")
async def test_server_streaming(client: GrpcioClient, size: Size) -> None:
    count = size(10_000, ci=1_000)
    assert [reply.value async for reply in client.count(Number(value=count))] == list(range(count))


@pytest.mark.verify("calls")
async def test_client_streaming(client: GrpcioClient, size: Size) -> None:
    count = size(10_000, ci=1_000)
    assert (await client.sum(Number(value=value) for value in range(count))).value == sum(range(count))
    assert (await client.sum(iter(()))).value == 0


@pytest.mark.verify("calls")
async def test_bidirectional_streaming(client: GrpcioClient, size: Size) -> None:
    count = size(10_000, ci=1_000)
    call = client.talk()
    for number in range(count):
        await call.write(Text(value=str(number)))
        assert (await call.read()).value == f"re: {number}"
    await call.done_writing()
    assert (await call.read()).value == "bye"
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


@pytest.mark.verify("calls")
async def test_sending_everything_before_reading(client: GrpcioClient, size: Size) -> None:
    count = size(10_000, ci=1_000)
    replies = [reply.value async for reply in client.talk(Text(value=str(number)) for number in range(count))]
    assert replies == [*(f"re: {number}" for number in range(count)), "bye"]


async def test_a_large_message(client: GrpcioClient) -> None:
    text = "x" * (LARGE - len(Text(value="x" * LARGE).SerializeToString()) + LARGE)
    assert len(Text(value=text).SerializeToString()) == LARGE
    assert (await soon(client.act(Text(value=text)))).value == text


async def test_100_calls_at_once(client: GrpcioClient) -> None:
    replies = await soon(asyncio.gather(*(client.act(Text(value=str(number))) for number in range(100))))
    assert [reply.value for reply in replies] == [str(number) for number in range(100)]


async def test_300_streams_at_once(client: GrpcioClient) -> None:
    calls = [client.talk() for _ in range(300)]
    for call in calls:
        await soon(call.write(Text(value="all")))
    assert {(await soon(call.read())).value for call in calls} == {"re: all"}
    for call in calls:
        call.cancel()


async def test_metadata_both_ways(client: GrpcioClient) -> None:
    call = client.act(
        Text(value="metadata"), metadata=(("text", "a"), ("text", "b"), ("bytes-bin", BINARY), ("empty", ""))
    )
    await call
    headers, trailers = await call.initial_metadata(), await call.trailing_metadata()
    for where, metadata in (("head", headers), ("tail", trailers)):
        assert metadata.get_all(f"{where}-text") == ["a", "b"]
        assert metadata.get_all(f"{where}-bytes-bin") == [BINARY]
        assert metadata.get_all(f"{where}-empty") == [""]


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_every_error(client: GrpcioClient, code: grpc.StatusCode) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.act(Text(value=f"fail {code.value[0]}"))
    error = caught.value
    assert error.code() is code
    assert error.details() == ERROR_MESSAGE
    trailers = error.trailing_metadata()
    assert trailers["tail"] == "of an error"
    status = Status.FromString(trailers["grpc-status-details-bin"])
    assert (status.code, status.message) == (code.value[0], ERROR_MESSAGE)
    info, text = ErrorInfo(), Text()
    assert status.details[0].Unpack(info)
    assert info.reason == "lab.failed"
    assert status.details[1].Is(RetryInfo.DESCRIPTOR)
    assert status.details[2].Unpack(text)
    assert text.value == "a detail"


async def test_an_error_that_is_too_long_is_shortened_to_what_grpcio_takes() -> None:
    class Talkative(OurLab):
        async def act(self, request: Text, context: micro.Context) -> Text:
            raise micro.NotFound(request.value * 50_000, id="lab.long")

    service = micro.Service("lab", registry="memory:talkative", transport="grpc")
    service.handle(Talkative())
    async with service, grpcio_client(service) as client:
        for text in ("x", "ä"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.act(Text(value=text))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            assert (caught.value.details() or "").startswith(text * 100)


async def test_a_method_that_does_not_exist(client: GrpcioClient) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await client.missing(Text())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_deadline_ends_both_sides(lab: OurLab, client: GrpcioClient) -> None:
    async def hang(timeout: float) -> None:
        await client.act(Text(value="hang"), timeout=timeout)

    error = await overtaken(hang, lab.watched.started.is_set, 0.5, grpc.aio.AioRpcError)
    assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await soon(lab.watched.cancelled.wait())


async def test_a_deadline_reaches_the_handler(lab: OurLab, client: GrpcioClient) -> None:
    await client.act(Text(), timeout=100)
    assert lab.watched.deadline is not None
    assert 100 - SETTLE < lab.watched.deadline <= 101


async def test_a_cancelled_unary_call_cancels_its_handler(lab: OurLab, client: GrpcioClient) -> None:
    call = client.act(Text(value="hang"))
    await soon(lab.watched.started.wait())
    call.cancel()
    await soon(lab.watched.cancelled.wait())


async def test_a_cancelled_stream_cancels_its_handler(lab: OurLab, client: GrpcioClient) -> None:
    call = client.count(Number())
    reading = asyncio.ensure_future(call.read())
    await soon(lab.watched.started.wait())
    call.cancel()
    await soon(lab.watched.cancelled.wait())
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_a_channel_that_closes_cancels_its_calls() -> None:
    async with our_server() as (lab, service):
        async with grpcio_client(service) as client:
            call = client.talk()
            await call.write(Text(value="hang"))
            await soon(lab.watched.started.wait())
        await soon(lab.watched.cancelled.wait())


async def test_a_handler_that_ends_early_answers(client: GrpcioClient) -> None:
    numbers = (Number(value=value if value < 100 else -1) for value in range(100_000))
    assert (await soon(client.sum(numbers))).value == sum(range(100))


async def test_a_stream_that_ends_early_ends(client: GrpcioClient) -> None:
    call = client.talk()
    for text in ("a", "enough"):
        await call.write(Text(value=text))
    assert (await call.read()).value == "re: a"
    assert await soon(call.read()) is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_that_fails_early_fails(client: GrpcioClient) -> None:
    call = client.talk()
    for text in ("a", "fail"):
        await call.write(Text(value=text))
    assert (await call.read()).value == "re: a"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await soon(call.read())
    assert caught.value.code() is grpc.StatusCode.ABORTED
    assert caught.value.details() == ERROR_MESSAGE


async def test_a_service_that_stops_lets_calls_in_flight_finish() -> None:
    async with our_server(grace=SETTLE) as (_, service), grpcio_client(service) as client:
        call = client.talk()
        await call.write(Text(value="before"))
        assert (await call.read()).value == "re: before"
        stopping = asyncio.create_task(service.__aexit__(None, None, None))
        await asyncio.sleep(0.3)
        assert not stopping.done()
        await call.write(Text(value="after"))
        assert (await soon(call.read())).value == "re: after"
        await call.done_writing()
        assert (await soon(call.read())).value == "bye"
        assert await call.code() is grpc.StatusCode.OK
        await soon(stopping)
