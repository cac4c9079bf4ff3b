"""Sets that keep the order in which their members were added.

What a set's order reaches (who is woken first, which partition goes to which member, which connection is closed first) must
be the same in every run. Python's own sets order strings by a hash that differs between processes, and objects by their
addresses. These sets do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSet
from typing import Any, Generic, TypeVar
from weakref import ref

__all__ = ["OrderedSet", "WeakOrderedSet"]

T = TypeVar("T")


class OrderedSet(MutableSet[T]):
    """A set whose iteration yields members in the order in which they were added.

    Adding a member that is there already keeps its place.

    Args:
        members: the first members.
    """

    __slots__ = ("_members",)

    def __init__(self, members: Iterable[T] = ()) -> None:
        self._members: dict[T, None] = dict.fromkeys(members)

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[T]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self._members)!r})"

    def add(self, value: T) -> None:
        """Adds a member at the end, unless it is there."""
        self._members[value] = None

    def discard(self, value: T) -> None:
        """Removes a member if it is there."""
        self._members.pop(value, None)

    def clear(self) -> None:
        """Removes every member."""
        self._members.clear()

    def pop(self) -> T:
        """Removes the member that was added first, and returns it.

        Raises:
            KeyError: the set is empty.
        """
        for member in self._members:
            del self._members[member]
            return member
        raise KeyError("pop from an empty set")

    def update(self, *others: Iterable[T]) -> None:
        """Adds the members of other collections, in their order."""
        for other in others:
            for member in other:
                self._members[member] = None

    def difference_update(self, *others: Iterable[Any]) -> None:
        """Removes every member that is in one of the other collections."""
        for other in others:
            for member in list(other):
                self._members.pop(member, None)

    def intersection_update(self, other: Iterable[Any]) -> None:
        """Removes every member that is not in another collection."""
        kept = set(other)
        for member in [each for each in self._members if each not in kept]:
            del self._members[member]


class WeakOrderedSet(Generic[T]):
    """A set of weak references whose iteration yields living members in the order in which they were added.

    Members may be added, removed and collected while the set is iterated; an iteration yields those that were members when
    it began and are still alive. Members must be hashable and must allow weak references.
    """

    __slots__ = ("__weakref__", "_references")

    def __init__(self) -> None:
        self._references: dict[ref[T], None] = {}

    def __contains__(self, member: object) -> bool:
        return ref(member) in self._references

    def __iter__(self) -> Iterator[T]:
        for reference in list(self._references):
            member = reference()
            if member is not None and reference in self._references:
                yield member

    def __len__(self) -> int:
        return sum(reference() is not None for reference in list(self._references))

    def __bool__(self) -> bool:
        for reference in tuple(self._references):  # noqa: SIM110 - a generator costs more than all the rest
            if reference() is not None:
                return True
        return False

    def add(self, member: T) -> None:
        """Adds a member at the end, unless it is there."""
        own = ref(self)

        def collected(reference: ref[T]) -> None:
            holder = own()
            if holder is not None:
                holder._references.pop(reference, None)

        if ref(member) not in self._references:
            self._references[ref(member, collected)] = None

    def discard(self, member: T) -> None:
        """Removes a member if it is there."""
        self._references.pop(ref(member), None)
