"""The contract suite of registries: what every registry promises, as tests.

    class TestMyRegistry(RegistryContract):
        async def make(self) -> Registry:
            return MyRegistry("my://127.0.0.1:1234")

needs nothing but pytest. Where a registry is slower than the embedded ones, say so with the attributes of the class.
"""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import pytest

from micro_rt.errors import Error
from micro_rt.kit.clock import monotonic
from micro_rt.kit.ids import new_id
from micro_rt.node import EndpointInfo, Node, ValueInfo
from micro_rt.registry.base import Lease, LeaseLost, Registration, Registry
from micro_rt.testing.contracts.suite import Contract, eventually

__all__ = ["OtherProcess", "RegistryContract"]

Nodes = tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class OtherProcess:
    """How another process makes a registry that shares state with those of ``make``."""

    factory: str
    """The class, or a function: ``"micro_rt.backends.local.registry:LocalRegistry"``."""
    address: str
    """Its only argument."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)
    """What is set in the other process besides the environment of this one."""


_BROKEN = (
    "",
    "not JSON",
    "null",
    "5",
    "[]",
    "{}",
    "[" * 100_000,
    "1" * 5000,
    '{"address": 5}',
    '{"node": 5}',
    '{"node": {"address": [], "registered": "x"}}',
    '"\\ud800"',
)
"""What somebody may have written in place of an entry."""


class RegistryContract(Contract):
    """Subclass it, and return an unopened registry from ``make``.

    All that ``make`` returns during one test must share state; they may share it with other tests and other users as
    well, because every test uses names of its own.
    """

    ttl: ClassVar[float] = 1.0
    """The lease of tests that let it run out, in seconds: the shortest that the registry takes. Where that is more than a
    few seconds, raise ``timeout`` as well."""
    settle: ClassVar[float] = 20.0
    """Seconds within which a change must be seen, however busy the machine is; not waited for if it is seen earlier."""
    many: ClassVar[int] = 2000
    """How many nodes the test of many registers."""
    changes: ClassVar[int] = 200
    """How many times the test of quick changes changes one node."""
    concurrency: ClassVar[int] = 64
    """How many requests the tests make at once."""

    async def make(self) -> Registry:
        """Returns a registry, unopened."""
        raise NotImplementedError

    def other_process(self) -> OtherProcess | None:
        """Returns how another process makes the registry; None if only this process can see it."""
        return None

    async def write_raw(self, name: str, id: str, entry: str) -> bool:
        """Writes an entry under a name past the registry, as anybody may who can write where it keeps its entries.

        Args:
            name: the name that the entry is listed under.
            id: of the node that the entry is for.
            entry: what it holds in place of a node: texts that are not JSON, and JSON of other forms.

        Returns:
            Whether it was written; False, unless overridden, if only the registry itself can write.
        """
        return False

    def cut_off(self) -> AbstractAsyncContextManager[None] | None:
        """Returns what keeps the registries of ``make`` from sending, writing or being answered while it is entered.

        Such as a proxy that is cut, an interface that is down, or a file that cannot be written.

        Returns:
            None, unless overridden, if nothing can: such a registry is memory of this process.
        """
        return None

    # Registering and resolving

    async def test_an_entry_that_cannot_be_read_hides_no_other(self) -> None:
        async with self._registry() as registry:
            for number, entry in enumerate(_BROKEN):
                name, node = _name("a"), _node("1")
                await registry.register(Registration(node, (name,)))
                if not await self.write_raw(name, _name(f"broken{number}"), entry):
                    pytest.skip("nothing but this registry writes its entries")
                assert node in await registry.resolve(name), entry
                assert node in (await registry.names())[name], entry
                async with asyncio.timeout(self.settle):
                    assert node in await anext(registry.watch(name)), entry

    async def test_a_registered_node_is_found_under_every_name(self) -> None:
        async with self._registry() as registry:
            a, b, other = _name("a"), _name("b"), _name("other")
            node = _node("1")
            await registry.register(Registration(node, (a, b)))
            assert await registry.resolve(a) == (node,)
            assert await registry.resolve(b) == (node,)
            assert await registry.resolve(other) == ()
            names = await registry.names()
            assert names[a] == (node,)
            assert names[b] == (node,)
            assert other not in names

    async def test_names_of_one_lease_go_together(self) -> None:
        async with self._registry() as registry:
            a, b = _name("a"), _name("b")
            lease = await registry.register(Registration(_node("1"), (a, b, a)))
            await lease.revoke()
            assert await registry.resolve(a) == ()
            assert await registry.resolve(b) == ()
            assert not {a, b} & (await registry.names()).keys()

    async def test_everything_about_a_node_survives(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            node = Node(
                id=_name("node"),
                address="[2001:db8::1]:41123",
                transport="http",
                version="1.2.3-beta+4",
                services=frozenset({"greeter.v1.Greeter", "grpc.health.v1.Health"}),
                metadata={"zone": "eu-1", "empty": "", "quote": "\"='%,;\\", "text": "äöü ☃ 🎉", "go.micro": "x"},
                endpoints=(
                    EndpointInfo(
                        "Greeter.SayHello",
                        ValueInfo("HelloRequest", "HelloRequest", (ValueInfo("name", "string"),)),
                        ValueInfo("HelloReply", "HelloReply"),
                    ),
                    EndpointInfo("Greeter.Chat", metadata={"stream": "true"}),
                ),
            )
            await registry.register(Registration(node, (name,)))
            assert await registry.resolve(name) == (node,)
            assert (await registry.names())[name] == (node,)
            async with self._watch(registry, name) as watch:
                assert await anext(watch) == (node,)

    async def test_the_same_id_replaces(self) -> None:
        async with self._registry() as registry:
            a, b, c = _name("a"), _name("b"), _name("c")
            before = _node("1")
            after = Node(before.id, "127.0.0.1:2", version="2")
            lease = await registry.register(Registration(before, (a, b)))
            await registry.register(Registration(after, (b, c)))
            await self._until(lambda: registry.resolve(a), ())
            await self._until(lambda: registry.resolve(b), (after,))
            await self._until(lambda: registry.resolve(c), (after,))
            # What is left of the first lease has no power over the second.
            with pytest.raises(LeaseLost):
                await lease.renew()
            await lease.revoke()
            assert await registry.resolve(b) == (after,)

    async def test_two_nodes_of_one_service_in_one_process(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            one, two = _node("1"), _node("2")
            lease = await registry.register(Registration(one, (name,)))
            await registry.register(Registration(two, (name,)))
            assert set(_ids(await registry.resolve(name))) == {one.id, two.id}
            await lease.revoke()
            assert await registry.resolve(name) == (two,)

    async def test_of_two_nodes_at_one_address_the_later_one_is_known(self) -> None:
        async with self._registry() as registry, self._registry() as other:
            name = _name("a")
            order = [_node(id) for id in ("2", "3", "1")]
            for node in order:
                await registry.register(Registration(node, (name,)), ttl=self.ttl * 10)
            expected = tuple(sorted(order, key=lambda node: node.id))

            async def found() -> list[Nodes]:
                async with self._watch(other, name) as watch:
                    watched = await self._last(watch, expected)
                return [await registry.resolve(name), await other.resolve(name), (await other.names())[name], watched]

            def by_registration(nodes: Nodes) -> list[Node]:
                assert all(node.registered > 0 for node in nodes)
                return sorted(nodes, key=lambda node: node.registered)

            await self._until(lambda: other.resolve(name), expected)
            for nodes in await found():
                assert by_registration(nodes) == order
            # A registration that replaces one counts anew.
            await registry.register(Registration(order[0], (name,)), ttl=self.ttl * 10)
            order.append(order.pop(0))
            await eventually(
                lambda: _in_order_of_registration(other, name), "it counts as older", equals=_ids(tuple(order))
            )

    async def test_the_order_is_that_of_the_ids(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            for id in ("3", "1", "2"):
                await registry.register(Registration(_node(id), (name,)))
            nodes = await registry.resolve(name)
            assert list(_ids(nodes)) == sorted(_ids(nodes))
            assert len(nodes) == 3
            assert (await registry.names())[name] == nodes
            async with self._watch(registry, name) as watch:
                assert await anext(watch) == nodes

    async def test_an_unknown_name_is_found_as_soon_as_it_is_registered(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            for _ in range(3):
                assert await registry.resolve(name) == ()
            node = _node("1")
            await registry.register(Registration(node, (name,)))
            assert await registry.resolve(name) == (node,)

    async def test_many_nodes(self) -> None:
        async with self._registry() as registry, self._registry() as other:
            name = _name("a")
            nodes = [_node(f"{number:06}") for number in range(self.many)]
            expected = tuple(sorted(nodes, key=lambda node: node.id))
            async with self._watch(other, name) as watch:
                assert await anext(watch) == ()
                registrations = [Registration(node, (name,)) for node in nodes]
                leases: list[Lease] = await self._all([partial(registry.register, each) for each in registrations])
                assert await self._last(watch, expected) == expected
                assert await other.resolve(name) == expected
                await self._all([lease.renew for lease in leases])
                await self._all([lease.revoke for lease in leases])
                assert await self._last(watch, ()) == ()

    # Leases

    async def test_renewing_keeps_a_lease_alive(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            for _ in range(5):
                node = _node("1")
                lease = await registry.register(Registration(node, (name,)), ttl=self.ttl)
                begin = renewed = monotonic()
                try:
                    while monotonic() < begin + 2.5 * self.ttl:
                        await asyncio.sleep(self.ttl / 5)
                        await lease.renew()
                        renewed = monotonic()
                        assert node in await registry.resolve(name)
                except (LeaseLost, AssertionError):
                    if monotonic() < renewed + 0.8 * self.ttl:
                        raise
                    continue  # The machine was too busy to renew in time: that says nothing.
                await lease.revoke()
                return
            pytest.fail(
                "five times the machine was too busy to renew a lease in time: nothing can be said of the registry"
            )

    async def test_a_lease_runs_out(self) -> None:
        async with self._registry() as registry, self._registry() as other:
            a, b = _name("a"), _name("b")
            lasting, passing = _node("1"), _node("2")
            await registry.register(Registration(lasting, (a,)), ttl=100 * self.ttl)
            async with self._watch(other, a) as watch, self._watch(registry, b) as gone:
                await self._last(watch, (lasting,))
                lease = await registry.register(Registration(passing, (a, b)), ttl=self.ttl)
                assert await self._last(watch, (lasting,), self.ttl) == (lasting,)
                assert await self._last(gone, (), self.ttl) == ()
            await self._until(lambda: registry.resolve(a), (lasting,), self.ttl)
            await self._until(lambda: other.resolve(b), (), self.ttl)
            names = await other.names()
            assert names[a] == (lasting,)
            assert b not in names
            with pytest.raises(LeaseLost):
                await lease.renew()
            await lease.revoke()

    async def test_who_lost_a_lease_can_register_again(self) -> None:
        async with self._registry() as registry:
            registration = Registration(_node("1"), (_name("a"),))
            lease = await registry.register(registration, ttl=self.ttl)
            await self._until(lambda: registry.resolve(registration.names[0]), (), self.ttl)
            with pytest.raises(LeaseLost):
                await lease.renew()
            lease = await registry.register(registration, ttl=100 * self.ttl)
            await lease.renew()
            assert await registry.resolve(registration.names[0]) == (registration.node,)

    async def test_a_renewal_that_sent_nothing_is_not_a_success(self) -> None:
        cut = self.cut_off()
        if cut is None:
            pytest.skip("nothing keeps this registry from sending")
        async with self._registry() as registry:
            registration = Registration(_node("1"), (_name("a"),))
            lease = await registry.register(registration, ttl=100 * self.ttl)
            async with cut:
                for number in range(3):  # The second follows the first at once, and the third the second.
                    assert not await self._renews(lease), f"renewal {number + 1} is a success, and nothing was sent"
            await eventually(lambda: self._renews(lease), "it cannot be renewed any more", within=self.settle)
            assert await registry.resolve(registration.names[0]) == (registration.node,)

    @pytest.mark.parametrize("ttl", [0, -1.0, float("nan"), float("inf")])
    async def test_a_ttl_that_is_no_time_is_refused(self, ttl: float) -> None:
        async with self._registry() as registry:
            name = _name("a")
            with pytest.raises(ValueError, match="ttl must be a number of seconds greater than 0"):
                await registry.register(Registration(_node("1"), (name,)), ttl=ttl)
            assert await registry.resolve(name) == ()

    async def test_revoking_twice_is_revoking(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            lease = await registry.register(Registration(_node("1"), (name,)))
            await lease.revoke()
            await lease.revoke()
            assert await registry.resolve(name) == ()
            with pytest.raises(LeaseLost):
                await lease.renew()

    async def test_leases_outlive_the_registry_that_made_them(self) -> None:
        async with self._registry() as other:
            name = _name("a")
            node = _node("1")
            async with self._registry() as registry:
                await registry.register(Registration(node, (name,)), ttl=100 * self.ttl)
            await self._until(lambda: other.resolve(name), (node,))
            await asyncio.sleep(0.1)
            assert await other.resolve(name) == (node,)

    async def test_a_killed_process_goes_after_its_lease(self) -> None:
        other = self.other_process()
        if other is None:
            pytest.skip("this registry is for one process")
        async with self._registry() as registry:
            name = _name("a")
            node = _node("1")
            process = await asyncio.create_subprocess_exec(
                *(
                    sys.executable,
                    "-c",
                    _SCRIPT,
                    other.factory,
                    other.address,
                    node.id,
                    node.address,
                    name,
                    str(self.ttl),
                ),
                env={**os.environ, **other.environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=asyncio.subprocess.PIPE,
            )
            try:
                async with self._watch(registry, name) as watch:
                    await self._last(watch, (node,))
                    process.kill()
                    assert await self._last(watch, (), self.ttl) == ()
                assert await registry.resolve(name) == ()
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.communicate()

    # Watching

    async def test_a_watch_begins_with_what_is_there(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            node = _node("1")
            await registry.register(Registration(node, (name,)))
            async with self._watch(registry, name) as watch:
                assert await anext(watch) == (node,)

    async def test_a_watch_of_an_unknown_name_sees_it_appear(self) -> None:
        async with self._registry() as registry, self._registry() as other:
            name = _name("a")
            node = _node("1")
            async with self._watch(other, name) as watch:
                assert await anext(watch) == ()
                await registry.register(Registration(node, (name,)))
                assert await self._next(watch) == (node,)

    async def test_each_change_is_seen(self) -> None:
        async with self._registry() as registry, self._registry() as other:
            name = _name("a")
            one, two = _node("1"), _node("2")
            changed = Node(two.id, "127.0.0.1:3", metadata={"changed": "yes"})
            async with self._watch(other, name) as watch:
                assert await anext(watch) == ()
                lease = await registry.register(Registration(one, (name,)))
                assert await self._next(watch) == (one,)
                await registry.register(Registration(two, (name,)))
                assert await self._next(watch) == (one, two)
                await registry.register(Registration(changed, (name,)))
                assert await self._last(watch, (one, changed)) == (one, changed)
                await lease.revoke()
                assert await self._next(watch) == (changed,)

    async def test_quick_changes_converge_and_never_go_back(self) -> None:
        async with self._registry() as registry, self._registry() as other:
            name = _name("a")
            id = _name("node")
            seen: list[Nodes] = []
            last = str(self.changes - 1)

            async def consume(watch: AsyncIterator[Nodes]) -> None:
                async for nodes in watch:
                    seen.append(nodes)
                    if nodes and nodes[0].version == last:
                        return
                    if len(seen) % 7 == 0:
                        await asyncio.sleep(0.05)  # Slower than the changes.

            async with self._watch(other, name) as watch:
                consumer = asyncio.create_task(consume(watch))
                for number in range(self.changes):
                    node = Node(id, f"127.0.0.1:{number + 1}", version=str(number))
                    await registry.register(Registration(node, (name,)))
                await asyncio.wait_for(consumer, self.settle)
            assert not [nodes for nodes, then in pairwise(seen) if nodes == then], "the same state twice"
            versions = [int(nodes[0].version) for nodes in seen if nodes]
            assert versions == sorted(versions), "an older state after a newer one"

    async def test_a_heartbeat_is_no_change(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            one, two = _node("1"), _node("2")
            lease = await registry.register(Registration(one, (name,)))
            async with self._watch(registry, name) as watch:
                assert await anext(watch) == (one,)
                for _ in range(5):
                    await lease.renew()
                await registry.register(Registration(one, (name,)))
                await registry.register(Registration(two, (name,)))
                assert await self._next(watch) == (one, two)

    async def test_several_watches(self) -> None:
        async with self._registry() as registry, self._registry() as other:
            a, b = _name("a"), _name("b")
            node = _node("1")
            async with (
                self._watch(registry, a) as first,
                self._watch(registry, a) as second,
                self._watch(registry, b) as third,
                self._watch(other, a) as fourth,
            ):
                watches = (first, second, third, fourth)
                assert [await anext(watch) for watch in watches] == [(), (), (), ()]
                lease = await registry.register(Registration(node, (a, b)))
                assert [await self._next(watch) for watch in watches] == [(node,)] * 4
                await _close(first)
                await lease.revoke()
                assert [await self._next(watch) for watch in watches[1:]] == [()] * 3

    async def test_a_wait_that_is_cancelled_loses_nothing(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            node = _node("1")
            watch = registry.watch(name)
            seen = [await anext(watch)]
            # A generator ends when it is cancelled; then the next watch begins with the present, and that will do.
            waiting = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(0)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            await registry.register(Registration(node, (name,)))
            try:
                seen.append(await self._next(watch))
            except StopAsyncIteration:
                async with self._watch(registry, name) as fresh:
                    seen.append(await anext(fresh))
            assert seen == [(), (node,)]
            await _close(watch)

    async def test_a_closed_watch_ends(self) -> None:
        async with self._registry() as registry:
            watch = registry.watch(_name("a"))
            await anext(watch)
            await _close(watch)
            with pytest.raises(StopAsyncIteration):
                await anext(watch)
            await registry.watch(_name("a")).__anext__()  # Others go on.

    async def test_a_watch_that_is_dropped_leaves_nothing(self) -> None:
        async with self._registry() as registry:
            name = _name("a")
            for _ in range(20):
                await anext(registry.watch(name))
            registry.watch(name)  # Not even begun.
            gc.collect()
            await asyncio.sleep(0)
            async with self._watch(registry, name) as watch:
                assert await anext(watch) == ()
                await registry.register(Registration(_node("1"), (name,)))
                assert await self._next(watch)

    async def test_closing_ends_watches(self) -> None:
        async with self._registry() as other:
            name = _name("a")
            registry = await self.make()
            await registry.open()
            waiting, idle = registry.watch(name), registry.watch(name)
            await anext(waiting)
            await anext(idle)
            end = asyncio.ensure_future(_end(waiting))
            await asyncio.sleep(0)
            await registry.close()
            await asyncio.wait_for(end, self.settle)
            await asyncio.wait_for(_end(idle), self.settle)
            assert await other.resolve(name) == ()

    # Several registries

    async def test_two_registries_see_each_other(self) -> None:
        async with self._registry() as one, self._registry() as two:
            name = _name("a")
            first, second = _node("1"), _node("2")
            lease = await one.register(Registration(first, (name,)))
            await self._until(lambda: two.resolve(name), (first,))
            await two.register(Registration(second, (name,)))
            await self._until(lambda: one.resolve(name), (first, second))
            await lease.revoke()
            await self._until(lambda: two.resolve(name), (second,))

    async def test_opening_again(self) -> None:
        registry = await self.make()
        for _ in range(2):
            await registry.open()
            name = _name("a")
            await registry.register(Registration(_node("1"), (name,)), ttl=self.ttl)
            assert len(await registry.resolve(name)) == 1
            await registry.close()
        await registry.close()

    # Helpers

    @contextlib.asynccontextmanager
    async def _registry(self) -> AsyncGenerator[Registry]:
        registry = await self.make()
        await registry.open()
        try:
            yield registry
        finally:
            await registry.close()

    @contextlib.asynccontextmanager
    async def _watch(self, registry: Registry, name: str) -> AsyncGenerator[AsyncIterator[Nodes]]:
        watch = registry.watch(name)
        try:
            yield watch
        finally:
            await _close(watch)

    async def _next(self, watch: AsyncIterator[Nodes]) -> Nodes:
        async with asyncio.timeout(self.settle):
            return await anext(watch)

    async def _last(self, watch: AsyncIterator[Nodes], expected: Nodes, after: float = 0.0) -> Nodes:
        """Reads until the expected state; returns the last one that was seen."""
        nodes: Nodes | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.settle + after):
                async for nodes in watch:
                    if nodes == expected:
                        break
        assert nodes is not None, "the watch gave nothing"
        return nodes

    async def _renews(self, lease: Lease) -> bool:
        """Returns whether a lease is renewed."""
        try:
            async with asyncio.timeout(self.settle):
                await lease.renew()
        except (Error, TimeoutError):
            return False
        return True

    async def _until(self, resolve: Callable[[], Awaitable[Nodes]], expected: Nodes, after: float = 0.0) -> None:
        """Resolves until the expected nodes are found."""
        await eventually(resolve, "other nodes are found", equals=expected, within=self.settle + after)

    async def _all(self, calls: list[Callable[[], Awaitable[Any]]]) -> list[Any]:
        """Makes calls, some at once; returns their results in order."""
        gate = asyncio.Semaphore(self.concurrency)

        async def call(function: Callable[[], Awaitable[Any]]) -> Any:
            async with gate:
                return await function()

        return await asyncio.gather(*map(call, calls))


_SCRIPT = """
import asyncio, importlib, sys

from micro_rt.node import Node
from micro_rt.registry.base import Registration

async def main(factory, address, id, node_address, name, ttl):
    module, _, attribute = factory.partition(":")
    registry = getattr(importlib.import_module(module), attribute)(address)
    await registry.open()
    lease = await registry.register(Registration(Node(id, node_address), (name,)), ttl=float(ttl))
    while True:
        await asyncio.sleep(float(ttl) / 4)
        await lease.renew()

asyncio.run(main(*sys.argv[1:]))
"""


def _name(text: str) -> str:
    return f"{text}-{new_id(12)}"


def _node(id: str) -> Node:
    return Node(id=f"{id}-{new_id(12)}", address="127.0.0.1:1")


async def _in_order_of_registration(registry: Registry, name: str) -> tuple[str, ...]:
    nodes = await registry.resolve(name)
    return tuple(node.id for node in sorted(nodes, key=lambda node: node.registered))


def _ids(nodes: Nodes) -> tuple[str, ...]:
    return tuple(node.id for node in nodes)


async def _end(watch: AsyncIterator[Nodes]) -> None:
    async for _ in watch:
        pass


async def _close(watch: Any) -> None:
    await watch.aclose()
