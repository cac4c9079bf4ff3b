"""Writes with a fence whose answers are lost, engines that keep no fences, and messages that are written with a fence."""

from __future__ import annotations

import asyncio

import pytest

import micro_rt as micro
from micro_rt.backends.memory.store import MemoryStore
from micro_rt.kit.chance import between
from micro_rt.kit.ids import new_id
from micro_rt.store.base import Capabilities, StoreEngine, Write
from micro_rt.store.store import Store
from micro_rt.testing.contracts import StoreContract
from tests.helpers.scripted_store import LOST_ANSWER, LOST_REQUEST, UNSENT, Failure, Scripted
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import soon
from tests.protos.lab_pb2 import Number


def fence(token: int) -> micro.Fence:
    return micro.Fence("run", 1, token)


class WithoutFences(Scripted):
    """An engine of a third party that knows nothing of fences."""

    @property
    def capabilities(self) -> Capabilities:
        known = super().capabilities
        return Capabilities(known.max_value, known.watch_delay, known.watch_interval, known.shared)


async def test_the_suite_finds_that_an_engine_without_fences_refuses_them() -> None:
    class Suite(StoreContract):
        __test__ = False

        async def make(self) -> StoreEngine:
            return WithoutFences()

    with pytest.raises(pytest.skip.Exception, match="keeps no fences"):
        async with Suite().fencing():
            pass


async def test_an_engine_without_fences_is_sent_none() -> None:
    engine = WithoutFences()
    async with Store.over(engine) as store:
        for work in (
            store.write("a", b"", fence=fence(1)),
            store.write_many({"a": b"", "b": b""}, fence=fence(1)),
            store.delete("a", fence=fence(1)),
            store.update("a", lambda _: b"", fence=fence(1)),
        ):
            with pytest.raises(micro.Unimplemented, match=r"keeps no fences.*'run'") as refused:
                await work
            assert not refused.value.may_have_run
            assert refused.value.id == "micro.no_fences"
        assert engine.calls == []
        await store.write("a", b"")


async def test_a_stale_fence_is_said_at_once() -> None:
    engine = Scripted()
    async with Store.over(engine) as store:
        await store.write("a", b"1", fence=fence(5))
        engine.calls.clear()
        engine.script.extend([None, UNSENT])
        for _ in range(2):
            with pytest.raises(micro.Stale):
                await store.write("a", b"2", fence=fence(4))
        with pytest.raises(micro.Stale):
            await store.update("a", lambda _: b"2", fence=fence(4))
        assert engine.calls == ["apply", "apply", "apply", "get", "apply"]


@pytest.mark.parametrize("if_version", [None, 0])
@pytest.mark.parametrize("failure", [LOST_ANSWER, LOST_REQUEST])
async def test_a_fence_that_is_stale_after_a_lost_answer_does_not_say_that_nothing_was_written(
    failure: Failure, if_version: int | None
) -> None:
    """A newer holder may have written on top of it."""
    engine = Scripted()

    def newer() -> None:
        engine._open_records().apply(Write("a", b"newer", {}, None, None, new_id(), fence(6)))  # pyright: ignore[reportPrivateUsage]

    async with Store.over(engine) as store:
        if failure is LOST_REQUEST:
            newer()
        engine.after_writing = newer
        engine.script.append(failure)
        with pytest.raises(micro.Unavailable, match="unknown") as error:
            await store.write("a", b"1", if_version=if_version, fence=fence(5))
        assert error.value.may_have_run
        assert (b"1" in engine.made) is (failure is LOST_ANSWER)
        assert (await store.read("a")).value == b"newer"


async def test_a_write_whose_answer_was_lost_is_recognized_before_its_fence_is_looked_at() -> None:
    engine = Scripted()
    async with Store.over(engine) as store:
        engine.script.extend([LOST_ANSWER])
        version = await store.write("a", b"1", if_version=0, fence=fence(5))
        assert engine.made == {b"1": version}


@pytest.mark.verify("store")
async def test_no_write_with_a_fence_that_is_cut_is_said_to_be_refused(size: Size, figures: Figures) -> None:
    """Of many that are cut at random, none says that it was not written although it was, and none follows a newer one."""
    engine = Scripted()
    count = size(10_000, ci=600)
    counts = dict.fromkeys(["written", "stale", "conflicts", "unknown", "not written"], 0)
    tokens: dict[bytes, int] = {}

    def at_random() -> Failure | None:
        drawn = between(0.0, 1.0)
        return UNSENT if drawn < 0.1 else LOST_REQUEST if drawn < 0.2 else LOST_ANSWER if drawn < 0.4 else None

    async def write(value: bytes, token: int, known: int | None) -> int:
        tokens[value] = token
        try:
            return await store.write("key", value, if_version=known, fence=fence(token), timeout=0.3)
        except (micro.Stale, micro.VersionConflict) as refused:
            counts["stale" if isinstance(refused, micro.Stale) else "conflicts"] += 1
            assert value not in engine.made, "it is refused because of itself"
            return refused.current if isinstance(refused, micro.VersionConflict) else known or 0
        except micro.Unavailable as error:
            counts["unknown" if error.may_have_run else "not written"] += 1
            assert error.may_have_run or value not in engine.made
            return known or 0

    async def work(number: int) -> None:
        known = 0
        for each in range(count // 60):
            value = f"{number} {each}".encode()
            known = await write(value, 3 * each + int(between(0, 5)), known if number % 2 else None)
            counts["written"] += value in engine.made

    async with Store.over(engine) as store:
        engine.random = at_random
        await soon(asyncio.gather(*(work(number) for number in range(60))))
    for name, number in counts.items():
        figures.add(name, number)
    accepted = [tokens[value] for value, _ in sorted(engine.made.items(), key=lambda item: item[1])]
    assert accepted == sorted(accepted)
    assert counts["written"]
    assert counts["stale"]


async def test_messages_are_written_with_a_fence() -> None:
    async with Store.over(MemoryStore(f"memory:{new_id()}")) as store:
        numbers = micro.TypedStore(store, Number, prefix="n/")
        one = Number(value=1)
        await numbers.write("a", one, fence=fence(5))
        await numbers.write_many({"b": one}, fence=fence(5))
        await numbers.update("a", lambda _: one, fence=fence(6))
        with pytest.raises(micro.Stale):
            await numbers.write("a", one, fence=fence(5))
        with pytest.raises(micro.NotAllWritten) as failed:
            await numbers.write_many({"a": one, "b": one}, fence=fence(5))
        assert isinstance(failed.value.outcomes["a"], micro.Stale)
        assert isinstance(failed.value.outcomes["b"], int)
        with pytest.raises(micro.Stale):
            await numbers.update("a", lambda _: one, fence=fence(5))
        with pytest.raises(micro.Stale):
            await numbers.delete("a", fence=fence(5))
        assert await numbers.delete("a", fence=fence(6))
        with pytest.raises(micro.Stale):
            await numbers.write("a", one, fence=fence(5))
