"""The assignor of a Kafka group: types travel at the end of user data, and the library's own assignors do the rest."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any, cast

import aiokafka.coordinator.assignors.range
import aiokafka.coordinator.assignors.roundrobin
import aiokafka.coordinator.assignors.sticky.sticky_assignor
import aiokafka.coordinator.protocol
import pytest

from micro_rt.backends.kafka.assignor import MOST_TYPES, Assignor, announced_in, appended, pair

_library: Any = cast("Any", aiokafka).coordinator
_ASSIGNORS = {
    "range": _library.assignors.range.RangePartitionAssignor,
    "roundrobin": _library.assignors.roundrobin.RoundRobinPartitionAssignor,
    "sticky": _library.assignors.sticky.sticky_assignor.StickyPartitionAssignor,
}
TOPICS = {"orders": 4, "pings": 3}
OLD, NEW = {"orders": ["a"], "pings": ["p"]}, {"orders": ["a", "b"], "pings": ["p"]}


class Cluster:
    """What an assignor asks of aiokafka's view of the cluster."""

    def topics(self) -> set[str]:
        return set(TOPICS)

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return set(range(TOPICS[topic])) if topic in TOPICS else None


def member(name: str, types: Mapping[str, Sequence[str]]) -> Assignor:
    return Assignor(name, "g", types)


def joined(assignors: Mapping[str, Any], topics: Sequence[str] = ("orders", "pings")) -> dict[str, Any]:
    """What each member joins with, after a journey over the wire."""
    protocol = _library.protocol.ConsumerProtocolMemberMetadata
    return {id: protocol.decode(each.metadata(topics).encode()) for id, each in assignors.items()}


class Group:
    """Shares partitions out as a leader of the group does, and hands members their assignments."""

    def __init__(self) -> None:
        self.made: dict[str, Any] = {}

    def assign(self, leader: Any, members: Mapping[str, Any]) -> dict[str, dict[str, list[int]]]:
        """Returns the partitions of each member, by topic, after a journey of the assignments over the wire."""
        protocol = _library.protocol.ConsumerProtocolMemberAssignment
        made = leader.assign(Cluster(), joined(members))
        self.made = {id: protocol.decode(each.encode()) for id, each in made.items()}
        found = {
            id: {topic: sorted(numbers) for topic, numbers in each.assignment if numbers}
            for id, each in self.made.items()
        }
        for topic, count in TOPICS.items():
            every = sorted(number for each in found.values() for number in each.get(topic, ()))
            assert every == list(range(count)), f"not each partition of {topic} once: {found}"
        return found

    def tell(self, members: Mapping[str, Any]) -> None:
        for id, each in members.items():
            each.on_assignment(self.made[id])
            each.on_generation_assignment(7)


@pytest.mark.parametrize("name", _ASSIGNORS)
def test_a_topic_goes_to_the_members_that_handle_every_type(name: str) -> None:
    group = Group()
    members = {"1": member(name, OLD), "2": member(name, OLD)}
    found = group.assign(members["1"], members)
    assert all("orders" in each and "pings" in each for each in found.values())
    group.tell(members)
    members["3"] = member(name, NEW)
    for _ in range(3):  # the sticky one remembers what each had
        found = group.assign(members["1"], members)
        group.tell(members)
        assert {id for id, each in found.items() if "orders" in each} == {"3"}
        assert {id for id, each in found.items() if "pings" in each} >= {"1", "2"}
    for each in members.values():
        assert pair("orders", "b") in each.announced
        assert pair("pings", "b") not in each.announced
        assert pair("orders", "c") not in each.announced
    members["4"] = member(name, NEW)
    found = group.assign(members["4"], members)
    group.tell(members)
    assert {id: len(each["orders"]) for id, each in found.items() if "orders" in each} == {"3": 2, "4": 2}
    del members["3"], members["4"]
    found = group.assign(members["2"], members)
    assert {id: len(each["orders"]) for id, each in found.items()} == {"1": 2, "2": 2}


@pytest.mark.parametrize("name", _ASSIGNORS)
def test_members_of_other_clients_count_as_handling_every_type(name: str) -> None:
    group = Group()
    foreign = type("Foreign", (_ASSIGNORS[name],), {"member_assignment": None})
    members: dict[str, Any] = {"1": member(name, OLD), "2": member(name, NEW), "3": foreign}
    found = group.assign(members["1"], members)
    assert {id for id, each in found.items() if "orders" in each} == {"2", "3"}
    # One of them leads: it reads what it knows from the front, and shares out as if nobody had said anything.
    found = group.assign(foreign, members)
    assert set(found) == {"1", "2", "3"}
    members["1"].on_assignment(group.made["1"])
    assert not members["1"].announced


