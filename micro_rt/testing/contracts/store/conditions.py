"""Tests of conditional writes."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from micro_rt.errors import InvalidArgument, NotFound
from micro_rt.kit.ids import new_id
from micro_rt.store.base import NotAllWritten, Record, StoreEngine, VersionConflict, Write
from micro_rt.store.store import Store
from micro_rt.testing.contracts.store.suite import StoreSuite, prefix
from micro_rt.testing.contracts.suite import eventually

__all__ = ["Conditions"]


class Conditions(StoreSuite):
    """Tests of conditional writes."""

    async def test_a_record_is_created_once(self) -> None:
        """Denokv 85: "must not exist" always failed."""
        async with self.store() as store:
            key = prefix() + "a"
            first = await store.write(key, b"1", if_version=0)
            with pytest.raises(VersionConflict) as conflict:
                await store.write(key, b"2", if_version=0)
            assert conflict.value.current == first
            assert pickle.loads(pickle.dumps(conflict.value)).current == first  # noqa: S301 - our own bytes
            await store.delete(key)
            assert await store.write(key, b"3", if_version=0) > first

    async def test_an_expired_record_is_created_again(self) -> None:
        async with self.store() as store:
            key = prefix() + "a"
            first = await store.write(key, b"1", ttl=self.ttl / 4)

            async def created() -> int:
                try:
                    return await store.write(key, b"2", if_version=0)
                except VersionConflict:
                    return 0

            assert await eventually(created) > first

    async def test_a_stale_version_is_a_conflict(self) -> None:
        """components-contrib 2773: it came out as an internal error. components-contrib 169: it was ignored."""
        async with self.store() as store:
            key = prefix() + "a"
            first = await store.write(key, b"1")
            second = await store.write(key, b"2", if_version=first)
            for operation in (store.write(key, b"3", if_version=first), store.delete(key, if_version=first)):
                with pytest.raises(VersionConflict, match=str(second)) as conflict:
                    await operation
                assert conflict.value.current == second
            assert (await store.read(key)).value == b"2"
            assert await store.delete(key, if_version=second)
            for operation in (store.write(key, b"4", if_version=second), store.delete(key, if_version=second)):
                with pytest.raises(VersionConflict, match="does not exist") as conflict:
                    await operation
                assert conflict.value.current == 0
            with pytest.raises(NotFound):
                await store.read(key)

    async def test_a_version_that_cannot_be_is_refused(self) -> None:
        """js-sdk 551: a nonsense etag was saved happily."""
        async with self.store() as store:
            key = prefix() + "a"
            version = await store.write(key, b"1")
            with pytest.raises(InvalidArgument):
                await store.delete(key, if_version=0)
            with pytest.raises(VersionConflict):
                await store.write(key, b"2", if_version=(1 << 63) - 1)
            assert (await store.read(key)).version == version

    async def test_one_stale_version_among_several_writes_stops_that_write_alone(self) -> None:
        """components-contrib 1244: writes of several records ignored etags."""
        async with self.store() as store:
            a, b, c = (prefix() + name for name in "abc")
            stale = await store.write(a, b"1")
            current = await store.write(a, b"2")
            with pytest.raises(NotAllWritten, match="1 of 3") as failed:
                await store.write_many({a: b"3", b: b"3", c: b"3"}, if_versions={a: stale, b: 0})
            outcomes = failed.value.outcomes
            assert isinstance(outcomes[a], VersionConflict)
            assert (await store.read(a)).version == current
            found = await store.read_many([b, c])
            assert {key: record.version for key, record in found.items()} == {b: outcomes[b], c: outcomes[c]}
            with pytest.raises(InvalidArgument, match="not among"):
                await store.write_many({a: b"4"}, if_versions={b: 1})

    async def test_of_several_conditional_writers_one_succeeds(self) -> None:
        async with self.store() as one, self.store() as other:
            key = prefix() + "a"
            version = 0
            for _ in range(10):
                outcomes = await asyncio.gather(
                    *(
                        store.write(key, b"%d" % number, if_version=version)
                        for store in (one, other)
                        for number in range(self.writers)
                    ),
                    return_exceptions=True,
                )
                (version,) = (outcome for outcome in outcomes if isinstance(outcome, int))
                conflicts = [outcome for outcome in outcomes if isinstance(outcome, VersionConflict)]
                assert len(conflicts) == len(outcomes) - 1
                assert {conflict.current for conflict in conflicts} == {version}

    async def test_no_increment_is_lost(self) -> None:
        async with self.store() as one, self.store() as other:
            key = prefix() + "a"

            def increment(record: Record | None) -> bytes:
                return b"%d" % (int(record.value) + 1 if record else 1)

            async def increments(number: int) -> None:
                store = (one, other)[number % 2]
                for _ in range(self.increments):
                    await store.update(key, increment, attempts=10_000, timeout=self.timeout)

            await asyncio.gather(*(increments(number) for number in range(self.writers)))
            assert int((await one.read(key)).value) == self.writers * self.increments

    async def test_an_update_keeps_what_it_is_not_told_to_change(self) -> None:
        async with self.store() as store:
            key = prefix() + "a"
            assert await store.update(key, lambda _: None) is None
            created = await store.update(key, lambda record: b"1" if record is None else b"no")
            assert created == await store.read(key)
            await store.write(key, b"2", metadata={"a": "b"}, ttl=1000)
            before = await store.read(key)
            changed = await store.update(key, lambda record: (record.value if record else b"") + b"!")
            assert (changed.value, changed.metadata) == (b"2!", {"a": "b"})
            assert changed.expires is not None
            assert before.expires is not None
            assert abs((changed.expires - before.expires).total_seconds()) < 100
            left = await store.update(key, lambda _: None)
            assert left is not None
            assert replace(left, expires=None) == replace(changed, expires=None)

    async def test_an_update_starts_over_when_another_write_came_first(self) -> None:
        async with self.store() as others:
            engine = await self.make()
            await engine.open()
            try:
                key = prefix() + "a"
                writes = 2

                async def interfere() -> None:
                    nonlocal writes
                    if writes:
                        writes -= 1
                        await others.write(key, b"of others")

                interfered = cast("StoreEngine", _Interfered(engine, interfere))
                store = Store(lambda: _itself(interfered))
                seen: list[bytes | None] = []

                def change(record: Record | None) -> bytes:
                    seen.append(None if record is None else record.value)
                    return b"mine"

                record = await store.update(key, change)
                assert seen == [None, b"of others", b"of others"]
                assert await others.read(key) == record
                seen.clear()
                writes = 3
                with pytest.raises(VersionConflict):
                    await store.update(key, change, attempts=3)
                assert seen == [b"mine", b"of others", b"of others"]
                assert (await others.read(key)).value == b"of others"
                writes = 2
                assert (await store.update(key, change, attempts=3)).value == b"mine"
            finally:
                await engine.close()

    async def test_a_write_recognizes_itself(self) -> None:
        """A conditional write whose answer was lost is sent again, and must not conflict with itself."""
        engine = await self.make()
        async with self.store() as store:
            await engine.open()
            try:
                key = prefix() + "a"
                create = Write(key, b"1", {}, None, 0, new_id())
                (first,) = await engine.apply((create,))
                assert await engine.apply((create,)) == [first]
                assert isinstance(first, int)
                delete = Write(key, None, {}, None, first, new_id())
                (deleted,) = await engine.apply((delete,))
                assert isinstance(deleted, int)
                assert deleted > first
                assert list(await engine.apply((delete,))) == [deleted]
                last = await engine.last(key)
                assert last is not None
                assert (last.version, last.id) == (deleted, delete.id)
                assert await engine.last(key + "never") is None
                (conflict,) = await engine.apply((create._replace(if_version=first),))
                assert isinstance(conflict, VersionConflict)
                assert conflict.current == 0
                again = await store.write(key, b"2", if_version=0)
                assert again > deleted
                write = Write(key, b"3", {}, None, None, new_id())
                (third,) = await engine.apply((write,))
                assert list(await engine.apply((write,))) == [third]
                assert (await store.read(key)).version == third
                fourth = await store.write(key, b"4")
                (refused,) = await engine.apply((write._replace(if_version=again),))
                assert isinstance(refused, VersionConflict)
                assert refused.current == fourth
                nothing = Write(key + "never", None, {}, None, None, new_id())
                assert list(await engine.apply((nothing,))) == [0]
                (conflict,) = await engine.apply((nothing._replace(if_version=first),))
                assert isinstance(conflict, VersionConflict)
            finally:
                await engine.close()


class _Interfered:
    """An engine that does something else after each read."""

    def __init__(self, engine: StoreEngine, interfere: Callable[[], Awaitable[None]]) -> None:
        self._engine = engine
        self._interfere = interfere

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        found = await self._engine.get(keys)
        await self._interfere()
        return found


async def _itself(engine: StoreEngine) -> StoreEngine:
    return engine
