"""What is easily lost between two parts: calls that have just come, nodes that come back, calls given up while they wait."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.backends.memory.transport import MemoryTransport
from micro_rt.context import CallInfo
from micro_rt.errors import EndOfStream
from micro_rt.metadata import EMPTY
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.server.server import Server
from micro_rt.transport.base import ClientStream, Connection, ServerStream
from tests.helpers.handlers import Lab
from tests.helpers.waiting import eventually
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


@pytest.mark.parametrize(
    "transport", [MemoryTransport(), GrpcTransport(), GrpclibTransport()], ids=["memory", "grpc", "grpclib"]
)
async def test_a_call_that_came_just_before_the_server_stops_is_finished(
    transport: MemoryTransport | GrpcTransport | GrpclibTransport,
) -> None:
    stopping: list[asyncio.Task[int]] = []

    async def echo(stream: ServerStream) -> None:
        # The first call stops the server while the second one, sent with it, has been accepted and not begun.
        message = await stream.receive()
        if message == b"stop":
            stopping.append(asyncio.create_task(server.stop(grace=20)))
        await stream.send(message)
        await stream.finish(None)

    for _ in range(10):
        server = Server(transport, echo)  # type: ignore[arg-type]
        connection = transport.connection(await server.start("127.0.0.1:0"))
        await connection.connect()
        calls = [connection.unary("/a/B", "proto", EMPTY, None, CallInfo(), message) for message in (b"stop", b"go on")]
        first, second = await asyncio.gather(*calls, return_exceptions=True)
        assert first == b"stop"
        # Refused before it began, or answered: nothing between.
        assert second == b"go on" or (isinstance(second, micro.Unavailable) and not second.may_have_run)
        assert await stopping.pop() == 0
        await connection.close()


async def test_a_call_accepted_and_not_begun_counts_as_in_flight() -> None:
    async def echo(stream: ServerStream) -> None:
        await stream.send(await stream.receive())
        await stream.finish(None)

    transport = MemoryTransport()
    server = Server(transport, echo)  # type: ignore[arg-type]
    connection = transport.connection(await server.start(""))
    stream = await connection.open("/a/B", "proto", EMPTY, None, CallInfo())
    await stream.send(b"hello", end=True)
    assert await server.stop(grace=20) == 0
    assert await stream.receive() == b"hello"
    with pytest.raises(EndOfStream):
        await stream.receive()
    await connection.close()


async def test_a_server_that_comes_back_at_its_address_is_another_node() -> None:
    address = f"memory:{uuid.uuid4()}"
    registry = MemoryRegistry(address)
    await registry.open()
    server = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", transport="grpc")
    server.handle(Lab())
    async with server, micro.Service("client", registry=address) as service:
        assert server.node is not None
        client, info = LabClient(service), micro.CallInfo()
        before, after = (Node(id, server.node.address, "grpc") for id in ("before", "after"))
        lease = await registry.register(Registration(before, ("lab",)))
        await client.act(Text(), info=info)
        assert info.node == "before"
        await registry.register(Registration(after, ("lab",)))
        await lease.revoke()
        async with asyncio.timeout(20):
            while info.node != "after":
                await client.act(Text(), info=info)
    await registry.close()


async def test_a_call_given_up_while_it_waits_to_be_sent_again_is_not_sent_again() -> None:
    class Failing(Lab):
        async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
            self.ran.append("count")
            self.started.set()
            raise micro.Unavailable("not now")
            yield request

    address, lab = f"memory:{uuid.uuid4()}", Failing()
    server = micro.Service("lab", registry=MemoryRegistry(address), transport="memory")
    server.handle(lab)
    retry = micro.RetryPolicy(attempts=10, backoff=0.3, max_backoff=0.3)
    async with server, micro.Service("client", registry=MemoryRegistry(address)) as service:
        async with LabClient(service, retry=retry).count(Number()) as call:
            receiving = asyncio.create_task(call.receive())
            await lab.started.wait()
            await asyncio.sleep(0.1)
            ran = len(lab.ran)
            call.cancel()
            with pytest.raises(micro.Cancelled):
                await receiving
        assert len(lab.ran) == ran


class Hanging(MemoryRegistry):
    """A registry that does not answer."""

    async def resolve(self, name: str) -> tuple[Node, ...]:
        await asyncio.Event().wait()
        return ()


async def test_a_call_that_looks_for_nodes_when_its_service_ends_fails() -> None:
    service = micro.Service("client", registry=Hanging(f"memory:{uuid.uuid4()}"))
    async with service:
        call = asyncio.create_task(LabClient(service).act(Text()))
        await asyncio.sleep(0.05)
    with pytest.raises(micro.Unavailable) as caught:
        await asyncio.wait_for(call, 20)
    assert not caught.value.may_have_run


class Broken(MemoryRegistry):
    """A registry whose library raises what it likes."""

    broken = True

    async def resolve(self, name: str) -> tuple[Node, ...]:
        if self.broken:
            raise ZeroDivisionError("in somebody's library")
        return await super().resolve(name)

    def watch(self, name: str):  # type: ignore[no-untyped-def]
        if self.broken:
            raise ZeroDivisionError("in somebody's library")
        return super().watch(name)


async def test_what_a_registry_raises_does_not_leave_a_stub_and_does_not_end_the_watch(
    caplog: pytest.LogCaptureFixture,
) -> None:
    address = f"memory:{uuid.uuid4()}"
    registry = Broken(address)
    server = micro.Service("lab", registry=MemoryRegistry(address), transport="memory")
    server.handle(Lab())
    async with server, micro.Service("client", registry=registry) as service:
        client, info = LabClient(service, retry=micro.RetryPolicy(attempts=1)), micro.CallInfo()
        with pytest.raises(micro.Unavailable, match="in somebody's library"):
            await client.act(Text())
        registry.broken = False
        await client.act(Text())
        # Only a watch that goes on sees the second server.
        second = micro.Service("lab", registry=MemoryRegistry(address), transport="memory")
        second.handle(Lab())
        async with second, asyncio.timeout(20):
            assert second.node is not None
            while info.node != second.node.id:
                await client.act(Text(), info=info)


class Slow(MemoryTransport):
    """Opens streams only when it may."""

    def __init__(self) -> None:
        super().__init__()
        self.opening = asyncio.Event()
        self.may = asyncio.Event()

    def connection(self, address: str) -> Connection:
        connection = super().connection(address)
        open_now = connection.open

        async def open_slowly(*arguments: Any) -> ClientStream:
            self.opening.set()
            await self.may.wait()
            return await open_now(*arguments)

        connection.open = open_slowly  # type: ignore[method-assign]
        return connection


@pytest.mark.parametrize("intercepted", [False, True])
@pytest.mark.parametrize("kind", ["count", "sum", "talk", "talk in a block"])
async def test_a_call_cancelled_while_it_is_opened_ends_at_once_and_is_not_sent(kind: str, intercepted: bool) -> None:
    class Around(micro.Interceptor):
        def stream(self, requests: Any, call: Any, proceed: micro.StreamNext) -> AsyncIterator[Any]:
            return proceed(requests, call)

    class Noting(Lab):
        async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
            self.ran.append("sum")
            return Number()

        async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
            self.ran.append("talk")
            yield Text()

    address, lab, slow = f"memory:{uuid.uuid4()}", Noting(), Slow()
    server = micro.Service("lab", registry=MemoryRegistry(address), transport="memory")
    server.handle(lab)
    async with server, micro.Service("client", registry=MemoryRegistry(address), transport=slow) as service:
        client = LabClient(service, interceptors=[Around()] if intercepted else [])
        counting, summing, talking = client.count(Number()), client.sum([Number()]), client.talk()

        async def use() -> None:
            if kind == "sum":
                await summing
            elif kind == "count":
                async for _ in counting:
                    pass
            elif kind == "talk":
                async for _ in client_talk:
                    pass
            else:
                async with talking as call:
                    await call.receive()

        client_talk = client.talk([Text()])
        calls = {"count": counting, "sum": summing, "talk": client_talk, "talk in a block": talking}
        task = asyncio.create_task(use())
        await asyncio.wait_for(slow.opening.wait(), 20)
        calls[kind].cancel()
        with pytest.raises(micro.Cancelled):
            await asyncio.wait_for(task, 20)
        assert task.cancelling() == 0
        slow.may.set()
        await client.act(Text(value="after"))  # What was sent before this has begun.
        assert lab.ran == ["after"]


class Full(MemoryTransport):
    """Opens streams whose requests cannot be sent, because the server reads nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.sending = asyncio.Event()
        self.cancelled = asyncio.Event()

    def connection(self, address: str) -> Connection:
        connection = super().connection(address)
        open_now = connection.open

        async def open_full(*arguments: Any) -> ClientStream:
            return FullStream(await open_now(*arguments), self)

        connection.open = open_full  # type: ignore[method-assign]
        return connection


