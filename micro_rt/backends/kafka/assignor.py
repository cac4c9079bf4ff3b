"""The assignor of a Kafka group: aiokafka's own, for members that announce the types of events that they handle.

Members announce their types in the group's own protocol, so no other storage or request is needed:

- A member appends its types to the user data with which it joins. The leader gives the partitions of a topic only to members that
  handle every type which any member announces for that topic (``capable``), and lets aiokafka's assignor do the rest.
- The leader appends all types that were announced to the user data of each assignment. So every member knows them before it reads.

The types are appended after the data of the assignor itself: the assignors of aiokafka, Java and librdkafka read what they know
from the front and ignore the rest. The appended part is bounded, has a fixed form and holds hashes instead of names: a group of a
hundred members fits into one record of Kafka, and nothing that a foreign member sends can be larger or mean something
else. Members that announce nothing, such as those of other clients, count as handling every type.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from typing import Any, cast

import aiokafka.coordinator.assignors.range  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.coordinator.assignors.roundrobin  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.coordinator.assignors.sticky.sticky_assignor  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]
import aiokafka.coordinator.protocol  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from micro_rt.broker.groups.base import capable
from micro_rt.logs import logger, sparsely

__all__ = ["MOST_TYPES", "Assignor", "announced_in", "appended", "pair"]

MOST_TYPES = 1000
"""Types that a member announces at most, of all its topics together, and that a leader passes on."""

_HASH = 8
"""Bytes of the hash of a name."""
_MARK = b"\x00micro-rt types\x01"
_COUNT = 2
"""Bytes of the number of pairs."""

_library: Any = cast("Any", aiokafka).coordinator
_log = logger("micro_rt.broker")


class Assignor:
    """The interface that aiokafka expects of an assignor, for one member of a group.

    Args:
        name: ``"sticky"``, ``"range"`` or ``"roundrobin"``.
        group: whose member it is; for the log.
        types: what the member handles, by topic; empty to announce nothing.
    """

    def __init__(self, name: str, group: str, types: Mapping[str, Collection[str]]) -> None:
        # aiokafka stores the assignment of a sticky member on the class: members of one process would share it.
        self._inner: Any = type("Assignor", (_class_of(name),), {"member_assignment": None})
        self._sticky = name == "sticky"
        self._group = group
        self._own = frozenset(pair(topic, type) for topic, names in types.items() for type in names)
        self.name = name
        self._again = b""
        self.announced: frozenset[bytes] = frozenset()
        """What the members announced, from the last assignment: a ``pair`` for each type of each topic."""
        if len(self._own) > MOST_TYPES:
            _log.warning(
                "group %s: %d types of events are more than the %d that a member announces; this one counts as handling every type",
                group,
                len(self._own),
                MOST_TYPES,
            )
            self._own = frozenset[bytes]()

    def metadata(self, topics: Iterable[str]) -> Any:
        """Returns the metadata with which the member joins."""
        made = self._inner.metadata(topics)
        if self._own:
            user_data = made.user_data or b""
            if self._sticky and not user_data:  # Other assignors read this part from the front.
                user_data = _library.assignors.sticky.sticky_assignor.StickyAssignorUserDataV1([], -1).encode()
            made.user_data = appended(user_data + self._again, self._own)
        return made

    def assign(self, cluster: Any, members: Mapping[str, Any]) -> Any:
        """Returns the assignment of each member, as the leader of the group."""
        said = {member: announced_in(metadata.user_data) for member, metadata in members.items()}
        every = frozenset[bytes]().union(*said.values())
        if not every:
            return self._inner.assign(cluster, members)
        readers: dict[str, dict[str, frozenset[bytes]]] = {}
        for member, metadata in members.items():
            for topic in metadata.subscription:
                start = _hash(topic)
                readers.setdefault(topic, {})[member] = frozenset(
                    each for each in said[member] if each.startswith(start)
                )
        able = {topic: capable(announced) for topic, announced in readers.items()}
        kept = {
            member: _library.protocol.ConsumerProtocolMemberMetadata(
                metadata.version,
                [topic for topic in metadata.subscription if member in able[topic]],
                metadata.user_data,
            )
            for member, metadata in members.items()
        }
        assignments = self._inner.assign(cluster, kept)
        if len(every) > MOST_TYPES:
            _log.warning(
                "group %s: its members announce %d types of events, more than the %d that are passed on",
                self._group,
                len(every),
                MOST_TYPES,
                extra=sparsely(self._group),
            )
        for assignment in assignments.values():
            assignment.user_data = appended(assignment.user_data or b"", every)
        return assignments

    def on_assignment(self, assignment: Any) -> None:
        """Takes note of the member's assignment."""
        self._inner.on_assignment(assignment)
        self.announced = announced_in(assignment.user_data)

    def is_unheard(self) -> bool:
        """Returns whether this member has to join again because the leader does not know its types. Returns True at most once.

        That happens when a static member returns with other types: Kafka returns its old assignment without asking the leader. Kafka
        does so again unless the metadata of the member differs from before.
        """
        if self._again or self._own <= self.announced:
            return False
        self._again = b"\x01"
        return True

    def on_generation_assignment(self, generation: int) -> None:
        """Notes the generation of the group: without it, an old claim of a partition counts as much as a new one."""
        if self._sticky:
            self._inner.on_generation_assignment(generation)


def pair(topic: str, type: str) -> bytes:
    """Returns what stands for a type of a topic."""
    return _hash(topic) + _hash(type)


def appended(user_data: bytes, pairs: Iterable[bytes]) -> bytes:
    """Returns user data with pairs at its end, at most ``MOST_TYPES``."""
    listed = sorted(pairs)[:MOST_TYPES]
    return b"".join((user_data, *listed, len(listed).to_bytes(_COUNT, "big"), _MARK))


def announced_in(user_data: bytes | None) -> frozenset[bytes]:
    """Returns the pairs at the end of user data. Returns an empty set if another client wrote it, or if it is damaged."""
    if not user_data or not user_data.endswith(_MARK):
        return frozenset()
    end = len(user_data) - len(_MARK) - _COUNT
    if end < 0:
        return frozenset()
    count = int.from_bytes(user_data[end : end + _COUNT], "big")
    begin = end - count * 2 * _HASH
    if count > MOST_TYPES or begin < 0:
        return frozenset()
    return frozenset(user_data[at : at + 2 * _HASH] for at in range(begin, end, 2 * _HASH))


def _hash(name: str) -> bytes:
    return blake2b(name.encode(errors="replace"), digest_size=_HASH).digest()


def _class_of(name: str) -> Any:
    assignors = _library.assignors
    if name == "range":
        return assignors.range.RangePartitionAssignor
    if name == "roundrobin":
        return assignors.roundrobin.RoundRobinPartitionAssignor
    return assignors.sticky.sticky_assignor.StickyPartitionAssignor
