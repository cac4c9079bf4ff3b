"""Nodes of a mesh of both languages are killed and stopped under load."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

import micro_rt as micro
from tests.helpers.mesh import REGISTRIES, SETTLE, SHORT_TTL, Mesh, mesh_on
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import eventually
from tests.protos.mesh_micro import MeshClient
from tests.protos.mesh_pb2 import Text

WORKERS = 16


@pytest.fixture(params=REGISTRIES)
async def mesh(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Mesh]:
    async with mesh_on(request.getfixturevalue(request.param), tmp_path) as mesh:
        yield mesh


@dataclass
class Load:
    """Calls without end, half of them of a method that may run twice."""

    client: MeshClient
    answered: Counter[str] = field(default_factory=Counter[str])
    again: int = 0
    """Calls that were sent more than once."""
    lost: list[micro.Error] = field(default_factory=list[micro.Error])
    failed: list[micro.Error] = field(default_factory=list[micro.Error])
    """Calls of the method that may not run twice."""

    async def __aenter__(self) -> Self:
        self._stop = asyncio.Event()
        self._workers = [asyncio.create_task(self._work(number % 2 == 0)) for number in range(WORKERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stop.set()
        await asyncio.gather(*self._workers)

    async def _work(self, idempotent: bool) -> None:
        call, failures = (self.client.who, self.lost) if idempotent else (self.client.act, self.failed)
        while not self._stop.is_set():
            info = micro.CallInfo()
            try:
                self.answered[(await call(Text(), timeout=SETTLE, info=info)).id] += 1
            except micro.Error as error:
                failures.append(error)
            self.again += info.attempts > 1
            await asyncio.sleep(0.001)

    def report(self, figures: Figures) -> None:
        figures.add("answered", self.answered.total())
        figures.add("sent more than once", self.again)
        figures.add("idempotent ones that failed", len(self.lost))
        figures.add("others that failed", len(self.failed))

    async def answers(self, count: int) -> Counter[str]:
        """Waits for so many more answers, and returns who gave them."""
        before = self.answered.copy()

        async def enough() -> bool:
            return (self.answered - before).total() >= count

        await eventually(enough, lambda: f"no more than {self.answered - before} answered; {self.lost} {self.failed}")
        return self.answered - before


@pytest.mark.verify("failover")
async def test_a_node_of_go_micros_is_killed_under_load(mesh: Mesh, size: Size, figures: Figures) -> None:
    many = size(10_000, ci=500)
    go, python = await mesh.go_node(ttl=SHORT_TTL), await mesh.python_node(version="latest")
    client = await mesh.python_client(MeshClient)
    await mesh.calls_reach(client, go.id, python.id)
    async with Load(client) as load:
        before = await load.answers(many)
        go.kill()
        await load.answers(many)
        after = await load.answers(many)
    assert before.keys() == {go.id, python.id}
    assert after.keys() == {python.id}
    load.report(figures)
    assert not load.lost, "an idempotent call is lost"
    assert load.again, "no call was sent to another node: the kill met nothing"
    assert {type(error) for error in load.failed} <= {micro.Unavailable}
    assert len(load.failed) <= WORKERS, "more calls failed than were in flight"
    async with micro.Service("looking", registry=mesh.registry.url) as service:
        await mesh.listed(service, python.id)


@pytest.mark.verify("failover")
async def test_a_node_of_go_micros_stops_in_good_order_under_load(mesh: Mesh, size: Size, figures: Figures) -> None:
    many = size(10_000, ci=500)
    go, python = await mesh.go_node(), await mesh.python_node(version="latest")
    client = await mesh.python_client(MeshClient)
    await mesh.calls_reach(client, go.id, python.id)
    async with Load(client) as load:
        await load.answers(many)
        await go.terminate()
        await load.answers(200)
        after = await load.answers(many)
    load.report(figures)
    assert not load.lost + load.failed, "a call is lost"
    assert after.keys() == {python.id}


@pytest.mark.verify("failover")
async def test_a_node_of_go_micros_comes_back_under_load(mesh: Mesh, size: Size, figures: Figures) -> None:
    many = size(10_000, ci=500)
    go, python = await mesh.go_node(ttl=SHORT_TTL), await mesh.python_node(version="latest")
    client = await mesh.python_client(MeshClient)
    await mesh.calls_reach(client, go.id, python.id)
    async with Load(client) as load:
        await load.answers(200)
        go.kill()
        await load.answers(200)
        again = await mesh.go_node(ttl=SHORT_TTL)
        await mesh.calls_reach(client, again.id, python.id)
        after = await load.answers(many)
    load.report(figures)
    assert not load.lost
    assert after.keys() == {again.id, python.id}


async def test_go_micros_clients_do_not_notice_that_a_node_of_ours_stops(mesh: Mesh) -> None:
    go, python = await mesh.go_node(), await mesh.python_node(version="latest")
    other = await mesh.python_node(version="latest")
    go_client, looking = await mesh.go_client(), await mesh.go_client()
    await mesh.go_client_watches(go_client, go.id, python.id, other.id)
    await go_client.ask("load", mesh.name)
    await asyncio.sleep(0.5)
    await python.stop()
    await mesh.go_calls_reach(looking, go.id, other.id)
    await asyncio.sleep(0.5)
    answer = await go_client.ask("loaded")
    assert "errors" not in answer
    assert answer["nodes"].keys() == {go.id, python.id, other.id}


async def test_go_micros_clients_lose_a_node_of_ours_that_is_killed_with_its_lease(mesh: Mesh, tmp_path: Path) -> None:
    """Until then go-micro's client goes on calling it, and fails: it sends nothing again, and puts no node aside."""
    go = await mesh.go_node()
    with (tmp_path / "python.err").open("wb") as log:
        python = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.faults.go_micro_server",
            mesh.name,
            mesh.registry.url,
            str(SHORT_TTL),
            cwd=Path(__file__).parent.parent.parent,
            stderr=log,
        )
    try:
        go_client = await mesh.go_client()
        async with micro.Service("looking", registry=mesh.registry.url) as service:

            async def both() -> bool:
                return len(await service.nodes.registry.resolve(mesh.name)) == 2

            await eventually(both, lambda: f"the node did not come up: {(tmp_path / 'python.err').read_text()}")
        await mesh.go_client_watches(go_client, go.id, "")  # the process does not know its id
        python.kill()
        await python.wait()
        answer = await go_client.ask("who", mesh.name, times=50)
        assert {error["code"] for error in answer["errors"]} <= {500, 503}
        assert answer["nodes"].keys() == {go.id}
        await mesh.go_calls_reach(go_client, go.id)
        (listed,) = (await go_client.ask("list", mesh.name))["services"]
        assert [node["id"] for node in listed["nodes"]] == [go.id]
    finally:
        if python.returncode is None:
            python.kill()
        await python.wait()
