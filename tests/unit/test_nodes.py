"""The client's view of a registry that is slow, down, or wrong."""

from __future__ import annotations

import asyncio
import gc
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.client.nodes import _last_at_each_address
from micro_rt.client.remote import RemoteNode
from micro_rt.metadata import Metadata
from micro_rt.node import Node
from micro_rt.registry.base import LEASE_TTL, Lease, Registration, Registry
from tests.helpers.handlers import Lab
from tests.helpers.waiting import eventually, soon
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text


class Shaky(Registry):
    """A memory registry that can be out of reach."""

    loopback = True
    propagation = 0.01

    def __init__(self, address: str) -> None:
        self.real = MemoryRegistry(address)
        self.down = False
        self.asked = 0

    def _reach(self) -> None:
        if self.down:
            raise micro.Unavailable("registry at 10.0.0.1:8500 does not answer; is it running?")

    async def open(self) -> None:
        await self.real.open()

    async def close(self) -> None:
        await self.real.close()

    async def register(self, registration: Registration, *, ttl: float = LEASE_TTL) -> Lease:
        self._reach()
        return await self.real.register(registration, ttl=ttl)

    async def resolve(self, name: str) -> tuple[Node, ...]:
        self.asked += 1
        await asyncio.sleep(0.01)
        self._reach()
        return await self.real.resolve(name)

    async def watch(self, name: str) -> AsyncGenerator[tuple[Node, ...], None]:
        self._reach()
        async for nodes in self.real.watch(name):
            self._reach()
            yield nodes

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        self._reach()
        return await self.real.names()


@pytest.fixture
def registry() -> Shaky:
    return Shaky(f"memory:{uuid.uuid4()}")


async def test_a_registry_that_is_down_at_first_is_named_and_nothing_hangs(registry: Shaky) -> None:
    registry.down = True
    async with micro.Service("web", registry=registry) as service:
        lab = LabClient(service, retry=micro.RetryPolicy(attempts=1))
        with pytest.raises(micro.Unavailable, match=r"cannot look up 'lab': registry at 10\.0\.0\.1:8500") as caught:
            await lab.look(Text())
        assert not caught.value.may_have_run


async def test_a_registry_that_goes_down_leaves_the_last_known_nodes(
    registry: Shaky, caplog: pytest.LogCaptureFixture
) -> None:
    server = micro.Service("lab", registry=registry, transport="memory")
    server.handle(Lab())
    second = micro.Service("lab", registry=MemoryRegistry(registry.real._address), transport="memory")
    second.handle(Lab())
    async with server:
        lab = LabClient(server)
        await lab.look(Text())
        registry.down = True
        async with second:  # a change that the watch fails to bring
            for _ in range(5):
                assert (await lab.look(Text(value="x"))).value == "x"
        assert "going on with the 1 nodes known" in caplog.text
        registry.down = False


async def test_a_registry_that_comes_back_is_watched_again(registry: Shaky) -> None:
    registry.down = True
    async with micro.Service("web", registry=registry) as service:
        lab = LabClient(service, retry=micro.RetryPolicy(attempts=100, backoff=0.05, max_backoff=0.1))
        call = asyncio.create_task(lab.look(Text(value="x"), timeout=30))
        await asyncio.sleep(0.1)
        registry.down = False
        server = micro.Service("lab", registry=MemoryRegistry(registry.real._address), transport="memory")
        server.handle(Lab())
        async with server:
            assert (await call).value == "x"


async def test_many_calls_at_once_ask_once(registry: Shaky) -> None:
    server = micro.Service("lab", registry=registry, transport="memory")
    server.handle(Lab())
    async with server:
        lab = LabClient(server)
        await asyncio.gather(*(lab.look(Text()) for _ in range(100)))
        assert registry.asked <= 1


async def test_a_node_of_an_unknown_transport_is_left_out(registry: Shaky, caplog: pytest.LogCaptureFixture) -> None:
    server = micro.Service("lab", registry=registry, transport="memory")
    server.handle(Lab())
    async with server:
        await registry.register(Registration(Node("odd", "a:1", "pigeon"), ("lab",)))
        lab = LabClient(server)
        for _ in range(4):
            info = micro.CallInfo()
            await lab.look(Text(), info=info)
            assert info.node != "odd"
    assert "node odd of 'lab' is left out" in caplog.text


