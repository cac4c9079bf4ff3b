"""What a member of a group remembers of the types that others announce."""

from __future__ import annotations

import pytest

from micro_rt.broker.groups import announced
from micro_rt.broker.groups.announced import Announced


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, as the only item."""
    now = [1000.0]
    monkeypatch.setattr(announced, "loop_time", lambda: now[0])
    return now


def test_a_type_is_remembered_for_ten_minutes_after_its_last_member_has_left(clock: list[float]) -> None:
    types = Announced[str]()
    types.hear(["a", "b"])
    clock[0] += 86400.0
    assert "a" in types and "b" in types, "a member announces it"
    types.hear(["a"])
    for _ in range(5):  # Changes of the group do not make it last longer.
        clock[0] += 119.0
        types.hear(["a"])
        assert "b" in types
    clock[0] += 6.0
    assert "b" not in types
    assert "a" in types


def test_a_type_that_is_announced_again_is_not_forgotten(clock: list[float]) -> None:
    types = Announced[str]()
    types.hear(["a"])
    types.hear([])
    clock[0] += 599.0
    types.hear(["a"])
    clock[0] += 86400.0
    assert "a" in types


def test_a_member_that_is_flooded_with_types_keeps_those_that_it_knows(clock: list[float]) -> None:
    types = Announced[int]()
    types.hear([-1])
    types.hear(range(announced.MOST + 1))
    assert -1 in types
    assert 0 not in types
