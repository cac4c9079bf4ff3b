"""Whatever answers in place of Consul: locks raise only ``micro.Error``, believe nothing that is not formed as Consul forms it, and end."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable
from typing import Any

import pytest
from aiohttp import web

import micro_rt as micro
from micro_rt.backends.consul.sync import ConsulSync
from tests.helpers.waiting import soon
from tests.security.test_consul_agents import Agent, listening
from tests.security.test_consul_answers import ANSWERS

SESSION = "9f7d041d-293c-ac53-bc52-92dcfbbdeb73"


def entry(key: str, value: str, **fields: Any) -> dict[str, Any]:
    encoded = base64.b64encode(value.encode()).decode()
    return {"KV": {"Key": key, "Value": encoded, "CreateIndex": 5, "ModifyIndex": 5, "LockIndex": 1, **fields}}


EPOCH = entry("micro-rt/sync/epoch", "5")
SEAT = "micro-rt/sync/a/0"
STRANGE: list[Any] = [
    *ANSWERS,
    {"Results": 5},
    {"Results": [5, 5]},
    {"Results": [{"KV": 5}, {"KV": 5}]},
    {"Results": [EPOCH]},
    {"Results": [EPOCH, 5]},
    {"Results": [EPOCH, {"KV": None}]},
    {"Results": [EPOCH, entry("other", "x", Session=SESSION)]},
    {"Results": [EPOCH, entry(SEAT, "x")]},
    {"Results": [EPOCH, entry(SEAT, "x", Session="other")]},
    {"Results": [EPOCH, entry(SEAT, "x", Session=5)]},
    {"Results": [EPOCH, entry(SEAT, "x", Session=SESSION, ModifyIndex="5")]},
    {"Results": [EPOCH, entry(SEAT, "x", Session=SESSION, ModifyIndex=True)]},
    {"Results": [EPOCH, entry(SEAT, "x", Session=SESSION, ModifyIndex=-5)]},
    {"Results": [EPOCH, entry(SEAT, "x", Session=SESSION, ModifyIndex=1 << 80)]},
    {"Results": [EPOCH, entry(SEAT, "x", Session=SESSION, CreateIndex=None)]},
    {"Results": [entry("micro-rt/sync/epoch", "-5"), entry(SEAT, "x", Session=SESSION)]},
    {"Results": [entry("micro-rt/sync/epoch", "9" * 30), entry(SEAT, "x", Session=SESSION)]},
    {"Results": [{"KV": {"Key": "micro-rt/sync/epoch", "Value": "ÿ"}}, entry(SEAT, "x", Session=SESSION)]},
    {"Errors": 5},
    {"Errors": [5]},
    {"Errors": [{}]},
    {"ID": 5},
    {"ID": ""},
    {"ID": "x" * 1000},
    {"ID": "../../kv/x\ud800"},
    [{"ID": "x", "Name": []}],
    [{"ID": 5, "Name": "micro-rt claim"}],
]


class _Strange(Agent):
    """Is Consul until it gives one answer to everything.

    Args:
        answer: the JSON.
        status: of HTTP.
        kinds: of requests that get it: what their path begins with.
    """

    def __init__(self, answer: Any, status: int, kinds: str) -> None:
        super().__init__()
        self._answer, self._status, self._kinds = answer, status, kinds
        self.strange = False

    async def answer(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if self.strange and request.path.startswith(self._kinds):
            await asyncio.sleep(0.01)
            return web.json_response(self._answer, status=self._status, headers={"X-Consul-Index": "5"})
        if request.path == "/v1/session/create":
            return web.json_response({"ID": SESSION})
        if request.path == "/v1/txn":
            locked = "lock" in await request.text()
            return web.json_response({"Results": [EPOCH, *([entry(SEAT, "x", Session=SESSION)] if locked else [])]})
        return web.json_response([])


@pytest.mark.parametrize(("status", "kinds"), [(200, "/v1"), (409, "/v1/txn"), (200, "/v1/txn"), (200, "/v1/session")])
async def test_no_answer_raises_anything_else(status: int, kinds: str) -> None:
    async def meet(answer: Any) -> None:
        try:
            await _meet(_Strange(answer, status, kinds))
        except Exception as error:
            raise AssertionError(f"after {json.dumps(answer)}") from error

    await asyncio.gather(*map(meet, STRANGE))


async def _meet(agent: _Strange) -> None:

    async def only_errors(work: Awaitable[Any]) -> Any:
        try:
            return await soon(work)
        except micro.Error as error:
            assert str(error).isprintable()
            return None

    async with listening(agent, "127.0.0.1") as port:
        engine = ConsulSync(f"consul://127.0.0.1:{port}")
        await engine.open()
        try:
            held = engine.claim("a", seats=1, ttl=10, value=b"", id="claim")
            assert await held.acquire() == (5, 5)
            agent.strange = True
            waiting = engine.claim("a", seats=1, ttl=10, value=b"", id="claim")
            many = engine.claim("a", seats=3, ttl=10, value=b"", id="claim")
            for claim in (waiting, many):
                grant = await only_errors(claim.acquire())
                assert grant is None
            await only_errors(held.renew())
            await only_errors(held.acquire())
            await only_errors(engine.observe("a"))
            await only_errors(waiting.changed(0.05))
            await only_errors(engine.changed("a", None, 0.05))
            for claim in (held, waiting, many):
                await only_errors(claim.release())
        finally:
            await engine.close()
    assert all(request.path.startswith(("/v1/", "/v1/kv/micro-rt/sync/")) for request in agent.requests)
    assert not any(".." in request.path for request in agent.requests)


@pytest.mark.parametrize("status", [400, 500, 503, 429])
async def test_an_agent_that_refuses_everything_is_an_error(status: int) -> None:
    agent = _Strange({"x": "\x1b[2J"}, status, "/v1/")
    async with listening(agent, "127.0.0.1") as port:
        engine = ConsulSync(f"consul://127.0.0.1:{port}")
        await engine.open()
        try:
            agent.strange = True
            claim = engine.claim("a", seats=1, ttl=10, value=b"", id="claim")
            with pytest.raises(micro.Error):
                await claim.acquire()
        finally:
            await engine.close()


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("consul://h/?dc=eu", "dc="),
        ("consul://h/?stale=true", "no option 'stale'"),
        ("consul://h/folder", "looks like"),
        ("etcd://h", "looks like"),
    ],
)
def test_an_address_that_cannot_be(address: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ConsulSync(address)


async def test_nothing_is_open_before_it_is_opened() -> None:
    engine = ConsulSync("consul://127.0.0.1:1/?token=canary&timeout=0.5")
    with pytest.raises(micro.FailedPrecondition, match="is not open"):
        engine.claim("a", seats=1, ttl=10, value=b"", id="claim")
    for _ in range(2):
        with pytest.raises(micro.Unavailable, match="MICRO_SYNC") as error:
            await engine.open()
        assert "canary" not in str(error.value)
    await engine.close()