async def test_who_finds_only_nodes_of_an_unknown_transport_is_told(
    registry: Shaky, caplog: pytest.LogCaptureFixture
) -> None:
    async with micro.Service("web", registry=registry) as service:
        await registry.register(Registration(Node("odd", "a:1", "pigeon"), ("lab",)))
        for _ in range(3):
            with pytest.raises(micro.Unavailable, match=r"only nodes that cannot be called: .*'pigeon'") as caught:
                await LabClient(service).look(Text(), timeout=30)
            assert caught.value.id == "micro.no_nodes"
            assert not caught.value.may_have_run
    assert caplog.text.count("node odd of 'lab' is left out") == 1, "it is told once"


async def test_a_deadline_bounds_the_look_up(registry: Shaky) -> None:
    async def never(name: str) -> tuple[Node, ...]:
        await asyncio.sleep(3600)
        return ()

    registry.resolve = never  # type: ignore[method-assign]
    async with micro.Service("web", registry=registry) as service:
        with pytest.raises(micro.DeadlineExceeded, match="looking up 'lab'") as caught:
            await LabClient(service).look(Text(), timeout=0.1)
        assert not caught.value.may_have_run


@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_look_up_that_fails_after_its_call_has_ended_logs_nothing(
    registry: Shaky, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    failed = asyncio.Event()
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def late(name: str) -> tuple[Node, ...]:
        await asyncio.sleep(0.2)
        failed.set()
        raise micro.Unavailable("away")

    monkeypatch.setattr(registry, "resolve", late)
    async with micro.Service("web", registry=registry) as service:
        call = asyncio.create_task(LabClient(service).look(Text(), timeout=30 if cancelled else 0.1))
        if cancelled:
            await asyncio.sleep(0.1)
            call.cancel()
        with pytest.raises(asyncio.CancelledError if cancelled else micro.DeadlineExceeded):
            await call
        await failed.wait()
    del call
    gc.collect()
    assert not reported


async def test_names_that_nobody_serves_are_not_watched_for_ever(
    registry: Shaky, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("micro_rt.client.nodes.IDLE_VIEW", 0.0)
    server = micro.Service("lab", registry=registry, transport="memory")
    server.handle(Lab())
    async with server:
        known = LabClient(server)
        await known.look(Text())
        once = micro.RetryPolicy(attempts=1)
        stale = LabClient(server, target="nobody-0", retry=once)
        for number in range(300):
            client = stale if number == 0 else LabClient(server, target=f"nobody-{number}", retry=once)
            with pytest.raises(micro.Unavailable):
                await client.look(Text())
        watches = [task for task in asyncio.all_tasks() if task.get_name().startswith("watch ")]
        assert len(watches) <= 101
        assert (await known.look(Text(value="x"))).value == "x"
        with pytest.raises(micro.Unavailable, match="nobody serves 'nobody-0'"):
            await stale.look(Text())


async def test_a_call_of_a_service_that_has_ended_says_so(registry: Shaky) -> None:
    lab = Lab()
    server = micro.Service("lab", registry=registry, transport="grpc")
    server.handle(lab)
    async with server:
        client = micro.Service("web", registry=Shaky(registry.real._address))
        async with client:
            call = asyncio.create_task(LabClient(client).look(Text(value="hang")))
            await lab.started.wait()
        with pytest.raises(micro.Unavailable, match="the service that calls has ended"):
            await call


async def test_only_the_last_of_the_nodes_at_one_address_is_called(registry: Shaky) -> None:
    async with micro.Service("web", registry=registry) as service:
        lab = service.nodes.service_nodes("lab", "lab.Lab")

        def ids() -> list[str]:
            return [node.id for node in lab.nodes]

        for id in ("2", "3", "1"):  # a server that crashes and comes back on its port
            # The older leases outlast the test: no node may leave because its own has ended.
            await registry.register(Registration(Node(id, "a", "memory"), ("lab",)), ttl=3600)
            await eventually(ids, equals=[id], within=30)
        await registry.register(Registration(Node("4", "b", "memory"), ("lab",)), ttl=3600)
        await eventually(ids, equals=["1", "4"])
        late = service.nodes.service_nodes("lab", "lab.Other")
        assert [node.id for node in late.nodes] == ["1", "4"]


def test_between_nodes_whose_order_is_not_known_the_new_one_is_called() -> None:
    one, two, three = (Node(id, "a", "memory") for id in ("1", "2", "3"))
    other = Node("0", "b", "memory")
    assert _last_at_each_address((other, one, two), {"1"}) == (other, two)
    assert _last_at_each_address((other, one, two), {"2"}) == (other, one)
    assert len(_last_at_each_address((one, two, three), set())) == 1
    assert _last_at_each_address((other, one), set()) == (other, one)


async def test_a_node_keeps_its_connection_while_it_is_the_same_and_no_longer(registry: Shaky) -> None:
    async with micro.Service("web", registry=registry) as service:
        one, two = (service.nodes.service_nodes(name, "lab.Lab") for name in ("one", "two"))

        def at(address: str, version: str) -> Node:
            return Node("it", address, "memory", version=version)

        def seen(*nodes: Node) -> Callable[[], bool]:
            return lambda: one.nodes == two.nodes == nodes

        await registry.register(Registration(at("a", "1"), ("one", "two")))
        await eventually(seen(at("a", "1")))
        first = one.pick()
        assert first is not None
        assert two.pick() is first
        await registry.register(Registration(at("a", "2"), ("one", "two")))
        await eventually(seen(at("a", "2")))
        assert one.pick() is two.pick() is first
        other = await registry.register(Registration(Node("other", "b", "memory"), ("one", "two")))
        await eventually(lambda: len(one.nodes) == len(two.nodes) == 2)
        assert service.nodes._remotes[("it", "memory", "a")] is first
        await other.revoke()
        await eventually(seen(at("a", "2")))
        assert set(service.nodes._remotes) == {("it", "memory", "a")}
        lease = await registry.register(Registration(at("c", "2"), ("one", "two")))
        await eventually(seen(at("c", "2")))
        second = one.pick()
        assert second is two.pick() is not first
        assert set(service.nodes._remotes) == {("it", "memory", "c")}
        assert first._retired
        await lease.revoke()
        await eventually(seen())
        assert not service.nodes._remotes
        assert not service.nodes._users
        assert second is not None
        assert second._retired


class Watch:
    """A watch that ends only when it is closed: being cancelled in the middle of a wait does not end it."""

    def __init__(self, nodes: AsyncGenerator[tuple[Node, ...], None]) -> None:
        self._nodes = nodes
        self.closed = False

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> tuple[Node, ...]:
        return await anext(self._nodes)

    async def aclose(self) -> None:
        self.closed = True
        await self._nodes.aclose()


class Watched(Shaky):
    """Keeps its watches: none is collected."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.watches: list[Watch] = []

    def watch(self, name: str) -> Any:
        self.watches.append(Watch(super().watch(name)))
        return self.watches[-1]


async def test_the_client_closes_its_watches_when_it_ends_and_when_one_fails() -> None:
    registry = Watched(f"memory:{uuid.uuid4()}")
    async with micro.Service("web", registry=registry) as service:
        service.nodes.service_nodes("lab", "lab.Lab")
        await eventually(lambda: len(registry.watches), equals=1)
        await registry.real.register(Registration(Node("a", "127.0.0.1:1"), ("lab",)))
        registry.down = True
        await registry.real.register(Registration(Node("b", "127.0.0.1:2"), ("lab",)))
        await eventually(lambda: registry.watches[0].closed, "the watch that failed is not closed")
        registry.down = False
    assert all(watch.closed for watch in registry.watches)


async def test_a_watch_that_raises_while_it_is_cancelled_does_not_keep_the_client_from_ending() -> None:
    class Breaks(Shaky):
        async def watch(self, name: str) -> AsyncGenerator[tuple[Node, ...], None]:
            try:
                async for nodes in super().watch(name):
                    yield nodes
            finally:
                raise ConnectionError("the registry is gone")

    async def begin_and_end() -> None:
        async with micro.Service("web", registry=Breaks(f"memory:{uuid.uuid4()}")) as service:
            service.nodes.service_nodes("lab", "lab.Lab")
            await asyncio.sleep(0.01)

    await soon(begin_and_end())


def test_the_metadata_of_a_client_names_the_nodes_that_are_at_the_address_now() -> None:
    unused: Any = None
    one, other = (Node(id, "127.0.0.1:1", services=frozenset({"lab"})) for id in ("one", "other"))
    remote, metadata = RemoteNode(one, unused, unused), Metadata({"tenant": "acme"})
    sent = remote.addressed(metadata)
    assert sent.pairs == (("tenant", "acme"), ("micro-node", "one"))
    assert remote.addressed(metadata) is sent, "made again for each call"
    remote.share("lab", (one, other))
    both = (("micro-node", "one"), ("micro-node", "other"))
    assert remote.addressed(metadata).pairs == (("tenant", "acme"), *both)
    assert remote.addressed(Metadata({"tenant": "b"})).pairs == (("tenant", "b"), *both)
