"""What becomes of calls to a store whose answers are lost: the rules of ``store/calls.py``, with an engine that fails as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

import micro_rt as micro
from micro_rt.context import Scope, current_context
from micro_rt.kit.chance import between
from micro_rt.kit.clock import loop_time
from micro_rt.store.base import Record, StoreEngine, Write
from micro_rt.store.calls import chunks
from micro_rt.store.store import Store
from tests.helpers.scripted_store import FULL, LATE, LOST_ANSWER, LOST_REQUEST, UNSENT, Failure, Scripted
from tests.helpers.sizes import Figures, Size
from tests.helpers.waiting import soon


@pytest.fixture
def engine() -> Scripted:
    return Scripted()


@contextlib.asynccontextmanager
async def opened(engine: Scripted, *script: Failure | None) -> AsyncGenerator[Store]:
    """Opens a store, and has its first calls fail."""
    async with Store.over(engine) as store:
        engine.script.extend(script)
        yield store


async def test_a_read_is_tried_again(engine: Scripted) -> None:
    async with opened(engine) as store:
        version = await store.write("a", b"1")
        engine.script.extend([UNSENT, LOST_REQUEST, LOST_ANSWER])
        assert (await store.read("a")).version == version
        assert engine.calls == ["apply", "get", "get", "get", "get"]


async def test_a_read_that_is_never_answered_says_why(engine: Scripted) -> None:
    async with opened(engine, *[LOST_REQUEST] * 1000) as store:
        with pytest.raises(micro.Unavailable, match="the connection was lost"):
            await store.read("a", timeout=0.1)


@pytest.mark.parametrize("if_version", [None, 0])
async def test_a_write_that_was_not_sent_is_made_again(engine: Scripted, if_version: int | None) -> None:
    async with opened(engine, UNSENT, UNSENT) as store:
        version = await store.write("a", b"1", if_version=if_version)
        assert (await store.read("a")).version == version
        assert engine.calls == ["apply", "apply", "apply", "get"]


async def test_a_write_that_could_never_be_sent_says_that_it_was_not_made(engine: Scripted) -> None:
    async with opened(engine, *[UNSENT] * 1000) as store:
        with pytest.raises(micro.Unavailable, match="cannot connect") as error:
            await store.write("a", b"1", timeout=0.1)
        assert not error.value.may_have_run


@pytest.mark.parametrize("failures", [[LOST_ANSWER], [LOST_REQUEST], [LOST_ANSWER, LOST_REQUEST, UNSENT, LOST_ANSWER]])
async def test_a_conditional_write_whose_answer_was_lost_is_made_again(
    engine: Scripted, failures: list[Failure]
) -> None:
    async with opened(engine, *failures) as store:
        version = await store.write("a", b"1", if_version=0)
        assert engine.made == {b"1": version}
        assert set(engine.calls) == {"apply"}
        assert await store.write("a", b"2", if_version=version) > version


async def test_a_conditional_deletion_whose_answer_was_lost_is_made_again(engine: Scripted) -> None:
    async with opened(engine) as store:
        version = await store.write("a", b"1")
        engine.script.extend([LOST_ANSWER])
        assert await store.delete("a", if_version=version)


async def test_a_true_conflict_is_one(engine: Scripted) -> None:
    async with opened(engine) as store:
        await store.write("a", b"1")
        engine.script.extend([UNSENT])
        with pytest.raises(micro.VersionConflict):
            await store.write("a", b"2", if_version=0)
        assert engine.calls == ["apply", "apply", "apply"]


async def test_an_unconditional_write_whose_answer_was_lost_is_looked_up(engine: Scripted) -> None:
    async with opened(engine, LOST_ANSWER, LOST_REQUEST, UNSENT) as store:
        version = await store.write("a", b"1")
        assert engine.made == {b"1": version}
        assert engine.calls == ["apply", "last", "last", "last"]


async def test_an_unconditional_deletion_whose_answer_was_lost_is_looked_up(engine: Scripted) -> None:
    async with opened(engine) as store:
        await store.write("a", b"1")
        engine.script.extend([LOST_ANSWER])
        assert await store.delete("a")
        assert engine.calls == ["apply", "apply", "last"]


@pytest.mark.parametrize("failures", [[LOST_REQUEST], [LOST_REQUEST, UNSENT], [UNSENT, LOST_REQUEST, UNSENT]])
async def test_an_unconditional_write_that_may_be_on_its_way_is_not_made_again(
    engine: Scripted, failures: list[Failure]
) -> None:
    """It could undo the write of somebody else that came in between; and nobody may read that it was not made."""
    async with opened(engine, *failures) as store:
        with pytest.raises(micro.Unavailable, match="unknown") as error:
            await store.write("a", b"1")
        assert error.value.may_have_run
        assert engine.calls.count("apply") == 1 + (failures[0] is UNSENT)
        assert not engine.made


@pytest.mark.parametrize("if_version", [None, 0])
async def test_a_write_that_was_overwritten_before_its_answer_was_lost_is_unknown(
    engine: Scripted, if_version: int | None
) -> None:
    async with opened(engine, LOST_ANSWER) as store:
        engine.after_writing = lambda: engine.overwrite("a")
        with pytest.raises(micro.Unavailable, match="unknown") as error:
            await store.write("a", b"1", if_version=if_version)
        assert error.value.may_have_run
        assert (await store.read("a")).value == b"of somebody else"


@pytest.mark.parametrize("if_version", [None, 0])
@pytest.mark.parametrize("after", [FULL, UNSENT])
async def test_a_failure_after_a_lost_answer_does_not_say_that_nothing_was_written(
    engine: Scripted, after: Failure, if_version: int | None
) -> None:
    async with opened(engine, LOST_ANSWER, *[after] * 1000) as store:
        with pytest.raises(micro.Unavailable, match="unknown") as error:
            await store.write("a", b"1", if_version=if_version, timeout=0.2)
        assert error.value.may_have_run
        assert b"1" in engine.made


async def test_other_errors_pass_as_they_are(engine: Scripted) -> None:
    async with opened(engine, FULL, LATE) as store:
        with pytest.raises(micro.ResourceExhausted):
            await store.write("a", b"1")
        with pytest.raises(micro.DeadlineExceeded) as error:
            await store.write("a", b"1")
        assert error.value.may_have_run
        assert engine.calls == ["apply", "apply"]


async def test_of_several_writes_each_is_made_or_looked_up(engine: Scripted) -> None:
    async with opened(engine, LOST_ANSWER) as store:
        versions = await store.write_many({"a": b"1", "b": b"2", "c": b"3"}, if_versions={"b": 0})
        assert engine.made == {b"1": versions["a"], b"2": versions["b"], b"3": versions["c"]}
        assert engine.calls == ["apply", "last", "apply", "last"]
        engine.script.extend([LOST_REQUEST])
        with pytest.raises(micro.NotAllWritten, match="2 of 3") as failed:
            await store.write_many({"a": b"4", "b": b"5", "c": b"6"}, if_versions={"b": versions["b"]})
        outcomes = failed.value.outcomes
        assert isinstance(outcomes["a"], micro.Unavailable)
        assert isinstance(outcomes["c"], micro.Unavailable)
        assert outcomes["b"] == engine.made[b"5"]
        assert "unknown" in str(failed.value), "it says why"


@pytest.mark.parametrize(
    ("sizes", "groups"),
    [
        ([0] * 600, [256, 256, 88]),
        ([0] * 512, [256, 256]),
        ([2 << 20] * 5, [2, 2, 1]),
        ([2 << 20, 2 << 20, 1], [2, 1]),
        ([1, 10 << 20, 1], [1, 1, 1]),
        ([], []),
    ],
)
def test_writes_go_in_groups_that_are_neither_many_nor_large(sizes: list[int], groups: list[int]) -> None:
    writes = [Write(f"{number}", bytes(size), {}, None, None, "") for number, size in enumerate(sizes)]
    made = list(chunks(writes))
    assert [len(group) for group in made] == groups
    assert [write for group in made for write in group] == writes


async def test_an_update_survives_lost_answers(engine: Scripted) -> None:
    async with opened(engine, LOST_ANSWER, LOST_ANSWER, LOST_ANSWER) as store:
        record = await store.update("a", lambda record: b"1" if record is None else b"no")
        assert record.value == b"1"
        assert engine.made == {b"1": record.version}


async def test_an_update_returns_what_it_wrote(engine: Scripted) -> None:
    """Not what somebody else has written since: two who count would get the same number."""
    async with opened(engine) as store:
        await store.write("a", b"0", metadata={"a": "b"}, ttl=1000)
        engine.after_writing = lambda: engine.overwrite("a")
        mine = await store.update("a", lambda _: b"mine")
        assert mine.expires is not None, "it is kept"
        assert replace(mine, expires=None) == Record("a", b"mine", engine.made[b"mine"], {"a": "b"})
        assert (await store.read("a")).value == b"of somebody else"
        engine.after_writing = lambda: engine.overwrite("a")
        mine = await store.update("a", lambda _: b"next", metadata=None, ttl=None)
        assert mine == Record("a", b"next", engine.made[b"next"], {}, None)
        later = await store.update("a", lambda _: b"last", metadata={"c": "d"}, ttl=1000)
        read = await store.read("a")
        assert (later.value, later.version, later.metadata) == (read.value, read.version, read.metadata)
        assert later.expires is not None
        assert read.expires is not None
        assert abs((later.expires - read.expires).total_seconds()) < 100


async def test_an_update_that_others_always_precede_says_so_when_its_time_is_over(engine: Scripted) -> None:
    """Not that the engine has not answered: it has."""
    async with opened(engine) as store:

        def change(_: Record | None) -> bytes:
            engine.overwrite("a")
            return b"mine"

        with pytest.raises(micro.VersionConflict):
            await store.update("a", change, attempts=1_000_000, timeout=0.2)
        assert not engine.made


@pytest.mark.verify("store")
async def test_no_compare_and_set_that_is_cut_conflicts_with_itself(size: Size, figures: Figures) -> None:
    """Of many that are cut at random, none says that it was not written although it was."""
    engine = Scripted()
    count = size(10_000, ci=600)
    counts = dict.fromkeys(["written", "conflicts", "unknown", "not written"], 0)

    def at_random() -> Failure | None:
        drawn = between(0.0, 1.0)
        return UNSENT if drawn < 0.1 else LOST_REQUEST if drawn < 0.2 else LOST_ANSWER if drawn < 0.4 else None

    async def compare_and_set(key: str, value: bytes, known: int) -> int:
        try:
            version = await store.write(key, value, if_version=known, timeout=0.3 if value[-1] % 4 else 10.0)
        except micro.VersionConflict as conflict:
            counts["conflicts"] += 1
            assert value not in engine.made, "it conflicts with itself"
            return conflict.current
        except micro.Unavailable as error:
            counts["unknown" if error.may_have_run else "not written"] += 1
            assert error.may_have_run or value not in engine.made
            return known
        counts["written"] += 1
        assert engine.made[value] == version
        return version

    async def work(number: int) -> None:
        known = 0
        for each in range(count // 60):
            known = await compare_and_set(f"key {number // 2}", f"{number} {each}".encode(), known)

    async with Store.over(engine) as store:
        engine.random = at_random
        await soon(asyncio.gather(*(work(number) for number in range(60))))
    for name, number in counts.items():
        figures.add(name, number)
    assert counts["written"]
    assert counts["conflicts"]
    assert sum(counts.values()) == count // 60 * 60


async def test_a_store_that_cannot_be_reached_is_opened_again_in_time() -> None:
    engine = Scripted()
    failures = [UNSENT, LOST_REQUEST]

    async def opened() -> StoreEngine:
        if failures:
            make = failures.pop()[1]
            raise make()
        return engine

    await engine.open()
    try:
        store = Store(opened)
        assert await store.write("a", b"1") == engine.made[b"1"]
        assert not failures
        failures.extend([LOST_REQUEST] * 1000)
        with pytest.raises(micro.Unavailable) as error:
            await store.write("a", b"2", timeout=0.1)
        assert not error.value.may_have_run, "nothing was written before the store was open"
    finally:
        await engine.close()


async def test_a_call_that_waits_for_its_store_to_open_has_all_of_its_time() -> None:
    """The time that opening took was taken off twice within a handler."""
    engine = Scripted()

    async def opened() -> StoreEngine:
        await asyncio.sleep(0.05)
        return engine

    begin = Store(opened)._begin  # pyright: ignore[reportPrivateUsage]
    begun = loop_time()
    _, deadline = await begin(None)
    assert begun + engine.timeout <= deadline < loop_time() + engine.timeout
    _, deadline = await begin(5.0)
    assert deadline < loop_time() + 5.0
    scope = Scope(loop_time() + 7.0)
    token = current_context.set(scope)
    try:
        _, deadline = await begin(None)
    finally:
        current_context.reset(token)
    assert deadline == scope.deadline
