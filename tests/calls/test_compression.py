"""Who says that messages are compressed: a service, a client, a method, a call and a handler; and which of them counts."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.grpc import framing, server_call
from micro_rt.backends.memory.registry import MemoryRegistry
from tests.helpers.handlers import Lab
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text as LabText
from tests.protos.squeezed_micro import SqueezedBase, SqueezedClient
from tests.protos.squeezed_pb2 import Text

LONG = "all work and no play " * 100


class Squeezed(SqueezedBase):
    """Answers with what it gets; the first word of a request may be how the answer is to be compressed."""

    async def plain(self, request: Text, context: micro.Context) -> Text:
        word, colon, _ = request.value[:20].partition(":")
        if colon:
            context.compress(word)
        return request

    async def gzip(self, request: Text, context: micro.Context) -> Text:
        return request

    async def never(self, request: Text, context: micro.Context) -> Text:
        return request

    async def feed(self, request: Text, context: micro.Context) -> AsyncIterator[Text]:
        for number, name in enumerate(request.value.split(",")):
            context.compress(name)
            yield Text(value=LONG, number=number)

    async def join(self, requests: AsyncIterator[Text], context: micro.Context) -> Text:
        return Text(value="".join([request.value async for request in requests]))

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        async for request in requests:
            yield request


class Squeezing(micro.Interceptor):
    """Has the requests of every call compressed."""

    async def unary(self, request: Any, call: micro.Call, proceed: micro.UnaryNext) -> Any:
        assert isinstance(call, micro.ClientCall)
        call.info.compression = "gzip"
        return await proceed(request, call)


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was compressed since it was cleared: ``"request gzip"``."""
    found: list[str] = []
    for module, what in ((framing, "request"), (server_call, "reply")):
        compress: Any = module.compress  # type: ignore[attr-defined]

        async def noting(name: str, message: bytes, what: str = what, compress: Any = compress) -> bytes:
            found.append(f"{what} {name}")
            result: bytes = await compress(name, message)
            return result

        monkeypatch.setattr(module, "compress", noting)
    return found


@asynccontextmanager
async def both(server: str | None = None, client: str | None = None) -> AsyncGenerator[micro.Service]:
    """Serves with one compression, and yields a service to make clients from, with another one."""
    name = f"memory:{uuid.uuid4()}"
    service = micro.Service("squeezed", registry=MemoryRegistry(name), transport="grpc", compression=server)
    service.handle(Squeezed())
    async with (
        service,
        micro.Service("caller", registry=MemoryRegistry(name), transport="grpc", compression=client) as caller,
    ):
        yield caller


async def said(client: SqueezedClient, packed: list[str], method: str = "plain", **options: Any) -> list[str]:
    """Makes a call, and returns what was compressed."""
    packed.clear()
    assert (await getattr(client, method)(Text(value=LONG), **options)).value == LONG
    return list(packed)


async def test_nothing_is_compressed_that_nobody_asked_for(packed: list[str]) -> None:
    async with both() as service:
        client = SqueezedClient(service)
        assert await said(client, packed) == []
        assert await said(client, packed, "never") == []


async def test_a_service_says_it_for_requests_and_replies(packed: list[str]) -> None:
    async with both("gzip", "deflate") as service:
        assert await said(SqueezedClient(service), packed) == ["request deflate", "reply gzip"]
    async with both("zstd") as service:
        assert await said(SqueezedClient(service), packed) == ["reply zstd"]


async def test_a_client_counts_more_than_its_service(packed: list[str]) -> None:
    async with both(None, "gzip") as service:
        assert await said(SqueezedClient(service, compression="deflate"), packed) == ["request deflate"]
        assert await said(SqueezedClient(service, compression=""), packed) == []
        assert await said(SqueezedClient(service, compression="identity"), packed) == []


async def test_a_method_counts_more_than_its_service_and_less_than_a_client(packed: list[str]) -> None:
    async with both("deflate", "deflate") as service:
        assert await said(SqueezedClient(service), packed, "gzip") == ["request gzip", "reply gzip"]
        assert await said(SqueezedClient(service), packed, "never") == []
        assert await said(SqueezedClient(service, compression="zstd"), packed, "gzip") == ["request zstd", "reply gzip"]


async def test_a_call_counts_most(packed: list[str]) -> None:
    async with both() as service:
        client = SqueezedClient(service, compression="deflate")
        assert await said(client, packed, info=micro.CallInfo(compression="gzip")) == ["request gzip"]
        assert await said(client, packed, info=micro.CallInfo(compression="")) == []
        assert await said(client, packed, "gzip", info=micro.CallInfo(compression="")) == ["reply gzip"]
        assert await said(client, packed) == ["request deflate"]
        with pytest.raises(ValueError, match="compression 'br' is unknown"):
            await client.plain(Text(), info=micro.CallInfo(compression="br"))


async def test_an_interceptor_says_it_too(packed: list[str]) -> None:
    async with both() as service:
        assert await said(SqueezedClient(service, interceptors=[Squeezing()]), packed) == ["request gzip"]


