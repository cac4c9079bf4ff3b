"""Watches of Consul read each answer from the state of a server, never from what servers stream to an agent, which loses changes."""

from __future__ import annotations

import asyncio
import contextlib
import urllib.request
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from micro_rt.backends.consul import http
from micro_rt.backends.consul.entries import path_of
from micro_rt.backends.consul.registry import ConsulRegistry
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.helpers.waiting import eventually

SETTLE = 60.0
BACKEND = "X-Consul-Query-Backend"


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncGenerator[ConsulRegistry]:
    # A machine that is too busy to answer is a reason to ask the leader.
    registry = ConsulRegistry(f"{url}/?timeout={SETTLE:g}s")
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def test_no_answer_to_a_watch_is_streamed(consul: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"watched-{uuid.uuid4().hex[:8]}"
    backends: list[str] = []
    send = http._Transport._send

    async def noting(transport: Any, method: str, url: Any, *rest: Any) -> Any:
        response = await send(transport, method, url, *rest)
        if url.raw_path == path_of(name) and "index" in url.query:
            backends.append(response.headers[BACKEND])
        return response

    monkeypatch.setattr(http._Transport, "_send", noting)
    async with opened(consul.url) as registry:
        watch = registry.watch(name)
        assert await anext(watch) == ()
        lease = await registry.register(Registration(Node("1", "127.0.0.1:9"), (name,)))
        async with asyncio.timeout(SETTLE):
            assert await anext(watch) == (Node("1", "127.0.0.1:9"),)
        await lease.revoke()
        await eventually(lambda: len(backends) > 1)
    assert set(backends) == {"blocking-query"}

    def ask() -> Any:
        return urllib.request.urlopen(f"http://{consul.address}{path_of(name)}?index=1&wait=1s")

    with await asyncio.to_thread(ask) as plain:
        assert plain.headers[BACKEND] == "streaming", "this Consul streams nothing: the test shows nothing"
