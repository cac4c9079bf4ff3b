"""What handlers learn of the end of their server, and what their clients learn."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

import micro_rt as micro
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Number, Text


class Watching(LabBase):
    """Streams until the server drains if it is attentive, and without end if it is not."""

    def __init__(self, *, attentive: bool) -> None:
        self.attentive = attentive
        self.contexts: list[micro.Context] = []
        self.ended: list[str] = []

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        self.contexts.append(context)
        try:
            yield Number(value=0)
            while not (self.attentive and context.draining):
                await asyncio.sleep(0.01)
            yield Number(value=1)
        finally:
            self.ended.append("count")

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        self.contexts.append(context)
        yield Text(value="begun")
        await (context.until_draining() if self.attentive else asyncio.Event().wait())
        yield Text(value="drained")

    async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
        self.contexts.append(context)
        return Number(value=len([request async for request in requests]))

    async def act(self, request: Text, context: micro.Context) -> Text:
        self.contexts.append(context)
        context.add_trailer("x-tail", "t")
        await asyncio.Event().wait()
        return request


@pytest.fixture(params=["memory", "grpc"])
def transport(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def address() -> str:
    return f"memory:{uuid.uuid4()}"


async def started(handler: LabBase, address: str, transport: str, grace: float) -> micro.Service:
    service = micro.Service("lab", registry=address, transport=transport, grace=grace)
    service.handle(handler)
    await service.__aenter__()
    return service


async def test_a_handler_that_learns_that_its_server_drains_ends_its_stream(address: str, transport: str) -> None:
    handler = Watching(attentive=True)
    server = await started(handler, address, transport, 60)
    async with micro.Service("web", registry=address) as web:
        lab = LabClient(web)
        async with lab.count(Number()) as count, lab.talk() as talk:
            await count.receive()
            await talk.receive()
            assert [context.draining for context in handler.contexts] == [False, False]
            stopping = asyncio.create_task(server.__aexit__(None, None, None))
            assert [reply.value async for reply in count] == [1]
            assert [reply.value async for reply in talk] == ["drained"]
            assert [context.draining for context in handler.contexts] == [True, True]
            await asyncio.wait_for(stopping, 20)


async def test_a_service_that_serves_again_does_not_drain_any_more(address: str, transport: str) -> None:
    handler = Watching(attentive=True)
    service = micro.Service("lab", registry=address, transport=transport)
    service.handle(handler)
    for _ in range(2):
        async with service, LabClient(service).count(Number()) as call:
            await call.receive()
            assert not handler.contexts[-1].draining


@pytest.mark.parametrize("kind", ["unary", "server stream", "client stream", "bidirectional"])
async def test_a_call_that_is_cut_off_says_so(address: str, transport: str, kind: str) -> None:
    handler = Watching(attentive=False)
    server = await started(handler, address, transport, 0.1)
    async with micro.Service("web", registry=address) as web:
        lab, info = LabClient(web, retry=micro.RetryPolicy(attempts=1)), micro.CallInfo()

        async def use() -> None:
            if kind == "unary":
                await lab.act(Text(), info=info)
            elif kind == "server stream":
                async for _ in lab.count(Number(), info=info):
                    pass
            elif kind == "client stream":
                await _send_until_it_ends(lab.sum(info=info))
            else:
                async with lab.talk(info=info) as talk:
                    while True:
                        await talk.receive()

        using = asyncio.create_task(use())
        while not handler.contexts:
            await asyncio.sleep(0.01)
        await server.__aexit__(None, None, None)
        with pytest.raises(micro.Unavailable, match=r"/lab\.Lab/\w+ was cut off: the server stops") as caught:
            await asyncio.wait_for(using, 20)
        assert caught.value.id == "micro.cut_off"
        assert caught.value.may_have_run
        assert not caught.value.unanswered
        if kind == "unary":
            assert info.trailers["x-tail"] == "t"
        if kind == "server stream":
            assert handler.ended == ["count"]


async def _send_until_it_ends(call: micro.ClientStreamCall[Number, Number]) -> None:
    async with call:
        try:
            while True:
                await call.send(Number())
                await asyncio.sleep(0.01)
        except micro.EndOfStream:
            await call.finish()


async def test_an_idempotent_call_that_is_cut_off_goes_to_another_server(address: str, transport: str) -> None:
    class Slow(LabBase):
        def __init__(self) -> None:
            self.begun = asyncio.Event()
            self.release = asyncio.Event()

        async def look(self, request: Text, context: micro.Context) -> Text:
            self.begun.set()
            await self.release.wait()
            return request

    first, second = Slow(), Slow()
    server = await started(first, address, transport, 0.1)
    async with micro.Service("web", registry=address) as web:
        call = asyncio.create_task(LabClient(web).look(Text(value="x")))
        await first.begun.wait()
        other = await started(second, address, transport, 0.1)
        await server.__aexit__(None, None, None)
        second.release.set()
        assert (await asyncio.wait_for(call, 20)).value == "x"
        await other.__aexit__(None, None, None)


async def test_a_client_that_leaves_while_its_call_is_cut_off_changes_nothing(address: str, transport: str) -> None:
    handler = Watching(attentive=False)
    server = await started(handler, address, transport, 0.05)
    async with micro.Service("web", registry=address) as web:
        async with LabClient(web).count(Number()) as call:
            await call.receive()
            stopping = asyncio.create_task(server.__aexit__(None, None, None))
            while not handler.contexts[0].draining:
                await asyncio.sleep(0.001)
        await asyncio.wait_for(stopping, 20)
        assert handler.ended == ["count"]


def test_a_context_without_a_server_does_not_drain() -> None:
    context = micro.Context(None, None, None, "", None)  # type: ignore[arg-type]
    assert not context.draining
