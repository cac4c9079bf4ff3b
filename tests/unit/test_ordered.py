"""Sets that keep the order in which their members were added."""

from __future__ import annotations

import gc

import pytest

from micro_rt.kit.ordered import OrderedSet, WeakOrderedSet


class Member:
    def __init__(self, number: int) -> None:
        self.number = number


def test_members_stay_in_the_order_of_adding() -> None:
    names = [f"name-{number * 7919 % 100}" for number in range(100)]
    ordered = OrderedSet(names)
    ordered.add(names[0])
    assert list(ordered) == names
    ordered.discard(names[0])
    ordered.add(names[0])
    assert list(ordered) == [*names[1:], names[0]]


def test_the_set_operations_keep_the_order() -> None:
    ordered = OrderedSet("dcab")
    ordered.update("xa", "b")
    assert list(ordered) == list("dcabx")
    ordered.difference_update("c", ["x"])
    assert list(ordered) == list("dab")
    ordered.intersection_update("bd")
    assert list(ordered) == list("db")
    assert ordered == {"b", "d"}
    assert ordered.pop() == "d"
    ordered.clear()
    assert not ordered
    with pytest.raises(KeyError):
        ordered.pop()
    with pytest.raises(KeyError):
        ordered.remove("b")


def test_a_weak_set_forgets_what_is_collected_and_keeps_the_order() -> None:
    members = [Member(number) for number in range(50)]
    weak = WeakOrderedSet[Member]()
    for member in reversed(members):
        weak.add(member)
        weak.add(member)
    assert [member.number for member in weak] == list(range(49, -1, -1))
    assert len(weak) == 50
    del member, members[::2]
    gc.collect()
    assert [member.number for member in weak] == list(range(49, -1, -2))
    assert members[0] in weak
    weak.discard(members[0])
    assert members[0] not in weak
    assert len(weak) == 24


def test_members_may_come_and_go_while_a_weak_set_is_iterated() -> None:
    members = [Member(number) for number in range(5)]
    weak = WeakOrderedSet[Member]()
    for member in members:
        weak.add(member)
    seen: list[int] = []
    for member in weak:
        seen.append(member.number)
        if member.number == 1:
            weak.discard(members[2])
            weak.add(Member(9))
    assert seen == [0, 1, 3, 4]


def test_a_weak_set_with_no_living_member_is_false() -> None:
    weak = WeakOrderedSet[Member]()
    assert not weak
    weak.add(member := Member(1))
    assert weak
    del member
    gc.collect()
    assert not weak
