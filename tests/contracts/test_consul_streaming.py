"""Answers that an agent gives from what its servers stream to it: what it says of a leader and of indexes means little there."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from micro_rt.backends.consul import engine
from micro_rt.backends.consul.engine import Consul
from micro_rt.backends.consul.entries import path_of
from micro_rt.backends.consul.http import Answer
from micro_rt.backends.consul.registry import ConsulRegistry
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.helpers.waiting import eventually

SETTLE = 60.0
NODE = Node("streamed-1", "127.0.0.1:9")


class ConsulRequests:
    """The requests to Consul for one name."""

    def __init__(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name = name
        self.read = 0
        """Reads without waiting, and without a filter, which registering does."""
        self.indexes: list[int] = []
        """Of the blocking queries."""
        self.answers: list[Answer] = []
        """To the blocking queries."""
        get, block = Consul.get, Consul.block

        async def noting(consul: Consul, path: str, params: Any = ()) -> Answer:
            if path == path_of(self.name) and not params:
                self.read += 1
            return await get(consul, path, params)

        async def counting(consul: Consul, path: str, params: Any, index: int) -> Answer:
            if not index or path != path_of(self.name):
                return await block(consul, path, params, index)
            self.indexes.append(index)
            answer = await block(consul, path, params, index)
            self.answers.append(answer)
            return answer

        monkeypatch.setattr(Consul, "get", noting)
        monkeypatch.setattr(Consul, "block", counting)

    async def until_blocked(self, times: int) -> None:
        await eventually(lambda: len(self.indexes) >= times)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> ConsulRequests:
    return ConsulRequests(f"streamed-{uuid.uuid4().hex[:8]}", monkeypatch)


@contextlib.asynccontextmanager
async def opened(url: str) -> AsyncGenerator[ConsulRegistry]:
    # A machine that is too busy to answer is another reason to ask the leader.
    registry = ConsulRegistry(f"{url}/?timeout={SETTLE:g}s")
    await registry.open()
    try:
        yield registry
    finally:
        await registry.close()


async def test_a_change_of_a_watched_name_is_not_asked_of_the_leader_again(consul: Any, asked: ConsulRequests) -> None:
    async with opened(consul.url) as registry:
        watch = registry.watch(asked.name)
        assert await anext(watch) == ()
        await asked.until_blocked(1)
        lease = await registry.register(Registration(NODE, (asked.name,)))
        async with asyncio.timeout(SETTLE):
            assert await anext(watch) == (NODE,)
        await lease.revoke()
    assert asked.answers[0].streamed, "this Consul does not stream: nothing is shown"
    assert asked.read == 1


async def test_a_stream_that_has_not_come_as_far_as_the_leader_has_missed_nothing(
    consul: Any, asked: ConsulRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "WAIT", (0.3, 0.5))
    async with opened(consul.url) as registry:
        watch = registry.watch(asked.name)
        assert await anext(watch) == ()
        await asked.until_blocked(1)
    # The agent keeps the stream for a while, and the leader goes on.
    async with opened(consul.url) as registry:
        lease = await registry.register(Registration(Node("passing", "127.0.0.1:9"), (f"{asked.name}-other",)))
        await lease.revoke()
        asked.read, begun = 0, len(asked.indexes)
        watch = registry.watch(asked.name)
        assert await anext(watch) == ()
        await asked.until_blocked(begun + 4)
        lease = await registry.register(Registration(NODE, (asked.name,)))
        async with asyncio.timeout(SETTLE):
            assert await anext(watch) == (NODE,)
        await lease.revoke()
    assert asked.read == 1
    indexes = asked.indexes[begun:]
    assert indexes[1] < indexes[0], "the stream has come as far as the leader: nothing is shown"
