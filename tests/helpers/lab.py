"""The service of lab.proto twice: once served by this project, once by grpcio, which knows nothing of the other."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.transport.base import Transport
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Number, Text

ERROR_MESSAGE = "100 % of ☃ are\nnot here, 50%25"
BINARY = bytes(range(256))
LARGE = 4 * 1024 * 1024 - 1
"""Bytes of the largest message that grpcio takes without being told to, with what surrounds the text."""
SETTLE = 20.0
"""Seconds within which something must happen, however busy the machine is."""


class Watched:
    """What a handler tells a test."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.deadline: float | None = None

    async def hang(self) -> None:
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class OurLab(LabBase):
    def __init__(self) -> None:
        self.watched = Watched()

    async def act(self, request: Text, context: micro.Context) -> Text:
        what, _, which = request.value.partition(" ")
        self.watched.deadline = context.remaining()
        if what == "hang":
            await self.watched.hang()
        if what == "fail":
            context.add_trailer("tail", "of an error")
            raise micro.Error.of(
                int(which), ERROR_MESSAGE, id="lab.failed", details=[RetryInfo(), Text(value="a detail")]
            )
        if what == "metadata":
            for key, value in context.metadata.pairs:
                context.add_header(f"head-{key}", value)
                context.add_trailer(f"tail-{key}", value)
        return request

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        for value in range(request.value):
            yield Number(value=value)
        if not request.value:
            await self.watched.hang()

    async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
        total = 0
        async for request in requests:
            if request.value < 0:
                break
            total += request.value
        return Number(value=total)

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        async for request in requests:
            if request.value == "enough":
                return
            if request.value == "fail":
                raise micro.Aborted(ERROR_MESSAGE)
            if request.value == "hang":
                await self.watched.hang()
            yield Text(value=f"re: {request.value}")
        yield Text(value="bye")


class GrpcioLab(grpc.GenericRpcHandler):
    """The same, written for grpcio."""

    def __init__(self) -> None:
        self.watched = Watched()
        text, number = Text.FromString, Number.FromString
        self._handlers = {
            "/lab.Lab/Act": grpc.unary_unary_rpc_method_handler(self.act, text, Text.SerializeToString),
            "/lab.Lab/Look": grpc.unary_unary_rpc_method_handler(self.act, text, Text.SerializeToString),
            "/lab.Lab/Count": grpc.unary_stream_rpc_method_handler(self.count, number, Number.SerializeToString),
            "/lab.Lab/Sum": grpc.stream_unary_rpc_method_handler(self.sum, number, Number.SerializeToString),
            "/lab.Lab/Talk": grpc.stream_stream_rpc_method_handler(self.talk, text, Text.SerializeToString),
        }

    def service(self, handler_call_details: Any) -> Any:
        return self._handlers.get(handler_call_details.method)

    async def act(self, request: Text, context: Any) -> Text:
        what, _, which = request.value.partition(" ")
        self.watched.deadline = context.time_remaining()
        if what == "hang":
            await self.watched.hang()
        if what == "fail":
            code = {each.value[0]: each for each in grpc.StatusCode}[int(which)]
            status = Status(code=int(which), message=ERROR_MESSAGE)
            for detail in (ErrorInfo(reason="lab.failed", domain="elsewhere"), RetryInfo(), Text(value="a detail")):
                packed = AnyMessage()
                packed.Pack(detail)
                status.details.append(packed)
            trailers = (("tail", "of an error"), ("grpc-status-details-bin", status.SerializeToString()))
            await context.abort(code, ERROR_MESSAGE, trailers)
        if what == "metadata":
            pairs = [(key, value) for key, value in context.invocation_metadata() if key.startswith("sent")]
            await context.send_initial_metadata(tuple((f"head-{key}", value) for key, value in pairs))
            context.set_trailing_metadata(tuple((f"tail-{key}", value) for key, value in pairs))
        return request

    async def count(self, request: Number, context: Any) -> AsyncIterator[Number]:
        for value in range(request.value):
            yield Number(value=value)
        if not request.value:
            await self.watched.hang()

    async def sum(self, requests: AsyncIterator[Number], context: Any) -> Number:
        total = 0
        async for request in requests:
            if request.value < 0:
                break
            total += request.value
        return Number(value=total)

    async def talk(self, requests: AsyncIterator[Text], context: Any) -> AsyncIterator[Text]:
        async for request in requests:
            if request.value == "enough":
                return
            if request.value == "fail":
                await context.abort(grpc.StatusCode.ABORTED, ERROR_MESSAGE)
            if request.value == "hang":
                await self.watched.hang()
            yield Text(value=f"re: {request.value}")
        yield Text(value="bye")


class GrpcioClient:
    """What grpcio's own generated stub is made of."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.act = channel.unary_unary("/lab.Lab/Act", Text.SerializeToString, Text.FromString)
        self.count = channel.unary_stream("/lab.Lab/Count", Number.SerializeToString, Number.FromString)
        self.sum = channel.stream_unary("/lab.Lab/Sum", Number.SerializeToString, Number.FromString)
        self.talk = channel.stream_stream("/lab.Lab/Talk", Text.SerializeToString, Text.FromString)
        self.missing = channel.unary_unary("/lab.Lab/Missing", Text.SerializeToString, Text.FromString)


@asynccontextmanager
async def our_server(*, grace: float = 1.0, **options: Any) -> AsyncIterator[tuple[OurLab, micro.Service]]:
    registry = MemoryRegistry(f"memory:{uuid.uuid4()}")
    service = micro.Service("lab", registry=registry, transport="grpc", grace=grace, **options)
    lab = service.handle(OurLab())
    async with service:
        yield lab, service


@asynccontextmanager
async def grpcio_client(service: micro.Service) -> AsyncIterator[GrpcioClient]:
    assert service.node is not None
    async with grpc.aio.insecure_channel(service.node.address) as channel:
        yield GrpcioClient(channel)


@asynccontextmanager
async def grpcio_server(**options: Any) -> AsyncIterator[tuple[GrpcioLab, grpc.aio.Server, str]]:
    server = grpc.aio.server(**options)
    lab = GrpcioLab()
    server.add_generic_rpc_handlers((lab,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield lab, server, f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def our_client(address: str, transport: Transport | None = None) -> AsyncIterator[LabClient]:
    """A client that finds a server which is in no registry of its own: its node is registered by hand.

    Args:
        address: of the server.
        transport: of the client; the default one if None.
    """
    name = f"memory:{uuid.uuid4()}"
    registry = MemoryRegistry(name)
    await registry.open()
    await registry.register(Registration(Node("by-hand", address, transport="grpc"), ("lab",)), ttl=3600)
    async with micro.Service("client", registry=name, transport=transport) as service:
        yield LabClient(service)
    await registry.close()
