"""What ``mdns:`` does when interfaces go and come back between two looks at them, in a network of the test's own.

The commands that change the network block the event loop, so nothing is looked at while they run.
"""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.mdns.registry import MdnsRegistry
from micro_rt.kit import interfaces
from micro_rt.kit.clock import Clock, boot_clock
from micro_rt.node import Node
from micro_rt.registry.base import Lease, Registration, Registry
from tests.helpers.namespaces import network_namespace
from tests.helpers.waiting import eventually


@pytest.fixture(autouse=True)
def network() -> Iterator[None]:
    """An interface ``lan`` with the address 10.77.0.1."""
    if shutil.which("ip") is None:
        pytest.skip("changing a network needs the command ip of iproute2")
    with network_namespace() as entered:
        if not entered:
            pytest.skip("a network namespace is not permitted here")
        appear()
        yield


def ip(*commands: str) -> None:
    for command in commands:
        subprocess.run(["ip", *command.split()], check=True)


def appear() -> None:
    ip(
        "link add lan type veth peer name beyond",
        "addr add 10.77.0.1/24 dev lan",
        "link set lan up",
        "link set beyond up",
    )


def reappear() -> None:
    ip("link del lan")
    appear()


@pytest.fixture
def unreported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has nobody look at the interfaces because of a report, or because of the time."""
    monkeypatch.setattr(interfaces, "LOOK", 3600.0)
    monkeypatch.setattr(interfaces, "_subscribed", lambda: None)


@asynccontextmanager
async def opened(address: str = "mdns:") -> AsyncIterator[MdnsRegistry]:
    """A registry with an engine of its own, as in a process of its own."""
    now = boot_clock().now
    registry = MdnsRegistry(address, clock=Clock(lambda: now(), uuid.uuid4().hex))
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


def node(number: int) -> Node:
    return Node(f"node-{number}", f"10.77.0.1:{number}")


async def registers(registry: Registry, name: str, number: int) -> Lease:
    return await registry.register(Registration(node(number), (name,)), ttl=1000)


async def resolves(registry: Registry, name: str, *numbers: int) -> None:
    await eventually(lambda: registry.resolve(name), equals=tuple(node(number) for number in numbers))


async def test_an_interface_with_the_same_address_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micro_rt.backends.mdns.link._GONE", frozenset())  # Nothing is learned from a failure.
    async with opened() as one, opened() as other:
        await registers(one, "a", 1)
        await resolves(other, "a", 1)
        watch = other.watch("a")
        assert await anext(watch) == (node(1),)
        reappear()
        # The kernel's report alone has them open their sockets anew.
        networks: list[Any] = [one._network, other._network]
        before = [list(network._links._links.values()) for network in networks]

        def anew() -> bool:
            return all(list(each._links._links.values()) != links for each, links in zip(networks, before, strict=True))

        await eventually(anew, within=30)
        await registers(one, "a", 2)
        await eventually(lambda: other._network._nodes("a"), equals=(node(1), node(2)))  # type: ignore[union-attr]


async def test_an_interface_that_was_not_reported_is_opened_when_sending_fails(unreported: None) -> None:
    async with opened() as one, opened() as other:
        lease = await registers(one, "a", 1)
        await resolves(other, "a", 1)
        reappear()
        await lease.renew()
        assert one.problem == ""
        assert await other.resolve("b") == ()  # Its question fails.
        await registers(one, "a", 2)
        await resolves(other, "a", 1, 2)


async def test_an_interface_that_stays_away_fails_registrations_until_it_is_back(unreported: None) -> None:
    async with opened("mdns://?interface=lan") as one:
        lease = await registers(one, "a", 1)
        ip("link del lan")
        for _ in range(3):
            with pytest.raises(micro.Unavailable, match="node-1 cannot be announced: 'lan' is neither the name"):
                await lease.renew()
        assert "'lan' is neither" in one.problem
        appear()
        await lease.renew()
        assert one.problem == ""


async def test_an_address_that_was_not_reported_as_moved_is_found(unreported: None) -> None:
    async with opened() as one, opened() as other:
        lease = await registers(one, "a", 1)
        await resolves(other, "a", 1)
        ip(
            "link add bridge type bridge",
            "addr del 10.77.0.1/24 dev lan",
            "link set lan master bridge",
            "addr add 10.77.0.1/24 dev bridge",
            "link set bridge up",
        )
        await lease.renew()
        assert await other.resolve("b") == ()
        await registers(one, "a", 2)
        await resolves(other, "a", 1, 2)


async def test_a_socket_that_the_event_loop_closes_is_opened_anew(unreported: None) -> None:
    async with opened() as one, opened() as other:
        await registers(one, "a", 1)
        await resolves(other, "a", 1)
        network: Any = other._network
        before = list(network._links._links.values())
        for link in before:
            link._hearing.transport.abort()
        await eventually(lambda: not {*before} & {*network._links._links.values()}, within=30)
        await eventually(lambda: len(network._links) == len(before), within=30)
        await registers(one, "a", 2)
        await resolves(other, "a", 1, 2)


async def test_an_ipv6_address_that_is_still_checked_for_duplicates_is_waited_for(unreported: None) -> None:
    ip("addr flush dev lan scope global", "link set lan down", "link set lan up")
    said = subprocess.run(["ip", "-6", "addr", "show", "dev", "lan", "tentative"], check=True, capture_output=True)
    if b"fe80" not in said.stdout:
        pytest.skip("the system does not check IPv6 addresses for duplicates")
    async with opened() as one, opened() as other:
        await registers(one, "a", 1)
        await resolves(other, "a", 1)
