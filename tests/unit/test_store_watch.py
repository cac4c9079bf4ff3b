"""Watches of a store whose engine fails, closes or is opened again: the rules of ``store/watch.py``, with an engine that fails as told."""

from __future__ import annotations

import asyncio

import pytest

import micro_rt as micro
from micro_rt.backends.memory.store import MemoryStore
from micro_rt.kit.clock import Clock
from micro_rt.kit.ids import new_id
from micro_rt.store.base import Changes, Cursor, StoreEngine
from micro_rt.store.store import Store
from tests.helpers.scripted_store import FULL, LATE, LOST_REQUEST, UNSENT, Scripted
from tests.helpers.waiting import eventually, soon


async def test_a_watch_is_entered_once_the_engine_answers() -> None:
    engine = Scripted()
    async with Store.over(engine) as store:
        engine.script.extend([UNSENT, LOST_REQUEST])
        async with store.watch() as watch:
            assert engine.calls == ["end", "end", "end"]
            version = await store.write("a", b"1")
            assert (await soon(anext(watch))).version == version


async def test_a_watch_outlives_an_engine_that_does_not_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "micro_rt.store")
    engine = Scripted()
    async with Store.over(engine) as store:
        await store.write("a", b"1")
        async with store.watch(initial=True) as watch:
            engine.script.extend([LOST_REQUEST, LATE])
            assert (await soon(anext(watch))).key == "a"
            assert (await soon(anext(watch))).kind is micro.ChangeKind.SYNCED
            await store.write("b", b"2")
            engine.script.extend([UNSENT, LATE, LOST_REQUEST])
            assert (await soon(anext(watch))).key == "b"
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"] * 2


async def test_a_watch_raises_what_trying_again_does_not_cure() -> None:
    engine = Scripted()
    async with Store.over(engine) as store, store.watch() as watch:
        engine.script.extend([FULL])
        with pytest.raises(micro.ResourceExhausted):
            await anext(watch)
        version = await store.write("a", b"1")
        assert (await soon(anext(watch))).version == version


async def test_a_watch_that_asks_while_its_store_closes_ends() -> None:
    class Closing(Scripted):
        """Refuses what it was asked for before it closed, as an engine does that ends its connections."""

        async def changes(self, prefix: str, cursor: Cursor, *, limit: int, max_bytes: int) -> Changes | None:
            await self.close()
            raise micro.FailedPrecondition("the store is closed")

    async with Store.over(Closing()) as store, store.watch() as watch:
        assert [change async for change in watch] == []


async def test_a_watch_that_ends_does_not_have_others_ask() -> None:
    """Of many watches, each would ask the engine whenever one of them ends."""
    engine = Scripted()
    async with Store.over(engine) as store:
        others = [store.watch() for _ in range(10)]
        for each in others:
            await each.__aenter__()
        waiting = [asyncio.ensure_future(anext(each)) for each in others]
        await eventually(lambda: engine.calls.count("changes") == len(others))
        async with store.watch():
            pass
        for _ in range(20):
            await asyncio.sleep(0)  # The others run, if anything has woken them.
        version = await store.write("a", b"1")
        assert {change.version for change in await soon(asyncio.gather(*waiting))} == {version}
        assert engine.calls.count("changes") == 2 * len(others)
        for each in others:
            await each.__aexit__(None, None, None)


async def test_a_watch_of_an_engine_that_was_opened_again_is_over() -> None:
    """It must not count for the watches that came later: an engine polls while there are any."""
    engine = Scripted()

    async def opened() -> StoreEngine:
        return engine

    store = Store(opened)
    await engine.open()
    left = store.watch()
    await left.__aenter__()
    waiting = asyncio.ensure_future(anext(left, None))
    await eventually(lambda: "changes" in engine.calls)
    await engine.close()
    await engine.open()
    assert await soon(waiting) is None
    assert await soon(anext(left, None)) is None
    async with store.watch() as watch:
        await left.__aexit__(None, None, None)
        assert engine.wakeups.watches == 1
        version = await store.write("a", b"1")
        assert (await soon(anext(watch))).version == version
    assert engine.wakeups.watches == 0
    await engine.close()


async def test_what_is_read_with_all_records_is_not_delivered_again_as_a_change() -> None:
    async with Store.over(Scripted()) as store, store.watch(initial=True) as watch:
        version = await store.write("a", b"1")  # The place of the watch is before it.
        assert (await soon(anext(watch))).version == version
        assert (await soon(anext(watch))).kind is micro.ChangeKind.SYNCED
        await store.write("b", b"")
        assert (await soon(anext(watch))).key == "b"
        again = await store.write("a", b"2")
        assert (await soon(anext(watch))).version == again


async def test_what_has_expired_since_it_was_read_with_all_records_is_delivered() -> None:
    """It still has the version that was delivered, until it is swept."""
    now = 0.0
    engine = MemoryStore(f"memory:{new_id()}", clock=Clock(lambda: now, "test"))
    async with Store.over(engine) as store, store.watch(initial=True) as watch:
        version = await store.write("a", b"1", ttl=1000)
        assert (await soon(anext(watch))).version == version
        assert (await soon(anext(watch))).kind is micro.ChangeKind.SYNCED
        now = 2000.0
        change = await soon(anext(watch))
        assert (change.key, change.kind, change.version) == ("a", micro.ChangeKind.EXPIRED, version)


async def test_a_position_is_that_of_its_change() -> None:
    """A consumer that stops among several changes that were read at once continues with the next one."""
    async with Store.over(Scripted()) as store:
        async with store.watch() as watch:
            await store.write_many({"a": b"1", "b": b"2", "c": b"3"})
            first = await soon(anext(watch))
        async with store.watch(since=first.position) as watch:
            assert [(await soon(anext(watch))).key for _ in range(2)] == ["b", "c"]


async def test_a_write_that_comes_while_a_watch_asks_wakes_it() -> None:
    """The engine looked before the write, and the watch has not begun to wait."""

    class Overtaken(Scripted):
        async def changes(self, prefix: str, cursor: Cursor, *, limit: int, max_bytes: int) -> Changes | None:
            found = await super().changes(prefix, cursor, limit=limit, max_bytes=max_bytes)
            if self.calls.count("changes") == 1:
                self.overwrite("a")
                self.wakeups.ring()
            return found

    engine = Overtaken()
    async with Store.over(engine) as store, store.watch() as watch:
        assert (await soon(anext(watch), within=engine.capabilities.watch_interval / 2)).key == "a"
