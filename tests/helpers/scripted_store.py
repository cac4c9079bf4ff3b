"""A store in memory whose calls fail as a test tells it, before or after they are done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import micro_rt as micro
from micro_rt.backends.memory.store import MemoryStore
from micro_rt.errors import Error
from micro_rt.kit.ids import new_id
from micro_rt.store.base import Changes, Cursor, Last, Record, Scan, Write

__all__ = ["FULL", "LATE", "LOST_ANSWER", "LOST_REQUEST", "UNSENT", "Failure", "Scripted"]

Failure = tuple[str, Callable[[], Error]]


def unsent() -> Error:
    return micro.Unavailable("cannot connect", may_have_run=False)


def lost() -> Error:
    return micro.Unavailable("the connection was lost", unanswered=True)


def full() -> Error:
    return micro.ResourceExhausted("the disk is full")


def late() -> Error:
    return micro.DeadlineExceeded("took too long", unanswered=True)


UNSENT: Failure = ("before", unsent)
"""The request was not sent."""
LOST_REQUEST: Failure = ("before", lost)
"""The connection was lost before the engine did anything."""
LOST_ANSWER: Failure = ("after", lost)
"""The connection was lost after the engine did it."""
FULL: Failure = ("before", full)
LATE: Failure = ("after", late)


class Scripted(MemoryStore):
    """A store in memory whose next calls fail as the script says, and which notes what it was called for."""

    timeout = 20.0

    def __init__(self) -> None:
        super().__init__(f"memory:{new_id()}")
        self.script: deque[Failure | None] = deque()
        self.random: Callable[[], Failure | None] | None = None
        self.calls: list[str] = []
        self.made: dict[bytes, int] = {}
        """The version that each value was written with."""
        self.after_writing: Callable[[], None] | None = None
        """Called once, after the next write, before it is answered."""

    def next(self, call: str) -> Failure | None:
        self.calls.append(call)
        if self.random is not None:
            return self.random()
        return self.script.popleft() if self.script else None

    def failed(self, failure: Failure | None, when: str) -> None:
        if failure is not None and failure[0] == when:
            make = failure[1]
            raise make()

    async def get(self, keys: Sequence[str]) -> Sequence[Record | None]:
        failure = self.next("get")
        self.failed(failure, "before")
        found = await super().get(keys)
        self.failed(failure, "after")
        return found

    async def apply(self, writes: Sequence[Write]) -> Sequence[int | Error]:
        failure = self.next("apply")
        self.failed(failure, "before")
        outcomes = await super().apply(writes)
        for write, outcome in zip(writes, outcomes, strict=True):
            if write.value is not None and isinstance(outcome, int):
                assert self.made.setdefault(write.value, outcome) == outcome, "made twice"
        if self.after_writing is not None:
            then, self.after_writing = self.after_writing, None
            then()
        self.failed(failure, "after")
        return outcomes

    async def scan(self, prefix: str, after: str, *, suffix: str, limit: int, max_bytes: int, values: bool) -> Scan:
        failure = self.next("scan")
        self.failed(failure, "before")
        found = await super().scan(prefix, after, suffix=suffix, limit=limit, max_bytes=max_bytes, values=values)
        self.failed(failure, "after")
        return found

    async def end(self) -> Cursor:
        failure = self.next("end")
        self.failed(failure, "before")
        found = await super().end()
        self.failed(failure, "after")
        return found

    async def changes(self, prefix: str, cursor: Cursor, *, limit: int, max_bytes: int) -> Changes | None:
        failure = self.next("changes")
        self.failed(failure, "before")
        found = await super().changes(prefix, cursor, limit=limit, max_bytes=max_bytes)
        self.failed(failure, "after")
        return found

    async def last(self, key: str) -> Last | None:
        failure = self.next("last")
        self.failed(failure, "before")
        found = await super().last(key)
        self.failed(failure, "after")
        return found

    def overwrite(self, key: str) -> None:
        """Writes as somebody else would."""
        self._open_records().apply(Write(key, b"of somebody else", {}, None, None, new_id()))
