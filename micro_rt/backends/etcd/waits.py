"""Waiting for changes of keys, over the one stream of watches of an engine.

The rules that it keeps, and why:

- A wait begins at the revision that was read before it, so nothing is missed in between.
- Whoever waits for one key hears of no other: of a thousand who wait for a lock, one is woken.
- Who waits for a semaphore may get any of its seats. All of this process that wait for one share one watch of its claims, and are woken
  when their turn has come.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from micro_rt.backends.etcd.engine import EtcdEngine
from micro_rt.backends.etcd.messages_pb2 import KeyValue
from micro_rt.backends.etcd.mirror import Mirror
from micro_rt.kit.shared import Shared
from micro_rt.kit.tasks import wait_for_event

__all__ = ["following", "wait_for_key", "wait_for_seat", "wait_until_gone"]


@contextmanager
def following(engine: EtcdEngine, kv: KeyValue, revision: int, gone: Callable[[], None]) -> Generator[None]:
    """Watches a key while it is entered.

    Args:
        engine: has the stream.
        kv: the key, as it was read.
        revision: when it was read.
        gone: called when the key is deleted, or is another one than it was; more than once, perhaps.
    """

    def look() -> None:
        if kv.create_revision not in mirror.items:
            gone()

    mirror = _mirror(engine, kv.key, look, kv.key + b"\0")
    mirror.know((kv,), revision)
    engine.mirrors.add(mirror)
    try:
        yield
    finally:
        engine.mirrors.remove(mirror)


async def wait_until_gone(engine: EtcdEngine, kv: KeyValue, revision: int, seconds: float) -> bool:
    """Waits until a key is deleted; returns whether it was.

    Args:
        engine: has the stream.
        kv: the key, as it was read.
        revision: when it was read.
        seconds: at most.
    """
    event = asyncio.Event()
    with following(engine, kv, revision, event.set):
        return await wait_for_event(event, seconds)


async def wait_for_key(engine: EtcdEngine, prefix: bytes, revision: int, seconds: float) -> None:
    """Waits until there is a key with a prefix, where none was.

    Args:
        engine: has the stream.
        prefix: of the keys.
        revision: at which there was none.
        seconds: at most.
    """
    event = asyncio.Event()

    def look() -> None:
        if any(mirror.items):
            event.set()

    mirror = _mirror(engine, prefix, look)
    mirror.know((), revision)
    engine.mirrors.add(mirror)
    try:
        await wait_for_event(event, seconds)
    finally:
        engine.mirrors.remove(mirror)


async def wait_for_seat(engine: EtcdEngine, folder: bytes, created: int, seats: int, seconds: float) -> None:
    """Waits until fewer claims than there are seats are older than one, or that is gone.

    Args:
        engine: has the stream.
        folder: that the keys of the claims begin with.
        created: the revision at which the claim's key was made.
        seats: how many there are.
        seconds: at most.

    Raises:
        Unavailable: the claims cannot be read.
    """
    shared = Shared(("etcd claims", engine, folder), lambda: _Line(engine, folder))
    line = await shared.acquire()
    try:
        await line.wait(created, seats, seconds)
    finally:
        await shared.release()


def _mirror(engine: EtcdEngine, prefix: bytes, changed: Callable[[], None], end: bytes = b"") -> Mirror[int]:
    return Mirror[int](engine.client, prefix, lambda kv: kv.create_revision, changed, keys_only=True, end=end)


class _Line:
    """The claims of one semaphore, and who of this process waits for a seat."""

    def __init__(self, engine: EtcdEngine, folder: bytes) -> None:
        self._engine = engine
        self._mirror = _mirror(engine, folder, self._changed)
        self._waiting: dict[int, _Waiter] = {}

    async def open(self) -> None:
        await self._mirror.read()
        self._engine.mirrors.add(self._mirror)

    async def close(self) -> None:
        self._engine.mirrors.remove(self._mirror)

    async def wait(self, created: int, seats: int, seconds: float) -> None:
        waiter = self._waiting[created] = _Waiter(created, seats)
        try:
            waiter.look(sorted(self._mirror.items))
            await wait_for_event(waiter.woken, seconds)
        finally:
            if self._waiting.get(created) is waiter:
                del self._waiting[created]

    def _changed(self) -> None:
        claims = sorted(self._mirror.items)
        for waiter in self._waiting.values():
            waiter.look(claims)


@dataclass(slots=True)
class _Waiter:
    created: int
    seats: int
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    _seen: bool = False

    def look(self, claims: list[int]) -> None:
        """Wakes it if it need not wait any more."""
        place = bisect_left(claims, self.created)
        if place < len(claims) and claims[place] == self.created:
            self._seen = True
            if place < self.seats:
                self.woken.set()
        elif self._seen:  # It is gone. Before, what was read is older than the claim, and tells nothing.
            self.woken.set()
