"""go-micro's own mDNS registry and ours on one network, each reading what the other wrote (see go_micro_mdns/main.go)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.interop.hosts import Host, NotPermitted, hosts
from tests.helpers.missing import missing
from tests.interop.mdns_lab import PYTHON, Program, program, service, shown
from tests.servers.cache import Unobtainable
from tests.servers.obtain import go_binary

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def go() -> str:
    try:
        return str(go_binary(Path(__file__).with_name("go_micro_mdns")))
    except Unobtainable as reason:
        missing(reason)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network() -> AsyncIterator[tuple[Host, Host]]:
    try:
        async with hosts() as pair:
            yield pair
    except NotPermitted as reason:
        missing(reason)


def plain(found: dict[str, Any]) -> dict[str, Any]:
    """A service that go-micro shows, without what our registry adds for its own use; go-micro has no metadata of services."""
    nodes = [
        {**node, "metadata": {key: text for key, text in node["metadata"].items() if key in ("protocol", "zone")}}
        for node in found["nodes"]
    ]
    return {**found, "metadata": {}, "nodes": nodes}


@contextlib.asynccontextmanager
async def registered(host: Host, *peer: str, service: dict[str, Any]) -> AsyncIterator[Program]:
    async with program(host, *peer, "register", json.dumps(service)) as running:
        assert await running.line() == "registered"
        yield running


async def got(host: Host, go: str, name: str, nodes: int) -> list[dict[str, Any]]:
    """What go-micro finds; it gives an answer 100 ms, which on a busy machine can be too short, so it is asked again."""
    for _ in range(50):
        found = [plain(each) for each in json.loads(await host.call(go, "get", name))]
        if sum(len(each["nodes"]) for each in found) == nodes:
            break
    return found


async def test_go_finds_a_python_node(network: tuple[Host, Host], go: str) -> None:
    one, two = network
    # With dots, as the names of go-micro's services have them.
    greeter = service("go.micro.srv.python", "python-1", f"{one.address}:41123", zone="a")
    async with registered(one, *PYTHON, service=greeter):
        for host in (two, one):
            assert await got(host, go, "go.micro.srv.python", 1) == [greeter]
            for _ in range(50):
                listed = {each["name"] for each in json.loads(await host.call(go, "list"))}
                if "go.micro.srv.python" in listed:
                    break
            assert "go.micro.srv.python" in listed


async def test_python_finds_go_nodes(network: tuple[Host, Host], go: str) -> None:
    one, two = network
    first = service("go.micro.srv.go", "go-1", f"{one.address}:41123", zone="a")
    second = service("go.micro.srv.go", "go-2", f"{two.address}:41124", version="2.0.0")
    async with registered(one, go, service=first), registered(two, go, service=second):
        for host in (one, two):
            nodes = json.loads(await host.call(*PYTHON, "get", "go.micro.srv.go"))
            assert nodes == [shown(first), shown(second)]
            listed = json.loads(await host.call(*PYTHON, "list"))
            assert listed["go.micro.srv.go"] == [shown(first), shown(second)]


async def test_nodes_of_both_side_by_side(network: tuple[Host, Host], go: str) -> None:
    one, two = network
    ours = service("go.micro.srv.both", "a-python", f"{one.address}:41123")
    theirs = service("go.micro.srv.both", "b-go", f"{one.address}:41124")
    async with registered(one, *PYTHON, service=ours), registered(one, go, service=theirs):
        for host in (one, two):
            found = await got(host, go, "go.micro.srv.both", 2)
            assert len(found) == 1, "one name and version"
            assert sorted((node["id"], node["address"]) for node in found[0]["nodes"]) == [
                ("a-python", f"{one.address}:41123"),
                ("b-go", f"{one.address}:41124"),
            ]
            nodes = json.loads(await host.call(*PYTHON, "get", "go.micro.srv.both"))
            assert nodes == [shown(ours), shown(theirs)]


async def test_python_sees_go_come_and_go(network: tuple[Host, Host], go: str) -> None:
    one, two = network
    greeter = service("go.micro.srv.passing", "go-1", f"{one.address}:41123")
    async with program(two, *PYTHON, "watch", "go.micro.srv.passing") as watch:
        await watch.until([])
        async with registered(one, go, service=greeter) as peer:
            await watch.until([shown(greeter)])
            await peer.end()
            await watch.until([])


async def test_go_sees_python_come_and_go(network: tuple[Host, Host], go: str) -> None:
    one, two = network
    # go-micro's watchers pass over a node that has no version, so ours has one there.
    greeter = service("go.micro.srv.seen", "python-1", f"{one.address}:41123", version="")
    async with program(two, go, "watch", "go.micro.srv.seen") as watch:
        assert await watch.line() == "watching"
        # It says that it watches before it does.
        async with registered(one, *PYTHON, service=greeter) as peer:
            changes = [json.loads(await watch.line())]
            await peer.end()
            while changes[-1]["Action"] != "delete":
                changes.append(json.loads(await watch.line()))
        assert {change["Action"] for change in changes} == {"create", "delete"}
        for change in changes:
            assert plain(change["Service"]) == {**greeter, "version": "latest"}


async def test_a_service_with_many_nodes(network: tuple[Host, Host], go: str) -> None:
    """go-micro takes one node from a packet, so each has its own."""
    one, two = network
    nodes = [service("go.micro.srv.many", f"python-{number}", f"{one.address}:{41000 + number}") for number in range(5)]
    async with contextlib.AsyncExitStack() as stack:
        for each in nodes:
            await stack.enter_async_context(registered(one, *PYTHON, service=each))
        (found,) = await got(two, go, "go.micro.srv.many", 5)
        assert sorted(node["id"] for node in found["nodes"]) == [f"python-{number}" for number in range(5)]
