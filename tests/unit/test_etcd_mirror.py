"""What a mirror makes of reads and changes, in orders that a real server gives only by chance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from micro_rt.backends.etcd.client import EtcdClient
from micro_rt.backends.etcd.messages_pb2 import Event, KeyValue, RangeRequest, RangeResponse, ResponseHeader
from micro_rt.backends.etcd.mirror import Mirror
from micro_rt.errors import OutOfRange


class Store:
    """Answers reads when it is told to, as it is then."""

    def __init__(self) -> None:
        self.revision = 10
        self.kvs: dict[bytes, KeyValue] = {}
        self.compacted = 0
        self.answer: Callable[[], Any] | None = None

    def put(self, key: str, value: str, revision: int) -> KeyValue:
        kv = KeyValue(key=key.encode(), value=value.encode(), mod_revision=revision, lease=revision)
        self.kvs[kv.key] = kv
        self.revision = max(self.revision, revision)
        return kv

    async def range(self, request: RangeRequest) -> RangeResponse:
        if request.revision and not self.compacted <= request.revision <= self.revision:
            raise OutOfRange("no such revision")
        kvs = [kv for key, kv in self.kvs.items() if key == request.key or request.range_end]
        reply = RangeResponse(header=ResponseHeader(revision=self.revision), kvs=kvs)
        if self.answer is not None:
            await self.answer()
        return reply


def made(store: Store) -> tuple[Mirror[str], list[list[str]]]:
    states: list[list[str]] = []
    mirror = Mirror[str](
        cast("EtcdClient", store),
        b"/p/",
        lambda kv: kv.value.decode(),
        lambda: states.append(sorted(mirror.items)),
    )
    return mirror, states


def put(kv: KeyValue) -> Event:
    return Event(type=Event.PUT, kv=kv)


def gone(key: str, revision: int) -> Event:
    return Event(type=Event.DELETE, kv=KeyValue(key=key.encode(), mod_revision=revision))


async def test_it_follows_changes() -> None:
    store = Store()
    store.put("/p/a", "a10", 10)
    mirror, states = made(store)
    await mirror.read()
    assert (list(mirror.items), mirror.revision, states) == (["a10"], 10, [])
    mirror.apply([put(store.put("/p/b", "b11", 11)), put(store.put("/p/a", "a11", 11))])
    mirror.apply([gone("/p/a", 12)])
    mirror.apply([])
    assert states == [["a11", "b11"], ["b11"]]
    assert mirror.revision == 12


async def test_changes_that_are_known_say_nothing() -> None:
    store = Store()
    old = store.put("/p/a", "a9", 9)
    store.put("/p/a", "a10", 10)
    mirror, states = made(store)
    await mirror.read()
    mirror.apply([put(old), gone("/p/a", 10)])
    assert (list(mirror.items), mirror.revision, states) == (["a10"], 10, [])


async def test_an_answer_that_is_late_does_not_lead_back() -> None:
    store = Store()
    store.put("/p/a", "a10", 10)
    mirror, _ = made(store)
    await mirror.read()
    go = asyncio.Event()
    store.answer = go.wait
    reading = asyncio.create_task(mirror.read())
    await asyncio.sleep(0)
    mirror.apply([put(store.put("/p/a", "a11", 11))])
    go.set()
    await reading
    assert (list(mirror.items), mirror.revision) == (["a11"], 11)


async def test_an_older_store_is_another_one() -> None:
    store, other = Store(), Store()
    store.put("/p/a", "a10", 10)
    mirror, _ = made(store)
    await mirror.read()
    other.revision = 3
    other.put("/p/b", "b2", 2)
    store.__dict__.update(other.__dict__)
    await mirror.read()
    assert (list(mirror.items), mirror.revision) == (["b2"], 3)
    mirror.apply([put(store.put("/p/a", "a4", 4))])
    assert sorted(mirror.items) == ["a4", "b2"]


async def test_what_is_read_anew_replaces_what_was_known() -> None:
    store = Store()
    store.put("/p/a", "a10", 10)
    mirror, _ = made(store)
    await mirror.read()
    store.kvs.clear()
    store.revision = 5
    await mirror.read(anew=True)
    assert (list(mirror.items), mirror.revision) == ([], 5)


async def test_whether_the_store_is_the_same() -> None:
    store = Store()
    mirror, _ = made(store)
    await mirror.read()
    assert not await mirror.same_store(10), "of an empty one nothing can be said"
    store.put("/p/a", "a9", 9)
    kv = store.put("/p/b", "b10", 10)
    await mirror.read()
    assert await mirror.same_store(10)
    store.revision = 20
    assert await mirror.same_store(10)
    store.compacted = 11
    assert not await mirror.same_store(10)
    store.compacted = 0
    kv.lease = 77
    assert not await mirror.same_store(10)
    kv.lease = 10
    assert await mirror.same_store(10)
    store.revision = 9
    assert not await mirror.same_store(10)
