"""How large messages may be: what a service, a client and a .proto say of it, and which of them counts."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
import micro_rt.testing
from micro_rt.backends.grpc.transport import GrpcTransport
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.context import CallInfo
from micro_rt.http2.limits import Limits as Http2Limits
from micro_rt.metadata import EMPTY
from micro_rt.transport.base import Dispatch, Listener
from tests.helpers.handlers import Serve
from tests.protos.sizes_micro import SizesBase, SizesClient
from tests.protos.sizes_pb2 import Load

MIB = 1 << 20


class Sizes(SizesBase):
    """Answers, and counts what it has answered."""

    def __init__(self) -> None:
        self.answered = 0

    async def plain(self, request: Load, context: micro.Context) -> Load:
        self.answered += 1
        return Load(data=bytes(request.wanted))

    async def narrow(self, request: Load, context: micro.Context) -> Load:
        return await self.plain(request, context)

    async def wide(self, request: Load, context: micro.Context) -> Load:
        return await self.plain(request, context)

    async def deep(self, request: Load, context: micro.Context) -> Load:
        return await self.plain(request, context)

    async def flow(self, requests: AsyncIterator[Load], context: micro.Context) -> AsyncIterator[Load]:
        async for request in requests:
            yield await self.plain(request, context)


def load(size: int, wanted: int = 0) -> Load:
    """Returns a message of about so many bytes."""
    return Load(data=bytes(size), wanted=wanted)


async def fails(call: Any, match: str) -> None:
    """Asserts that a call ends because a message is too large."""
    with pytest.raises(micro.ResourceExhausted, match=match) as caught:
        await call
    assert "max_message=" in caught.value.message


async def test_a_service_and_its_clients_take_four_mib(serve: Serve) -> None:
    handler = Sizes()
    async with serve(handler) as service:
        client = SizesClient(service)
        assert len((await client.plain(load(3 * MIB, 3 * MIB))).data) == 3 * MIB
        await fails(
            client.plain(load(5 * MIB)), r"Plain: a message of 5242\d\d\d bytes; 4194304 is the most that is sent"
        )
        assert handler.answered == 1
        await fails(client.plain(load(0, 5 * MIB)), "4194304 is the most that is")


async def test_the_proto_says_less_and_more(serve: Serve) -> None:
    handler = Sizes()
    async with serve(handler) as service:
        client = SizesClient(service)
        await client.narrow(load(900, 1900))
        await fails(client.narrow(load(1100)), "1000 is the most that is sent")
        await fails(client.narrow(load(0, 2100)), "2000 is the most that is sent")
        assert len((await client.wide(load(5 * MIB, 6 * MIB))).data) == 6 * MIB
        await fails(client.wide(load(6 * MIB)), "6000000 is the most that is sent")
        await fails(client.wide(load(0, 7 * MIB)), "7000000 is the most that is sent")
        await client.deep(load(5 * MIB))
        await fails(client.deep(load(0, 5 * MIB)), "4194304 is the most that is sent")


async def test_each_message_of_a_stream_has_the_limit(serve: Serve) -> None:
    async with serve(Sizes()) as service:
        client = SizesClient(service)
        async with client.flow() as call:
            for _ in range(5):
                await call.send(load(900, 1900))
                assert len((await call.receive()).data) == 1900
            with pytest.raises(micro.ResourceExhausted, match="1000 is the most that is sent"):
                await call.send(load(1100))
        async with client.flow() as call:
            await call.send(load(0, 2100))
            with pytest.raises(micro.ResourceExhausted, match="2000 is the most that is sent"):
                await call.receive()


async def test_a_server_keeps_to_it_whatever_a_client_says(serve: Serve) -> None:
    handler = Sizes()
    async with serve(handler) as service:
        client = SizesClient(service, max_message=100 * MIB)
        await fails(client.narrow(load(1100)), "1000 is the most that is taken")
        await fails(client.plain(load(5 * MIB)), "4194304 is the most that is taken")
        assert handler.answered == 0
        await client.wide(load(5 * MIB))
        async with client.flow() as call:
            await call.send(load(1100))
            with pytest.raises(micro.ResourceExhausted, match="1000 is the most that is taken"):
                await call.receive()


async def test_a_client_takes_no_more_than_it_says(serve: Serve) -> None:
    async with serve(Sizes(), max_message=100 * MIB) as service:
        client = SizesClient(service, max_message=5 * MIB)
        assert len((await client.plain(load(4 * MIB, 4 * MIB + 1))).data) == 4 * MIB + 1
        await fails(client.plain(load(5 * MIB)), "5242880 is the most that is sent")
        await fails(client.plain(load(0, 6 * MIB)), "5242880 is the most that is taken")
        small = SizesClient(service, max_message=100)
        await fails(small.narrow(load(0, 1000)), "100 is the most that is taken")
        async with small.flow() as call:
            await call.send(load(0, 1000))
            with pytest.raises(micro.ResourceExhausted, match="100 is the most that is taken"):
                await call.receive()


@pytest.mark.parametrize("transport", ["memory", "grpc"])
async def test_the_setting_of_a_service_holds_for_what_it_serves_and_calls(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = f"memory:{uuid.uuid4()}"
    monkeypatch.setenv("MICRO_MAX_MESSAGE", "2000000")
    server = micro.Service("sizes", registry=MemoryRegistry(registry), transport=transport)
    server.handle(Sizes())
    client = micro.Service("client", registry=MemoryRegistry(registry), max_message=3_000_000)
    generous = micro.Service("generous", registry=MemoryRegistry(registry), max_message=50 * MIB)
    async with server, client, generous:
        await SizesClient(client).plain(load(1_900_000, 1_900_000))
        await fails(SizesClient(client).plain(load(3 * MIB)), "3000000 is the most that is sent")
        await fails(SizesClient(client).plain(load(2_500_000)), "2000000 is the most that is taken")
        await fails(SizesClient(generous).plain(load(0, 2_500_000)), "2000000 is the most that is sent")


async def test_the_config_says_it_too() -> None:
    config = {"micro": {"max_message": 1000}}
    async with micro_rt.testing.serve(Sizes(), config=[config]) as service:
        await fails(SizesClient(service).plain(load(1100)), "1000 is the most that is sent")


@pytest.mark.parametrize("wrong", [0, -1, 1 << 31])
async def test_a_max_message_that_makes_no_sense(wrong: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=f"max_message={wrong}: from 1 to 2,147,483,647 bytes"):
        micro.Service("sizes", max_message=wrong)
    async with micro.Service("client", registry=f"memory:{uuid.uuid4()}") as service:
        with pytest.raises(ValueError, match="from 1 to"):
            SizesClient(service, max_message=wrong)
    monkeypatch.setenv("MICRO_MAX_MESSAGE", str(wrong))
    with pytest.raises(micro.FailedPrecondition, match=r"MICRO_MAX_MESSAGE|max_message=2147483648"):
        async with micro.Service("sizes", registry=f"memory:{uuid.uuid4()}"):
            pass


# Limits of a server


async def test_a_service_says_the_limits_of_its_server() -> None:
    registry = f"memory:{uuid.uuid4()}"
    server = micro.Service("sizes", registry=registry, limits=micro.Limits(header_list=600))
    server.handle(Sizes())
    async with server, micro.Service("client", registry=registry) as client:
        with pytest.raises(micro.ResourceExhausted, match="600 can be sent"):
            await SizesClient(client).plain(Load(), metadata={"x-large": "x" * 600})
        await SizesClient(client).plain(Load(), metadata={"x-small": "x"})


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"streams": 0}, "streams=0: it is a whole number from 1 to 2,147,483,647"),
        ({"streams": 1.5}, "streams=1.5: it is a whole number"),
        ({"streams": None}, "streams=None: it is a whole number"),
        ({"handshake": 0}, "handshake=0: it is a number of seconds from 0.001"),
        ({"age": "1 h"}, "age='1 h': it is a number of seconds"),
        ({"ping_strikes": -1}, "ping_strikes=-1: it is a whole number from 0"),
    ],
)
def test_limits_that_make_no_sense(wrong: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        micro.Limits(**wrong)


def test_limits_are_an_object() -> None:
    with pytest.raises(TypeError, match=r"limits=\{'streams': 5\}: it is a micro\.Limits"):
        micro.Service("sizes", limits={"streams": 5})  # type: ignore[arg-type]
    micro.Limits(age=None, ping_strikes=0, ping_interval=0)


# Transports without limits


class Unlimited:
    """A transport as others write it, without limits."""

    name = "grpc"

    def connection(self, address: str) -> Any:
        connection = GrpcTransport().connection(address)
        connection.takes_sizes = False
        return connection

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        return await GrpcTransport().listen(address, dispatch)


class Plain(SizesBase):
    """Only what has no limits."""


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"limits": micro.Limits()}, "limits= needs a transport that bounds what clients make a server spend"),
        ({"max_message": 1000}, "max_message=1000 needs a transport that bounds how large messages are"),
        ({}, r"the option limits of a method in the \.proto needs a transport that bounds how large messages are"),
    ],
)
async def test_a_service_whose_transport_cannot_keep_its_limits_does_not_start(setting: Any, said: str) -> None:
    service = micro.Service("sizes", registry=f"memory:{uuid.uuid4()}", transport=Unlimited(), **setting)
    service.handle(Sizes())
    with pytest.raises(
        micro.FailedPrecondition, match=f"{said}, and transport=<Unlimited> does not: use transport='grpc'"
    ):
        async with service:
            pass


async def test_a_call_with_limits_on_a_transport_without_does_not_run() -> None:
    registry = f"memory:{uuid.uuid4()}"
    handler = Sizes()
    server = micro.Service("sizes", registry=registry)
    server.handle(handler)
    async with server, micro.Service("client", registry=registry, transport=Unlimited()) as client:
        await SizesClient(client).plain(load(1))
        for call in (SizesClient(client).narrow(load(1)), SizesClient(client, max_message=5).plain(load(1))):
            with pytest.raises(micro.FailedPrecondition, match="has limits of its own") as caught:
                await call
            assert not caught.value.may_have_run
    assert handler.answered == 1


async def test_a_transport_of_ones_own_keeps_what_the_service_does_not_say() -> None:
    registry = f"memory:{uuid.uuid4()}"
    own = GrpcTransport(receive=2000, send=3000, limits=micro.Limits(header_list=700))
    server = micro.Service("sizes", registry=registry, transport=own)
    server.handle(Sizes())
    async with server:
        assert server.node is not None
        connection = GrpcTransport().connection(server.node.address)
        try:
            for method, size in (("Plain", 2000), ("Narrow", 1000)):
                message = load(2500).SerializeToString()
                with pytest.raises(micro.ResourceExhausted, match=f"{size} is the most that is taken"):
                    await connection.unary(f"/sizes.Sizes/{method}", "proto", EMPTY, None, CallInfo(), message)
        finally:
            await connection.close()


# Docs

ELSEWHERE_IN_THE_DOCS = {
    *("streams", "header_list"),  # These are limits that a service says.
    *("stream_window", "connection_window", "stream_buffer", "connection_buffer"),  # They follow from those.
    "interval",  # One second, as the text says.
}


@pytest.mark.parametrize(
    ("title", "limits"),
    [
        ("## Limits of a server", {field.name: field.default for field in fields(micro.Limits)}),
        (
            "### Floods",
            {field.name: field.default for field in fields(Http2Limits) if field.name not in ELSEWHERE_IN_THE_DOCS},
        ),
    ],
)
def test_the_docs_list_every_limit_with_its_default(title: str, limits: dict[str, Any]) -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "grpc.md").read_text()
    table = re.split(r"\n##+ ", text.partition(f"{title}\n")[2])[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| `")
    ]
    said = {row[0].strip("`"): row[1] for row in rows}
    assert said == {name: _shown(name, default) for name, default in limits.items()}


def _shown(name: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in {"header_list", "large_messages", "replies", "header_block", "header_table", "frame"}:
        return f"{value >> 20} MiB" if value >= MIB else f"{value >> 10} KiB"
    return f"{value:,g}" if isinstance(value, float) else f"{value:,}"
