"""Selectors that know the load, with real services."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack

import pytest

import micro_rt as micro
from micro_rt.client import load
from micro_rt.client.load import MeasuredConnection
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node
from micro_rt.selector.base import NO_LOADS, Load, LoadSelector
from tests.helpers.fleet import Fleet
from tests.helpers.handlers import Lab
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


class Spy(LoadSelector):
    """Takes the first node, and keeps what it was told last."""

    def __init__(self) -> None:
        self.loads: Mapping[str, Load] = {}
        self.metadata = EMPTY

    def select(
        self,
        nodes: Sequence[Node],
        avoid: Collection[str],
        loads: Mapping[str, Load] = NO_LOADS,
        metadata: Metadata = EMPTY,
    ) -> Node:
        self.loads, self.metadata = loads, metadata
        return nodes[0]


class First:
    """A selector that knows nothing of loads: the interface that third parties have written theirs for."""

    def select(self, nodes: Sequence[Node], avoid: Collection[str]) -> Node:
        return nodes[0]


class Slow(Lab):
    """Waits before each reply."""

    async def look(self, request: Text, context: micro.Context) -> Text:
        await asyncio.sleep(0.1)
        return await super().look(request, context)


class Broken(Lab):
    """Fails until it is mended."""

    mended = False

    async def look(self, request: Text, context: micro.Context) -> Text:
        return await super().look(request if self.mended else Text(value="break"), context)


@pytest.fixture
async def fleet() -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(stack)


@pytest.mark.parametrize("transport", ["memory", "grpc"])
async def test_a_slow_node_of_four_gets_less_than_half_its_share(fleet: Fleet, transport: str) -> None:
    for name in ("a", "b", "c"):
        await fleet.serve(name, transport=transport)
    await fleet.serve("slow", Slow(), transport=transport)
    await fleet.connect(selector="least_loaded")
    calls = await fleet.calls(LabClient(fleet.client), 800, clients=8)
    assert sum(calls.values()) == 800
    assert calls["slow"] < 100
    assert min(calls[name] for name in ("a", "b", "c")) > 100


async def test_a_node_that_fails_is_left_and_gets_calls_again(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b", "c"):
        await fleet.serve(name)
    broken = Broken()
    await fleet.serve("broken", broken)
    await fleet.connect(selector="least_loaded")
    lab = LabClient(fleet.client)
    calls = await fleet.calls(lab, 400, clients=4)
    assert calls["broken"] < 50
    broken.mended = True
    assert (await fleet.calls(lab, 100))["broken"] < 13
    monkeypatch.setattr(load, "HALF_LIFE", 1e-3)  # as if much time had passed

    async def has_its_share() -> bool:
        return (await fleet.calls(lab, 40))["broken"] > 4

    await eventually(has_its_share)


async def test_a_selector_sees_calls_in_flight_latency_and_failures(fleet: Fleet) -> None:
    await fleet.serve("a")
    spy = Spy()
    await fleet.connect(selector=lambda: spy)
    lab = LabClient(fleet.client, metadata={"x-of-client": "1"})
    await lab.act(Text(), metadata={"x-of-call": "2"})
    assert dict(spy.metadata) == {"x-of-client": "1", "x-of-call": "2"}
    (seen,) = spy.loads.values()
    assert seen.in_flight == 0
    assert seen.latency is not None
    assert seen.latency > 0
    hanging = asyncio.create_task(lab.act(Text(value="hang")))
    await soon(fleet.handlers["a"].started.wait())
    assert seen.in_flight == 1
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    assert seen.in_flight == 0
    with pytest.raises(micro.NotFound):
        await lab.act(Text(value="fail"))
    assert seen.failures == 0.0
    with pytest.raises(micro.Unknown):
        await lab.act(Text(value="break"))
    assert 0.0 < seen.failures <= 1.0


async def test_streams_are_calls_in_flight_and_have_no_latency(fleet: Fleet) -> None:
    await fleet.serve("a")
    spy = Spy()
    await fleet.connect(selector=lambda: spy)
    lab = LabClient(fleet.client)
    call = lab.count(Number(value=3))
    async with call:
        assert (await anext(aiter(call))).value == 0
        (seen,) = spy.loads.values()
        assert seen.in_flight == 1
    await eventually(lambda: seen.in_flight, equals=0)
    assert seen.latency is None
    with pytest.raises(micro.ResourceExhausted):
        async for _ in lab.count(Number(value=13)):
            pass
    assert 0.0 < seen.failures <= 1.0


async def test_probes_are_not_measured(fleet: Fleet) -> None:
    await fleet.serve("a")
    spy = Spy()
    await fleet.connect(selector=lambda: spy)
    async for _ in LabClient(fleet.client).count(Number(value=1)):
        pass
    remote = fleet.remote("a")
    assert isinstance(remote.connection, MeasuredConnection)
    remote.silent()
    await eventually(lambda: remote.aside, equals=False)
    assert remote.latency is None


@pytest.mark.parametrize("selector", ["round_robin", "random", First])
async def test_calls_are_not_measured_for_a_selector_that_does_not_ask(fleet: Fleet, selector: object) -> None:
    await fleet.serve("a")
    await fleet.connect(selector=selector)
    assert await fleet.calls(LabClient(fleet.client), 3) == {"a": 3}
    remote = fleet.remote("a")
    assert not isinstance(remote.connection, MeasuredConnection)
    assert remote.latency is None


async def test_calls_with_one_key_go_to_one_node(fleet: Fleet) -> None:
    for name in ("a", "b", "c"):
        await fleet.serve(name)
    await fleet.connect(selector="consistent_hash?key=x-tenant")
    lab = LabClient(fleet.client)
    owners = {}
    for number in range(30):
        calls = await fleet.calls(lab, 3, metadata={"x-tenant": f"tenant {number}"})
        (owners[number],) = calls
    assert set(owners.values()) == {"a", "b", "c"}
    assert await fleet.calls(lab, 30) == {"a": 10, "b": 10, "c": 10}


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        ("consistent_hash?bound=much", "selector='consistent_hash?bound=much': bound=much"),
        ("consistent_hash?keys=a", "there is no option 'keys'; known: bound, key"),
        ("random?seed=1", "the selector 'random' has no options"),
        ("least?", "there is no such selector; known: consistent_hash, least_loaded, random, round_robin"),
    ],
)
async def test_options_of_a_selector_that_make_no_sense_stop_the_start(selector: str, problem: str) -> None:
    with pytest.raises(micro.FailedPrecondition) as caught:
        async with micro.Service("client", registry="memory:", selector=selector):
            pass
    assert problem in caught.value.message
