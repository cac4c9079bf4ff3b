"""The one way to wait: for a condition, at least once, and with an error that shows what was there instead."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.helpers.waiting import eventually


async def test_a_condition_that_comes_to_hold_gives_its_value() -> None:
    found: list[int] = []
    asyncio.get_running_loop().call_later(0.05, found.append, 7)
    assert await eventually(lambda: found) == [7]


async def test_a_coroutine_function_is_awaited() -> None:
    calls = 0

    async def third() -> int:
        nonlocal calls
        calls += 1
        return calls

    assert await eventually(third, equals=3) == 3
    assert calls == 3


async def test_a_false_value_can_be_waited_for() -> None:
    assert await eventually(lambda: (), equals=()) == ()


async def test_the_error_shows_the_last_value() -> None:
    with pytest.raises(TimeoutError, match=r"nothing came \(after 0.02 s; last value: \[\]\)"):
        await eventually(list[int], "nothing came", within=0.02)
    with pytest.raises(TimeoutError, match=r"made late \(after 0.02 s; last value: 1, expected 2\)"):
        await eventually(lambda: 1, lambda: "made late", equals=2, within=0.02)


async def test_a_condition_that_hangs_is_given_up() -> None:
    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    with pytest.raises(TimeoutError, match="it never returned a value"):
        await eventually(hangs, within=0.05)


async def test_an_error_of_the_condition_is_raised() -> None:
    async def times_out() -> bool:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match=r"^its own$"):
        await eventually(times_out)


async def test_a_loop_that_was_held_up_looks_once_more() -> None:
    found: list[int] = []

    def late() -> list[int]:
        if not found:
            time.sleep(0.1)  # As on a machine that is busy: the time is up before the next look.
            asyncio.get_running_loop().call_soon(found.append, 1)
            return []
        return found

    assert await eventually(late, within=0.05) == [1]
