"""gRPC's interoperability cases, as our client and grpcio's make them, and the service that they call, as both serve it.

The cases are those of https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md, but for four groups: those that
need an account of Google's, ``cacheable_unary``, which needs a proxy that caches, and those of ORCA, of xDS and of gRPC's load
balancers, which are other protocols. ``tests/interop/go_grpc`` has them in Go.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc
import pytest

import micro_rt as micro
from micro_rt.context import CallInfo
from tests.helpers.waiting import soon
from tests.protos import grpc_testing_micro as stubs
from tests.protos.grpc_testing_pb2 import (
    BoolValue,
    EchoStatus,
    Empty,
    Payload,
    ResponseParameters,
    SimpleRequest,
    SimpleResponse,
    StreamingInputCallRequest,
    StreamingInputCallResponse,
    StreamingOutputCallRequest,
    StreamingOutputCallResponse,
)

__all__ = ["CASES", "COMPRESSED", "GrpcioCases", "GrpcioService", "OurCases", "OurService"]

PLAIN = (
    "empty_unary",
    "large_unary",
    "client_streaming",
    "server_streaming",
    "ping_pong",
    "empty_stream",
    "custom_metadata",
    "status_code_and_message",
    "special_status_message",
    "unimplemented_method",
    "unimplemented_service",
    "cancel_after_begin",
    "cancel_after_first_response",
    "timeout_on_sleeping_server",
    "rpc_soak",
    "channel_soak",
)
COMPRESSED = (
    "client_compressed_unary",
    "server_compressed_unary",
    "client_compressed_streaming",
    "server_compressed_streaming",
)
CASES = (*PLAIN, *COMPRESSED)

REQUESTS = (27182, 8, 1828, 45904)

WRITING_FAILED = "Internal error from Core"
"""What grpcio's client says when a deadline passes while it writes, on a server of grpcio as well: 1 of 1,000 calls.

