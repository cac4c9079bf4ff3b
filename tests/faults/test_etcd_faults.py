"""What a registry on etcd goes through: the server killed, paused or without its data, the network cut or silent, history gone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import random
import uuid
from collections.abc import AsyncIterator, Callable

import pytest

from micro_rt.backends.etcd import mirror
from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import EtcdClient, prefix_end
from micro_rt.backends.etcd.messages_pb2 import (
    DeleteRangeRequest,
    PutRequest,
    RangeRequest,
    RequestOp,
    TxnRequest,
)
from micro_rt.backends.etcd.registry import EtcdRegistry
from micro_rt.errors import Error, Unavailable
from micro_rt.node import Node
from micro_rt.registry.base import Lease, LeaseLost, Registration
from micro_rt.registry.registrar import Registrar
from micro_rt.registry.watch import Watch
from micro_rt.testing.proxy import FaultProxy
from tests.helpers.sizes import Size
from tests.helpers.waiting import eventually
from tests.servers.etcd import Etcd
from tests.servers.server import Server
from tests.servers.shared import Elsewhere

LIMIT = 60.0
"""Seconds within which everything must have happened; waited for only if it does not."""
LONG = 600.0
"""Seconds of a lease that does not run out during a test."""

Make = Callable[..., Etcd]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent stream is asked for a sign after a second, not ten."""
    monkeypatch.setattr(mirror, "QUIET", 1.0)


def fresh(text: str = "node") -> str:
    return f"{text}-{uuid.uuid4().hex[:12]}"


def a_node() -> Node:
    return Node(fresh(), "127.0.0.1:1")


@contextlib.asynccontextmanager
async def opened(address: str, options: str = "timeout=1") -> AsyncIterator[EtcdRegistry]:
    registry = EtcdRegistry(f"etcd://{address}/?{options}")
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def test_an_answer_may_be_larger_than_what_services_take_of_each_other(etcd: Server | Elsewhere) -> None:
    """The whole registry comes in one answer."""
    client = EtcdClient(EtcdAddress.parse(etcd.url))
    await client.open()
    try:
        folder = fresh("large/").encode()
        for number in range(5):
            put = PutRequest(key=folder + b"%d" % number, value=bytes(1 << 20))
            await client.txn(TxnRequest(success=[RequestOp(request_put=put)]))
        found = await client.range(RangeRequest(key=folder, range_end=prefix_end(folder)))
        assert [len(pair.value) for pair in found.kvs] == 5 * [1 << 20]
        await client.txn(TxnRequest(success=[
            RequestOp(request_delete_range=DeleteRangeRequest(key=folder, range_end=prefix_end(folder)))
        ]))  # fmt: skip
    finally:
        await client.close()


class Seen:
    """All that a watch has given, kept while it goes on."""

    def __init__(self, watch: Watch) -> None:
        self.states: list[tuple[Node, ...]] = []
        self._watch = watch
        self._more = asyncio.Event()
        self._task = asyncio.create_task(self._follow())

    async def _follow(self) -> None:
        async for nodes in self._watch:
            assert not self.states or self.states[-1] != nodes, "the same state twice"
            self.states.append(nodes)
            self._more.set()

    async def until(self, *nodes: Node) -> None:
        expected = tuple(sorted(nodes, key=lambda node: node.id))
        try:
            async with asyncio.timeout(LIMIT):
                while not self.states or self.states[-1] != expected:
                    assert not self._task.done(), self._task.exception()
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            pytest.fail(f"seen last: {self.states[-1:]}, instead of {expected}")

    async def close(self) -> None:
        await self._watch.aclose()
        await self._task


@contextlib.asynccontextmanager
async def watching(registry: EtcdRegistry, name: str) -> AsyncIterator[Seen]:
    seen = Seen(registry.watch(name))
    try:
        yield seen
    finally:
        await seen.close()


async def until_registered(registry: EtcdRegistry, registration: Registration, ttl: float = LONG) -> Lease:
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                return await registry.register(registration, ttl=ttl)
            except Unavailable:
                await asyncio.sleep(0.1)


def put(server: Etcd, key: str, value: str) -> None:
    status, answer = server.request("/v3/kv/put", {"key": text64(key), "value": text64(value)})
    assert status == 200, answer


