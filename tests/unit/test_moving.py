"""Which addresses a service chooses, and may choose again; and how a registrar puts one registration in place of another."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.kit.interfaces import InterfaceWatch, is_in_use
from micro_rt.node import Node
from micro_rt.registry.base import Lease, Registration
from micro_rt.registry.registrar import Registrar
from micro_rt.service import addresses, moving
from micro_rt.service.addresses import Advertised, advertised_address
from micro_rt.service.moving import Mover
from tests.helpers.waiting import eventually

BEFORE = Registration(Node("greeter-1", "10.0.0.1:80"), ("greeter",))
AFTER = Registration(Node("greeter-1", "10.0.0.2:80"), ("greeter",))


# What is chosen


@pytest.mark.parametrize(
    ("advertise", "listening", "expected"),
    [
        (None, "0.0.0.0:80", Advertised("10.9.9.9:80", "10.9.9.9")),
        (":81", "0.0.0.0:80", Advertised("10.9.9.9:81", "10.9.9.9")),
        ("81", "[::]:80", Advertised("10.9.9.9:81", "10.9.9.9")),
        ("10.0.0.1", "0.0.0.0:80", Advertised("10.0.0.1:80")),
        ("lab.example:81", "0.0.0.0:80", Advertised("lab.example:81")),
        (None, "10.0.0.2:80", Advertised("10.0.0.2:80")),
        (":81", "10.0.0.2:80", Advertised("10.0.0.2:81")),
        (None, "memory:x", Advertised("memory:x")),
    ],
)
def test_only_a_host_that_the_service_chose_is_marked_as_chosen(
    monkeypatch: pytest.MonkeyPatch, advertise: str | None, listening: str, expected: Advertised
) -> None:
    monkeypatch.setattr(addresses, "own_host", lambda _: "10.9.9.9")
    assert advertised_address(advertise, listening, loopback=False) == expected


def test_a_unix_socket_is_advertised_on_this_machine_alone() -> None:
    assert advertised_address(None, "unix:/run/lab.sock", loopback=True) == Advertised("unix:/run/lab.sock")
    with pytest.raises(micro.FailedPrecondition, match=r"unix:/run/lab\.sock would be registered .* such as local:"):
        advertised_address(None, "unix:/run/lab.sock", loopback=False)
    with pytest.raises(micro.FailedPrecondition, match=r"advertise='10\.0\.0\.1' says where to reach a port"):
        advertised_address("10.0.0.1", "unix:/run/lab.sock", loopback=True)


class Machine:
    """What a service sees of a machine: the addresses that are in use, and the one that leads outside."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.in_use = {"10.0.0.1"}
        self.outside = "10.0.0.1"
        self.moved: list[str] = []
        self.looks: list[Callable[[], None]] = []
        monkeypatch.setattr(moving, "is_in_use", lambda host: host in self.in_use)

    def choose(self) -> Advertised:
        if not self.outside:
            raise micro.FailedPrecondition("no interface leads outside")
        return Advertised(f"{self.outside}:80", self.outside)

    def mover(self) -> Mover:
        return Mover("lab", self.choose(), self.choose, self.moved.append)


async def test_a_lost_address_is_chosen_again_as_soon_as_one_leads_outside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(monkeypatch)
    mover = machine.mover()
    await mover.open()
    machine.in_use, machine.outside = set(), ""
    for _ in range(3):
        mover._look()
        assert "this machine has lost 10.0.0.1:80, which is registered: no interface" in mover.problem
    machine.in_use = {"10.0.0.2", "10.0.0.3"}
    machine.outside = "10.0.0.2"
    for _ in range(3):
        mover._look()
    machine.outside = "10.0.0.3"  # Where the last one is still in use.
    mover._look()
    await mover.close()
    assert machine.moved == ["10.0.0.2:80"]
    assert mover.problem == ""
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert "stays registered at 10.0.0.1:80, which this machine has lost" in caplog.messages[0]
    assert "is registered at 10.0.0.2:80 from now on: this machine has lost 10.0.0.1:80" in caplog.messages[1]


