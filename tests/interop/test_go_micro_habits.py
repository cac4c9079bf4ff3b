"""A client with the habits of go-micro's: paths, headers, errors and streams as it makes them; grpcio does what it says."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import grpc
import pytest
from google.rpc.status_pb2 import Status

import micro_rt as micro
from micro_rt.status_pb2 import GoMicroError
from tests.helpers.lab import SETTLE, OurLab
from tests.protos.lab_micro import LabBase
from tests.protos.lab_pb2 import Number, Text

MARK = ("x-content-type", "application/grpc+proto")


class Named(LabBase):
    def __init__(self, name: str) -> None:
        self._name = name

    async def act(self, request: Text, context: micro.Context) -> Text:
        return Text(value=self._name)


class OtherLab(micro.Handler):
    """A service of the same name in another package."""

    _info_ = micro.ServiceInfo(
        "other.v1.Lab",
        "other",
        tuple(
            micro.Method("other.v1.Lab", each.name, each.python_name, each.kind, each.request_type, each.reply_type)
            for each in LabBase._info_.methods
            if each.name == "Act"
        ),
    )

    def __init__(self, name: str) -> None:
        self._name = name

    async def act(self, request: Text, context: micro.Context) -> Text:
        return Text(value=self._name)


async def _channel(*handlers: micro.Handler) -> AsyncIterator[grpc.aio.Channel]:
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", grace=1.0)
    for handler in handlers:
        service.handle(handler)
    async with service:
        assert service.node is not None
        async with grpc.aio.insecure_channel(service.node.address) as channel:
            yield channel


@pytest.fixture
def lab() -> OurLab:
    return OurLab()


@pytest.fixture
async def channel(lab: OurLab) -> AsyncIterator[grpc.aio.Channel]:
    async for channel in _channel(lab):
        yield channel


@pytest.fixture
async def twins() -> AsyncIterator[grpc.aio.Channel]:
    async for channel in _channel(Named("lab"), OtherLab("other")):
        yield channel


def unary(channel: grpc.aio.Channel, path: str) -> grpc.aio.UnaryUnaryMultiCallable[Text, Text]:
    return channel.unary_unary(path, Text.SerializeToString, Text.FromString)


@pytest.mark.parametrize("path", ["/lab.Lab/Act", "/Lab/Act", "/go.micro.srv.lab.Lab/Act", "/user-svc.Lab/Act"])
async def test_what_stands_before_the_service_does_not_matter(channel: grpc.aio.Channel, path: str) -> None:
    assert (await unary(channel, path)(Text(value="hello"))).value == "hello"


@pytest.mark.parametrize(
    "path", ["/Act", "/lab.Lab.Act", "/lab/Act", "/lab.Lab/act", "/x.Annex/Act", "//lab.Lab/Act", "/"]
)
async def test_what_is_none_of_its_methods_is_unimplemented(channel: grpc.aio.Channel, path: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(channel, path)(Text(value="hello"))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_exact_path_comes_first(twins: grpc.aio.Channel) -> None:
    assert (await unary(twins, "/lab.Lab/Act")(Text())).value == "lab"
    assert (await unary(twins, "/other.v1.Lab/Act")(Text())).value == "other"


async def test_a_last_segment_that_two_have_names_neither(twins: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(twins, "/greeter.Lab/Act")(Text())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_its_timeout_ends_the_handler(channel: grpc.aio.Channel, lab: OurLab) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(channel, "/go.Lab/Act")(Text(value="hang"), metadata=(MARK, ("timeout", "200000000")))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert json.loads(caught.value.details() or "")["code"] == 408
    await asyncio.wait_for(lab.watched.cancelled.wait(), SETTLE)
    assert lab.watched.deadline is not None
    assert lab.watched.deadline <= 0.2


async def test_the_earlier_of_both_deadlines_holds(channel: grpc.aio.Channel, lab: OurLab) -> None:
    call = unary(channel, "/lab.Lab/Act")
    await call(Text(), timeout=50, metadata=(MARK, ("timeout", "90000000000")))
    assert lab.watched.deadline is not None
    assert lab.watched.deadline <= 50
    await call(Text(), timeout=90, metadata=(MARK, ("timeout", "50000000000")))
    assert lab.watched.deadline <= 50


async def test_its_headers_are_not_metadata(channel: grpc.aio.Channel) -> None:
    call = unary(channel, "/lab.Lab/Act")(
        Text(value="metadata"), metadata=(MARK, ("timeout", "9000000000"), ("micro-from-service", "web"))
    )
    await call
    headers = {key: value for key, value in await call.initial_metadata() or () if key.startswith("head-")}
    assert headers.get("head-micro-from-service") == "web"
    assert not {"head-timeout", "head-x-content-type"} & set(headers)


async def test_an_error_is_go_micros_first_and_all_else_after_it(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(channel, "/go.Lab/Act")(Text(value="fail 5"), metadata=(MARK,))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert json.loads(caught.value.details() or "")["id"] == "lab.failed"
    trailers = dict(caught.value.trailing_metadata() or ())
    details = Status.FromString(trailers["grpc-status-details-bin"]).details
    assert details[0].type_url == "type.googleapis.com/errors.Error"
    assert GoMicroError.FromString(details[0].value).code == 404
    assert len(details) == 4


async def test_an_unknown_method_is_an_error_of_go_micros_too(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await unary(channel, "/go.Lab/Nothing")(Text(), metadata=(MARK,))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert json.loads(caught.value.details() or "")["code"] == 501


async def test_server_streaming_begins_before_the_client_has_ended(channel: grpc.aio.Channel) -> None:
    # Every stream of go-micro's is bidirectional, and after its one request the client says nothing more.
    call = channel.stream_stream("/go.Lab/Count", Number.SerializeToString, Number.FromString)(metadata=(MARK,))
    await call.write(Number(value=3))
    for expected in range(3):
        assert (await asyncio.wait_for(call.read(), SETTLE)).value == expected
    assert await asyncio.wait_for(call.read(), SETTLE) is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


async def test_closing_a_stream_ends_its_handler(channel: grpc.aio.Channel, lab: OurLab) -> None:
    call = channel.stream_stream("/go.Lab/Talk", Text.SerializeToString, Text.FromString)(metadata=(MARK,))
    await call.write(Text(value="hang"))
    await asyncio.wait_for(lab.watched.started.wait(), SETTLE)
    assert not lab.watched.cancelled.is_set()
    call.cancel()
    await asyncio.wait_for(lab.watched.cancelled.wait(), SETTLE)
    assert call.cancelled()