def text64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def revision(server: Etcd) -> int:
    status, answer = server.request("/v3/kv/range", {"key": text64("x")})
    assert status == 200, answer
    return int(answer["header"]["revision"])


def leases(server: Etcd) -> list[str]:
    status, answer = server.request("/v3/lease/leases", {})
    assert status == 200, answer
    return [lease["ID"] for lease in answer.get("leases", [])]


async def test_a_server_that_is_killed_and_comes_back_with_its_data(
    make_etcd: Make, caplog: pytest.LogCaptureFixture
) -> None:
    server = make_etcd()
    await server.start()
    caplog.set_level(logging.INFO, "micro_rt.etcd")
    async with opened(server.address) as registry, opened(server.address, "timeout=2") as other:
        name, one, two = fresh("a"), a_node(), a_node()
        lease = await registry.register(Registration(one, (name,)), ttl=LONG)
        async with watching(other, name) as seen:
            await seen.until(one)
            await server.kill()
            await eventually(lambda: other.problem)
            with pytest.raises(Unavailable, match="is it running there"):
                await registry.resolve(name)
            with pytest.raises(Unavailable):
                await lease.renew()
            assert seen.states[-1] == (one,), "what was known last stands"
            await server.start()
            await until_registered(registry, Registration(two, (name,)))
            await seen.until(one, two)
            assert seen.states == [(one,), tuple(sorted((one, two), key=lambda node: node.id))]
            await lease.renew()
            await eventually(lambda: not other.problem)
    said = [record.message for record in caplog.records if record.name == "micro_rt.etcd"]
    assert sum("was lost" in text for text in said) == 1, said
    assert sum("works again" in text for text in said) == 1, said


