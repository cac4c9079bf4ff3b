"""Nodes whose connections stay open and whose processes say nothing: stopped, or behind a network that drops everything."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

import micro_rt as micro
from micro_rt.client import attempts, remote
from micro_rt.node import Node
from micro_rt.registry.base import Lease
from micro_rt.selector import round_robin
from micro_rt.testing.proxy import FaultProxy
from micro_rt.transport import silence
from tests.helpers.handlers import Lab
from tests.helpers.site import Site
from tests.helpers.waiting import eventually, overtaken, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Number, Text


class Proxied(Site):
    """Servers behind proxies."""

    async def server(self, id: str, lab: Lab, *, cut: bool = False) -> tuple[FaultProxy, Lease]:
        """Starts a server, and lists a node with the address of a proxy in front of it."""
        node = await self.serve(lab)
        proxy = await self.stack.enter_async_context(FaultProxy(node.address))
        if cut:
            await proxy.cut()
        return proxy, await self.list(Node(id, proxy.address))

    async def hole_and_two(self) -> FaultProxy:
        """Starts three servers, of which the proxy of one forwards nothing; returns that proxy."""
        hole, _ = await self.server("hole", Lab())
        await hole.black_hole()
        for id in ("a", "b"):
            await self.server(id, Lab())
        await self.nodes(3)
        return hole


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxied]:
    monkeypatch.setattr(remote, "PROBE_TIMEOUT", 0.3)
    monkeypatch.setattr(remote, "MAX_SET_ASIDE", 0.5)
    monkeypatch.setattr(remote, "LEFT_PROBE", (0.05, 0.2))
    monkeypatch.setattr(silence, "PING_AFTER", 3600.0)  # A PING would end the calls to a silent node too, but later.
    async with AsyncExitStack() as stack:
        site = Proxied(stack)
        await site.open()
        yield site


async def test_a_silent_node_costs_one_call_and_comes_back(site: Proxied) -> None:
    proxy, _ = await site.server("a", Lab())
    await site.server("b", Lab())
    lab = LabClient(site.client)
    await site.nodes(2)
    for _ in range(4):
        await lab.act(Text(value="x"))
    await proxy.black_hole()
    late = 0
    for _ in range(12):
        info = micro.CallInfo()
        try:
            await lab.act(Text(value="x"), timeout=0.25, info=info)
        except micro.DeadlineExceeded:
            late += info.node != "b"  # On a busy machine, a node that answers may take longer than that.
    assert late == 1

    async def answers() -> bool:
        info = micro.CallInfo()
        await lab.look(Text(value="x"), info=info, timeout=30)
        return info.node == "a"

    await proxy.restore()
    await eventually(answers, "it is not used again")


async def test_a_call_connects_to_another_node_in_time(site: Proxied) -> None:
    hole = await site.hole_and_two()
    lab = LabClient(site.client)
    used = Counter[str]()
    waited = 0

    async def work() -> None:
        nonlocal waited
        for _ in range(20):
            info = micro.CallInfo()
            await lab.act(Text(value="x"), timeout=2.0, info=info)
            used[info.node] += 1
            waited += info.attempts - 1

    await asyncio.gather(*(work() for _ in range(5)))
    assert used.keys() == {"a", "b"}
    assert waited <= 5, "calls that begin later pass over a node that is slow to connect"
    await hole.restore()

    async def nodes_of(calls: int) -> list[str]:
        order = []
        for _ in range(calls):
            info = micro.CallInfo()
            await lab.act(Text(value="x"), timeout=30, info=info)
            order.append(info.node)
        return order

    async def joins() -> bool:
        return "hole" in await nodes_of(3)

    await eventually(joins, "it does not join the rotation")
    order = await nodes_of(12)
    assert set(order) == {"a", "b", "hole"}
    assert order == order[:3] * 4, "each call goes to the next node"


async def test_calls_pass_over_a_node_while_it_is_slow_to_connect(site: Proxied) -> None:
    hole = await site.hole_and_two()
    lab = LabClient(site.client)
    calls = [asyncio.create_task(lab.act(Text(value="x"))) for _ in range(3)]
    await eventually(lambda: sum(call.done() for call in calls), "one call waits for the hole", equals=2)
    await asyncio.sleep(2 * remote.SLOW_CONNECT)
    for _ in range(6):
        info = micro.CallInfo()
        await lab.act(Text(value="x"), timeout=2.0, info=info)
        assert info.attempts == 1
    # A call that leaves while it connects does not leave the node set aside for ever.
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)
    await hole.restore()

    async def used() -> bool:
        info = micro.CallInfo()
        await lab.act(Text(value="x"), info=info)
        return info.node == "hole"

    await eventually(used, "it does not join the rotation")


async def test_a_node_that_appears_is_connected_before_it_is_called(site: Proxied) -> None:
    await site.server("a", Lab())
    lab = LabClient(site.client)
    await lab.act(Text(value="x"))
    holes = [(await site.server(f"hole-{number}", Lab(), cut=True))[0] for number in range(6)]
    await site.nodes(7)
    for _ in range(30):
        info = micro.CallInfo()
        await lab.act(Text(value="x"), info=info)
        assert (info.node, info.attempts) == ("a", 1)
    for hole in holes:
        await hole.black_hole()
    await eventually(lambda: sum(hole.connections for hole in holes), "they are not probed", equals=4)
    await asyncio.sleep(0.5)
    assert sum(hole.connections for hole in holes) == 4
    for hole in holes:
        await hole.restore()
    used = set[str]()

    async def all_used() -> bool:
        info = micro.CallInfo()
        await lab.act(Text(value="x"), info=info)
        used.add(info.node)
        return len(used) == 7

    await eventually(all_used, "they do not join the rotation")


async def test_a_call_finds_the_few_nodes_that_live(site: Proxied, monkeypatch: pytest.MonkeyPatch) -> None:
    # The rotation begins far from the node that lives, so that only connecting in the background can find it.
    monkeypatch.setattr(round_robin, "below", lambda limit: 0)
    for number in range(1, 200):
        node = Node(f"dead-{number}", f"127.0.0.1:{number}")
        await site.list(node)
    await site.server("live", Lab())
    await site.nodes(200)
    lab = LabClient(site.client, retry=micro.RetryPolicy(attempts=10, backoff=1.0, max_backoff=1.0))
    info = micro.CallInfo()
    await lab.act(Text(value="x"), info=info)
    assert info.attempts <= attempts.MOVES + 10


async def test_a_call_goes_on_to_a_connected_node_however_often_it_has_moved(
    site: Proxied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "MOVES", 0)
    proxy, _ = await site.server("a", Lab())
    await site.server("b", Lab())
    await site.nodes(2)
    lab = LabClient(site.client, retry=micro.RetryPolicy(attempts=1))
    for _ in range(4):
        await lab.act(Text(value="x"))
    await proxy.cut()
    await eventually(lambda: proxy.connections, equals=0)
    await asyncio.sleep(0.1)  # The client hears of it.
    made = 0
    for _ in range(4):
        info = micro.CallInfo()
        await lab.act(Text(value="x"), info=info)
        made += info.attempts
    assert made == 5, "one call finds out that the node is gone"


@pytest.mark.parametrize("timeout", [30, None], ids=["deadline", "no deadline"])
async def test_one_attempt_does_not_use_up_the_deadline(site: Proxied, timeout: float | None) -> None:
    good = Lab()
    proxy, _ = await site.server("a", Lab())
    await site.server("b", good)
    await site.nodes(2)
    lab = LabClient(site.client, retry=micro.RetryPolicy(attempt_timeout=0.3, backoff=0.001))
    for _ in range(4):  # Connects both: a node that is not connected loses its turn for another reason.
        await lab.look(Text(value="x"))
    await proxy.black_hole()
    good.ran.clear()
    made = after = 0
    while after < 4:  # On a busy machine, the silent node may have lost its turn for another reason, and gets it back.
        info = micro.CallInfo()
        assert (await soon(lab.look(Text(value="x"), info=info, timeout=timeout), within=20)).value == "x"
        assert info.node == "b"
        made += info.attempts
        after += made > len(good.ran)
    # On a busy machine, an attempt at the good node may take too long, too.
    assert made - len(good.ran) == 1, "one call finds out that the node is silent"


async def test_attempts_that_take_too_long_are_counted(site: Proxied) -> None:
    first, second = Lab(), Lab()
    await site.server("a", first)
    await site.server("b", second)
    await site.nodes(2)

    async def hang(seconds: float) -> None:
        first.ran.clear()
        second.ran.clear()
        policy = micro.RetryPolicy(attempts=3, attempt_timeout=seconds, backoff=0.001)
        await LabClient(site.client, retry=policy).look(Text(value="hang"))

    error = await overtaken(hang, lambda: len(first.ran) + len(second.ran) == 3, error=micro.Unavailable)
    assert re.search(r"did not answer within [\d.]+ s", error.message)
    assert error.may_have_run
    await eventually(lambda: first.cancelled.is_set() and second.cancelled.is_set())


async def test_an_attempt_that_may_not_run_twice_takes_as_long_as_its_call(site: Proxied) -> None:
    server = Lab()
    await site.server("a", server)
    lab = LabClient(site.client, retry=micro.RetryPolicy(attempt_timeout=0.05))
    await overtaken(lambda t: lab.act(Text(value="hang"), timeout=t), server.started.is_set, 0.4)
    assert len(server.ran) == 1


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
def test_an_attempt_timeout_that_is_no_time_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="attempt_timeout"):
        micro.RetryPolicy(attempt_timeout=seconds)


async def test_a_node_with_one_slow_method_stays_in_use(site: Proxied) -> None:
    slow = Lab()
    await site.server("a", slow)
    lab = LabClient(site.client)
    await lab.act(Text(value="connect"))
    (node,) = site.client.nodes._remotes.values()
    while "hang" not in slow.ran:  # On a busy machine, the time may have passed before the request arrives.
        with pytest.raises(micro.DeadlineExceeded):
            await lab.act(Text(value="hang"), timeout=0.1)
    await eventually(lambda: not node.aside, "a probe does not bring it back")
    assert node.connected


@pytest.mark.parametrize("kind", ["unary", "stream", "not idempotent"])
async def test_calls_to_a_silent_node_end_when_it_leaves_the_registry(site: Proxied, kind: str) -> None:
    first, second = Lab(), Lab()
    proxy, lease = await site.server("a", first)
    lab = LabClient(site.client, retry=micro.RetryPolicy(backoff=0.001, idempotent=kind != "not idempotent"))
    if kind == "stream":

        async def values() -> list[int]:
            return [reply.value async for reply in lab.count(Number(value=0))]

        call: asyncio.Task[object] = asyncio.create_task(values())
        await eventually(lambda: first.ran)
    else:
        call = asyncio.create_task(lab.act(Text(value="hang")))
        await soon(first.started.wait())
    await proxy.black_hole()
    await site.server("b", second)
    await site.nodes(2)
    await lease.revoke()
    if kind == "not idempotent":
        with pytest.raises(micro.Unavailable, match=r"a at .* left the registry and does not answer") as caught:
            await soon(call, within=30)
        assert caught.value.may_have_run
        assert not second.ran
    else:
        await eventually(lambda: second.ran, "it does not go to the other node", within=30)
        call.cancel()
    with pytest.raises((asyncio.CancelledError, micro.Error)):
        await call


async def test_calls_to_a_node_that_stops_in_good_order_go_on(site: Proxied) -> None:
    proxy, lease = await site.server("a", Lab())
    await proxy.delay(0.01)
    async with LabClient(site.client).talk() as call:
        await call.send(Text(value="a"))
        await call.receive()
        await lease.revoke()
        await site.nodes(0)
        await asyncio.sleep(1.0)  # several probes
        await call.send(Text(value="b"))
        assert (await call.receive()).value == "re: b"
