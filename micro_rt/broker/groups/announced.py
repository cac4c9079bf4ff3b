"""Remembers the types of events that the members of a group announce."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Generic, TypeVar

from micro_rt.kit.clock import loop_time

__all__ = ["MOST", "REMEMBERED_FOR", "Announced"]

REMEMBERED_FOR = 600.0
"""Seconds that a type is remembered after the last member that announced it has left: the time in which it may return."""
MOST = 10_000
"""Types that a member remembers at most; then it learns no more."""

TypeT = TypeVar("TypeT")


class Announced(Generic[TypeT]):
    """The types that members of a group announce, and those of members that have left recently."""

    def __init__(self) -> None:
        self._until: dict[TypeT, float] = {}
        """The time at which each type is forgotten, on the clock of the loop; infinite while a member announces it."""

    def hear(self, types: Iterable[TypeT]) -> None:
        """Notes all types that the members announce now."""
        now = loop_time()
        current = dict.fromkeys(types, math.inf)
        former = {
            type: min(until, now + REMEMBERED_FOR)
            for type, until in self._until.items()
            if type not in current and until > now
        }
        known = {**former, **current}
        if len(known) <= MOST:
            self._until = known

    def __contains__(self, type: TypeT) -> bool:
        until = self._until.get(type)
        return until is not None and (until == math.inf or until > loop_time())