It is INTERNAL then, and says nothing about the server, so the case is tried again.
"""
TRIES = 5
REPLIES = (31415, 9, 2653, 58979)
LARGE_REQUEST, LARGE_REPLY = 271828, 314159
SPECIAL = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
INITIAL, INITIAL_VALUE = "x-grpc-test-echo-initial", "test_initial_metadata_value"
TRAILING, TRAILING_VALUE = "x-grpc-test-echo-trailing-bin", b"\xab\xab\xab"
SOAK_CALLS, SOAK_CHANNELS = 100, 10
METADATA: list[tuple[str, str | bytes]] = [(INITIAL, INITIAL_VALUE), (TRAILING, TRAILING_VALUE)]


def payload(size: int) -> Payload:
    return Payload(body=bytes(size))


def large(**more: Any) -> SimpleRequest:
    return SimpleRequest(response_size=LARGE_REPLY, payload=payload(LARGE_REQUEST), **more)


def step(number: int) -> StreamingOutputCallRequest:
    """Returns one request of a conversation."""
    return StreamingOutputCallRequest(
        response_parameters=[ResponseParameters(size=REPLIES[number])], payload=payload(REQUESTS[number])
    )


def several(*compressed: bool) -> StreamingOutputCallRequest:
    """Returns a request for two replies."""
    return StreamingOutputCallRequest(
        response_parameters=[
            ResponseParameters(size=size, compressed=BoolValue(value=each))
            for size, each in zip((31415, 92653), compressed, strict=True)
        ]
    )


# Our side


class OurService(stubs.TestServiceBase):
    """What the cases call.

    Args:
        came: says of an encoded request whether it came compressed.
    """

    def __init__(self, came: Callable[[bytes], bool]) -> None:
        self._came = came

    async def empty_call(self, request: Empty, context: micro.Context) -> Empty:
        return request

    async def unary_call(self, request: SimpleRequest, context: micro.Context) -> SimpleResponse:
        self._echo(context)
        self._check(request)
        _refuse(request.response_status if request.HasField("response_status") else None)
        if request.response_compressed.value:
            context.compress("gzip")
        return SimpleResponse(payload=payload(request.response_size))

    async def streaming_output_call(
        self, request: StreamingOutputCallRequest, context: micro.Context
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        async for reply in self._replies(request, context):
            yield reply

    async def streaming_input_call(
        self, requests: AsyncIterator[StreamingInputCallRequest], context: micro.Context
    ) -> StreamingInputCallResponse:
        size = 0
        async for request in requests:
            self._check(request)
            size += len(request.payload.body)
        return StreamingInputCallResponse(aggregated_payload_size=size)

    async def full_duplex_call(
        self, requests: AsyncIterator[StreamingOutputCallRequest], context: micro.Context
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        self._echo(context)
        async for request in requests:
            _refuse(request.response_status if request.HasField("response_status") else None)
            async for reply in self._replies(request, context):
                yield reply

    async def _replies(
        self, request: StreamingOutputCallRequest, context: micro.Context
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        for parameters in request.response_parameters:
            await asyncio.sleep(parameters.interval_us / 1e6)
            if parameters.HasField("compressed"):
                context.compress("gzip" if parameters.compressed.value else "")
            yield StreamingOutputCallResponse(payload=payload(parameters.size))

    def _check(self, request: SimpleRequest | StreamingInputCallRequest) -> None:
        if request.HasField("expect_compressed"):
            came = self._came(request.SerializeToString())
            if came != request.expect_compressed.value:
                raise micro.InvalidArgument(f"compressed: {came}; expected: {request.expect_compressed.value}")

    def _echo(self, context: micro.Context) -> None:
        if INITIAL in context.metadata:
            context.add_header(INITIAL, context.metadata[INITIAL])
        if TRAILING in context.metadata:
            context.add_trailer(TRAILING, context.metadata[TRAILING])


def _refuse(status: EchoStatus | None) -> None:
    if status is not None and status.code:
        raise micro.Error.of(status.code, status.message)


class OurCases:
    """The cases, as our client makes them.

    Args:
        client: of the service.
        missing: of the service that the server does not have.
        another: makes a client with a connection of its own, and closes it.
    """

    def __init__(
        self,
        client: stubs.TestServiceClient,
        missing: stubs.UnimplementedServiceClient,
        another: Callable[[Callable[[stubs.TestServiceClient], Awaitable[None]]], Awaitable[None]],
    ) -> None:
        self._client = client
        self._missing = missing
        self._another = another

    async def run(self, case: str) -> None:
        await soon(getattr(self, case)())

    async def empty_unary(self) -> None:
        assert await self._client.empty_call(Empty()) == Empty()

    async def large_unary(self) -> None:
        await self._large(self._client)

    async def _large(self, client: stubs.TestServiceClient, **options: Any) -> None:
        request = options.pop("request", large())
        assert len((await client.unary_call(request, **options)).payload.body) == LARGE_REPLY

    async def client_streaming(self) -> None:
        requests = [StreamingInputCallRequest(payload=payload(size)) for size in REQUESTS]
        reply = await self._client.streaming_input_call(requests)
        assert reply.aggregated_payload_size == sum(REQUESTS)

    async def server_streaming(self) -> None:
        request = StreamingOutputCallRequest(response_parameters=[ResponseParameters(size=size) for size in REPLIES])
        sizes = [len(reply.payload.body) async for reply in self._client.streaming_output_call(request)]
        assert sizes == list(REPLIES)

    async def ping_pong(self) -> None:
        async with self._client.full_duplex_call() as call:
            for number, size in enumerate(REPLIES):
                await call.send(step(number))
                assert len((await call.receive()).payload.body) == size
            await call.end()
            with pytest.raises(micro.EndOfStream):
                await call.receive()

    async def empty_stream(self) -> None:
        assert [reply async for reply in self._client.full_duplex_call([])] == []

    async def custom_metadata(self) -> None:
        info = CallInfo()
        await self._large(self._client, metadata=METADATA, info=info)
        assert (info.headers[INITIAL], info.trailers[TRAILING]) == (INITIAL_VALUE, TRAILING_VALUE)
        info = CallInfo()
        replies = [reply async for reply in self._client.full_duplex_call([step(0)], metadata=METADATA, info=info)]
        assert len(replies) == 1
        assert (info.headers[INITIAL], info.trailers[TRAILING]) == (INITIAL_VALUE, TRAILING_VALUE)

    async def status_code_and_message(self) -> None:
        status = EchoStatus(code=2, message="test status message")
        with pytest.raises(micro.Unknown) as unary:
            await self._client.unary_call(SimpleRequest(response_status=status))
        assert unary.value.message == status.message
        with pytest.raises(micro.Unknown) as stream:
            async for _ in self._client.full_duplex_call([StreamingOutputCallRequest(response_status=status)]):
                pass
        assert stream.value.message == status.message

    async def special_status_message(self) -> None:
        with pytest.raises(micro.Unknown) as caught:
            await self._client.unary_call(SimpleRequest(response_status=EchoStatus(code=2, message=SPECIAL)))
        assert caught.value.message == SPECIAL

    async def unimplemented_method(self) -> None:
        with pytest.raises(micro.Unimplemented):
            await self._client.unimplemented_call(Empty())

    async def unimplemented_service(self) -> None:
        with pytest.raises(micro.Unimplemented):
            await self._missing.unimplemented_call(Empty())

    async def cancel_after_begin(self) -> None:
        async with self._client.streaming_input_call() as call:
            call.cancel()
            with pytest.raises(micro.Cancelled):
                await call.finish()

    async def cancel_after_first_response(self) -> None:
        async with self._client.full_duplex_call() as call:
            await call.send(step(0))
            assert len((await call.receive()).payload.body) == REPLIES[0]
            call.cancel()
            with pytest.raises(micro.Cancelled):
                await call.receive()

    async def timeout_on_sleeping_server(self) -> None:
        with pytest.raises(micro.DeadlineExceeded):
            async with self._client.full_duplex_call(timeout=0.001) as call:
                await call.send(StreamingOutputCallRequest(payload=payload(REQUESTS[0])))
                await call.receive()

    async def rpc_soak(self) -> None:
        for _ in range(SOAK_CALLS):
            await self.large_unary()

    async def channel_soak(self) -> None:
        for _ in range(SOAK_CHANNELS):
            await self._another(self._large)

    async def client_compressed_unary(self) -> None:
        with pytest.raises(micro.InvalidArgument):
            await self._large(self._client, request=large(expect_compressed=BoolValue(value=True)))
        await self._large(
            self._client,
            request=large(expect_compressed=BoolValue(value=True)),
            info=CallInfo(compression="gzip"),
        )
        await self._large(self._client, request=large(expect_compressed=BoolValue(value=False)))

    async def server_compressed_unary(self) -> None:
        for value in (True, False):
            await self._large(self._client, request=large(response_compressed=BoolValue(value=value)))

    async def client_compressed_streaming(self) -> None:
        def request(size: int, expected: bool) -> StreamingInputCallRequest:
            return StreamingInputCallRequest(payload=payload(size), expect_compressed=BoolValue(value=expected))

        with pytest.raises(micro.InvalidArgument):
            await self._client.streaming_input_call([request(REQUESTS[0], True)])
        info = CallInfo(compression="gzip")
        async with self._client.streaming_input_call(info=info) as call:
            await call.send(request(27182, True))
            info.compression = ""
            await call.send(request(45904, False))
            assert (await call.finish()).aggregated_payload_size == 73086

    async def server_compressed_streaming(self) -> None:
        replies = [len(reply.payload.body) async for reply in self._client.streaming_output_call(several(True, False))]
        assert replies == [31415, 92653]


# grpcio


class GrpcioService(grpc.GenericRpcHandler):
    """The same service, written for grpcio; it cannot tell whether a request came compressed."""

    def __init__(self) -> None:
        def encode(message: Any) -> bytes:
            data: bytes = message.SerializeToString()
            return data

        output, unary = StreamingOutputCallRequest.FromString, SimpleRequest.FromString
        prefix = "/grpc.testing.TestService/"
        self._handlers = {
            f"{prefix}EmptyCall": grpc.unary_unary_rpc_method_handler(self.empty, Empty.FromString, encode),
            f"{prefix}UnaryCall": grpc.unary_unary_rpc_method_handler(self.unary, unary, encode),
            f"{prefix}StreamingOutputCall": grpc.unary_stream_rpc_method_handler(self.output, output, encode),
            f"{prefix}StreamingInputCall": grpc.stream_unary_rpc_method_handler(
                self.input, StreamingInputCallRequest.FromString, encode
            ),
            f"{prefix}FullDuplexCall": grpc.stream_stream_rpc_method_handler(self.duplex, output, encode),
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)

    async def empty(self, request: Empty, context: Any) -> Empty:
        return request

    async def unary(self, request: SimpleRequest, context: Any) -> SimpleResponse:
        await self._echo(context)
        if request.response_status.code:
            await context.abort(self._code(request.response_status), request.response_status.message)
        if request.response_compressed.value:
            context.set_compression(grpc.Compression.Gzip)
        return SimpleResponse(payload=payload(request.response_size))

    async def output(
        self, request: StreamingOutputCallRequest, context: Any
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        if any(each.compressed.value for each in request.response_parameters):
            context.set_compression(grpc.Compression.Gzip)
        for parameters in request.response_parameters:
            if parameters.HasField("compressed") and not parameters.compressed.value:
                context.disable_next_message_compression()
            yield StreamingOutputCallResponse(payload=payload(parameters.size))

    async def input(
        self, requests: AsyncIterator[StreamingInputCallRequest], context: Any
    ) -> StreamingInputCallResponse:
        size = 0
        async for request in requests:
            size += len(request.payload.body)
        return StreamingInputCallResponse(aggregated_payload_size=size)

    async def duplex(
        self, requests: AsyncIterator[StreamingOutputCallRequest], context: Any
    ) -> AsyncIterator[StreamingOutputCallResponse]:
        await self._echo(context)
        async for request in requests:
            if request.response_status.code:
                await context.abort(self._code(request.response_status), request.response_status.message)
            for parameters in request.response_parameters:
                yield StreamingOutputCallResponse(payload=payload(parameters.size))

    def _code(self, status: EchoStatus) -> grpc.StatusCode:
        return {each.value[0]: each for each in grpc.StatusCode}[status.code]

    async def _echo(self, context: Any) -> None:
        came = dict(context.invocation_metadata())
        if INITIAL in came:
            await context.send_initial_metadata(((INITIAL, came[INITIAL]),))
        if TRAILING in came:
            context.set_trailing_metadata(((TRAILING, came[TRAILING]),))


class GrpcioCases:
    """The cases, as grpcio's client makes them.

    Args:
        connect: makes a channel.
    """

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        self._connect = connect
        self._channel = connect()

    async def close(self) -> None:
        await self._channel.close()

    async def run(self, case: str) -> None:
        await soon(getattr(self, case)())

    def _unary(self, name: str, reply: Any, channel: grpc.aio.Channel | None = None, service: str = "Test") -> Any:
        path = f"/grpc.testing.{service}Service/{name}"
        return (channel or self._channel).unary_unary(path, lambda each: each.SerializeToString(), reply.FromString)

    def _output(self) -> Any:
        path, encode = "/grpc.testing.TestService/StreamingOutputCall", StreamingOutputCallRequest.SerializeToString
        return self._channel.unary_stream(path, encode, StreamingOutputCallResponse.FromString)

    def _input(self) -> Any:
        path, encode = "/grpc.testing.TestService/StreamingInputCall", StreamingInputCallRequest.SerializeToString
        return self._channel.stream_unary(path, encode, StreamingInputCallResponse.FromString)

    def _duplex(self) -> Any:
        path, encode = "/grpc.testing.TestService/FullDuplexCall", StreamingOutputCallRequest.SerializeToString
        return self._channel.stream_stream(path, encode, StreamingOutputCallResponse.FromString)

    async def _large(self, request: SimpleRequest | None = None, channel: Any = None, **options: Any) -> None:
        reply = await self._unary("UnaryCall", SimpleResponse, channel)(request or large(), **options)
        assert len(reply.payload.body) == LARGE_REPLY

    async def empty_unary(self) -> None:
        assert await self._unary("EmptyCall", Empty)(Empty()) == Empty()

    async def large_unary(self) -> None:
        await self._large()

    async def client_streaming(self) -> None:
        requests = [StreamingInputCallRequest(payload=payload(size)) for size in REQUESTS]
        assert (await self._input()(iter(requests))).aggregated_payload_size == sum(REQUESTS)

    async def server_streaming(self) -> None:
        request = StreamingOutputCallRequest(response_parameters=[ResponseParameters(size=size) for size in REPLIES])
        assert [len(reply.payload.body) async for reply in self._output()(request)] == list(REPLIES)

    async def ping_pong(self) -> None:
        call = self._duplex()()
        for number, size in enumerate(REPLIES):
            await call.write(step(number))
            assert len((await call.read()).payload.body) == size
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() == grpc.StatusCode.OK

    async def empty_stream(self) -> None:
        assert [reply async for reply in self._duplex()(iter(()))] == []

    async def custom_metadata(self) -> None:
        unary = self._unary("UnaryCall", SimpleResponse)(large(), metadata=tuple(METADATA))
        await unary
        duplex = self._duplex()(iter([step(0)]), metadata=tuple(METADATA))
        assert len([reply async for reply in duplex]) == 1
        for call in (unary, duplex):
            assert dict(await call.initial_metadata())[INITIAL] == INITIAL_VALUE
            assert dict(await call.trailing_metadata())[TRAILING] == TRAILING_VALUE

    async def status_code_and_message(self) -> None:
        status = EchoStatus(code=2, message="test status message")
        with pytest.raises(grpc.aio.AioRpcError) as unary:
            await self._unary("UnaryCall", SimpleResponse)(SimpleRequest(response_status=status))
        with pytest.raises(grpc.aio.AioRpcError) as stream:
            async for _ in self._duplex()(iter([StreamingOutputCallRequest(response_status=status)])):
                pass
        for caught in (unary, stream):
            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNKNOWN, status.message)

    async def special_status_message(self) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self._unary("UnaryCall", SimpleResponse)(
                SimpleRequest(response_status=EchoStatus(code=2, message=SPECIAL))
            )
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.UNKNOWN, SPECIAL)

    async def unimplemented_method(self) -> None:
        await self._unimplemented("Test")

    async def unimplemented_service(self) -> None:
        await self._unimplemented("Unimplemented")

    async def _unimplemented(self, service: str) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self._unary("UnimplementedCall", Empty, service=service)(Empty())
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED

    async def cancel_after_begin(self) -> None:
        call = self._input()()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert await call.code() == grpc.StatusCode.CANCELLED

    async def cancel_after_first_response(self) -> None:
        call = self._duplex()()
        await call.write(step(0))
        assert len((await call.read()).payload.body) == REPLIES[0]
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call.read()
        assert await call.code() == grpc.StatusCode.CANCELLED

    async def timeout_on_sleeping_server(self) -> None:
        for _ in range(TRIES):
            call = self._duplex()(timeout=0.001)
            with pytest.raises(grpc.aio.AioRpcError):  # It may be another one, of writing.
                await call.write(StreamingOutputCallRequest(payload=payload(REQUESTS[0])))
                await call.read()
            if await call.details() != WRITING_FAILED:
                break
        assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED

    async def rpc_soak(self) -> None:
        for _ in range(SOAK_CALLS):
            await self._large()

    async def channel_soak(self) -> None:
        for _ in range(SOAK_CHANNELS):
            async with self._connect() as channel:
                await self._large(channel=channel)

    async def client_compressed_unary(self) -> None:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self._large(large(expect_compressed=BoolValue(value=True)))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        await self._large(large(expect_compressed=BoolValue(value=True)), compression=grpc.Compression.Gzip)
        await self._large(large(expect_compressed=BoolValue(value=False)))

    async def server_compressed_unary(self) -> None:
        for value in (True, False):
            await self._large(large(response_compressed=BoolValue(value=value)))

    async def client_compressed_streaming(self) -> None:
        """grpcio compresses all requests of a call, or none."""

        def requests(*sizes: int) -> Sequence[StreamingInputCallRequest]:
            expected = BoolValue(value=True)
            return [StreamingInputCallRequest(payload=payload(size), expect_compressed=expected) for size in sizes]

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self._input()(iter(requests(27182)))
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        reply = await self._input()(iter(requests(27182, 45904)), compression=grpc.Compression.Gzip)
        assert reply.aggregated_payload_size == 73086

    async def server_compressed_streaming(self) -> None:
        replies = [len(reply.payload.body) async for reply in self._output()(several(True, False))]
        assert replies == [31415, 92653]
