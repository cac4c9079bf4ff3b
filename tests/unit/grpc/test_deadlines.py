"""Deadlines with one timer for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from micro_rt.backends.grpc.deadlines import TICK, Deadlines


class Loop:
    """A loop whose clock the test moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], object]) -> Timer:
        self.timers.append(Timer(self, when, call))
        return self.timers[-1]

    def go_to(self, now: float) -> None:
        self.now = now
        while due := [timer for timer in self.timers if timer.when <= now]:
            self.timers.remove(due[0])
            due[0].call()


class Timer:
    def __init__(self, loop: Loop, when: float, call: Callable[[], object]) -> None:
        self.loop, self.when, self.call = loop, when, call

    def cancel(self) -> None:
        self.loop.timers.remove(self)


class Call:
    def __init__(self, loop: Loop, told: list[Any], name: object = "call") -> None:
        self.loop, self.told, self.name = loop, told, name

    def expire(self) -> None:
        self.told.append((self.name, self.loop.now))


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def deadlines(loop: Loop) -> Deadlines:
    return Deadlines(cast("asyncio.AbstractEventLoop", loop))


def test_nobody_is_told_early_and_everybody_within_a_tick(loop: Loop, deadlines: Deadlines) -> None:
    told: list[tuple[float, float]] = []
    for number in range(1000):
        when = 100 + (number * 7919 % 1000) / 313
        deadlines.add(Call(loop, told, when), when)
    assert len(loop.timers) == 1, "more than one timer"
    for step in range(4000):
        loop.go_to(100 + step / 1000)
    assert len(told) == 1000
    assert all(when <= now <= when + TICK + 0.001 for when, now in told)
    assert not loop.timers


def test_who_is_removed_is_not_told(loop: Loop, deadlines: Deadlines) -> None:
    told: list[Any] = []
    calls = [Call(loop, told, number) for number in range(4)]
    slots = [deadlines.add(call, 101.0) for call in calls]
    for number in (1, 3, 3):
        slots[number].pop(calls[number], None)
    assert len(deadlines) == 2
    loop.go_to(102)
    assert [name for name, _ in told] == [0, 2]
    assert len(deadlines) == 0


def test_one_that_is_told_may_remove_and_add_others(loop: Loop, deadlines: Deadlines) -> None:
    told: list[Any] = []
    later = Call(loop, told, "later")

    class First(Call):
        def expire(self) -> None:
            super().expire()
            slot.pop(later, None)
            deadlines.add(Call(loop, told, "at once"), self.loop.now)
            deadlines.add(Call(loop, told, "soon"), self.loop.now + 1)

    slot = deadlines.add(First(loop, told, "first"), 101.0)
    assert deadlines.add(later, 101.0) is slot
    loop.go_to(101.1)
    assert [name for name, _ in told] == ["first"]
    loop.go_to(101.2)
    assert [name for name, _ in told] == ["first", "at once"]
    loop.go_to(103)
    assert [name for name, _ in told] == ["first", "at once", "soon"]


def test_an_earlier_one_moves_the_timer(loop: Loop, deadlines: Deadlines) -> None:
    told: list[Any] = []
    deadlines.add(Call(loop, told, 2), 200.0)
    deadlines.add(Call(loop, told, 1), 101.0)
    assert [timer.when for timer in loop.timers] == [pytest.approx(101.0, abs=2 * TICK)]
    loop.go_to(102)
    assert [name for name, _ in told] == [1]
    assert [timer.when for timer in loop.timers] == [pytest.approx(200.0, abs=2 * TICK)]


def test_a_timer_that_runs_too_early_waits_again(loop: Loop, deadlines: Deadlines) -> None:
    told: list[Any] = []
    deadlines.add(Call(loop, told), 101.0)
    (timer,) = loop.timers
    loop.timers.clear()
    loop.now = 100.999
    timer.call()
    assert not told
    loop.go_to(101.1)
    assert len(told) == 1


def test_deadlines_that_are_far_away_keep_no_memory(loop: Loop, deadlines: Deadlines) -> None:
    told: list[Any] = []
    stays = Call(loop, told, "stays")
    deadlines.add(stays, 1e6)
    for number in range(20_000):
        call = Call(loop, told)
        deadlines.add(call, 1000.0 + number).pop(call)
    assert len(deadlines._slots) < 2100  # pyright: ignore[reportPrivateUsage]
    assert len(deadlines._ticks) < 2100  # pyright: ignore[reportPrivateUsage]
    assert len(deadlines) == 1
    loop.go_to(2e6)
    assert [name for name, _ in told] == ["stays"]


@pytest.mark.parametrize("when", [float("inf"), float("nan"), 1e300, 1e18, -1e18])
def test_any_number_is_a_deadline(loop: Loop, deadlines: Deadlines, when: float) -> None:
    told: list[Any] = []
    slot = deadlines.add(Call(loop, told), when)
    loop.go_to(1000)
    assert len(told) == (when < 0)
    assert len(slot) == (when != -1e18)


def test_closing_leaves_no_timer(loop: Loop, deadlines: Deadlines) -> None:
    told: list[Any] = []
    deadlines.add(Call(loop, told), 101.0)
    deadlines.close()
    assert not loop.timers
    assert len(deadlines) == 0
    deadlines.add(Call(loop, told), 103.0)
    loop.go_to(104)
    assert len(told) == 1