class FullStream(ClientStream):
    def __init__(self, stream: ClientStream, transport: Full) -> None:
        self._stream = stream
        self._transport = transport

    async def send(self, message: bytes, *, end: bool = False) -> None:
        self._transport.sending.set()
        await asyncio.Event().wait()

    async def end(self) -> None:
        await self._stream.end()

    async def receive(self) -> bytes:
        return await self._stream.receive()

    def cancel(self) -> None:
        self._transport.cancelled.set()
        self._stream.cancel()


@pytest.mark.parametrize("how", ["the call is cancelled", "its task is cancelled"])
async def test_a_call_given_up_while_its_request_is_sent_ends_on_both_sides(how: str) -> None:
    address, full = f"memory:{uuid.uuid4()}", Full()
    server = micro.Service("lab", registry=MemoryRegistry(address), transport="memory")
    server.handle(Lab())
    async with server, micro.Service("client", registry=MemoryRegistry(address), transport=full) as service:
        call = LabClient(service).count(Number())

        async def use() -> None:
            async for _ in call:
                pass

        task = asyncio.create_task(use())
        await asyncio.wait_for(full.sending.wait(), 20)
        (task if how == "its task is cancelled" else call).cancel()
        with pytest.raises(asyncio.CancelledError if how == "its task is cancelled" else micro.Cancelled):
            await asyncio.wait_for(task, 20)
        assert full.cancelled.is_set()


async def test_a_call_cancelled_while_it_goes_to_another_node_is_not_sent_again() -> None:
    address, slow = f"memory:{uuid.uuid4()}", Slow()

    class Failing(Lab):
        async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
            self.ran.append("count")
            slow.may.clear()
            slow.opening.clear()
            raise micro.Unavailable("not now")
            yield request

    lab = Failing()
    server = micro.Service("lab", registry=MemoryRegistry(address), transport="memory")
    server.handle(lab)
    async with server, micro.Service("client", registry=MemoryRegistry(address), transport=slow) as service:
        client = LabClient(service, retry=micro.RetryPolicy(attempts=10, backoff=0.01, max_backoff=0.01))
        slow.may.set()
        async with client.count(Number()) as call:
            receiving = asyncio.create_task(call.receive())
            await eventually(lambda: lab.ran == ["count"] and slow.opening.is_set(), within=20)
            call.cancel()
            with pytest.raises(micro.Cancelled):
                await asyncio.wait_for(receiving, 20)
        slow.may.set()
        await client.act(Text(value="after"))
        assert lab.ran == ["count", "after"]
