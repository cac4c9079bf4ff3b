"""Tests of writes with a fence."""

# ruff: noqa: D102 - the names of the tests say what they test

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from micro_rt.errors import Error, FailedPrecondition, InvalidArgument, NotFound, Unimplemented
from micro_rt.fence import Fence
from micro_rt.kit.chance import between
from micro_rt.kit.ids import new_id
from micro_rt.store.base import KEEP, NotAllWritten, Stale, StoreEngine, VersionConflict, Write
from micro_rt.store.store import Store
from micro_rt.testing.contracts.store.suite import StoreSuite, prefix
from micro_rt.testing.contracts.suite import eventually

__all__ = ["Fences"]

_LARGEST = (1 << 63) - 1
_LOCK = 'run "é" %\x00\\'
"""A name with what engines may have to quote."""


class Fences(StoreSuite):
    """Tests of writes with a fence. Of an engine that keeps none, they test that it says so."""

    tokens: int = 60
    """How many writes with random tokens the test of concurrent holders makes."""

    @asynccontextmanager
    async def fencing(self) -> AsyncGenerator[Store]:
        """Opens a store that keeps fences; one that does not must refuse them, and the test is skipped."""
        async with self.store() as store:
            if not (await store.capabilities()).fences:
                key = prefix() + "a"
                for work in (
                    store.write(key, b"", fence=_fence(1)),
                    store.write_many({key: b""}, fence=_fence(1)),
                    store.delete(key, fence=_fence(1)),
                    store.update(key, lambda _: b"", fence=_fence(1)),
                ):
                    with pytest.raises(Unimplemented, match="keeps no fences") as refused:
                        await work
                    assert not refused.value.may_have_run
                assert await _gone(store, key)
                pytest.skip("this store keeps no fences")
            yield store

    async def test_a_lower_token_is_refused_and_nothing_is_written(self) -> None:
        """A process that was suspended must not undo what the next holder of its lock has written."""
        async with self.fencing() as store:
            key = prefix() + "a"
            await store.write(key, b"new", metadata={"a": "b"}, fence=_fence(34))
            before = await store.read(key)
            for token in (33, 0):
                with pytest.raises(Stale, match=f"token 34 .* token {token}") as stale:
                    await store.write(key, b"old", fence=_fence(token))
                assert isinstance(stale.value, FailedPrecondition)
                assert stale.value.id == "micro.stale_fence"
                for error in (stale.value, pickle.loads(pickle.dumps(stale.value))):  # noqa: S301 - our own bytes
                    assert (error.lock, error.epoch, error.token) == (_LOCK, 1, 34)
                with pytest.raises(Stale):
                    await store.delete(key, fence=_fence(token))
                with pytest.raises(Stale):
                    await store.update(key, lambda _: b"old", fence=_fence(token))
            assert await store.read(key) == before

    async def test_the_same_and_a_higher_token_pass(self) -> None:
        async with self.fencing() as store:
            key = prefix() + "a"
            await store.write(key, b"0")
            for number, token in enumerate((0, 0, 7, 7, 8, _LARGEST, _LARGEST)):
                await store.write(key, b"%d" % number, fence=_fence(token))
                assert (await store.read(key)).value == b"%d" % number
            with pytest.raises(Stale, match=str(_LARGEST)):
                await store.write(key, b"", fence=_fence(_LARGEST - 1))
            record = await store.update(
                key, lambda record: (record.value if record else b"") + b"!", fence=_fence(_LARGEST)
            )
            assert record.value == b"6!"
            assert await store.delete(key, fence=_fence(_LARGEST))

    async def test_a_record_belongs_to_one_lock(self) -> None:
        async with self.fencing() as store:
            key = prefix() + "a"
            await store.write(key, b"1", fence=_fence(1))
            for lock in ("other", _LOCK + " ", _LOCK.upper()):
                for epoch, token in ((1, 2), (2, 1)):
                    with pytest.raises(Stale, match="from a holder of lock") as stale:
                        await store.write(key, b"2", fence=Fence(lock, epoch, token))
                    assert stale.value.lock == _LOCK
            assert (await store.read(key)).value == b"1"

    async def test_an_older_epoch_is_refused_and_a_newer_one_passes_with_any_token(self) -> None:
        """The engine of a lock that has lost its data begins with the first token again."""
        async with self.fencing() as store:
            key = prefix() + "a"
            await store.write(key, b"1", fence=Fence("a", 5, 100))
            for epoch in (4, 0):
                with pytest.raises(Stale, match=f"epoch 5 .* epoch {epoch}") as stale:
                    await store.write(key, b"2", fence=Fence("a", epoch, 200))
                assert (stale.value.epoch, stale.value.token) == (5, 100)
            await store.write(key, b"3", fence=Fence("a", 6, 0))
            with pytest.raises(Stale) as stale:
                await store.write(key, b"4", fence=Fence("a", 5, 100))
            assert (stale.value.epoch, stale.value.token) == (6, 0)
            await store.write(key, b"5", fence=Fence("a", _LARGEST, 0))
            assert (await store.read(key)).value == b"5"

    async def test_a_fence_and_a_version_are_both_looked_at(self) -> None:
        async with self.fencing() as store:
            key = prefix() + "a"
            created = await store.write(key, b"1", if_version=0, fence=_fence(5))
            # A conflict keeps nothing of the fence.
            with pytest.raises(VersionConflict):
                await store.write(key, b"2", if_version=0, fence=_fence(9))
            with pytest.raises(VersionConflict):
                await store.delete(key, if_version=created + 1, fence=_fence(9))
            version = await store.write(key, b"3", if_version=created, fence=_fence(6))
            # Where both apply, the fence is what is said.
            with pytest.raises(Stale):
                await store.write(key, b"4", if_version=created, fence=_fence(5))
            with pytest.raises(Stale):
                await store.write(key, b"4", if_version=0, fence=_fence(5))
            with pytest.raises(Stale):
                await store.delete(key, if_version=created, fence=_fence(5))
            with pytest.raises(Stale):
                await store.write(key, b"4", if_version=version, fence=_fence(5))
            with pytest.raises(Stale):
                await store.delete(key, if_version=version, fence=_fence(5))
            assert (await store.read(key)).version == version
            assert await store.delete(key, if_version=version, fence=_fence(6))
            with pytest.raises(VersionConflict):
                await store.delete(key, if_version=version, fence=_fence(6))
            with pytest.raises(Stale):
                await store.write(key, b"5", if_version=0, fence=_fence(5))
            assert await store.write(key, b"6", if_version=0, fence=_fence(6)) > version

    async def test_a_write_without_a_fence_passes_and_keeps_it(self) -> None:
        async with self.fencing() as store:
            key = prefix() + "a"
            await store.write(key, b"1", fence=_fence(5))
            version = await store.write(key, b"2")
            version = await store.write(key, b"3", if_version=version, ttl=1000)
            await store.update(key, lambda _: b"4")
            await store.write_many({key: b"5", key + "b": b""}, metadata=KEEP, ttl=KEEP)
            with pytest.raises(Stale) as stale:
                await store.write(key, b"6", fence=_fence(4))
            assert stale.value.token == 5
            assert (await store.read(key)).value == b"5"
            await store.write(key, b"7", fence=_fence(5))

    async def test_a_deletion_keeps_the_fence(self) -> None:
        """Else a former holder could write what was deleted again."""
        async with self.fencing() as store:
            key = prefix() + "a"
            await store.write(key, b"1", fence=_fence(5))
            assert await store.delete(key)
            for work in (store.write(key, b"2", fence=_fence(4)), store.delete(key, fence=_fence(4))):
                with pytest.raises(Stale) as stale:
                    await work
                assert stale.value.token == 5
            # It finds nothing and writes nothing, so it leaves nothing.
            assert not await store.delete(key, fence=_fence(9))
            assert not await store.delete(key)
            await store.write(key, b"3", fence=_fence(5))
            assert await store.delete(key, fence=_fence(6))
            with pytest.raises(Stale) as stale:
                await store.write(key, b"4", fence=_fence(5))
            assert stale.value.token == 6
            await store.write(key, b"5")
            with pytest.raises(Stale):
                await store.update(key, lambda _: b"6", fence=_fence(5))
            assert (await store.read(key)).value == b"5"

    async def test_an_expired_record_keeps_the_fence(self) -> None:
        async with self.fencing() as store:
            place = prefix()
            async with store.watch(place) as watch:
                await store.write(place + "a", b"1", ttl=self.ttl / 4, fence=_fence(5))
                await eventually(lambda: _gone(store, place + "a"), within=self.settle)
                with pytest.raises(Stale):
                    await store.write(place + "a", b"2", fence=_fence(4))
                async with asyncio.timeout(self.settle):  # Until it is swept.
                    while (await anext(watch)).kind.name != "EXPIRED":
                        pass
            with pytest.raises(Stale) as stale:
                await store.write(place + "a", b"2", if_version=0, fence=_fence(4))
            assert stale.value.token == 5
            await store.write(place + "a", b"3")
            with pytest.raises(Stale):
                await store.write(place + "a", b"4", fence=_fence(4))

    async def test_of_several_writes_the_stale_ones_alone_are_refused(self) -> None:
        async with self.fencing() as store:
            place = prefix()
            a, b, c, d = (place + name for name in "abcd")
            await store.write_many({a: b"1", b: b"1"}, fence=_fence(5))
            await store.write(b, b"2", fence=_fence(7))
            await store.write(c, b"2", fence=Fence("other", 1, 1))
            created = await store.write(d, b"2")
            with pytest.raises(NotAllWritten, match="3 of 5") as failed:
                await store.write_many(
                    dict.fromkeys((a, b, c, d, place + "e"), b"3"), if_versions={d: created + 1}, fence=_fence(6)
                )
            outcomes = failed.value.outcomes
            assert isinstance(outcomes[d], VersionConflict)
            assert outcomes[a] == (await store.read(a)).version
            for key, token in ((b, 7), (c, 1)):
                stale = outcomes[key]
                assert isinstance(stale, Stale)
                assert stale.token == token
            with pytest.raises(NotAllWritten, match="2 of 4") as failed:
                await store.write_many(dict.fromkeys((a, b, c, d), b"4"), fence=_fence(6))
            assert isinstance(failed.value.outcomes[b], Stale)
            found = await store.read_many([a, b, c, d])
            assert {key: found[key].value for key in (a, b, c, d)} == {a: b"4", b: b"2", c: b"2", d: b"4"}
            assert failed.value.outcomes[a] == found[a].version

    async def test_a_write_with_a_fence_recognizes_itself(self) -> None:
        """What was written is not refused when it comes again, because its answer was lost and a newer holder came."""
        async with self.fencing() as store:
            engine = await self.make()
            await engine.open()
            try:
                key = prefix() + "a"
                for if_version in (None, 0):
                    write = Write(key, b"1", {}, None, if_version, new_id(), _fence(5))
                    (version,) = await engine.apply((write,))
                    assert list(await engine.apply((write,))) == [version]
                    assert list(await engine.apply((write._replace(fence=_fence(4)),))) == [version]
                    await store.delete(key)
                delete = Write(key, None, {}, None, None, new_id(), _fence(6))
                await store.write(key, b"2")
                (deleted,) = await engine.apply((delete,))
                assert isinstance(deleted, int)
                assert list(await engine.apply((delete._replace(fence=_fence(1)),))) == [deleted]
                (refused,) = await engine.apply((delete._replace(id=new_id(), fence=_fence(5)),))
                assert isinstance(refused, Stale)
            finally:
                await engine.close()

    async def test_of_holders_that_write_at_once_none_comes_after_a_newer_one(self) -> None:
        async with self.fencing() as one, self.store() as other:
            key = prefix() + "a"
            accepted: list[tuple[int, int]] = []
            refused = 0

            async def write(store: Store, token: int) -> None:
                nonlocal refused
                try:
                    accepted.append((await store.write(key, b"%d" % token, fence=_fence(token)), token))
                except Stale as stale:
                    assert stale.token > token
                    refused += 1

            async def writes(store: Store) -> None:
                for _ in range(self.tokens // self.writers + 1):
                    await write(store, int(between(0, 1000)))

            await asyncio.gather(*(writes((one, other)[number % 2]) for number in range(self.writers)))
            tokens = [token for _, token in sorted(accepted)]
            assert tokens == sorted(tokens)
            assert (await one.read(key)).value == b"%d" % tokens[-1]
            for token in {*tokens} - {tokens[-1]}:
                with pytest.raises(Stale) as stale:
                    await other.write(key, b"", fence=_fence(token))
                assert stale.value.token == tokens[-1]

    async def test_a_lock_is_asked_for_its_fence_once_and_before_anything_is_sent(self) -> None:
        async with self.fencing() as store:
            engine = await self.make()
            await engine.open()
            try:
                sent = _Counted(engine)
                fenced = Store(lambda: _itself(cast("StoreEngine", sent)))
                key = prefix() + "a"
                lock = _Lock(_fence(5))
                await fenced.write(key, b"1", fence=lock)
                await fenced.write_many({key: b"2", key + "b": b""}, fence=lock)
                await fenced.update(key, lambda _: b"3", fence=lock)
                await fenced.delete(key + "b", fence=lock)
                assert lock.asked == 4
                with pytest.raises(Stale):
                    await store.write(key, b"4", fence=_fence(4))
                sent.calls = 0
                lost = _Lock(None)
                for work in (
                    fenced.write(key, b"5", fence=lost),
                    fenced.write_many({key: b"5"}, fence=lost),
                    fenced.update(key, lambda _: b"5", fence=lost),
                    fenced.delete(key, fence=lost),
                ):
                    with pytest.raises(_Lost):
                        await work
                assert sent.calls == 0
                assert (await store.read(key)).value == b"3"
            finally:
                await engine.close()

    async def test_what_is_no_fence_is_refused(self) -> None:
        async with self.fencing() as store:
            key = prefix() + "a"
            wrong: list[Any] = ["a", 5, ("a", 1, 1), object(), _Lock(cast("Any", "a")), Fence(b"a", 1, 1)]  # type: ignore[arg-type]
            wrong += [Fence("a", 1.0, 1), Fence("a", 1, True), Fence("a", None, 1)]  # type: ignore[arg-type]
            for fence in wrong:
                with pytest.raises(TypeError):
                    await store.write(key, b"", fence=fence)
            for fence in (
                *(Fence("a", -1, 1), Fence("a", 1, -1), Fence("a", 1 << 63, 1), Fence("a", 1, 1 << 63)),
                *(Fence("", 1, 1), Fence("é" * 151, 1, 1), Fence("\ud800", 1, 1), Fence("a", 1, 1 << 100_000)),
            ):
                for work in (store.write(key, b"", fence=fence), store.delete(key, fence=fence)):
                    with pytest.raises(InvalidArgument, match="fence"):
                        await work
            with pytest.raises(NotFound):
                await store.read(key)
            await store.write(key, b"", fence=Fence("é" * 128, 0, 0))
            with pytest.raises(Stale, match="é"):
                await store.write(key, b"", fence=Fence("\x00" * 256, _LARGEST, _LARGEST))
            await store.write(key + "b", b"", fence=Fence("\x00" * 256, _LARGEST, _LARGEST))
            with pytest.raises(Stale) as stale:
                await store.delete(key + "b", fence=Fence("\x00" * 255, 1, 1))
            assert stale.value.lock == "\x00" * 256

    async def test_a_fence_survives_that_the_store_is_opened_again(self) -> None:
        key = prefix() + "a"
        async with self.store() as kept:  # So that memory is kept.
            async with self.fencing() as store:
                await store.write(key, b"1", fence=_fence(5))
            async with self.store() as store:
                with pytest.raises(Stale) as stale:
                    await store.write(key, b"2", fence=_fence(4))
                assert (stale.value.lock, stale.value.epoch, stale.value.token) == (_LOCK, 1, 5)
                await store.write(key, b"3", fence=_fence(6))
            with pytest.raises(Stale):
                await kept.write(key, b"4", fence=_fence(5))

    async def test_another_process_meets_the_same_fences(self) -> None:
        other = self.other_process()
        if other is None:
            pytest.skip("no other process sees this store")
        async with self.fencing() as store, self.another_process(other) as run:
            key = prefix() + "a"
            await store.write(key, b"1", fence=Fence("a", 1, 5))
            wrote = await run(
                f"from micro_rt.fence import Fence;await store.write({key!r}, b'2', fence=Fence('a', 1, 6));return 'wrote'"
            )
            assert wrote == "'wrote'"
            with pytest.raises(Stale) as stale:
                await store.write(key, b"3", fence=Fence("a", 1, 5))
            assert stale.value.token == 6
            refused = await run(
                f"from micro_rt.fence import Fence;found = await __import__('asyncio').gather(store.write({key!r}, b'4', "
                "fence=Fence('a', 1, 5)), return_exceptions=True);return type(found[0]).__name__, found[0].token"
            )
            assert refused == "('Stale', 6)"


class _Lost(Error):  # noqa: N818 - as the errors of the runtime are called
    """What a lock says that is not held any more."""


class _Lock:
    """Has a fence as long as it is held, and counts who asks."""

    def __init__(self, fence: Fence | None) -> None:
        self._fence = fence
        self.asked = 0

    @property
    def fence(self) -> Fence:
        self.asked += 1
        if self._fence is None:
            raise _Lost("the lock is lost")
        return self._fence


class _Counted:
    """An engine that counts how often it is asked for something."""

    def __init__(self, engine: StoreEngine) -> None:
        self._engine = engine
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("apply", "get", "last"):
            self.calls += 1
        return getattr(self._engine, name)


def _fence(token: int) -> Fence:
    return Fence(_LOCK, 1, token)


async def _gone(store: Store, key: str) -> bool:
    try:
        await store.read(key)
    except NotFound:
        return True
    return False


async def _itself(engine: StoreEngine) -> StoreEngine:
    return engine
