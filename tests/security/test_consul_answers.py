"""Whatever answers in place of Consul, and whatever a token holds: a registry raises only ``micro.Error``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

import micro_rt as micro
from micro_rt.backends.consul import leases, query, watch
from micro_rt.backends.consul import registry as consul_registry
from micro_rt.backends.consul.address import parse_consul_address
from micro_rt.backends.consul.http import ConsulHttp
from micro_rt.backends.consul.registry import ConsulRegistry
from micro_rt.backends.etcd.address import EtcdAddress
from micro_rt.backends.etcd.client import EtcdClient
from micro_rt.backends.etcd.messages_pb2 import MemberListResponse
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.helpers.consul_entries import entry, service
from tests.helpers.waiting import eventually
from tests.security.test_consul_agents import Agent, listening, opened

NODE = Node("lab-1", "10.0.0.9:50051")
ANSWERS: list[Any] = [
    5,
    "x",
    True,
    [5],
    [None],
    ["x"],
    [[]],
    [{}],
    {},
    {"a": 5},
    {"\ud800": []},
    [{"Node": "\ud800"}],
    {"Services": 5, "Node": 5},
    {"Services": [5], "Node": 5},
    {"Services": [{"ID": [], "Service": []}], "Node": 5},
    [{"Node": 5}],
    [{"Node": {"Address": 5, "Node": 5}, "Service": 5, "Checks": 5}],
    [{"Node": {"Address": "a", "Node": "n"}, "Service": {"ID": [], "ModifyIndex": "x", "Meta": 5}, "Checks": [5]}],
    [{"Node": {"Address": 5, "Node": 5}, "Service": {"ID": "lab-1", "ModifyIndex": 1, "Meta": {}}, "Checks": []}],
    [{"Node": "n", "ServiceID": [], "CheckID": {}, "Status": 5, "ServiceTags": 5, "ServiceName": []}],
    {"Meta": 5},
    {"Meta": [5]},
]
OTHER = "something else, not Consul"


class _Strange(Agent):
    """Gives one answer to each request once a registry is open.

    Args:
        answer: the JSON.
        first: whether it is the first answer too.
    """

    def __init__(self, answer: Any, *, first: bool = False) -> None:
        super().__init__()
        self._answer = answer
        self.strange = first

    async def answer(self, request: web.Request) -> web.Response:
        if not self.strange and request.path in ("/v1/health/service/consul", "/v1/health/state/any"):
            await asyncio.sleep(0.05)
            return web.json_response([])
        if request.path.startswith("/v1/health/service/lab") and not self.strange:
            return web.json_response([GOOD], headers={"X-Consul-Index": "5"})
        await asyncio.sleep(0.01)  # A blocking query is not to spin.
        return web.json_response(self._answer, headers={"X-Consul-Index": "5"})


GOOD = entry(service())


@pytest.mark.parametrize("answer", ANSWERS, ids=json.dumps)
async def test_what_is_not_consul_cannot_be_opened(answer: Any) -> None:
    async with listening(_Strange(answer, first=True), "127.0.0.1") as port:
        registry = ConsulRegistry(f"consul://127.0.0.1:{port}")
        try:
            await registry.open()
        except micro.Unavailable as error:
            assert OTHER in error.message
        else:
            await registry.close()
            assert isinstance(answer, list)


@pytest.mark.parametrize("response", [{"status": 404, "text": "page not found"}, {"text": ""}, {"text": "<html>"}])
async def test_what_has_no_such_page_is_not_consul(response: dict[str, Any]) -> None:
    agent = Agent()

    async def answer(request: web.Request) -> web.Response:
        return web.Response(**response)

    agent.answer = answer  # type: ignore[method-assign]
    async with listening(agent, "127.0.0.1") as port:
        with pytest.raises(micro.Unavailable, match=OTHER):
            await ConsulRegistry(f"consul://127.0.0.1:{port}").open()


@pytest.mark.parametrize("few", [0, 100], ids=["agents", "names"])
@pytest.mark.parametrize("answer", ANSWERS, ids=json.dumps)
async def test_no_answer_raises_anything_else(answer: Any, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consul_registry, "FEW", few)
    monkeypatch.setattr(leases, "SHOWN", 0.1)
    agent = _Strange(answer)

    async def only_errors(operation: Coroutine[Any, Any, Any]) -> None:
        try:
            await asyncio.wait_for(operation, 5)
        except micro.Error as error:
            assert str(error).isprintable()

    async with listening(agent, "127.0.0.1") as port, opened(port) as registry:
        agent.strange = True
        await only_errors(registry.resolve("lab"))
        await only_errors(registry.names())
        await only_errors(registry.register(Registration(NODE, ("lab", "other")), ttl=30.0))
        directory = registry._open_directory()
        lease = leases.ConsulLease(lambda: directory.leases, NODE, 30.0)
        lease.listings.append(leases._Listing("lab", NODE.id, f"service:{NODE.id}:x"))
        lease.alive_at = directory.leases._now()
        await only_errors(lease.renew())
        await only_errors(lease.revoke())


@pytest.mark.parametrize("singles", [16, 0], ids=["single", "group"])
@pytest.mark.parametrize("answer", ANSWERS, ids=json.dumps)
async def test_a_watch_goes_on_when_consul_answers_again(
    answer: Any, singles: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watch, "SINGLES", singles)
    monkeypatch.setattr(query, "RETRY", (0.01, 0.05))
    agent = _Strange(answer)
    async with listening(agent, "127.0.0.1") as port, opened(port) as registry:
        agent.strange = True
        watching = registry.watch("lab")
        found: list[tuple[str, ...]] = []

        async def follow() -> None:
            async for nodes in watching:
                found.append(tuple(node.id for node in nodes))

        following = asyncio.create_task(follow())
        await asyncio.sleep(0.2)
        agent.strange = False
        await eventually(lambda: bool(found) and found[-1] == ("good",), within=20)
        feeds = registry._open_directory().feeds
        tasks = [feed.task for feed in feeds._feeds.values() if feed.task is not None]
        tasks += [group.task for group in feeds._groups._groups]
        assert tasks
        assert not any(task.done() for task in tasks)
        assert not following.done()
        following.cancel()
        await asyncio.wait([following])


# Tokens

CONTROL = ["a\nb", "a\r\nX-Evil: 1", "a\0b", "a\x1b[2J", "a\x7fb", "a\u2028b"]


def _in_option(token: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ConsulRegistry:
    escaped = "".join(f"%{byte:02X}" for byte in token.encode())
    return ConsulRegistry(f"consul://127.0.0.1:1/?token={escaped}")


def _in_file(token: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ConsulRegistry:
    (folder / "token").write_bytes(token.encode())
    return ConsulRegistry(f"consul://127.0.0.1:1/?token_file={folder}/token")


def _in_variable(token: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ConsulRegistry:
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", token.replace("\0", "\udcff"))
    return ConsulRegistry("consul://127.0.0.1:1")


@pytest.mark.parametrize("token", CONTROL)
@pytest.mark.parametrize("place", [_in_option, _in_file, _in_variable])
def test_a_token_with_a_control_character_is_refused(
    place: Callable[..., ConsulRegistry], token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="line break or another control character") as caught:
        place(token, tmp_path, monkeypatch)
    assert str(caught.value).isprintable()
    assert "Evil" not in str(caught.value)


def test_a_token_may_end_with_a_line_break(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret\n")
    assert parse_consul_address(f"consul://h/?token_file={tmp_path}/token", {})[0].token == "secret"


async def test_a_file_whose_new_token_has_two_lines_keeps_the_old_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "token").write_text("canary-old")
    http = ConsulHttp(parse_consul_address(f"consul://h/?token_file={tmp_path}/token", {})[0])
    (tmp_path / "token").write_text("canary-new\nX-Evil: 1")
    assert not await http._token.replaced("canary-old")
    assert http._token.value == "canary-old"
    assert "line break" in caplog.text
    assert "canary-new" not in caplog.text
    await http.close()


async def test_a_request_that_http_cannot_carry_is_an_error_of_micro() -> None:
    """Whatever else gets into a header: the message does not repeat it."""
    async with listening(Agent(), "127.0.0.1") as port, opened(port) as registry:
        registry._open_directory().consul._http._token.value = "canary\nX-Evil: 1"
        with pytest.raises(micro.FailedPrecondition, match="cannot be written") as caught:
            await registry.resolve("lab")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://[", "http://[::1", "http://[x]:2379", "\0", "http://a\u2100b/"])
async def test_a_member_of_etcd_may_name_any_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    client = EtcdClient(EtcdAddress.parse("etcd://127.0.0.1:1"))
    reply = MemberListResponse()
    reply.members.add().client_urls.append(url)

    async def answer(*_: Any) -> MemberListResponse:
        return reply

    monkeypatch.setattr(client, "_ask", answer)
    assert not await client.on_loopback()
