"""A client of go-micro's calls a node of ours that it finds through the registry of both."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import pytest

import micro_rt as micro
from tests.helpers.mesh import REGISTRIES, SETTLE, GoClient, Mesh, PythonNode, mesh_on
from tests.helpers.waiting import eventually

STATUSES = {
    micro.Code.INVALID_ARGUMENT: 400,
    micro.Code.UNAUTHENTICATED: 401,
    micro.Code.PERMISSION_DENIED: 403,
    micro.Code.NOT_FOUND: 404,
    micro.Code.DEADLINE_EXCEEDED: 408,
    micro.Code.ALREADY_EXISTS: 409,
    micro.Code.FAILED_PRECONDITION: 412,
    micro.Code.UNIMPLEMENTED: 501,
    micro.Code.UNAVAILABLE: 503,
}
"""What our errors are there; the others are 500."""


@pytest.fixture(params=REGISTRIES)
async def mesh(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh_on(request.getfixturevalue(request.param), tmp_path) as mesh:
        yield mesh


@pytest.fixture
async def node(mesh: Mesh) -> PythonNode:
    return await mesh.python_node(version="1.2.0", metadata={"zone": "a"})


@pytest.fixture
async def client(mesh: Mesh, node: PythonNode) -> GoClient:
    return await mesh.go_client()


async def test_unary(mesh: Mesh, client: GoClient, node: PythonNode) -> None:
    assert await client.ask("who", mesh.name, times=10) == {"nodes": {node.id: 10}}


async def test_it_is_found_by_its_package_too(client: GoClient, node: PythonNode) -> None:
    # Other tests' nodes serve the same package, and may be going.
    async def answered() -> bool:
        return node.id in (await client.ask("who", "mesh", times=20)).get("nodes", {})

    await eventually(answered, lambda: "no call to the package's name reached the node")


async def test_server_streaming(mesh: Mesh, client: GoClient) -> None:
    assert await client.ask("count", mesh.name, times=1000) == {"numbers": list(range(1000))}
    assert await client.ask("count", mesh.name) == {}


async def test_client_streaming(mesh: Mesh, client: GoClient) -> None:
    assert await client.ask("sum", mesh.name, times=1000) == {"numbers": [sum(range(1000))]}
    assert await client.ask("sum", mesh.name) == {"numbers": [0]}


async def test_bidirectional_streaming(mesh: Mesh, client: GoClient) -> None:
    texts = [str(number) for number in range(100)]
    expected = [*(f"re: {text}" for text in texts), "bye"]
    assert await client.ask("talk", mesh.name, texts=texts) == {"texts": expected}


async def test_closing_a_stream_ends_its_handler(mesh: Mesh, client: GoClient, node: PythonNode) -> None:
    assert await client.ask("count", mesh.name, times=-1, close=3) == {"numbers": [0, 1, 2]}
    assert await client.ask("talk", mesh.name, texts=["one"], close=1) == {"texts": ["re: one"]}

    async def both_stopped() -> bool:
        return {"count", "talk"} <= {rest.name for rest in node.mesh.ended}

    await eventually(both_stopped, lambda: "the handlers were not cancelled")


async def test_every_error(mesh: Mesh, client: GoClient) -> None:
    for code in micro.Code:
        if code is micro.Code.OK:
            continue
        failure = {"code": int(code), "id": "orders.place", "detail": f"100 % ☃ {code}"}
        # Given a timeout, the client does not try again, as it does five times at a 408.
        error = await client.failure("fail", mesh.name, failure=failure, timeout=int(SETTLE * 1000))
        status = HTTPStatus(STATUSES.get(code, 500))
        assert error["type"] == "*errors.Error", "go-micro's users look for its own type"
        assert (error["id"], error["detail"]) == ("orders.place", f"100 % ☃ {code}")
        assert (error["code"], error["status"]) == (status, status.phrase)


async def test_errors_that_end_a_stream(mesh: Mesh, client: GoClient) -> None:
    failure = {"code": int(micro.Code.NOT_FOUND), "id": "orders.place", "detail": "no such order"}
    answer = await client.ask("fail later", mesh.name, failure=failure)
    (error,) = answer["errors"]
    assert answer["numbers"] == [1]
    assert (error["grpc"], error["id"], error["code"], error["detail"]) == (
        "NotFound",
        "orders.place",
        404,
        "no such order",
    )
    answer = await client.ask("talk", mesh.name, texts=["one", "fail"])
    (error,) = answer["errors"]
    assert answer["texts"] == ["re: one"]
    assert (error["grpc"], error["id"], error["code"], error["detail"]) == (
        "AlreadyExists",
        "mesh.talk",
        409,
        "told to fail",
    )


async def test_an_exception_stays_on_the_server(mesh: Mesh, client: GoClient, caplog: pytest.LogCaptureFixture) -> None:
    error = await client.failure("fail", mesh.name, failure={"kind": "plain", "detail": "a secret"})
    assert (error["type"], error["code"]) == ("*errors.Error", 500)
    assert "a secret" not in json.dumps(error)
    assert "a secret" in caplog.text


async def test_a_method_that_does_not_exist(mesh: Mesh, client: GoClient) -> None:
    error = await client.failure("unknown", mesh.name)
    assert (error["type"], error["code"]) == ("*errors.Error", 501)


async def test_a_deadline_ends_both_sides(mesh: Mesh, client: GoClient, node: PythonNode) -> None:
    rest = {"milliseconds": int(SETTLE * 2000), "name": "long"}
    error = await client.failure("sleep", mesh.name, timeout=500, rest=rest)
    assert (error["code"], error["status"]) == (408, "Request Timeout")
    assert error["took"] >= 450

    async def stopped() -> bool:
        return any(rest.name == "long" for rest in node.mesh.ended)

    await eventually(stopped, lambda: "the handler was not stopped")
    (rested,) = [rest for rest in node.mesh.ended if rest.name == "long"]
    assert rested.end == "stopped"
    assert 0 <= rested.remaining <= 500


async def test_its_usual_timeout_reaches_the_handler(mesh: Mesh, client: GoClient) -> None:
    answer = await client.ask("sleep", mesh.name, rest={"milliseconds": 1})
    assert 0 < int(answer["message"]["remaining"]) <= 30_000


@pytest.mark.parametrize("method", ["headers", "stream headers"])
async def test_metadata(mesh: Mesh, client: GoClient, node: PythonNode, method: str) -> None:
    metadata = {"User-Id": "7", "Authorization": "Bearer x"}
    values = (await client.ask(method, mesh.name, metadata=metadata))["values"]
    assert values["user-id"] == "7"
    assert values["authorization"] == "Bearer x"
    assert not {"timeout", "x-content-type", "content-type"} & set(values)
    (context,) = node.mesh.seen
    assert (context.deadline is None) == (method == "stream headers"), "go-micro gives streams no deadline"


async def test_every_type_of_field(mesh: Mesh, client: GoClient) -> None:
    shapes = {
        "aDouble": 0.1,
        "anInt64": str(-(2**63)),
        "aUint64": str(2**64 - 1),
        "aSint32": -1,
        "aBool": True,
        "aString": "☃",
        "someBytes": "AAECAw==",
        "colour": "COLOUR_RED",
        "inner": {"number": {"value": "1"}, "texts": [{"value": "a"}, {}]},
        "numbers": [1, -1],
        "chunks": ["", "AA=="],
        "byName": {"one": {"value": "1"}, "": {}},
        "maybe": "",
        "right": {"value": "2"},
    }
    assert (await client.ask("mirror", mesh.name, shapes=shapes))["message"] == shapes