async def test_an_address_that_is_lost_while_the_service_starts_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch)
    mover = machine.mover()
    machine.in_use, machine.outside = {"10.0.0.2"}, "10.0.0.2"
    await mover.open()
    await mover.close()
    assert machine.moved == ["10.0.0.2:80"]


# What the machine has


def test_addresses_of_this_machine_are_in_use() -> None:
    assert is_in_use("127.0.0.1")
    assert not is_in_use("192.0.2.200")
    assert not is_in_use("2001:db8::200")
    assert not is_in_use("lab.example")
    outside = next(iter(_own_addresses()), None)
    if outside is not None:
        assert is_in_use(outside)


def _own_addresses() -> list[str]:
    found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_DGRAM)
    hosts = dict.fromkeys(str(each[4][0]) for each in found)
    return [host for host in hosts if not ipaddress.ip_address(host).is_link_local and _can_bind(host)]


def _can_bind(host: str) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


async def test_a_closed_watch_of_interfaces_leaves_nothing() -> None:
    loop = asyncio.get_running_loop()
    watches = [InterfaceWatch(lambda: None) for _ in range(3)]
    for watch in watches:
        await watch.open()
    for watch in watches:
        await watch.close()
        await watch.close()
    assert not [each for each in getattr(loop, "_scheduled", ()) if not each.cancelled()]
    if sys.platform == "linux":
        assert not _netlink_sockets()


def _netlink_sockets() -> list[str]:
    """Returns the netlink sockets of this process that hear of addresses."""
    own = {str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink()}
    lines = Path("/proc/net/netlink").read_text().splitlines()[1:]
    return [line for line in lines if f"socket:[{line.split()[9]}]" in own and int(line.split()[3], 16) & 0x10]


# One registration in place of another


class SlowRegistry(MemoryRegistry):
    """Takes a registration when it is let."""

    def __init__(self) -> None:
        super().__init__(f"memory:{id(self)}")
        self.let = asyncio.Event()
        self.let.set()
        self.asked = 0

    async def register(self, registration: Registration, *, ttl: float = 30.0) -> Lease:
        self.asked += 1
        await self.let.wait()
        return await super().register(registration, ttl=ttl)


async def test_another_registration_takes_the_place_of_the_present_one_at_once() -> None:
    registry = SlowRegistry()
    await registry.open()
    registrar = Registrar(registry, BEFORE, ttl=3000)  # The next heartbeat is far away.
    await registrar.start()
    registrar.replace(AFTER)
    await eventually(lambda: registry.resolve("greeter"), equals=(AFTER.node,), within=20)
    await registrar.stop()
    assert await registry.resolve("greeter") == ()
    await registry.close()


async def test_what_is_replaced_while_it_is_being_registered_is_registered_last() -> None:
    registry = SlowRegistry()
    await registry.open()
    registrar = Registrar(registry, BEFORE, ttl=3000)
    await registrar.start()
    registry.let.clear()
    between = Registration(dataclasses.replace(AFTER.node, address="10.0.0.3:80"), AFTER.names)
    registrar.replace(between)
    await eventually(lambda: registry.asked == 2, within=20)
    registrar.replace(AFTER)
    registry.let.set()
    await eventually(lambda: registry.resolve("greeter"), equals=(AFTER.node,), within=20)
    assert registry.asked == 3
    await registrar.stop()
    assert await registry.resolve("greeter") == ()
    await registry.close()


async def test_another_node_takes_no_place() -> None:
    registrar = Registrar(MemoryRegistry(), BEFORE)
    with pytest.raises(ValueError, match="greeter-2 cannot take the place of greeter-1"):
        registrar.replace(Registration(Node("greeter-2", "10.0.0.1:80"), ("greeter",)))
