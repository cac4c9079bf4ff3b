"""The deadline of a call that does not say how long it may take, and where it comes from."""

from __future__ import annotations

import asyncio
import math
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import micro_rt as micro
from tests.helpers.handlers import Lab, Serve
from tests.helpers.waiting import soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


class Notes(Lab):
    """Notes the seconds that each call has left."""

    def __init__(self) -> None:
        super().__init__()
        self.remaining: list[float | None] = []

    async def act(self, request: Text, context: micro.Context) -> Text:
        self.remaining.append(context.remaining())
        self.contexts.append(context)
        if request.value == "hang":
            await self.hang()
        return request

    async def look(self, request: Text, context: micro.Context) -> Text:
        return await self.act(request, context)

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        self.remaining.append(context.remaining())
        yield request


@asynccontextmanager
async def calling(transport: str = "grpc", **options: Any) -> AsyncIterator[tuple[micro.Service, Notes]]:
    """A service that calls, with options, and the handler that it calls."""
    address = f"memory:{uuid.uuid4()}"
    server = micro.Service("lab", registry=address, transport=transport)
    notes = server.handle(Notes())
    async with server, micro.Service("client", registry=address, **options) as client:
        yield client, notes


def within(remaining: float | None, most: float) -> bool:
    """Whether a deadline of so many seconds was set a moment ago."""
    return remaining is not None and most - 25 < remaining <= most


@pytest.mark.parametrize("transport", ["memory", "grpc", "grpclib"])
async def test_a_unary_call_has_30_seconds_and_a_stream_has_no_deadline(transport: str) -> None:
    async with calling(transport) as (service, notes):
        client = LabClient(service)
        await client.act(Text())
        async for _ in client.count(Number()):
            pass
        assert within(notes.remaining[0], 30)
        assert notes.remaining[1] is None


async def test_calls_in_turn_keep_their_own_deadlines_and_metadata() -> None:
    async with calling() as (service, notes):
        client = LabClient(service)
        expected: list[float] = []
        for number in range(40):
            timeout = (None, None, None, 100, 100, 5000.5)[number % 6] if number >= 10 else None
            await client.act(Text(), timeout=timeout, metadata={"x-number": str(number)} if number > 30 else None)
            expected.append(timeout or 30)
        assert [within(*each) for each in zip(notes.remaining, expected, strict=True)] == [True] * 40
        assert [context.metadata.text("x-number") for context in notes.contexts[-9:]] == [str(n) for n in range(31, 40)]
        assert all(context.metadata.text("x-number") is None for context in notes.contexts[:31])


async def test_the_order_is_call_client_service() -> None:
    async with calling(timeout=100) as (service, notes):
        await LabClient(service).act(Text())
        await LabClient(service, timeout=1000).act(Text())
        await LabClient(service, timeout=1000).act(Text(), timeout=10_000)
        assert [within(*each) for each in zip(notes.remaining, (100, 1000, 10_000), strict=True)] == [True] * 3


async def test_each_of_them_can_say_that_there_is_none() -> None:
    async with calling(timeout=None) as (service, notes):
        await LabClient(service).act(Text())
    async with calling() as (service, other):
        await LabClient(service).act(Text(), timeout=math.inf)
        await LabClient(service, timeout=math.inf).act(Text())
        await LabClient(service, timeout=5).act(Text(), timeout=math.inf)
    assert [*notes.remaining, *other.remaining] == [None] * 4


@pytest.mark.parametrize(("said", "expected"), [("none", None), ("2m", 120.0), ("0.5", 0.5), ("", 30.0)])
async def test_the_environment_says_it(monkeypatch: pytest.MonkeyPatch, said: str, expected: float | None) -> None:
    monkeypatch.setenv("MICRO_TIMEOUT", said)
    async with micro.Service("web", registry="memory:") as service:
        assert service.timeout == expected
    async with micro.Service("web", registry="memory:", timeout=7) as service:
        assert service.timeout == 7


@pytest.mark.parametrize("said", ["0", "-1", "soon", "None"])
async def test_what_makes_no_sense_is_refused(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setenv("MICRO_TIMEOUT", said)
    with pytest.raises(micro.FailedPrecondition, match=rf"MICRO_TIMEOUT='{said}': .*a number of seconds above 0"):
        async with micro.Service("web", registry="memory:"):
            pass


@pytest.mark.parametrize("wrong", ["soon", math.nan])
def test_what_makes_no_sense_in_code_is_refused(wrong: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="timeout is"):
        micro.Service("web", timeout=wrong)


@pytest.mark.parametrize("said", [{"timeout": 12}, {"timeout": "12s"}])
async def test_the_config_says_it(said: dict[str, Any]) -> None:
    async with micro.Service("web", registry="memory:", config=[{"micro": said}]) as service:
        assert service.timeout == 12


async def test_no_call_goes_beyond_the_call_that_is_served(serve: Serve) -> None:
    class Outer(Notes):
        service: micro.Service

        async def look(self, request: Text, context: micro.Context) -> Text:
            return await LabClient(self.service).act(request, timeout=math.inf)

    async with serve(outer := Outer()) as service:
        outer.service = service
        await LabClient(service).look(Text(), timeout=20)
    assert within(outer.remaining[0], 20)


@pytest.mark.parametrize("transport", ["memory", "grpc"])
async def test_a_handler_that_hangs_ends_the_call_without_the_call_having_said_so(transport: str) -> None:
    async with calling(transport, timeout=0.3) as (service, lab):
        with pytest.raises(micro.DeadlineExceeded):
            await soon(LabClient(service).act(Text(value="hang")))
        await soon(lab.cancelled.wait())


async def test_a_stream_reaches_a_node_in_time_or_fails() -> None:
    silent = socket.create_server(("127.0.0.1", 0))  # The kernel takes connections, and nobody answers.
    port = silent.getsockname()[1]
    address = f"memory:{uuid.uuid4()}"
    server = micro.Service("lab", registry=address, transport="grpc", advertise=f"127.0.0.1:{port}")
    server.handle(Lab())
    client = micro.Service("client", registry=address, timeout=0.3)
    with silent:
        async with server, client, asyncio.timeout(20):
            with pytest.raises(
                micro.DeadlineExceeded, match=r"/lab\.Lab/Count reached no node within 0\.3 s; it tried lab-"
            ) as caught:
                async for _ in LabClient(client).count(Number(value=1)):
                    pass
        assert not caught.value.may_have_run


@pytest.mark.parametrize("transport", ["memory", "grpc"])
async def test_a_stream_that_has_reached_its_node_may_last(transport: str) -> None:
    async with calling(transport, timeout=0.1) as (service, _), LabClient(service).talk() as call:
        await call.send(Text(value="a"))
        assert (await call.receive()).value == "re: a"
        await asyncio.sleep(0.3)
        await call.send(Text(value="b"))
        assert (await call.receive()).value == "re: b"
