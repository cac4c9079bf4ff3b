"""Whatever answers in place of Consul's KV store: a source of settings raises only ``micro.Error``, and reads no more than it can hold."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

import micro_rt as micro
from micro_rt.backends.consul import http
from micro_rt.backends.consul.config import ConsulConfig
from tests.security.test_consul_agents import Agent, listening
from tests.security.test_consul_answers import ANSWERS

KEYS: list[Any] = [
    [{"Key": 5, "Value": None}],
    [{"Key": "app/a"}],
    [{"Key": "app/a", "Value": 5}],
    [{"Key": "app/a", "Value": "Canary7"}],
    [{"Key": "app/a", "Value": "\u00e9"}],
    [{"Key": "app/a", "Value": [5]}],
    [{"Key": "app/\ud800", "Value": None}],
    [{"Key": "other/a", "Value": None}],
    [{"Key": "app/a", "Value": ""}, {"Key": "app/a", "Value": ""}],
    [{"Key": "app/" + "a/" * 10_000, "Value": "YQ=="}],
]


class Strange(Agent):
    """Gives one answer to each request of keys."""

    def __init__(self, answer: Any) -> None:
        super().__init__()
        self._answer = answer

    async def answer(self, request: web.Request) -> web.StreamResponse:  # type: ignore[override]
        if request.path == "/v1/health/service/consul":
            return web.json_response([])
        await asyncio.sleep(0.01)  # A blocking query is not to spin.
        return web.json_response(self._answer, headers={"X-Consul-Index": "5"})


class Endless(Strange):
    """Answers with a body that does not end."""

    async def answer(self, request: web.Request) -> web.StreamResponse:  # type: ignore[override]
        if request.path == "/v1/health/service/consul":
            return web.json_response([])
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * (1 << 16))


@pytest.mark.parametrize("answer", [*ANSWERS, *KEYS], ids=json.dumps)
async def test_no_answer_raises_anything_else(answer: Any) -> None:
    async with listening(Strange(answer), "127.0.0.1") as port:
        source = ConsulConfig(f"consul://127.0.0.1:{port}/app")
        await source.open()
        try:
            watch = source.watch()
            await asyncio.wait_for(anext(watch), 60)
            with pytest.raises(micro.Error) as caught:
                await source.read()
            assert caught.value.message.isprintable()
            assert "Canary7" not in f"{caught.value!r} {caught.value.__cause__!r}"
        finally:
            await source.close()


async def test_a_body_that_does_not_end_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "LONGEST", 1 << 20)
    async with listening(Endless(None), "127.0.0.1") as port:
        source = ConsulConfig(f"consul://127.0.0.1:{port}/app?timeout=60")
        await source.open()
        try:
            with pytest.raises(micro.ResourceExhausted, match="answers with more than 1 MiB"):
                await source.read()
        finally:
            await source.close()
