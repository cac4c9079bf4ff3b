"""Clients of ours call a node of go-micro's that they find through the registry of both."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import micro_rt as micro
from tests.helpers.mesh import REGISTRIES, SETTLE, GoNode, Mesh, mesh_on
from tests.helpers.waiting import eventually, overtaken
from tests.protos import lab_pb2
from tests.protos.lab_micro import LabClient
from tests.protos.mesh_micro import MeshClient
from tests.protos.mesh_pb2 import Failure, Number, Rest, Shapes, Text

CODES: list[tuple[int, type[micro.Error]]] = [
    (400, micro.InvalidArgument),
    (401, micro.Unauthenticated),
    (403, micro.PermissionDenied),
    (404, micro.NotFound),
    (408, micro.DeadlineExceeded),
    (409, micro.AlreadyExists),
    (412, micro.FailedPrecondition),
    (429, micro.Unknown),
    (500, micro.Internal),
    (501, micro.Unimplemented),
    (503, micro.Unavailable),
]
"""go-micro's codes, and what its server makes of them; those it does not know are Unknown."""


@pytest.fixture(params=REGISTRIES)
async def mesh(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh_on(request.getfixturevalue(request.param), tmp_path) as mesh:
        yield mesh


@pytest.fixture
async def node(mesh: Mesh) -> GoNode:
    return await mesh.go_node(metadata={"zone": "a"})


@pytest.fixture
async def client(mesh: Mesh, node: GoNode) -> MeshClient:
    return await mesh.python_client(MeshClient)


async def test_unary(client: MeshClient, node: GoNode) -> None:
    info = micro.CallInfo()
    reply = await client.who(Text(), info=info)
    assert (reply.id, reply.language) == (node.id, "go")
    assert (info.node, info.peer) == (node.id, node.address)


async def test_server_streaming(client: MeshClient) -> None:
    assert [reply.value async for reply in client.count(Number(value=1000))] == list(range(1000))
    assert [reply.value async for reply in client.count(Number())] == []


async def test_client_streaming(client: MeshClient) -> None:
    assert (await client.sum(Number(value=value) for value in range(1000))).value == sum(range(1000))
    assert (await client.sum(())).value == 0


async def test_bidirectional_streaming(client: MeshClient) -> None:
    async with client.talk() as call:
        for number in range(100):
            await call.send(Text(value=str(number)))
            assert (await call.receive()).value == f"re: {number}"
        await call.end()
        assert (await call.receive()).value == "bye"
        with pytest.raises(micro.EndOfStream):
            await call.receive()


async def test_what_a_stream_is_cancelled_for_reaches_the_handler(client: MeshClient) -> None:
    async for reply in client.count(Number(value=-1)):
        if reply.value == 3:
            break
    async with client.talk() as call:
        await call.send(Text(value="one"))
        await call.receive()

    async def both_stopped() -> bool:
        return {"count", "talk"} <= {rest.name for rest in (await client.sleepers(Text())).rests}

    await eventually(both_stopped, lambda: "the handlers in Go were not cancelled")


@pytest.mark.parametrize("method", ["fail", "fail_later"])
async def test_every_error(client: MeshClient, method: str) -> None:
    for code, expected in CODES:
        failure = Failure(kind="error", code=code, id="orders.place", detail=f"100 % ☃ {code}")
        with pytest.raises(micro.Error) as caught:
            if method == "fail":
                await client.fail(failure)
            else:
                assert [reply.value async for reply in client.fail_later(failure)] == [1]
        error = caught.value
        assert type(error) is expected, error
        assert (error.id, error.message) == ("orders.place", f"100 % ☃ {code}")
        assert error.may_have_run


async def test_errors_that_are_not_go_micros_own(client: MeshClient) -> None:
    with pytest.raises(micro.Unknown) as unknown:
        await client.fail(Failure(kind="plain", detail="something else"))
    assert (unknown.value.id, unknown.value.message) == ("", "something else")
    with pytest.raises(micro.Internal) as internal:
        await client.fail(Failure(kind="panic", detail="at the disco"))
    assert (internal.value.id, internal.value.message) == ("go.micro.server", "panic recovered: at the disco")
    with pytest.raises(micro.Error) as within:
        async with client.talk() as call:
            await call.send(Text(value="fail"))
            await call.receive()
    assert type(within.value) is micro.AlreadyExists
    assert (within.value.id, within.value.message) == ("mesh.talk", "told to fail")


async def test_a_method_that_does_not_exist(mesh: Mesh, node: GoNode) -> None:
    lab = await mesh.python_client(LabClient)
    with pytest.raises(micro.Unimplemented, match="unknown service Lab"):
        await lab.act(lab_pb2.Text())


async def test_a_deadline_ends_both_sides(client: MeshClient) -> None:
    sent: list[bool] = []
    timeouts: list[float] = []

    async def sleep(timeout: float) -> None:
        timeouts.append(timeout)
        began = time.monotonic()
        try:
            await client.sleep(Rest(milliseconds=int(SETTLE * 2000), name="long"), timeout=timeout)
        except micro.DeadlineExceeded as error:
            assert time.monotonic() - began >= timeout
            sent.append(error.may_have_run)
            raise

    await overtaken(sleep, lambda: sent[-1], 0.5)
    left: list[int] = []

    async def stopped() -> bool:
        rests = (await client.sleepers(Text())).rests
        left[:] = [rest.remaining for rest in rests if (rest.name, rest.end) == ("long", "stopped")]
        return bool(left)

    await eventually(stopped, lambda: "the handler in Go was not stopped")
    assert left[0] <= timeouts[-1] * 1000


async def test_a_deadline_ends_a_stream_on_both_sides(client: MeshClient) -> None:
    sent: list[bool] = []

    async def count(timeout: float) -> None:
        try:
            async for _ in client.count(Number(value=-1), timeout=timeout):
                pass
        except micro.DeadlineExceeded as error:
            sent.append(error.may_have_run)
            raise

    await overtaken(count, lambda: sent[-1], 0.5)

    async def stopped() -> bool:
        return "count" in {rest.name for rest in (await client.sleepers(Text())).rests}

    await eventually(stopped, lambda: "the handler in Go was not stopped")


async def test_a_deadline_reaches_the_handler(client: MeshClient) -> None:
    assert 0 < (await client.sleep(Rest(), timeout=SETTLE)).remaining <= SETTLE * 1000
    assert (await client.sleep(Rest(), timeout=math.inf)).remaining == -1
    assert 0 < (await client.sleep(Rest())).remaining <= 30_000


@pytest.mark.parametrize("method", ["headers", "stream_headers"])
async def test_metadata(client: MeshClient, method: str) -> None:
    metadata = {"user-id": "7", "Authorization": "Bearer x"}
    if method == "headers":
        values = (await client.headers(Text(), metadata=metadata, timeout=SETTLE)).values
    else:
        (pairs,) = [reply async for reply in client.stream_headers(Text(), metadata=metadata, timeout=SETTLE)]
        values = pairs.values
    assert values["user-id"] == "7"
    assert values["authorization"] == "Bearer x"
    # What go-micro's clients send besides, its server takes for itself.
    assert not {"timeout", "x-content-type"} & set(values)


async def test_every_type_of_field(client: MeshClient) -> None:
    shapes = Shapes(
        a_double=0.1,
        an_int64=-(2**63),
        a_uint64=2**64 - 1,
        a_sint32=-1,
        a_bool=True,
        a_string="☃",
        some_bytes=bytes(range(256)),
        colour=Shapes.COLOUR_RED,
        inner=Shapes.Inner(number=Number(value=1), texts=[Text(value="a"), Text()]),
        numbers=[1, -1],
        chunks=[b"", b"\0"],
        by_name={"one": Number(value=1), "": Number()},
        maybe="",
        right=Number(value=2),
    )
    assert await client.mirror(shapes) == shapes


async def test_what_the_registry_says_of_it(mesh: Mesh, client: MeshClient, node: GoNode) -> None:
    async with micro.Service("looking", registry=mesh.registry.url) as service:
        (listed,) = await mesh.listed(service, node.id)
    assert (listed.id, listed.address, listed.transport) == (node.id, node.address, "grpc")
    assert listed.version == "latest"
    assert listed.go_micro
    assert not listed.services, "go-micro does not say packages"
    assert listed.metadata["zone"] == "a"
    assert listed.metadata["protocol"] == "grpc"
    assert {endpoint.name for endpoint in listed.endpoints} == {
        f"Mesh.{each.name}" for each in MeshClient._info_.methods
    }
