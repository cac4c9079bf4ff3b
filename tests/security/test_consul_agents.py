"""Which agents of Consul get requests, and so the token."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from micro_rt.backends.consul.address import parse_consul_address
from micro_rt.backends.consul.agents import UNTRUSTED, TrustedAgents
from micro_rt.backends.consul.registry import ConsulRegistry
from micro_rt.errors import FailedPrecondition
from micro_rt.node import Node
from micro_rt.registry.base import LeaseLost, Registration

TOKEN = "the-token-of-the-tests"
NODE = Node("lab-1", "10.0.0.9:50051")


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("consul://10.0.0.5", "10.0.0.5"),
        ("consul://10.0.0.5", "::ffff:10.0.0.5"),
        ("consul://[fd00::1]", "fd00:0::1"),
        ("consul://consul.example", "CONSUL.example"),
        ("consul://localhost", "127.0.0.1"),
        ("consul://10.0.0.5/?agents=10.0.0.6", "10.0.0.6"),
        ("consul://10.0.0.5/?agents=10.1.0.0/16,fd00::/8", "10.1.2.3"),
        ("consul://10.0.0.5/?agents=10.1.0.0/16,fd00::/8", "fd12::1"),
        ("consul://10.0.0.5/?agents=agent-2.example", "agent-2.example"),
        ("consul://10.0.0.5/?agents=localhost", "127.0.0.1"),
    ],
)
async def test_an_agent_of_the_address_is_trusted(address: str, host: str) -> None:
    await TrustedAgents(parse_consul_address(address, {})[0]).check(host)


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("consul://10.0.0.5", "10.0.0.6"),
        ("consul://10.0.0.5", ""),
        ("consul://10.0.0.5", "evil.example"),
        ("consul://10.0.0.5", "10.0.0.5.evil.example"),
        ("consul://10.0.0.5", "10.0.0.5@evil.example"),
        ("consul://10.0.0.5", "evil.example/?x=10.0.0.5"),
        ("consul://10.0.0.5", "010.0.0.5"),
        ("consul://localhost", "10.0.0.6"),
        ("consul://localhost", "a..b"),
        ("consul://nowhere.invalid", "10.0.0.6"),
        ("consul://" + "a" * 60, "10.0.0.6"),
        ("consul://10.0.0.5/?agents=10.1.0.0/16", "10.2.0.0"),
        ("consul://10.0.0.5", "x\x1b[2J\n" + "y" * 5000),
    ],
)
async def test_another_agent_is_not_and_the_error_says_how_to_allow_it(address: str, host: str) -> None:
    with pytest.raises(FailedPrecondition, match="add agents=") as caught:
        await TrustedAgents(parse_consul_address(address, {})[0]).check(host)
    assert caught.value.id == UNTRUSTED
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("agents", ["10.0.0.300", "10.0.0.0/33", "a/b", ",", "a,,b", "-a", "http://a"])
def test_agents_that_make_no_sense_are_refused(agents: str) -> None:
    with pytest.raises(ValueError, match="is no address, no network such as"):
        ConsulRegistry(f"consul://host/?agents={agents}")


class Agent:
    """What is at an agent's port: answers as Consul does, as far as a registration needs it, and keeps what it was sent.

    Args:
        catalog: the services that it shows; a client agent that somebody has taken over needs none.
    """

    def __init__(self, catalog: str = "") -> None:
        self.requests: list[web.Request] = []
        self.has_service = False
        self._shown_at = catalog
        self._service: dict[str, Any] = {}

    @property
    def tokens(self) -> set[str]:
        return {request.headers.get("X-Consul-Token", "") for request in self.requests}

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        kind = request.path.split("/")[2:4]
        if request.path == "/v1/agent/service/register":
            self._service = json.loads(await request.text())
        elif request.path == "/v1/catalog/deregister":
            self._service = {}
        elif kind == ["health", "service"]:
            return web.json_response(self._entries() if request.path.endswith("/lab") else [])
        elif not self.has_service:
            return web.Response(status=404, text="unknown")
        return web.Response(text="true")

    def _entries(self) -> list[Any]:
        if not self._service:
            return []
        service = self._service
        shown = {
            "ID": service["ID"],
            "Service": service["Name"],
            "Address": service["Address"],
            "Port": service["Port"],
        }
        shown |= {"Tags": service["Tags"], "Meta": service["Meta"], "ModifyIndex": 1}
        checks = [{"CheckID": check["CheckID"], "Status": "passing"} for check in service["Checks"]]
        return [{"Node": {"Node": "n", "Address": self._shown_at}, "Service": shown, "Checks": checks}]


@asynccontextmanager
async def listening(agent: Agent, host: str, port: int = 0) -> AsyncIterator[int]:
    runner = web.ServerRunner(web.Server(agent.answer))
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    await site.start()
    try:
        yield site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def opened(port: int, options: str = "") -> AsyncIterator[ConsulRegistry]:
    registry = ConsulRegistry(f"consul://127.0.0.1:{port}/?token={TOKEN}{options}")
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def test_an_agent_that_only_the_catalog_names_gets_neither_the_token_nor_a_say(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    ours, theirs = Agent(catalog="127.0.0.2"), Agent()
    theirs.has_service = True  # It says that everything is renewed.
    async with listening(ours, "127.0.0.1") as port, listening(theirs, "127.0.0.2", port), opened(port) as registry:
        lease = await registry.register(Registration(NODE, ("lab",)), ttl=30.0)
        with pytest.raises(FailedPrecondition, match=r"the agent at 127\.0\.0\.2.*agents=127\.0\.0\.2"):
            await lease.renew()
        await lease.revoke()
        assert "is removed from the catalog alone" in caplog.text
        with pytest.raises(LeaseLost):
            await lease.renew()
    assert theirs.requests == []
    assert ours.tokens == {TOKEN}
    assert "/v1/catalog/deregister" in [request.path for request in ours.requests]


@pytest.mark.parametrize("agents", ["127.0.0.2", "127.0.0.0/24"])
async def test_an_agent_that_the_address_allows_is_asked_with_the_token(agents: str) -> None:
    ours, other = Agent(catalog="127.0.0.2"), Agent()
    other.has_service = True
    async with (
        listening(ours, "127.0.0.1") as port,
        listening(other, "127.0.0.2", port),
        opened(port, f"&agents={agents}") as registry,
    ):
        lease = await registry.register(Registration(NODE, ("lab",)), ttl=30.0)
        await lease.renew()
    assert [request.path.split("/")[2:5] for request in other.requests] == [["agent", "check", "pass"]]
    assert other.tokens == {TOKEN}


async def test_a_redirection_is_not_followed_with_the_token() -> None:
    theirs = Agent()
    async with listening(theirs, "127.0.0.2") as port:

        async def elsewhere(request: web.Request) -> web.Response:
            raise web.HTTPTemporaryRedirect(f"http://127.0.0.2:{port}{request.path}")

        ours = Agent()
        ours.answer = elsewhere  # type: ignore[method-assign]
        async with listening(ours, "127.0.0.1") as own_port, asyncio.timeout(20):
            with pytest.raises(Exception, match="answers with a redirection"):
                async with opened(own_port):
                    pass
    assert theirs.requests == []