def test_what_a_sticky_member_had_is_read_in_front_of_its_types() -> None:
    group = Group()
    sticky = _ASSIGNORS["sticky"]
    one = member("sticky", OLD)
    fresh = joined({"1": one})["1"]
    assert sticky.parse_member_metadata(fresh) == (fresh.subscription, [], -1)
    group.assign(one, {"1": one})
    group.tell({"1": one})
    parsed = sticky.parse_member_metadata(joined({"1": one})["1"])
    assert (len(parsed.partitions), parsed.generation) == (7, 7)


def test_if_no_member_handles_everything_those_with_the_most_read() -> None:
    group = Group()
    members = {"1": member("range", {"orders": ["a"]}), "2": member("range", {"orders": ["b", "c"]})}
    found = group.assign(members["1"], members)
    assert {id for id, each in found.items() if "orders" in each} == {"2"}
    assert {id for id, each in found.items() if "pings" in each} == {"1", "2"}


def test_nothing_is_announced_without_types() -> None:
    for name, foreign in _ASSIGNORS.items():
        metadata = member(name, {}).metadata(["orders"])
        assert metadata.encode() == type("F", (foreign,), {"member_assignment": None}).metadata(["orders"]).encode()


def test_user_data_of_others_is_bounded_and_does_no_harm() -> None:
    own = appended(b"front", [pair("orders", "a"), pair("orders", "b")])
    assert announced_in(own) == {pair("orders", "a"), pair("orders", "b")}
    chance = random.Random(13)
    mark = own[-16:]
    for user_data in (
        *(None, b"", mark, mark[1:], b"\0" + mark, b"\0\0" + mark, b"\xff\xff" + mark, own[1:-1]),
        *(chance.randbytes(chance.randrange(60)) + mark for _ in range(2000)),
        *(bytes(each ^ (chance.random() < 0.1) << chance.randrange(8) for each in own) for _ in range(2000)),
    ):
        assert len(announced_in(user_data)) <= MOST_TYPES
    assert announced_in(b"\x00" * 16 * 5 + b"\x00\x05" + mark) == {b"\x00" * 16}
    assert announced_in(b"\x00" * 16 * 4 + b"\x00\x05" + mark) == frozenset()


def test_more_types_than_a_member_announces_are_none(caplog: pytest.LogCaptureFixture) -> None:
    group = Group()
    many = member("range", {"orders": [str(number) for number in range(MOST_TYPES + 1)]})
    assert not announced_in(many.metadata(["orders"]).user_data)
    assert "this one counts as handling every type" in caplog.text
    halves = {id: member("range", {"orders": [f"{id}-{n}" for n in range(MOST_TYPES)]}) for id in ("1", "2")}
    group.assign(halves["1"], halves)
    group.tell(halves)
    assert len(halves["2"].announced) == MOST_TYPES
    assert "more than the 1000 that are passed on" in caplog.text


def test_a_member_whose_types_the_leader_has_not_heard_joins_once_more_with_something_else() -> None:
    group = Group()
    one = member("range", OLD)
    group.assign(one, {"1": one})
    group.tell({"1": one})
    assert not one.is_unheard()
    returned = member("range", NEW)  # a static member: it gets what it had, with what the leader said then
    returned.on_assignment(group.made["1"])
    first = returned.metadata(["orders"]).encode()
    assert returned.is_unheard()
    assert not returned.is_unheard(), "not for ever: a leader of another client never hears it"
    again = returned.metadata(["orders"])
    assert again.encode() != first
    assert announced_in(again.user_data) == {pair("orders", "a"), pair("orders", "b"), pair("pings", "p")}


@pytest.mark.parametrize("name", _ASSIGNORS)
def test_whatever_members_come_and_go_each_partition_has_a_member_that_may_read_it(name: str) -> None:
    group, chance = Group(), random.Random(7)
    members: dict[str, Assignor] = {}
    kinds: dict[str, frozenset[str]] = {}
    for turn in range(150):
        for id in [id for id in members if chance.random() < 0.3]:
            del members[id], kinds[id]
        while len(members) < 1 + turn % 6:
            id = f"{turn}-{len(members)}"
            kinds[id] = frozenset(chance.sample("abc", chance.randrange(4)))
            members[id] = member(name, {"orders": sorted(kinds[id]), "pings": ["p"]} if kinds[id] else {})
        found = group.assign(chance.choice(list(members.values())), members)
        group.tell(members)
        every = frozenset[str]().union(*kinds.values())
        able = {id for id, types in kinds.items() if not types or types == every}
        able = able or {id for id, types in kinds.items() if len(types) == max(map(len, kinds.values()))}
        readers = {id: len(each["orders"]) for id, each in found.items() if "orders" in each}
        assert readers.keys() <= able
        if name == "range" and len(able) <= TOPICS["orders"]:  # the others share out all topics together
            assert readers.keys() == able
