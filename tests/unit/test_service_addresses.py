"""Where a service listens, and which address it registers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid

import pytest

import micro_rt as micro
from micro_rt.kit.net import split
from tests.helpers.handlers import Lab
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text


def has_loopback(family: int, host: str) -> bool:
    with contextlib.suppress(OSError), socket.socket(family) as probe:
        probe.bind((host, 0))
        return True
    return False


IPV6 = pytest.mark.skipif(not has_loopback(socket.AF_INET6, "::1"), reason="this system has no IPv6")
BOTH_STACKS = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="a socket of this system has one stack")


def lab(address: str) -> micro.Service:
    service = micro.Service("lab", registry=f"memory:{uuid.uuid4()}", address=address)
    service.handle(Lab())
    return service


async def accepts(host: str, port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        return True
    return False


@IPV6
@pytest.mark.parametrize("address", ["[::]:0", "[::0]:0", "[0:0:0:0:0:0:0:0]:0", "0.0.0.0:0"])
async def test_the_address_that_is_registered_takes_calls(address: str) -> None:
    async with lab(address) as service:
        assert service.node is not None
        host, _ = split(service.node.address)
        assert host not in ("::", "0.0.0.0")
        assert (await LabClient(service, retry=micro.RetryPolicy(attempts=1)).look(Text(value="x"))).value == "x"


@IPV6
@BOTH_STACKS
@pytest.mark.parametrize("address", ["[::]:0", "[::0]:0"])
async def test_every_interface_of_ipv6_means_those_of_ipv4_too(address: str) -> None:
    async with lab(address) as service:
        assert service.node is not None
        port = split(service.node.address)[1]
        assert (await accepts("127.0.0.1", port), await accepts("::1", port)) == (True, True)


@IPV6
async def test_where_sockets_have_one_stack_an_ipv6_listener_registers_ipv6(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    async with lab("[::]:0") as service:
        assert service.node is not None
        host, port = split(service.node.address)
        assert ":" in host
        assert await accepts(host, port)
        assert not await accepts("127.0.0.1", port)


@IPV6
async def test_a_host_with_several_addresses_has_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    look_up = loop.getaddrinfo

    async def both(host: str, *args: object, **options: object) -> object:
        if host != "both.test":
            return await look_up(host, *args, **options)  # type: ignore[arg-type]
        return [*await look_up("127.0.0.1", *args, **options), *await look_up("::1", *args, **options)]  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "getaddrinfo", both)
    async with lab("both.test:0") as service:
        assert service.node is not None
        port = split(service.node.address)[1]
        assert (await accepts("127.0.0.1", port), await accepts("::1", port)) == (True, True)