async def test_a_server_that_has_lost_its_data_gets_it_again(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with opened(server.address) as registry, opened(server.address, "timeout=2") as other:
        name = fresh("a")
        kept, gone, late = a_node(), a_node(), a_node()
        registrar = Registrar(registry, Registration(kept, (name,)), ttl=3.0)
        await registrar.start()
        lease = await other.register(Registration(gone, (name,)), ttl=LONG)
        async with watching(other, name) as seen:
            await seen.until(kept, gone)
            await server.kill()
            await server.wipe()
            await server.start()
            await seen.until(kept)
            with pytest.raises(LeaseLost):
                await lease.renew()
            await until_registered(other, Registration(late, (name,)))
            await seen.until(kept, late)
        await registrar.stop()


async def test_a_new_store_that_has_come_as_far_as_the_old_one_is_told_from_it(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with FaultProxy(server.address) as proxy, opened(proxy.address) as registry:
        name, other_name, node, new = fresh("a"), fresh("b"), a_node(), a_node()
        await registry.register(Registration(node, (name,)), ttl=LONG)
        async with watching(registry, name) as seen, watching(registry, other_name) as empty:
            await seen.until(node)
            await empty.until()
            await proxy.cut()
            known = revision(server)
            await server.kill()
            await server.wipe()
            await server.start()
            async with opened(server.address) as direct:
                await direct.register(Registration(new, (other_name,)), ttl=LONG)
            while revision(server) <= known + 5:
                put(server, "something", "else")
            await proxy.restore()
            await seen.until()
            await empty.until(new)


@pytest.mark.parametrize("fault", ["cut", "black_hole"])
async def test_what_happens_while_the_network_is_away_is_seen_after_it(make_etcd: Make, fault: str) -> None:
    server = make_etcd()
    await server.start()
    async with (
        FaultProxy(server.address) as proxy,
        opened(proxy.address) as far,
        opened(server.address) as near,
    ):
        name, one, two, three = fresh("a"), a_node(), a_node(), a_node()
        first = await near.register(Registration(one, (name,)), ttl=LONG)
        async with watching(far, name) as seen:
            await seen.until(one)
            await getattr(proxy, fault)()
            await eventually(lambda: far.problem)
            with pytest.raises(Unavailable):
                await far.resolve(name)
            await first.revoke()
            await near.register(Registration(two, (name,)), ttl=LONG)
            assert seen.states == [(one,)]
            await proxy.restore()
            await seen.until(two)
            await eventually(lambda: not far.problem)
            await near.register(Registration(three, (name,)), ttl=LONG)
            await seen.until(two, three)
            assert await far.resolve(name) == seen.states[-1]


async def test_history_that_is_gone_when_the_network_is_back(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with FaultProxy(server.address) as proxy, opened(proxy.address) as far, opened(server.address) as near:
        name, one, two = fresh("a"), a_node(), a_node()
        first = await near.register(Registration(one, (name,)), ttl=LONG)
        async with watching(far, name) as seen:
            await seen.until(one)
            await proxy.cut()
            await eventually(lambda: far.problem)
            await first.revoke()
            await near.register(Registration(two, (name,)), ttl=LONG)
            status, answer = server.request("/v3/kv/compaction", {"revision": revision(server), "physical": True})
            assert status == 200, answer
            await proxy.restore()
            await seen.until(two)


async def test_a_server_that_is_paused(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with opened(server.address) as registry:
        name, one, two = fresh("a"), a_node(), a_node()
        lease = await registry.register(Registration(one, (name,)), ttl=LONG)
        async with watching(registry, name) as seen:
            await seen.until(one)
            await server.pause()
            for call in (lambda: registry.resolve(name), lease.renew, registry.names):
                with pytest.raises(Unavailable):
                    await call()
            await eventually(lambda: "changes are not seen" in registry.problem)
            await server.resume()
            await until_registered(registry, Registration(two, (name,)))
            await seen.until(one, two)
            await lease.renew()


async def test_a_lease_runs_out_under_load(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with opened(server.address, "timeout=20") as registry:
        name = fresh("a")
        lost, kept = a_node(), [a_node() for _ in range(50)]
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                lease = await registry.register(Registration(a_node(), (fresh("load"),)), ttl=LONG)
                await lease.renew()
                await lease.revoke()

        others = [await registry.register(Registration(node, (name,)), ttl=LONG) for node in kept]
        lease = await registry.register(Registration(lost, (name,)), ttl=2.0)
        loads = [asyncio.create_task(load()) for _ in range(20)]
        try:
            async with watching(registry, name) as seen:
                await seen.until(*kept)
        finally:
            stop.set()
            await asyncio.gather(*loads)
        with pytest.raises(LeaseLost):
            await lease.renew()
        for other in others:
            await other.renew()


async def test_a_paused_process_registers_again_when_its_lease_has_run_out(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with (
        FaultProxy(server.address) as proxy,
        opened(proxy.address) as far,
        opened(server.address) as near,
    ):
        name, node = fresh("a"), a_node()
        registrar = Registrar(far, Registration(node, (name, fresh("b"))), ttl=2.0)
        await registrar.start()
        async with watching(near, name) as seen:
            await seen.until(node)
            await proxy.black_hole()
            await seen.until()
            await proxy.restore()
            await seen.until(node)
            await registrar.stop()
            await seen.until()


async def test_keys_that_somebody_deletes_come_again(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with opened(server.address) as registry:
        name, node = fresh("a"), a_node()
        registrar = Registrar(registry, Registration(node, (name,)), ttl=2.0)
        await registrar.start()
        async with watching(registry, name) as seen:
            await seen.until(node)
            status, answer = server.request("/v3/kv/deleterange", {"key": text64(f"/micro/registry/{name}/{node.id}")})
            assert (status, answer["deleted"]) == (200, "1"), answer
            await eventually(lambda: () in seen.states)
            await seen.until(node)
        await registrar.stop()


async def test_a_registration_that_is_given_up_leaves_nothing(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with FaultProxy(server.address) as proxy, opened(proxy.address, "timeout=20") as registry:
        name = fresh("a")
        await proxy.delay(0.02)
        given_up = 0
        for _ in range(40):
            task = asyncio.create_task(registry.register(Registration(a_node(), (name,)), ttl=LONG))
            await asyncio.sleep(random.uniform(0.0, 0.12))
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await task).revoke()
                continue
            given_up += 1
        assert given_up, "no registration was given up"
        await eventually(lambda: leases(server), equals=[])
        await eventually(lambda: registry.resolve(name), equals=())


async def test_another_member_takes_over_when_one_is_silent_or_gone(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    # Two ways to one member stand for two members: what differs is which of them answers.
    async with FaultProxy(server.address) as first, FaultProxy(server.address) as second:
        registry = EtcdRegistry(f"etcd://{first.address},{second.address}/?timeout=1")
        await registry.open()
        name, one = fresh("a"), a_node()
        async with watching(registry, name) as seen:
            await registry.register(Registration(one, (name,)), ttl=LONG)
            await seen.until(one)
            nodes = [one]
            # Whichever it uses is among these, with the fault and without.
            for fault, proxy in (("black_hole", first), ("black_hole", second), ("cut", first), ("cut", second)):
                await getattr(proxy, fault)()
                nodes.append(a_node())
                await until_registered(registry, Registration(nodes[-1], (name,)))
                await seen.until(*nodes)
                await proxy.restore()
        await registry.close()


async def test_calls_alone_find_the_member_that_answers(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with FaultProxy(server.address) as first, FaultProxy(server.address) as second:
        registry = EtcdRegistry(f"etcd://{first.address},{second.address}/?timeout=1")
        await registry.open()
        for proxy in (first, second, first):
            await proxy.black_hole()
            await until_registered(registry, Registration(a_node(), (fresh("a"),)))
            await proxy.restore()
        await registry.close()


async def test_a_silent_member_costs_no_lease_that_is_shorter_than_three_timeouts(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    async with FaultProxy(server.address) as first, FaultProxy(server.address) as second:
        registry = EtcdRegistry(f"etcd://{first.address},{second.address}/?timeout=5")
        await registry.open()
        name, node = fresh("a"), a_node()
        registrar = Registrar(registry, Registration(node, (name,)), ttl=6)
        await registrar.start()
        async with opened(server.address) as others, watching(others, name) as seen:
            await seen.until(node)
            used = first if first.connections else second
            await used.black_hole()
            await eventually(lambda: bool(registrar.problem), within=LIMIT)
            await eventually(lambda: not registrar.problem, within=LIMIT)
            assert () not in seen.states[seen.states.index((node,)) :]
            await used.restore()
        await registrar.stop()
        await registry.close()


async def test_a_cluster_loses_the_member_that_is_used_and_then_another_one(make_etcd: Make) -> None:
    servers = [make_etcd() for _ in range(3)]
    cluster = ",".join(f"m{number}={server._peer}" for number, server in enumerate(servers))
    for number, server in enumerate(servers):
        server._extra = ["--name", f"m{number}", "--initial-cluster", cluster]
    await asyncio.gather(*(server.start() for server in servers))
    registry = EtcdRegistry(f"etcd://{','.join(server.address for server in servers)}/?timeout=2")
    await registry.open()
    name, kept = fresh("a"), a_node()
    registrar = Registrar(registry, Registration(kept, (name,)), ttl=30.0)
    await registrar.start()
    nodes = [kept]
    async with watching(registry, name) as seen:
        await seen.until(kept)
        for server in servers:  # The used one and the leader are among them.
            await server.kill()
            nodes.append(a_node())
            await until_registered(registry, Registration(nodes[-1], (name,)))
            await seen.until(*nodes)
            await server.start()
        # With two of three gone nothing can be changed, and nothing that is known is forgotten.
        await servers[0].kill()
        await servers[1].kill()
        with pytest.raises(Unavailable):
            await registry.register(Registration(a_node(), (name,)), ttl=LONG)
        assert seen.states[-1] == tuple(sorted(nodes, key=lambda node: node.id))
        await asyncio.gather(servers[0].start(), servers[1].start())
        nodes.append(a_node())
        await until_registered(registry, Registration(nodes[-1], (name,)))
        await seen.until(*nodes)
    await registrar.stop()
    assert kept not in await registry.resolve(name)
    await registry.close()


@pytest.mark.verify("registry")
async def test_a_thousand_names_take_one_connection(make_etcd: Make, size: Size) -> None:
    server = make_etcd()
    await server.start()
    async with FaultProxy(server.address) as proxy, opened(proxy.address, "timeout=20") as registry:
        names = [fresh("a") for _ in range(size(1000, ci=150))]
        async with contextlib.AsyncExitStack() as stack:
            seen = [await stack.enter_async_context(watching(registry, name)) for name in names]
            for each in seen:
                await each.until()
            assert proxy.connections == 1
            await proxy.cut()
            await eventually(lambda: registry.problem)
            node = a_node()
            async with opened(server.address, "timeout=20") as direct:
                await direct.register(Registration(node, tuple(names[:50])), ttl=LONG)
            await proxy.restore()
            for each in seen[:50]:
                await each.until(node)
            assert [each.states for each in seen[50:]] == [[()]] * (len(names) - 50)


@pytest.mark.verify("registry")
async def test_whatever_happens_every_watch_ends_up_with_what_is_there(make_etcd: Make, size: Size) -> None:
    """Nodes come, change and go without a pause while one fault follows another."""
    server = make_etcd()
    await server.start()
    names = [fresh("a") for _ in range(10)]
    stop = asyncio.Event()

    async def churn(registry: EtcdRegistry, id: str) -> None:
        lease: Lease | None = None
        for number in range(1, 1 << 16):
            if stop.is_set():
                return
            with contextlib.suppress(Unavailable, LeaseLost):
                if lease is not None and number % 3 == 0:
                    await lease.revoke()
                node = Node(id, f"127.0.0.1:{number}")
                lease = await registry.register(
                    Registration(node, tuple(random.sample(names, random.randrange(1, 5)))), ttl=LONG
                )
                await lease.renew()
            await asyncio.sleep(0.01)

    async with (
        FaultProxy(server.address) as proxy,
        opened(proxy.address) as far,
        opened(server.address) as near,
        contextlib.AsyncExitStack() as stack,
    ):
        seen = {name: await stack.enter_async_context(watching(far, name)) for name in names}
        writers = [asyncio.create_task(churn(registry, fresh())) for registry in (far, near) for _ in range(10)]
        try:
            faults = ["cut", "black_hole", "pause", "kill", "wipe", "compact"] * size(40, ci=1)
            for fault in random.sample(faults, len(faults)):
                await asyncio.sleep(random.uniform(0.0, 0.5))
                if fault in ("cut", "black_hole"):
                    await getattr(proxy, fault)()
                    await asyncio.sleep(random.uniform(0.0, 2.5))
                    await proxy.restore()
                elif fault == "pause":
                    await server.pause()
                    await asyncio.sleep(random.uniform(0.0, 2.5))
                    await server.resume()
                elif fault == "compact":
                    server.request("/v3/kv/compaction", {"revision": await asyncio.to_thread(revision, server)})
                else:
                    await server.kill()
                    if fault == "wipe":
                        await server.wipe()
                    await server.start()
        finally:
            stop.set()
            failures = [error for error in await asyncio.gather(*writers, return_exceptions=True) if error]
        assert not failures
        found = await near.names()
        assert found
        for name in names:
            await seen[name].until(*found.get(name, ()))
            assert await far.resolve(name) == found.get(name, ())


async def test_nobody_is_there_when_it_is_opened(make_etcd: Make) -> None:
    server = make_etcd()
    registry = EtcdRegistry(f"etcd://{server.address}/?timeout=1")
    with pytest.raises(Unavailable, match=f"etcd at {server.address} cannot be reached: .*is it running there"):
        await registry.open()
    await server.start()
    await registry.open()
    assert await registry.resolve(fresh("a")) == ()
    await registry.close()


async def test_closing_while_nobody_answers(make_etcd: Make) -> None:
    server = make_etcd()
    await server.start()
    registry = EtcdRegistry(f"etcd://{server.address}/?timeout=30")
    await registry.open()
    watch = registry.watch(fresh("a"))
    assert await anext(watch) == ()
    await server.pause()
    calls = [asyncio.create_task(registry.register(Registration(a_node(), (fresh("a"),)))) for _ in range(3)]
    await asyncio.sleep(0.1)
    for call in calls:
        call.cancel()
    async with asyncio.timeout(LIMIT / 3):
        await registry.close()
    assert [nodes async for nodes in watch] == []
    for call in calls:
        with pytest.raises((asyncio.CancelledError, Error)):
            await call
