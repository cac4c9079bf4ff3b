"""The registrar, against the memory registry and against one that fails when it is told to."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest

from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.errors import FailedPrecondition, Unavailable
from micro_rt.node import Node
from micro_rt.registry.base import Lease, LeaseLost, Registration, Registry
from micro_rt.registry.registrar import Registrar
from tests.helpers.waiting import eventually

REGISTRATION = Registration(Node("greeter-1", "127.0.0.1:1"), ("greeter", "greeter.v1"))


class FaultyRegistry(Registry):
    """Counts what is asked of it, and fails as told."""

    def __init__(self) -> None:
        self.registered = 0
        self.renewed = 0
        self.revoked = 0
        self.failure: Callable[[], Awaitable[None]] | None = None
        self.lost = False

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def register(self, registration: Registration, *, ttl: float = 30.0) -> Lease:
        if self.failure is not None:
            await self.failure()
        self.registered += 1
        self.lost = False
        return FaultyLease(self)

    async def resolve(self, name: str) -> tuple[Node, ...]:
        raise NotImplementedError

    def watch(self, name: str) -> AsyncIterator[tuple[Node, ...]]:
        raise NotImplementedError

    async def names(self) -> Mapping[str, tuple[Node, ...]]:
        raise NotImplementedError


class FaultyLease(Lease):
    def __init__(self, registry: FaultyRegistry) -> None:
        self.registry = registry

    async def renew(self) -> None:
        if self.registry.failure is not None:
            await self.registry.failure()
        if self.registry.lost:
            raise LeaseLost("the registry lost its data")
        self.registry.renewed += 1

    async def revoke(self) -> None:
        if self.registry.failure is not None:
            await self.registry.failure()
        self.registry.revoked += 1


async def unreachable() -> None:
    raise Unavailable("nobody at 10.0.0.1:8500")


async def hang() -> None:
    await asyncio.sleep(3600)


async def until_listed(registry: Registry, name: str) -> None:
    await eventually(lambda: registry.resolve(name), equals=(REGISTRATION.node,))


async def test_keeps_a_node_listed_and_removes_it() -> None:
    registry = MemoryRegistry()
    await registry.open()
    registrar = Registrar(registry, REGISTRATION, ttl=0.6)
    await registrar.start()
    watch = registry.watch("greeter")
    assert await anext(watch) == (REGISTRATION.node,)
    await asyncio.sleep(1.5)  # More than two leases.
    await until_listed(registry, "greeter.v1")
    await registrar.stop()
    assert await registry.names() == {}
    await registry.close()


async def test_renews_and_revokes() -> None:
    registry = FaultyRegistry()
    registrar = Registrar(registry, REGISTRATION, ttl=0.3)
    await registrar.start()
    await eventually(lambda: registry.renewed >= 3)
    await registrar.stop()
    await registrar.stop()
    assert registry.registered >= 1
    assert registry.revoked == 1


async def test_the_first_failure_raises() -> None:
    registry = FaultyRegistry()
    registry.failure = unreachable
    registrar = Registrar(registry, REGISTRATION)
    with pytest.raises(Unavailable, match=r"10\.0\.0\.1"):
        await registrar.start()
    await registrar.stop()
    assert len(asyncio.all_tasks()) == 1
    registry.failure = None
    await registrar.start()  # And can be tried again.
    with pytest.raises(FailedPrecondition):
        await registrar.start()
    await registrar.stop()


async def test_an_outage_is_survived_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "micro_rt.registry")
    registry = FaultyRegistry()
    registrar = Registrar(registry, REGISTRATION, ttl=0.3)
    await registrar.start()
    attempts = 0

    async def outage() -> None:
        nonlocal attempts
        attempts += 1
        raise Unavailable("nobody at 10.0.0.1:8500")

    for outages in (1, 2):
        before, attempts = registry.registered + registry.renewed, 0
        registry.failure = outage
        await eventually(lambda: attempts >= 5)  # noqa: B023
        registry.failure = None
        await eventually(lambda: registry.registered + registry.renewed > before)  # noqa: B023
        levels = [record.levelno for record in caplog.records if "anew" not in record.message]
        assert levels == [logging.WARNING, logging.INFO] * outages
    assert "10.0.0.1:8500" in caplog.records[0].message
    await registrar.stop()


async def test_a_registry_that_hangs_is_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    registry = FaultyRegistry()
    registrar = Registrar(registry, REGISTRATION, ttl=0.3)
    await registrar.start()
    registry.failure = hang
    await eventually(lambda: len(caplog.records) == 1)
    before, registry.failure = registry.registered + registry.renewed, None
    await eventually(lambda: registry.registered + registry.renewed > before)
    await registrar.stop()


async def test_a_registry_with_a_bug_is_an_outage(caplog: pytest.LogCaptureFixture) -> None:
    async def bug() -> None:
        raise KeyError("index")

    registry = FaultyRegistry()
    registrar = Registrar(registry, REGISTRATION, ttl=0.3)
    await registrar.start()
    registry.failure = bug
    await eventually(lambda: len(caplog.records) == 1)
    before, registry.failure = registry.registered + registry.renewed, None
    await eventually(lambda: registry.registered + registry.renewed > before)
    await registrar.stop()


async def test_a_lost_lease_is_registered_anew_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # One heartbeat comes, and the next one never does: only what this one does can register anew.
    pauses = iter((0.0, 3600.0))
    monkeypatch.setattr(Registrar, "_pause", lambda _: next(pauses))
    registry = FaultyRegistry()
    registrar = Registrar(registry, REGISTRATION, ttl=300)
    await registrar.start()
    assert registry.registered == 1
    registry.lost = True
    await eventually(lambda: registry.registered == 2, within=20)
    assert not registry.lost
    assert registry.renewed == 0
    await registrar.stop()


async def test_registers_anew_after_the_loop_was_blocked_for_longer_than_the_lease() -> None:
    registry = FaultyRegistry()
    registrar = Registrar(registry, REGISTRATION, ttl=0.3)
    await registrar.start()
    await eventually(lambda: registry.renewed >= 1)
    before = registry.registered
    time.sleep(0.5)  # noqa: ASYNC251 - what a handler must not do, and one day does
    await eventually(lambda: registry.registered > before)
    await registrar.stop()


async def test_is_listed_again_after_the_loop_was_blocked() -> None:
    registry = MemoryRegistry()
    await registry.open()
    registrar = Registrar(registry, REGISTRATION, ttl=0.3)
    await registrar.start()
    watch = registry.watch("greeter")
    assert await anext(watch) == (REGISTRATION.node,)
    time.sleep(0.5)  # noqa: ASYNC251
    await until_listed(registry, "greeter")
    await registrar.stop()
    await registry.close()


async def test_stopping_does_not_wait_for_a_registry_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    registry = FaultyRegistry()
    registrar = Registrar(registry, REGISTRATION, ttl=300)
    await registrar.start()
    registry.failure = hang
    async with asyncio.timeout(30):
        await registrar.stop(timeout=0.05)
    assert "until its lease runs out" in caplog.text
    assert len(asyncio.all_tasks()) == 1


async def test_stopping_while_a_renewal_hangs_ends_it() -> None:
    registry = FaultyRegistry()
    registrar = Registrar(registry, REGISTRATION, ttl=0.3)
    await registrar.start()
    entered = asyncio.Event()

    async def enter() -> None:
        entered.set()
        await hang()

    registry.failure = enter
    await entered.wait()
    async with asyncio.timeout(30):
        await registrar.stop(timeout=0.01)
    assert len(asyncio.all_tasks()) == 1
