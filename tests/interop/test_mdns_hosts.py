"""``mdns:`` between hosts: two network namespaces with one network between them, and nothing else."""

from __future__ import annotations

import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.helpers.missing import missing
from tests.interop.hosts import Host, NotPermitted, hosts
from tests.interop.mdns_lab import PYTHON, Program, program, service, shown

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def network() -> AsyncIterator[tuple[Host, Host]]:
    try:
        async with hosts() as pair:
            yield pair
    except NotPermitted as reason:
        missing(reason)


async def registered(peer: Program) -> Program:
    assert await peer.line() == "registered"
    return peer


async def test_who_comes_and_goes_on_one_host_is_seen_on_the_other(network: tuple[Host, Host]) -> None:
    one, two = network
    greeter = service("hosts.coming", "greeter-1", f"{one.address}:41123", zone="a")
    async with program(two, *PYTHON, "watch", "hosts.coming") as watch:
        await watch.until([])
        async with program(one, *PYTHON, "register", json.dumps(greeter)) as peer:
            await registered(peer)
            await watch.until([shown(greeter)])
            assert json.loads(await two.call(*PYTHON, "get", "hosts.coming")) == [shown(greeter)]
            assert json.loads(await two.call(*PYTHON, "list")) == {"hosts.coming": [shown(greeter)]}
            await peer.end()
            await watch.until([])
        assert json.loads(await two.call(*PYTHON, "get", "hosts.coming")) == []


async def test_who_is_killed_goes_when_its_lease_runs_out(network: tuple[Host, Host]) -> None:
    one, two = network
    greeter = service("hosts.killed", "greeter-1", f"{one.address}:41123")
    async with (
        program(two, *PYTHON, "watch", "hosts.killed") as watch,
        program(one, *PYTHON, "register", json.dumps(greeter), "2") as peer,
    ):
        await registered(peer)
        await watch.until([shown(greeter)])
        peer.kill()
        await watch.until([])


@pytest.mark.parametrize("who", ["the one who looks", "the one who is looked for"])
async def test_a_network_that_was_cut_comes_back(network: tuple[Host, Host], who: str) -> None:
    one, two = network
    cut = two if who == "the one who looks" else one
    greeter = service("hosts.cut", "greeter-1", f"{one.address}:41123")
    async with (
        program(two, *PYTHON, "watch", "hosts.cut") as watch,
        program(one, *PYTHON, "register", json.dumps(greeter), "2") as peer,
    ):
        await registered(peer)
        await watch.until([shown(greeter)])
        await cut.cut()
        try:
            await watch.until([])
        finally:
            await cut.restore()
        await watch.until([shown(greeter)])
        await peer.end()
        await watch.until([])


async def test_who_cannot_send_is_told_so(network: tuple[Host, Host]) -> None:
    one, _ = network
    await one.cut()
    try:
        greeter = json.dumps(service("hosts.unheard", "greeter-1", f"{one.address}:41123"))
        peer = await one.run(*PYTHON, "register", greeter, stdin=PIPE, stderr=PIPE)
        _, errors = await peer.communicate()
    finally:
        await one.restore()
    assert peer.returncode
    assert f"UNAVAILABLE: registry mdns: greeter-1 cannot be announced: cannot send on {one.address}" in errors.decode()


async def test_what_a_host_says_on_its_loopback_stays_there(network: tuple[Host, Host]) -> None:
    """Two registries on one host, one of them on loopback alone, do not meet: nobody hears what was not for its interface."""
    one, _ = network
    greeter = service("hosts.loopback", "greeter-1", f"{one.address}:41123")
    async with program(one, *PYTHON, "register", json.dumps(greeter)) as peer:
        await registered(peer)
        alone = ("get", "hosts.loopback", "mdns://?interface=127.0.0.1")
        assert json.loads(await one.call(*PYTHON, *alone)) == []
        assert json.loads(await one.call(*PYTHON, "get", "hosts.loopback")) == [shown(greeter)]
