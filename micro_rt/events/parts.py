"""What is read of partitions and not done: records on their way, one by one or in a row."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from micro_rt.broker.base import Partition, Record
from micro_rt.errors import Error
from micro_rt.events.envelope import Envelope
from micro_rt.events.subscriber import Route
from micro_rt.kit.clock import loop_time

__all__ = ["Item", "Part", "Run", "error_text"]


class Part:
    """One partition of this member's."""

    __slots__ = ("bytes", "committed", "full", "gone", "id", "items", "lanes", "moved_at", "position", "run")

    def __init__(self, id: Partition) -> None:
        self.id = id
        self.items: deque[Item] = deque()
        """What is read, up to the first record that is not done at the left."""
        self.run: Run | None = None
        """Records that are handled in a row; then there are no items, and no lanes."""
        self.lanes: dict[bytes, deque[Item] | None] = {}
        """The keys of which a record is ready, running or waiting, and the records behind it if there are any."""
        self.bytes = 0
        self.position = -1
        self.committed = -1
        self.full = False
        self.gone = False
        self.moved_at = loop_time()

    @property
    def in_flight(self) -> int:
        """How many records are read and not done."""
        return len(self.items) + (0 if self.run is None else len(self.run.records) - self.run.index)

    def waiting_for(self) -> str:
        """Says what the position waits for."""
        if self.items:
            return self.items[0].state_text()
        run = self.run
        return f"offset {run.records[run.index].offset}" if run is not None and run.index < len(run.records) else ""

    def advance(self) -> None:
        """Moves the position over what is done."""
        items = self.items
        position = self.position
        while items and items[0].done:
            record = items.popleft().record
            position = record.offset + 1
            self.bytes -= len(record.value)
        if position != self.position:
            self.position = position
            self.moved_at = loop_time()


class Item:
    """One record on its way."""

    __slots__ = (
        "attempts",
        "dead_letter_failures",
        "given_up",
        "done",
        "envelope",
        "error",
        "part",
        "record",
        "route",
        "task",
        "timer",
        "dead_letter_problem",
        "unreadable",
    )

    def __init__(self, part: Part, record: Record) -> None:
        self.part = part
        self.record = record
        self.attempts = 0
        self.dead_letter_failures = 0
        self.given_up: tuple[str, BaseException | None] | None = None
        self.done = False
        self.envelope: Envelope | None = None
        self.error: BaseException | None = None
        self.route: Route | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.dead_letter_problem = ""
        """Why it is no dead letter yet, if it is to be one."""
        self.unreadable = ""

    def __str__(self) -> str:
        return f"{self.record.topic}/{self.record.partition}@{self.record.offset}"

    def state_text(self) -> str:
        """Says what is happening to the record, for a person."""
        if self.task is not None:
            return f"offset {self.record.offset}, attempt {self.attempts} is running"
        if self.dead_letter_problem:
            return f"offset {self.record.offset}, {self.dead_letter_problem}"
        if self.error is not None:
            return f"offset {self.record.offset}, attempt {self.attempts} failed: {error_text(self.error)}"
        return f"offset {self.record.offset}"


class Run:
    """Records of one partition that one worker handles in a row, for as long as no handler has to wait."""

    __slots__ = ("index", "item", "over", "part", "records", "route", "task")

    def __init__(self, part: Part, records: Sequence[Record]) -> None:
        self.part = part
        self.records = list(records)
        self.index = 0
        """Which of them is at work, or next."""
        self.over = False
        """Whether the records go their ways one by one now."""
        self.route: Route | None = None
        """Of the record at work, while its handler has begun and not returned."""
        self.item: Item | None = None
        """What has become of the record at work, once it is over."""
        self.task: asyncio.Task[None] | None = None

    def settle(self) -> None:
        """Moves the position of the partition over the records that are handled, and forgets them."""
        part, handled = self.part, self.records[: self.index]
        if handled:
            part.position = handled[-1].offset + 1
            part.bytes -= sum([len(record.value) for record in handled])
            del self.records[: self.index]
            self.index = 0
        part.moved_at = loop_time()


def error_text(error: BaseException) -> str:
    """Returns what an exception says, for a person."""
    return str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
