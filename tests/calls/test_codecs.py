"""Codecs of calls: the client sends with its own, the server answers in that of the request."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor_pb2 import UninterpretedOption

import micro_rt as micro
from micro_rt.codec.base import Codec
from micro_rt.codec.codecs import Codecs
from micro_rt.codec.proto import ProtoCodec
from micro_rt.errors import FailedPrecondition
from tests.helpers.handlers import Lab, PassesOn
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


class JsonCodec(Codec):
    """Messages as JSON."""

    content_subtype = "json"

    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        return lambda message: json_format.MessageToJson(message, indent=None).encode()

    def decoder(self, message_type: type[Any]) -> Callable[[bytes], Any]:
        def decode(data: bytes) -> Any:
            try:
                return json_format.Parse(data, message_type())
            except (json_format.ParseError, UnicodeDecodeError) as error:
                raise ValueError(str(error)) from None

        return decode


class Choosy(JsonCodec):
    """Messages as JSON, but not all of them."""

    content_subtype = "choosy"

    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        if message_type is not Text:
            raise TypeError(f"{message_type.__name__} is not for this codec")
        return super().encoder(message_type)


@asynccontextmanager
async def talking(transport: str, server: Sequence[Codec], client: Codec) -> AsyncIterator[tuple[LabClient, Lab]]:
    """A service that has codecs, of which it prefers the first, and a client of it with one."""
    address = f"memory:{uuid.uuid4()}"
    lab = Lab()
    service = micro.Service("lab", registry=address, transport=transport, codec=server[0])
    others = {codec.content_subtype: codec for codec in server}
    service._dispatcher._codecs = Codecs(server[0], others.keys, others.__getitem__)
    service.handle(lab)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(service)
        web = await stack.enter_async_context(micro.Service("web", registry=address, codec=client))
        yield LabClient(web), lab


@pytest.mark.parametrize("transport", ["memory", "grpc"])
@pytest.mark.parametrize(
    ("server", "client"),
    [
        ([ProtoCodec(), JsonCodec()], JsonCodec()),
        ([JsonCodec(), ProtoCodec()], ProtoCodec()),
        ([JsonCodec()], JsonCodec()),
    ],
    ids=["another", "proto beside another", "its own"],
)
async def test_the_server_answers_in_the_codec_of_the_request(
    transport: str, server: Sequence[Codec], client: Codec
) -> None:
    async with talking(transport, server, client) as (lab, _):
        assert (await lab.act(Text(value="ä ☃"))).value == "ä ☃"
        assert [number.value async for number in lab.count(Number(value=3))] == [0, 1, 2]
        assert (await lab.sum([Number(value=1), Number(value=2)])).value == 3
        async with lab.talk() as call:
            await call.send(Text(value="one"))
            assert (await call.receive()).value == "re: one"
        with pytest.raises(micro.NotFound):
            await lab.act(Text(value="fail"))


@pytest.mark.parametrize("transport", ["memory", "grpc"])
async def test_a_codec_that_the_server_does_not_have_is_refused_and_those_it_has_are_named(transport: str) -> None:
    async with talking(transport, [ProtoCodec(), Choosy()], JsonCodec()) as (lab, served):
        for _ in range(2):
            with pytest.raises(micro.Unimplemented, match="no codec 'json' here; this server has choosy, proto"):
                await lab.act(Text(value="x"))
        assert served.ran == []


async def test_a_codec_that_cannot_encode_a_message_refuses_its_methods_and_no_others() -> None:
    async with talking("grpc", [ProtoCodec(), Choosy()], _Named(JsonCodec(), "choosy")) as (lab, _):
        assert (await lab.act(Text(value="x"))).value == "x"
        with pytest.raises(
            micro.Unimplemented, match=r"/lab\.Lab/Sum is not served in 'choosy': Number is not for this"
        ):
            await lab.sum([Number(value=1)])


class _Named(Codec):
    """A codec under another name."""

    def __init__(self, codec: Codec, name: str) -> None:
        self.content_subtype = name  # type: ignore[misc]
        self.encoder = codec.encoder  # type: ignore[method-assign]
        self.decoder = codec.decoder  # type: ignore[method-assign]

    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]: ...

    def decoder(self, message_type: type[Any]) -> Callable[[bytes], Any]: ...


def test_a_codec_is_loaded_once_and_what_peers_make_up_is_not_remembered(caplog: pytest.LogCaptureFixture) -> None:
    asked: list[str] = []

    def installed() -> list[str]:
        asked.append("installed")
        return ["broken", "json", "proto"]

    def load(name: str) -> Codec:
        asked.append(name)
        if name == "broken":
            raise FailedPrecondition("needs a library")
        return JsonCodec()

    codecs = Codecs(ProtoCodec(), installed, load)
    assert codecs.find("proto") is codecs.own
    assert asked == []
    assert codecs.names() == ["broken", "json", "proto"]
    found = codecs.find("json")
    assert isinstance(found, JsonCodec)
    assert codecs.find("json") is found
    for _ in range(2):
        assert codecs.find("broken") is None
    for number in range(1000):
        assert codecs.find(f"made-up-{number}") is None
    assert asked == ["installed", "json", "broken"]
    assert codecs.names() == ["json", "proto"]
    assert len(codecs._known) == 3
    assert caplog.text.count("needs a library") == 1


def test_json_is_what_travels() -> None:
    assert json.loads(JsonCodec().encoder(Text)(Text(value="x"))) == {"value": "x"}


@pytest.mark.parametrize("transport", ["memory", "grpc", "grpclib"])
async def test_json_is_built_in(transport: str) -> None:
    address = f"memory:{uuid.uuid4()}"
    server = micro.Service("lab", registry=address, transport=transport)
    server.handle(lab := Lab())
    async with (
        server,
        micro.Service("web", registry=address, codec="json") as json_client,
        micro.Service("other", registry=address) as proto_client,
    ):
        for client in (LabClient(json_client), LabClient(proto_client)):
            assert (await client.act(Text(value="ä ☃"))).value == "ä ☃"
            assert [number.value async for number in client.count(Number(value=3))] == [0, 1, 2]
            assert (await client.sum([Number(value=1), Number(value=2)])).value == 3
            assert [text.value async for text in client.talk([Text(value="a")])] == ["re: a", "bye"]
            with pytest.raises(micro.NotFound, match="no such thing") as caught:
                await client.act(Text(value="fail"))
            assert caught.value.detail(Text) == Text(value="a detail")
    assert lab.ran.count("ä ☃") == 2


@pytest.mark.parametrize("transport", ["memory", "grpc", "grpclib"])
@pytest.mark.parametrize(
    ("codec", "sent", "received"),
    [
        ("proto", Text(value="x").SerializeToString(), Text(value="x").SerializeToString()),
        ("json", b'{"value": "x", "newer": [1]}', b'{"value":"x"}'),
    ],
)
async def test_a_call_without_generated_classes_sends_and_receives_bytes(
    transport: str, codec: str, sent: bytes, received: bytes
) -> None:
    method = micro.Method("lab.Lab", "Act", "act", micro.Kind.UNARY, bytes, bytes)
    stub = type("Stub", (micro.Client,), {"_info_": micro.ServiceInfo("lab.Lab", "lab", (method,))})
    address = f"memory:{uuid.uuid4()}"
    server = micro.Service("lab", registry=address, transport=transport)
    server.handle(Lab())
    async with server, micro.Service("proxy", registry=address, codec=codec) as service:
        assert await stub(service)._unary(method, sent, None, None, None) == received
        with pytest.raises(micro.InvalidArgument, match=r"the request of /lab\.Lab/Act cannot be read"):
            await stub(service)._unary(method, b"\xff{", None, None, None)


@pytest.mark.parametrize("transport", ["memory", "grpc", "grpclib"])
async def test_bytes_that_mean_what_both_sides_agreed_on(transport: str) -> None:
    method = micro.Method("raw.Raw", "Turn", "turn", micro.Kind.UNARY, bytes, bytes)
    info = micro.ServiceInfo("raw.Raw", "raw", (method,))

    class Raw(micro.Handler):
        _info_ = info

        async def turn(self, request: bytes, context: micro.Context) -> bytes:
            return request[::-1]

    stub = type("Stub", (micro.Client,), {"_info_": info})
    address = f"memory:{uuid.uuid4()}"
    server = micro.Service("raw", registry=address, transport=transport)
    server.handle(Raw())
    server.handle(Lab())
    async with server, micro.Service("other", registry=address, codec="bytes") as service:
        assert await stub(service)._unary(method, b"\0abc", None, None, None) == b"cba\0"
        with pytest.raises(TypeError, match="Text is not bytes: call it in proto or json"):
            await LabClient(service, target="raw").act(Text(value="x"))
        lab = micro.Method("lab.Lab", "Act", "act", micro.Kind.UNARY, bytes, bytes)
        other = type("Stub", (micro.Client,), {"_info_": micro.ServiceInfo("lab.Lab", "raw", (lab,))})
        with pytest.raises(micro.Unimplemented, match=r"/lab\.Lab/Act is not served in 'bytes': Text is not bytes"):
            await other(service)._unary(lab, b"x", None, None, None)


class Strict(ProtoCodec):
    """Protobuf that refuses a few messages, as it refuses those without a required field."""

    def encoder(self, message_type: type[Any]) -> Callable[[Any], bytes]:
        encode = super().encoder(message_type)

        def encode_most(message: Any) -> bytes:
            if message.value in (13, "13"):
                raise OverflowError("13 is too much")
            return encode(message)

        return encode_most


@pytest.mark.parametrize("interceptors", [[], [PassesOn()]], ids=["plain", "intercepted"])
@pytest.mark.parametrize("transport", ["memory", "grpc"])
async def test_a_streamed_request_that_cannot_be_encoded_ends_the_call(
    transport: str, interceptors: list[micro.Interceptor]
) -> None:
    address = f"memory:{uuid.uuid4()}"
    server = micro.Service("lab", registry=address, transport=transport)
    server.handle(Lab())
    service = micro.Service("client", registry=address, codec=Strict())
    numbers, texts = [Number(value=1), Number(value=13)], [Text(value="1"), Text(value="13")]
    async with server, service, asyncio.timeout(20):
        client = LabClient(service, interceptors=interceptors)
        with pytest.raises(micro.InvalidArgument, match="13 is too much") as caught:
            await client.sum(numbers)
        assert caught.value.may_have_run
        with pytest.raises(micro.InvalidArgument, match="13 is too much"):
            async for _ in client.talk(texts):
                pass
        with pytest.raises(micro.InvalidArgument, match="13 is too much"):
            async for _ in client.count(numbers[1]):
                pass
        async with client.sum(numbers) as call:
            with pytest.raises(micro.InvalidArgument, match="13 is too much"):
                await call.finish()
        async with client.talk() as talk:
            if not interceptors:
                with pytest.raises(micro.InvalidArgument, match="13 is too much"):
                    await talk.send(texts[1])
                await talk.send(texts[0])
                assert (await talk.receive()).value == "re: 1"
            else:
                await talk.send(texts[1])
                with pytest.raises(micro.InvalidArgument, match="13 is too much"):
                    await talk.receive()
        with pytest.raises(TypeError, match="takes Number"):
            await client.sum([Text()])  # type: ignore[list-item]


@pytest.mark.parametrize("transport", ["memory", "grpc"])
async def test_a_streamed_message_without_a_required_field_ends_the_call(transport: str) -> None:
    part = UninterpretedOption.NamePart  # A message of proto2, which has two required fields.
    method = micro.Method("lab.Lab", "Sum", "sum", micro.Kind.CLIENT_STREAM, part, Number)
    stub = type("Stub", (micro.Client,), {"_info_": micro.ServiceInfo("lab.Lab", "lab", (method,))})
    address = f"memory:{uuid.uuid4()}"
    server = micro.Service("lab", registry=address, transport=transport)
    server.handle(Lab())
    async with server, micro.Service("client", registry=address) as service, asyncio.timeout(20):
        with pytest.raises(micro.InvalidArgument, match="cannot be encoded"):
            await stub(service)._client_stream(method, [part()], None, None, None)
