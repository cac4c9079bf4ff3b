"""Services on ``mdns:`` whose machine moves: addresses change, interfaces go and come back, one host has IPv6 alone.

Each test has two hosts of its own, because it takes their network apart.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.waiting import soon
from tests.interop.hosts import Host, NotPermitted, connect, hosts
from tests.interop.mdns_lab import PYTHON, ROOT, Program, program, shown
from tests.interop.mdns_lab import service as mdns_service

SERVICE = (sys.executable, str(Path(__file__).with_name("mdns_service.py")))


@pytest.fixture
async def network() -> AsyncIterator[tuple[Host, Host]]:
    """Two hosts with the addresses 10.77.0.1 and 10.77.0.2, and a way outside on their network."""
    if shutil.which("ip") is None:
        pytest.skip("changing a network needs the command ip of iproute2")
    try:
        async with hosts() as pair:
            for host in pair:
                await ip(host, "route add default via 10.77.0.254")
            yield pair
    except NotPermitted as reason:
        pytest.skip(f"{reason}")


async def ip(host: Host, *commands: str) -> None:
    for command in commands:
        await host.call("ip", *command.split())


class Peer(Program):
    """mdns_service.py, running."""

    def __init__(self, process: Any) -> None:
        super().__init__(process)
        self.seen: list[dict[str, Any]] = []
        """What it has said so far."""

    async def until_it_says(self, **expected: Any) -> dict[str, Any]:
        """Returns the first of its next lines that says this: equal values, or texts that contain the expected one."""

        async def read() -> dict[str, Any]:
            while text := await self.line():
                self.seen.append(json.loads(text))
                if all(_fits(self.seen[-1].get(key), value) for key, value in expected.items()):
                    return self.seen[-1]
            raise AssertionError(f"ended without saying {expected}: {self.seen}")

        return await soon(read())

    async def call(self, text: str) -> dict[str, Any]:
        """Has a caller make a call; returns what became of it."""
        self.process.stdin.write(f"{text}\n".encode())
        while True:
            self.seen.append(json.loads(await self.line()))
            if "log" not in self.seen[-1]:
                return self.seen[-1]

    def log(self, text: str) -> list[str]:
        """Returns the lines of its log so far that contain a text."""
        return [each["log"] for each in self.seen if text in each.get("log", "")]


def _fits(value: object, expected: object) -> bool:
    return expected in value if isinstance(value, str) and isinstance(expected, str) else value == expected


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": path, "MICRO_REGISTRY": "mdns:", **more}


@asynccontextmanager
async def running(host: Host, *arguments: str, **more: str) -> AsyncIterator[Peer]:
    process = await host.run(*SERVICE, *arguments, stdin=PIPE, stdout=PIPE, env=environment(**more))
    try:
        yield Peer(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


# Another address


async def test_a_service_whose_address_changes_is_called_at_the_new_one(network: tuple[Host, Host]) -> None:
    one, two = network
    async with running(one, "serve", "moving") as service, running(two, "call", "moving") as caller:
        await service.until_it_says(address="10.77.0.1:")
        assert await caller.call("before") == {"reply": "saw before"}
        await ip(
            one,
            "addr add 10.77.0.9/24 dev mesh",
            "addr del 10.77.0.1/24 dev mesh",
            "addr add 10.77.0.9/24 dev mesh",  # It was secondary, and went with the first.
            "route add default via 10.77.0.254",
        )
        said = await service.until_it_says(log="is registered at 10.77.0.9:")
        assert "moving is registered" in said["log"]
        assert "this machine has lost 10.77.0.1:" in said["log"]
        await service.until_it_says(address="10.77.0.9:", problems={})
        while "reply" not in (answer := await caller.call("after")):
            assert "deadline" in answer["error"] or "UNAVAILABLE" in answer["error"]
        assert answer == {"reply": "saw after"}


async def test_a_host_between_two_networks_says_that_it_has_no_address(network: tuple[Host, Host]) -> None:
    one, _ = network
    async with running(one, "serve", "between") as service:
        await service.until_it_says(address="10.77.0.1:", problems={})
        await ip(one, "addr flush dev mesh scope global")
        said = await service.until_it_says(log="between stays registered at 10.77.0.1:")
        while "address" not in (said.get("problems") or {}):
            said = await service.until_it_says(address="10.77.0.1:")
        assert "this machine has lost 10.77.0.1:" in said["problems"]["address"]
        await ip(one, "addr add 10.78.0.1/24 dev mesh", "route add default via 10.78.0.254")
        await service.until_it_says(address="10.78.0.1:", problems={})


async def test_another_way_outside_moves_no_service_whose_address_is_still_there(network: tuple[Host, Host]) -> None:
    one, two = network
    async with running(one, "serve", "vpn") as service, running(two, "call", "vpn") as caller:
        await service.until_it_says(address="10.77.0.1:")
        assert await caller.call("before") == {"reply": "saw before"}
        await ip(
            one,
            "link add tunnel type veth peer name beyond",
            "addr add 10.99.0.1/24 dev tunnel",
            "link set tunnel up",
            "link set beyond up",
            "route replace default via 10.99.0.254",
        )
        await service.until_it_says(outside="10.99.0.1")
        assert await caller.call("after") == {"reply": "saw after"}
        assert not service.log("is registered at")
        await ip(one, "link set mesh down")
        await service.until_it_says(log="vpn is registered at 10.99.0.1:")


async def test_an_address_that_the_user_gave_stays(network: tuple[Host, Host]) -> None:
    one, _ = network
    # The two share what reports changes, which has them look in this order.
    async with running(one, "serve", "given=10.77.0.1", "chosen=:41123") as services:
        await services.until_it_says(service="given", address="10.77.0.1:")
        await services.until_it_says(service="chosen", address="10.77.0.1:41123")
        await ip(one, "addr flush dev mesh scope global")
        await ip(one, "addr add 10.77.0.9/24 dev mesh", "route add default via 10.77.0.254")
        await services.until_it_says(service="chosen", address="10.77.0.9:41123")
        given = [each["address"] for each in services.seen if each.get("service") == "given"]
        assert {address.partition(":")[0] for address in given} == {"10.77.0.1"}


# Interfaces that go and come back


async def reconnect(one: Host, two: Host) -> None:
    """Puts the interfaces of both hosts in place of others, with the same names and addresses."""
    await ip(one, "link del mesh")
    await connect(one, two)
    for host in (one, two):
        await ip(host, "route add default via 10.77.0.254")


async def test_an_interface_that_comes_back_at_once_is_heard_and_sent_on_again(network: tuple[Host, Host]) -> None:
    one, two = network
    async with running(one, "serve", "back") as service, program(two, *PYTHON, "watch", "late") as watch:
        await service.until_it_says(address="10.77.0.1:")
        await watch.until([])
        await reconnect(one, two)
        # Only the first of these came back: what it hears is asked by one who is new there.
        async with running(two, "call", "back") as caller:
            assert await caller.call("there") == {"reply": "saw there"}
        # And only the second: what it hears is announced by one who is new there.
        greeter = mdns_service("late", "greeter-1", f"{one.address}:41123")
        async with program(one, *PYTHON, "register", json.dumps(greeter)) as peer:
            assert await peer.line() == "registered"
            await watch.until([shown(greeter)])
            await peer.end()
            await watch.until([])


async def test_an_address_that_moves_to_a_bridge_is_heard_and_sent_on_there(network: tuple[Host, Host]) -> None:
    one, two = network
    async with running(one, "serve", "bridged") as service, program(one, *PYTHON, "watch", "late") as watch:
        await service.until_it_says(address="10.77.0.1:")
        await watch.until([])
        await ip(
            one,
            "link add bridge type bridge",
            "addr del 10.77.0.1/24 dev mesh",
            "link set mesh master bridge",
            "addr add 10.77.0.1/24 dev bridge",
            "link set bridge up",
            "route add default via 10.77.0.254",
        )
        async with running(two, "call", "bridged") as caller:
            assert await caller.call("there") == {"reply": "saw there"}
        greeter = mdns_service("late", "greeter-1", f"{two.address}:41123")
        async with program(two, *PYTHON, "register", json.dumps(greeter)) as peer:
            assert await peer.line() == "registered"
            await watch.until([shown(greeter)])


# What cannot be sent


async def test_a_service_that_cannot_send_says_so_until_it_can(network: tuple[Host, Host]) -> None:
    one, two = network
    async with (
        running(one, "serve", "unheard", TTL="2") as service,
        program(two, *PYTHON, "watch", "unheard") as watch,
    ):
        said = await service.until_it_says(address="10.77.0.1:")
        while not (nodes := json.loads(await watch.line())):
            pass
        assert [node["address"] for node in nodes] == [said["address"]]
        await one.cut()
        try:
            await watch.until([])  # As many heartbeats have failed as there are in a lease.
        finally:
            await one.restore()
        await service.until_it_says(log="is renewed again")
        while service.seen[-1].get("problems") != {}:
            await service.until_it_says(address="10.77.0.1:")
        assert len(service.log("cannot renew the lease")) == len(service.log("is renewed again")) == 1
        problems = [each["problems"] for each in service.seen if "problems" in each]
        assert [bool(each) for each in problems] == [False, *[True] * (len(problems) - 2), False]
        assert any("cannot be announced: cannot send on 10.77.0.1" in each.get("lease", "") for each in problems)


# Hosts without IPv4


async def without_ipv4(host: Host, *more: str) -> str:
    """Takes the IPv4 addresses of a host; returns the link-local IPv6 address of its interface."""
    await ip(host, "addr flush dev mesh scope global", *more)
    while True:
        for interface in json.loads(await host.call("ip", "-json", "-6", "addr", "show", "dev", "mesh")):
            for address in interface.get("addr_info", ()):
                if address["scope"] == "link" and not address.get("tentative"):
                    return str(address["local"])


async def test_hosts_with_ipv6_alone_find_and_call_each_other(network: tuple[Host, Host]) -> None:
    for number, host in enumerate(network):
        await without_ipv4(
            host, f"addr add fd77::{number + 1}/64 dev mesh nodad", "route add default via fd77::99 dev mesh"
        )
    one, two = network
    async with running(one, "serve", "six") as service, running(two, "call", "six") as caller:
        await service.until_it_says(address="[fd77::1]:", problems={})
        assert await caller.call("there") == {"reply": "saw there"}
        await ip(one, "addr add fd77::9/64 dev mesh nodad", "addr del fd77::1/64 dev mesh")
        await service.until_it_says(log="is registered at [fd77::9]:")
        while "reply" not in (answer := await caller.call("after")):
            assert "deadline" in answer["error"] or "UNAVAILABLE" in answer["error"]


async def test_link_local_addresses_are_reached_in_the_zone_of_whoever_calls(network: tuple[Host, Host]) -> None:
    one, two = network
    own = await without_ipv4(one)
    await without_ipv4(two)
    await ip(two, "link set mesh down", "link set mesh name other", "link set other up")
    async with running(one, "serve", f"near=[{own}%mesh]") as service, running(two, "call", "near") as caller:
        await service.until_it_says(address=f"[{own}%mesh]:", problems={})
        assert await caller.call("there") == {"reply": "saw there"}
        async with program(two, *PYTHON, "watch", "near") as watch:
            while not (nodes := json.loads(await watch.line())):
                pass
            assert nodes[0]["address"].startswith(f"[{own}%other]:")


async def test_a_host_with_both_meets_one_with_ipv4_and_one_with_ipv6_alone(network: tuple[Host, Host]) -> None:
    one, two = network
    await without_ipv4(two, "addr add fd77::2/64 dev mesh nodad", "route add default via fd77::99 dev mesh")
    await ip(one, "addr add fd77::1/64 dev mesh nodad")
    async with running(two, "serve", "six") as service, running(one, "call", "six") as caller:
        await service.until_it_says(address="[fd77::2]:")
        assert await caller.call("there") == {"reply": "saw there"}


@pytest.mark.parametrize("left", ["loopback alone", "a link-local address"])
async def test_a_service_without_an_address_to_choose_says_what_it_needs(network: tuple[Host, Host], left: str) -> None:
    one, _ = network
    if left == "loopback alone":
        await ip(one, "link set mesh down", "addr flush dev mesh")
    else:
        await without_ipv4(one)
    process = await one.run(*SERVICE, "serve", "alone", stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment())
    _, errors = await soon(process.communicate())
    said = errors.decode().strip().splitlines()[-1]
    assert "no interface of this machine leads to other networks" in said
    assert "name its IPv4 or IPv6 address with advertise= (MICRO_ADVERTISE)" in said
    assert "127.0.0.1" not in said
