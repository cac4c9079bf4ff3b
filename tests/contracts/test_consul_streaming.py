"""Answers that an agent gives from what its servers stream to it: what it says of a leader there means nothing."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from micro_rt.engines.consul import Consul
from micro_rt.engines.consul_http import Answer
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.registry.consul import ConsulRegistry
from micro_rt.registry.consul_entries import path_of

SETTLE = 60.0


async def test_a_change_of_a_watched_name_is_not_asked_of_the_leader_again(
    consul: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"streamed-{uuid.uuid4().hex[:8]}"
    read: list[str] = []
    """What was read without waiting, and without a filter, which registering does."""
    blocked = asyncio.Event()
    get, block = Consul.get, Consul.block

    async def noting(self: Consul, path: str, params: Any = ()) -> Answer:
        if not params:
            read.append(path)
        return await get(self, path, params)

    async def counting(self: Consul, path: str, params: Any, index: int) -> Answer:
        if index and path == path_of(name):
            blocked.set()
        return await block(self, path, params, index)

    monkeypatch.setattr(Consul, "get", noting)
    monkeypatch.setattr(Consul, "block", counting)
    registry, other = ConsulRegistry(consul.url), ConsulRegistry(f"{consul.url}/?stale=false")
    await registry.open()
    await other.open()
    try:
        async with asyncio.timeout(SETTLE):
            watch = registry.watch(name)
            assert await anext(watch) == ()
            await blocked.wait()
            before = read.count(path_of(name))
            lease = await other.register(Registration(Node("streamed-1", "127.0.0.1:9"), (name,)), ttl=30.0)
            seen = await anext(watch)
            assert [node.id for node in seen] == ["streamed-1"]
            mine = read.count(path_of(name)) - before
            await lease.revoke()
    finally:
        await registry.close()
        await other.close()
    assert mine == 0