async def test_a_handler_says_it_for_its_replies(packed: list[str]) -> None:
    async with both("gzip") as service:
        client = SqueezedClient(service)
        for value, expected in ((f"deflate:{LONG}", ["reply deflate"]), (f":{LONG}", []), (LONG, ["reply gzip"])):
            packed.clear()
            assert (await client.plain(Text(value=value))).value == value
            assert packed == expected
        with pytest.raises(micro.Unknown):  # A mistake of the handler, which the log of the server shows.
            await client.plain(Text(value=f"br:{LONG}"))


async def test_a_handler_of_a_stream_may_change_its_mind(packed: list[str]) -> None:
    async with both() as service:
        client = SqueezedClient(service)
        for names, expected in (("gzip,,gzip", 2), ("gzip,deflate,", 1), (",gzip", 0), ("deflate,deflate", 2)):
            packed.clear()
            replies = [reply.number async for reply in client.feed(Text(value=names))]
            assert replies == list(range(names.count(",") + 1))
            assert packed == [f"reply {names.split(',')[0]}"] * expected, names


async def test_requests_of_streams(packed: list[str]) -> None:
    async with both(None, "gzip") as service:
        client = SqueezedClient(service)
        assert (await client.join(Text(value=LONG) for _ in range(3))).value == LONG * 3
        assert packed == ["request gzip"] * 3
        packed.clear()
        info = micro.CallInfo()
        async with client.talk(info=info) as call:
            for compression in (None, "", None):
                info.compression = compression
                await call.send(Text(value=LONG))
                assert (await call.receive()).value == LONG
            await call.end()
        assert packed == ["request gzip"] * 2


async def test_large_messages_both_ways() -> None:
    async with both("gzip", "gzip") as service:
        client = SqueezedClient(service)
        large = LONG * 1500
        assert (await client.plain(Text(value=large))).value == large
        assert [reply.value async for reply in client.talk(Text(value=large) for _ in range(3))] == [large] * 3
        with pytest.raises(micro.ResourceExhausted, match="is the most that is sent"):
            await client.plain(Text(value=LONG * 3000))


async def test_a_receive_that_is_given_up_loses_no_message() -> None:
    async with both("gzip") as service, SqueezedClient(service).talk() as call:
        large = LONG * 1500
        for number in range(20):
            await call.send(Text(value=large, number=number))
            receiving = asyncio.ensure_future(call.receive())
            for _ in range(number * 3):
                await asyncio.sleep(0.001 if number % 2 else 0)
            receiving.cancel()
            try:
                reply = await receiving
            except asyncio.CancelledError:
                reply = await call.receive()
            assert (reply.number, reply.value) == (number, large)


async def test_a_transport_that_does_not_compress_is_refused_at_the_start() -> None:
    transport = "grpclib"
    service = micro.Service("a", registry="memory:", transport=transport, compression="gzip")
    with pytest.raises(micro.FailedPrecondition, match="compression='gzip' needs a transport that compresses messages"):
        async with service:
            pass
    service = micro.Service("a", registry="memory:", transport=transport)
    service.handle(Squeezed())
    with pytest.raises(micro.FailedPrecondition, match=r"option compression of a method in the \.proto needs"):
        async with service:
            pass


async def test_a_client_whose_node_does_not_compress_is_told() -> None:
    name = f"memory:{uuid.uuid4()}"
    async with micro.Service("a", registry=MemoryRegistry(name), transport="grpclib") as service:
        server = micro.Service("lab", registry=MemoryRegistry(name), transport="grpclib")
        server.handle(Lab())
        async with server:
            with pytest.raises(
                micro.FailedPrecondition, match="the transport of this node does not compress"
            ) as caught:
                await LabClient(service, compression="gzip").act(LabText(value="x"))
            assert not caught.value.may_have_run
            assert (await LabClient(service, compression="").act(LabText(value="x"))).value == "x"


async def test_the_environment_and_the_config_say_it(packed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"memory:{uuid.uuid4()}"
    server = micro.Service(
        "squeezed",
        registry=MemoryRegistry(name),
        transport="grpc",
        config=[{"micro": {"compression": "deflate"}}],
    )
    server.handle(Squeezed())
    async with server:
        monkeypatch.setenv("MICRO_COMPRESSION", "gzip")
        async with micro.Service("caller", registry=MemoryRegistry(name), transport="grpc") as service:
            assert await said(SqueezedClient(service), packed) == ["request gzip", "reply deflate"]
        monkeypatch.setenv("MICRO_COMPRESSION", "br")
        with pytest.raises(micro.FailedPrecondition, match="MICRO_COMPRESSION: compression 'br' is unknown"):
            async with micro.Service("caller", registry=MemoryRegistry(name), transport="grpc"):
                pass


def test_names_are_checked_where_they_are_given() -> None:
    with pytest.raises(ValueError, match="compression 'br' is unknown; there are gzip"):
        micro.Service("a", compression="br")
    with pytest.raises(ValueError, match="compression 'br' is unknown"):
        SqueezedClient(micro.Service("a"), compression="br")
