"""What the store ``memory:`` keeps in memory, and what it costs."""

from __future__ import annotations

import pytest

import micro_rt as micro
from micro_rt.backends.memory.store import MemoryStore
from micro_rt.kit.clock import Clock
from micro_rt.kit.ids import new_id
from micro_rt.store.store import Store
from tests.helpers.waiting import soon


async def test_what_is_written_again_and_again_with_a_ttl_takes_no_more_memory() -> None:
    """Each write of a session left an entry behind until it would have expired."""
    engine = MemoryStore(f"memory:{new_id()}")
    async with Store.over(engine) as store:
        records = engine._open_records()  # pyright: ignore[reportPrivateUsage]
        for number in range(5000):
            await store.write(f"session/{number % 3}", b"", ttl=1e6 - number)
            expiries = records._expiries  # pyright: ignore[reportPrivateUsage]
            assert len(expiries) < 1100
            assert len(expiries) > 10 or expiries[0] == min(expiries)


async def test_records_expire_in_their_order_however_often_they_were_written() -> None:
    now = 0.0
    engine = MemoryStore(f"memory:{new_id()}", clock=Clock(lambda: now, "test"))
    async with Store.over(engine) as store:
        for number in range(5000):
            late = 9 - number % 10
            await store.write(f"{late}", b"", ttl=(late + 1) / 100)
        async with store.watch() as watch:
            for number in range(10):
                now = number / 100 + 0.015
                assert (await soon(anext(watch))).key == f"{number}"
                with pytest.raises(micro.NotFound):
                    await store.read(f"{number}")
                assert [each.key async for each in store.list()] == [f"{each}" for each in range(number + 1, 10)]


async def test_old_deletions_are_forgotten_and_newer_ones_are_not() -> None:
    engine = MemoryStore(f"memory:{new_id()}")
    async with Store.over(engine) as store:
        async with store.watch() as watch:
            await store.write("first", b"")
            early = (await soon(anext(watch))).position
        kept = [f"kept/{number}" for number in range(100)]
        await store.write_many(dict.fromkeys(kept, b""))
        await store.write("again", b"")
        await store.delete("again")
        await store.write("again", b"2")
        await store.write("fenced", b"", fence=micro.Fence("run", 1, 5))
        await store.delete("fenced")
        for number in range(15_000):
            await store.write(f"{number}", b"")
            await store.delete(f"{number}")
        async with store.watch() as watch:
            await store.write("later", b"")
            late = (await soon(anext(watch))).position
        for number in range(15_000, 20_000):
            await store.write(f"{number}", b"")
            await store.delete(f"{number}")
        records = engine._open_records()  # pyright: ignore[reportPrivateUsage]
        assert len(records.items) < 20_200
        assert [each.key async for each in store.list()] == ["again", "first", *sorted(kept), "later"]
        async with store.watch(since=early) as watch:
            assert (await soon(anext(watch))).kind is micro.ChangeKind.RESYNC
        async with store.watch(since=late) as watch:
            found = [await soon(anext(watch)) for _ in range(5000)]
            assert {each.kind for each in found} == {micro.ChangeKind.DELETED}
            assert [each.key for each in found] == [f"{number}" for number in range(15_000, 20_000)]
        # The fence went with the deletion.
        await store.write("fenced", b"", fence=micro.Fence("other", 0, 0))


async def test_an_engine_that_is_opened_twice_says_so_and_works() -> None:
    engine = MemoryStore(f"memory:{new_id()}")
    async with Store.over(engine) as store, store.watch() as watch:
        with pytest.raises(RuntimeError):
            await engine.open()
        version = await store.write("a", b"")
        assert (await soon(anext(watch))).version == version
        async with store.watch() as another:
            assert engine.wakeups.watches == 2
            version = await store.write("b", b"")
            assert (await soon(anext(another))).version == version
