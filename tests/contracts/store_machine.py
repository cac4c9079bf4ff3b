"""A state machine that drives a store and a model of it side by side; each backend runs it.

The model is a dict. A watch that began with all records mirrors the store as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import micro_rt as micro
from micro_rt.kit.ids import new_id
from micro_rt.store.base import StoreEngine
from micro_rt.store.store import Store

T = TypeVar("T")

KEYS = st.one_of(
    st.sampled_from(["a", "b", "a/b", "a/", "\x00", "é", "e\u0301", "\uffff", "\U0001f389", "A", "_", "%"]),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
)
MET = st.one_of(st.sampled_from(["a", "b"]), st.sampled_from(["a", "b"]), KEYS)
"""Of operations with a fence, so that holders meet at a record."""
VALUES = st.binary(max_size=20)
FENCES = st.one_of(
    st.none(),
    st.builds(micro.Fence, st.sampled_from(["a", "a", "a", "é"]), st.integers(0, 1), st.integers(0, 3)),
)
METADATA = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=3), st.just("v"), max_size=2)


@dataclass
class Held:
    """A record of the model."""

    value: bytes
    version: int
    metadata: dict[str, str]
    expires: float | None


class StoreMachine(RuleBasedStateMachine):
    """Subclasses make the engine; ``time`` is what its clock shows, if it takes one."""

    clocked = True
    """Whether the engine uses ``self.time``."""

    def make(self) -> StoreEngine:
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.time = 1000.0
        self.runner = asyncio.Runner()
        self.place = f"{new_id(12)}/"
        self.model: dict[str, Held] = {}
        self.fences: dict[str, micro.Fence] = {}
        """By key, also of what was deleted or has expired."""
        self.mirror: dict[str, int] = {}
        self.versions: list[int] = []
        self.synced = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        async def begin() -> None:
            self.engine = self.make()
            await self.engine.open()
            self.store = Store(self.opened)
            self.watch = await self.store.watch(self.place, initial=True).__aenter__()

        self.run(begin())

    async def opened(self) -> StoreEngine:
        return self.engine

    def teardown(self) -> None:
        async def end() -> None:
            await self.watch.__aexit__(None, None, None)
            await self.engine.close()

        if hasattr(self, "engine"):
            self.run(end())
        self.runner.close()

    def live(self, key: str) -> Held | None:
        held = self.model.get(key)
        return None if held is None or (held.expires is not None and held.expires <= self.time) else held

    def expected(self) -> dict[str, Held]:
        return {key: held for key in self.model if (held := self.live(key)) is not None}

    def refused(self, key: str, fence: micro.Fence | None, work: Callable[[], Coroutine[Any, Any, object]]) -> bool:
        """Returns whether a fence is stale; then does the work, which must say so."""
        known = self.fences.get(key)
        if fence is None or known is None:
            return False
        if fence.lock == known.lock and (fence.epoch, fence.token) >= (known.epoch, known.token):
            return False
        with pytest.raises(micro.Stale) as stale:
            self.run(work())
        assert (stale.value.lock, stale.value.epoch, stale.value.token) == (known.lock, known.epoch, known.token)
        return True

    def keep(self, key: str, fence: micro.Fence | None) -> None:
        if fence is not None:
            self.fences[key] = fence

    @rule(
        key=MET,
        value=VALUES,
        metadata=st.one_of(st.none(), st.just(micro.KEEP), METADATA),
        ttl=st.one_of(st.none(), st.just(micro.KEEP), st.floats(1, 50)),
        condition=st.sampled_from(["none", "none", "current", "absent", "stale"]),
        fence=FENCES,
    )
    def write(self, key: str, value: bytes, metadata: Any, ttl: Any, condition: str, fence: micro.Fence | None) -> None:
        key = self.place + key
        if not self.clocked and isinstance(ttl, float):
            ttl *= 10_000
        held = self.live(key)
        if_version = {
            "none": None,
            "current": held.version if held else 0,
            "absent": 0,
            "stale": max(self.versions, default=0) + 1,
        }[condition]

        async def write() -> int:
            return await self.store.write(key, value, metadata=metadata, ttl=ttl, if_version=if_version, fence=fence)

        if self.refused(key, fence, write):
            return
        if if_version is not None and if_version != (held.version if held else 0):
            with pytest.raises(micro.VersionConflict) as conflict:
                self.run(write())
            assert conflict.value.current == (held.version if held else 0)
            return
        version = self.run(write())
        self.keep(key, fence)
        assert version > max(self.versions, default=0)
        self.versions.append(version)
        kept = (held.metadata if held else {}) if metadata is micro.KEEP else metadata or {}
        expires = held.expires if held else None
        if ttl is not micro.KEEP:
            expires = None if ttl is None else self.time + ttl
        self.model[key] = Held(value, version, dict(kept), expires)

    @rule(key=MET, conditional=st.booleans(), fence=FENCES)
    def delete(self, key: str, conditional: bool, fence: micro.Fence | None) -> None:
        key = self.place + key
        held = self.live(key)
        if_version = (held.version if held else 1) if conditional else None

        async def delete() -> bool:
            return await self.store.delete(key, if_version=if_version, fence=fence)

        if self.refused(key, fence, delete):
            return
        if conditional and held is None:
            with pytest.raises(micro.VersionConflict):
                self.run(delete())
            return
        deleted = self.run(delete())
        assert deleted is (held is not None)
        if deleted:  # What has expired stays in the model: it may be swept later, and a watch is told then.
            self.keep(key, fence)
            self.model.pop(key)

    @rule(key=MET, value=VALUES, fence=FENCES)
    def update(self, key: str, value: bytes, fence: micro.Fence | None) -> None:
        key = self.place + key
        held = self.live(key)

        async def update() -> micro.Record:
            return await self.store.update(key, lambda old: (old.value if old else b"") + value, fence=fence)

        if self.refused(key, fence, update):
            return
        record = self.run(update())
        self.keep(key, fence)
        assert record.value == (held.value if held else b"") + value
        assert record.metadata == (held.metadata if held else {})
        self.versions.append(record.version)
        self.model[key] = Held(record.value, record.version, dict(record.metadata), held.expires if held else None)

    @rule(key=KEYS)
    def read(self, key: str) -> None:
        key = self.place + key
        held = self.live(key)
        if held is None:
            with pytest.raises(micro.NotFound):
                self.run(self.store.read(key))
            return
        record = self.run(self.store.read(key))
        assert (record.value, record.version, record.metadata) == (held.value, held.version, held.metadata)
        assert (record.expires is None) is (held.expires is None)

    @rule(prefix=st.one_of(st.just(""), KEYS), suffix=st.one_of(st.just(""), KEYS), after=st.one_of(st.just(""), KEYS))
    def list_some(self, prefix: str, suffix: str, after: str) -> None:
        prefix = self.place + prefix
        after = self.place + after if after else ""

        async def listed() -> list[tuple[str, bytes]]:
            return [(each.key, each.value) async for each in self.store.list(prefix, suffix=suffix, after=after)]

        expected = [
            (key, held.value)
            for key, held in sorted(self.expected().items(), key=lambda item: item[0].encode())
            if key.startswith(prefix) and key.endswith(suffix) and key.encode() > after.encode()
        ]
        assert self.run(listed()) == expected

    @rule(limit=st.integers(1, 4))
    def pages(self, limit: int) -> None:
        keys: list[str] = []
        cursor = ""
        while True:
            page = self.run(self.store.page(self.place, limit=limit, cursor=cursor, values=False))
            keys += [record.key for record in page.records]
            cursor = page.cursor
            if not cursor:
                break
        assert keys == sorted(self.expected(), key=str.encode)

    @rule(seconds=st.floats(0.5, 40))
    def let_time_pass(self, seconds: float) -> None:
        if self.clocked:
            self.time += seconds

    @rule()
    def reopen(self) -> None:
        async def reopen() -> None:
            other = self.make()
            await other.open()  # So that memory is kept.
            await self.watch.__aexit__(None, None, None)
            await self.engine.close()
            await self.engine.open()
            await other.close()
            self.mirror.clear()
            self.synced = False
            self.watch = await self.store.watch(self.place, initial=True).__aenter__()

        self.run(reopen())

    @invariant()
    def the_watch_mirrors_the_store(self) -> None:
        if not hasattr(self, "watch"):
            return
        end = self.run(self.store.write(self.place + "!end", b""))
        self.versions.append(end)
        self.model[self.place + "!end"] = Held(b"", end, {}, None)

        async def follow() -> None:
            async with asyncio.timeout(60):
                async for change in self.watch:
                    if change.kind is micro.ChangeKind.PUT:
                        self.mirror[change.key] = change.version
                    elif change.key:
                        self.mirror.pop(change.key, None)
                    self.synced = self.synced or change.kind is micro.ChangeKind.SYNCED
                    if self.synced and self.mirror.get(self.place + "!end") == end:
                        break

        self.run(follow())
        # What expired may be swept later, and a watch is told then.
        mirror = {key: version for key, version in self.mirror.items() if key not in self.model or self.live(key)}
        assert mirror == {key: held.version for key, held in self.expected().items()}
