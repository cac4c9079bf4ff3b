"""Nodes of ours and of go-micro's side by side under one name, and what each side sees of the other in the registry."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import micro_rt as micro
from tests.helpers.mesh import REGISTRIES, Mesh, mesh_on
from tests.helpers.waiting import eventually
from tests.protos.mesh_micro import MeshClient
from tests.protos.mesh_pb2 import Text


@pytest.fixture(params=REGISTRIES)
async def mesh(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh_on(request.getfixturevalue(request.param), tmp_path) as mesh:
        yield mesh


async def test_calls_of_both_clients_spread_over_nodes_of_both(mesh: Mesh) -> None:
    nodes = [
        await mesh.go_node(),
        await mesh.python_node(version="latest"),
        await mesh.go_node(),
        await mesh.python_node(version="latest"),
    ]
    ids = [node.id for node in nodes]
    client, go_client = await mesh.python_client(MeshClient), await mesh.go_client()
    await mesh.calls_reach(client, *ids)
    languages = Counter([(await client.who(Text())).language for _ in range(200)])
    assert languages == {"go": 100, "python": 100}, "ours rotate"
    await mesh.go_calls_reach(go_client, *ids)
    answer = await go_client.ask("who", mesh.name, times=400)
    assert answer["nodes"].keys() == set(ids)
    assert min(answer["nodes"].values()) > 40, "go-micro's picks are random"


async def test_names_as_they_are_usual_in_go(mesh: Mesh) -> None:
    name = f"go.micro.srv.{mesh.name}"
    go, python = await mesh.go_node(name), await mesh.python_node(name, version="latest")
    client, go_client = await mesh.python_client(MeshClient, name), await mesh.go_client()
    await mesh.calls_reach(client, go.id, python.id)
    answer = await go_client.ask("who", name, times=100)
    assert answer["nodes"].keys() == {go.id, python.id}


async def test_nodes_come_and_go_for_both_clients(mesh: Mesh) -> None:
    stays = await mesh.go_node()
    client, go_client = await mesh.python_client(MeshClient), await mesh.go_client()
    await mesh.calls_reach(client, stays.id)
    await mesh.go_client_watches(go_client, stays.id)
    python = await mesh.python_node(version="latest")
    await mesh.calls_reach(client, stays.id, python.id)
    await mesh.go_calls_reach(go_client, stays.id, python.id)
    go = await mesh.go_node()
    await mesh.calls_reach(client, stays.id, python.id, go.id)
    await mesh.go_calls_reach(go_client, stays.id, python.id, go.id)
    await python.stop()
    await mesh.calls_reach(client, stays.id, go.id)
    await mesh.go_calls_reach(go_client, stays.id, go.id)
    await go.terminate()
    await mesh.calls_reach(client, stays.id)
    await mesh.go_calls_reach(go_client, stays.id)


async def test_versions_are_kept_apart(mesh: Mesh) -> None:
    """Under one name there may be several; go-micro has one entry for each, and its clients use all of them."""
    go, python = await mesh.go_node(), await mesh.python_node(version="1.2.0")
    go_client = await mesh.go_client()

    async def both() -> bool:
        return len((await go_client.ask("list", mesh.name)).get("services", [])) == 2

    await eventually(both, lambda: "go-micro does not list two versions")
    services = (await go_client.ask("list", mesh.name))["services"]
    assert {service["version"]: service["nodes"][0]["id"] for service in services} == {
        "latest": go.id,
        "1.2.0": python.id,
    }
    await mesh.go_calls_reach(go_client, go.id, python.id)


async def test_what_go_micro_sees_of_our_node(mesh: Mesh) -> None:
    python = await mesh.python_node(version="1.2.0", metadata={"zone": "a", "Größe": "☃"})
    go_client = await mesh.go_client()
    (service,) = (await go_client.ask("list", mesh.name))["services"]
    assert (service["name"], service["version"]) == (mesh.name, "1.2.0")
    (node,) = service["nodes"]
    assert python.service.node is not None
    assert (node["id"], node["address"]) == (python.id, python.service.node.address)
    expected = {"zone": "a", "Größe": "☃", "protocol": "grpc", "server": "grpc", "transport": "grpc"}
    assert expected.items() <= node["metadata"].items()
    assert node["metadata"]["registry"] == mesh.kind
    names = (await go_client.ask("names"))["names"]
    assert {mesh.name, "mesh"} <= set(names), "under its own name and under its package's"


async def test_our_endpoints_are_described_as_go_micros_own_are(mesh: Mesh) -> None:
    go_name, python_name = f"{mesh.name}-go", f"{mesh.name}-python"
    await mesh.go_node(go_name)
    await mesh.python_node(python_name)
    go_client = await mesh.go_client()
    (go,) = (await go_client.ask("list", go_name))["services"]
    (python,) = (await go_client.ask("list", python_name))["services"]
    ours, theirs = by_name(python["endpoints"]), by_name(go["endpoints"])
    assert ours.keys() == theirs.keys()
    assert len(ours) == 12
    for name, endpoint in ours.items():
        assert without_oneofs(endpoint) == without_oneofs(theirs[name])


async def test_go_micro_watches_our_nodes(mesh: Mesh) -> None:
    go_client = await mesh.go_client()
    await go_client.ask("watch", mesh.name)
    python = await mesh.python_node()
    answer = await go_client.ask("next")
    assert answer["event"] in ("create", "update")
    assert [node["id"] for node in answer["services"][0]["nodes"]] == [python.id]
    await python.stop()

    async def deleted() -> bool:
        answer = await go_client.ask("next")
        return answer.get("event") == "delete"

    await eventually(deleted, lambda: "go-micro was not told that the node is gone")
    assert "services" not in await go_client.ask("list", mesh.name)


async def test_go_micro_says_that_nobody_is_there_once_ours_are_gone(mesh: Mesh) -> None:
    python = await mesh.python_node()
    client, go_client = await mesh.python_client(MeshClient), await mesh.go_client()
    await mesh.go_client_watches(go_client, python.id)
    await python.stop()

    async def not_found() -> bool:
        errors = (await go_client.ask("who", mesh.name, times=1)).get("errors", [])
        return [error["code"] for error in errors] == [500] and "not found" in errors[0]["detail"]

    await eventually(not_found, lambda: "go-micro goes on with a node that has left")
    with pytest.raises(micro.Unavailable) as caught:
        await client.who(Text())
    assert caught.value.id == "micro.no_nodes"
    assert not caught.value.may_have_run


async def test_nodes_of_go_micros_own_protocol_are_left_out_by_name(mesh: Mesh) -> None:
    mucp = await mesh.go_node(protocol="mucp")
    client = await mesh.python_client(MeshClient)
    with pytest.raises(micro.Unavailable, match="they speak mucp") as caught:
        await client.who(Text())
    assert not caught.value.may_have_run
    grpc = await mesh.go_node()
    await mesh.calls_reach(client, grpc.id)
    assert mucp.id != grpc.id


async def test_calls_in_json_are_answered_in_json(mesh: Mesh) -> None:
    python = await mesh.python_node()
    go_client = await mesh.go_client()
    assert await go_client.ask("json", mesh.name) == {"nodes": {python.id: 1}}


def by_name(endpoints: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {endpoint["name"]: endpoint for endpoint in endpoints}


def without_oneofs(endpoint: dict[str, Any]) -> dict[str, Any]:
    """Go has one field of an interface type for all members of a oneof; ours say the members."""
    oneofs = {"isShapes_Choice", "left", "right"}
    return {
        "name": endpoint["name"],
        "metadata": endpoint["metadata"],
        **{
            side: {
                **endpoint[side],
                "values": [value for value in endpoint[side]["values"] or [] if value["name"] not in oneofs],
            }
            for side in ("request", "response")
        },
    }
