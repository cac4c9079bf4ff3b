"""The progress of one partition: which records are read and not done, and how far the position is that may be committed.

Only this module changes that state. Others call methods of ``PartitionProgress`` and ``FastBatch``; they read attributes, and assign
none. (``routing``, ``handling`` and ``failures`` write what they do with a ``PendingRecord``: its route, its attempts, its wait.
``handling`` writes the ``route`` and ``task`` of a batch.)

The rules that these classes keep:

- ``position`` is the offset after the last record that is done with no undone record before it. It only grows, and
  ``advance`` and ``settle`` alone move it. So what is committed never passes a record that is not done, in whatever order
  handlers finish.
- A partition is in one of two states. In a fast batch, its records are handled one after another by one worker: no object for
  each, no place in line. Otherwise each record that is not done is a ``PendingRecord``. ``FastBatch.end`` is the only way from
  the first to the second, and there is none back while a record is pending: later records of its key would overtake it.
- ``line_up`` lets one record of a key be handled at a time. The next one becomes ready in ``finish``, and in no other way: a
  record that fails and waits for its next attempt keeps its key. Records without a key wait for nothing.
- ``pending`` is in the order of offsets, and its first record is not done, except within a call of ``handling``: whatever marks
  records as done calls ``advance`` before the next record is handled.
- A partition is ``full`` from the moment on at which it has ``max_in_flight`` records in flight, or more bytes than are free
  (``memory``), until it is down to half of that: so reading is not switched on and off for every record.
- ``moved_at`` is when the position moved last, or when there was work again after there was none. So an idle partition is
  never called stuck, and one that waits for a record that cannot be handled is.
- A partition that is ``released`` begins nothing any more; what still runs may finish and is counted.
- The note that is committed with the position says which records after it are done. The member that reads the partition next
  ``recall``s it: these records are done when they arrive, and are not handled again. A note is believed only if the record at
  its first offset is the one that the note was written about; otherwise everything is handled. What a note said of records that have
  not arrived yet goes into the next note.
- The note also says that a member uses the partition; only its last commit does not. So a member that finds such a note knows that a
  process has ended without a word, perhaps because of a handler, and ``suspect``s what it may have begun (``careful`` has the rest).
- Bytes in flight are those of values alone: keys and headers are small, and counting them would cost more than it tells.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

from micro_rt.broker.base import Partition, Record
from micro_rt.errors import Error
from micro_rt.events.envelope import Envelope
from micro_rt.events.memory import MAX_MEMORY, Allowance, LoopMemory
from micro_rt.events.position_note import PositionNote, Suspect, check_of, encode_note
from micro_rt.events.recollection import Recollection, Suspicion
from micro_rt.events.subscriber import Route
from micro_rt.kit.clock import loop_time

__all__ = ["MOST_UNKNOWN", "OTHERS", "DoneHere", "FastBatch", "PartitionProgress", "PendingRecord", "error_text"]

MOST_UNKNOWN = 100
"""Unknown types of which one partition counts the records separately."""
OTHERS = "(other types)"
"""What the records of further types are counted under."""


class PartitionProgress:
    """The state of one partition of this member.

    Attributes are for reading; only the methods of this module change them.

    Args:
        id: the partition.
        token: names this process in the notes of positions; empty to say nothing of whether it uses the partition.
        allowance: the memory that its records share with others; None for memory of its own.
    """

    __slots__ = (
        "_allowance",
        "_behind",
        "_bytes",
        "_noted",
        "_told",
        "_token",
        "arrived",
        "batch",
        "committed",
        "full",
        "id",
        "tail",
        "moved_at",
        "opened",
        "pending",
        "position",
        "released",
        "tombstones",
        "unknown",
    )

    def __init__(self, id: Partition, token: str = "", allowance: Allowance | None = None) -> None:
        self.id = id
        self._allowance = allowance or Allowance(LoopMemory(), MAX_MEMORY)
        self.arrived = 0
        """Bytes of the records that arrived last."""
        self.pending: deque[PendingRecord] = deque()
        """The records that are read, from the first one that is not done; empty while there is a batch."""
        self.batch: FastBatch | None = None
        """The records that one worker handles one after another; None if each goes its own way."""
        self._behind: dict[bytes, deque[PendingRecord] | None] = {}
        """The keys of which a record is ready, running or waiting, and the records behind it if there are any."""
        self._bytes = 0
        self._noted = ""
        """The note that was committed last."""
        self._told: Recollection | None = None
        """What the member before this one says of records to come; None if it says nothing."""
        self._token = token
        self.opened = not token
        """Whether the note that was committed last says that this process uses the partition."""
        self.position = -1
        """The offset that may be committed; -1 before the first record is done."""
        self.committed = -1
        """The offset that was committed last; -1 before the first commit."""
        self.tail: tuple[float, bytes | None] = (0.0, None)
        """The time and the key of the record before ``position``, once one is done."""
        self.full = False
        """Whether no more of it is to be read for now."""
        self.released = False
        """Whether nothing more of it is to begin, because another member reads it next."""
        self.moved_at = loop_time()
        self.tombstones = 0
        """How many tombstones were passed over."""
        self.unknown: dict[str, int] = {}
        """How many records were passed over because the subscriber has no method for their type, by type; beyond ``MOST_UNKNOWN`` types, under
        ``OTHERS``."""

    # What is read

    @property
    def in_flight(self) -> int:
        """The number of records that are read and not done."""
        return len(self.pending) + (0 if self.batch is None else len(self.batch.records) - self.batch.index)

    def arrive(self, records: Sequence[Record]) -> bool:
        """Counts records that were read, and puts them into the batch if there is one.

        Returns:
            Whether they are in the batch; otherwise they still have to be added, or to begin a batch.
        """
        batch = self.batch
        if not self.in_flight:
            self.moved_at = loop_time()
        if self._told is not None:
            self._told.arrive(records)
            if not self._told.says:
                self._told = None
        self.arrived = size = sum([len(record.value) for record in records])
        self._bytes += size
        self._allowance.memory.take(size)
        if batch is None:
            return False
        batch.records.extend(records)
        return True

    def begin_batch(self, records: Sequence[Record]) -> FastBatch:
        """Begins a batch with records that have arrived; nothing may be pending, and there may be no other batch."""
        self.batch = batch = FastBatch(self, records)
        return batch

    @property
    def told(self) -> bool:
        """Whether the member before this one may have said something of records that arrive."""
        return self._told is not None

    def add(self, record: Record) -> PendingRecord:
        """Adds a record that has arrived, after the others; it has no place in line yet, and needs none if it is done already."""
        pending = PendingRecord(self, record)
        if self._told is not None:
            pending.done = self._told.was_done(record)
            if not pending.done:
                pending.suspicion = self._told.suspicion(record)
        self.pending.append(pending)
        return pending

    def line_up(self, pending: PendingRecord) -> bool:
        """Returns whether a record may be handled now; otherwise it waits until those before it of its key are done."""
        key = pending.record.key
        if key is None:
            return True
        behind = self._behind
        if key not in behind:
            behind[key] = None
            return True
        waiting = behind[key]
        if waiting is None:
            behind[key] = deque((pending,))
        else:
            waiting.append(pending)
        return False

    # What is done

    def skip(self, pending: PendingRecord) -> None:
        """Marks a record as done that was not lined up; ``advance`` moves the position."""
        pending.done = True

    def skip_tombstone(self, pending: PendingRecord) -> None:
        """Marks a tombstone as done that the subscriber has no method for, and counts it; it was not lined up."""
        self.tombstones += 1
        self.skip(pending)

    def skip_unknown(self, pending: PendingRecord, type: str) -> None:
        """Marks a record as done whose type the subscriber has no method for, and counts it; it was not lined up."""
        counted = type if type in self.unknown or len(self.unknown) < MOST_UNKNOWN else OTHERS
        self.unknown[counted] = self.unknown.get(counted, 0) + 1
        self.skip(pending)

    def count_unknown(self, type: str) -> None:
        """Counts a record of a batch whose type is counted already."""
        self.unknown[type] += 1

    def finish(self, pending: PendingRecord) -> PendingRecord | None:
        """Marks a record as done that was lined up; returns the one of its key that may be handled now. ``advance`` moves the position."""
        pending.done = True
        key = pending.record.key
        if key is None:
            return None
        waiting = self._behind[key]
        if waiting:
            return waiting.popleft()
        del self._behind[key]
        return None

    def advance(self) -> bool:
        """Moves the position over the records that are done; returns whether it has moved."""
        pending = self.pending
        if not pending or not pending[0].done:
            return False
        position, size = self.position, 0
        while pending and pending[0].done:
            record = pending.popleft().record
            position = record.offset + 1
            size += len(record.value)
            self.tail = (record.timestamp, record.key)
        self.position = position
        self._give_back(size)
        self.moved_at = loop_time()
        return True

    def settle(self, batch: FastBatch) -> None:
        """Moves the position over the records of a batch that are handled, and forgets them."""
        handled = batch.records[: batch.index]
        if handled:
            last = handled[-1]
            self.position, self.tail = last.offset + 1, (last.timestamp, last.key)
            self._give_back(sum([len(record.value) for record in handled]))
            del batch.records[: batch.index]
            batch.index = 0
        self.moved_at = loop_time()

    # What members tell each other

    def recall(self, note: str) -> bool:
        """Reads the note of the member that has read the partition before; nothing may have arrived yet.

        Returns:
            Whether that member has not ended in good order, so that ``suspect`` is to be called.
        """
        self._told = Recollection(note, self._token)
        self._noted = note
        return self._told.unclean

    def suspect(self, count: int) -> None:
        """Has so many offsets after the committed position handled with care: the member before this one may have begun them."""
        if self._told is not None:
            self._told.suspect(count)

    def begin_alone(self, pending: PendingRecord, *, alone: bool) -> None:
        """Notes that a suspected record is about to be handled, and whether nothing else is meanwhile."""
        if pending.suspicion is not None:
            pending.suspicion.begun, pending.suspicion.alone = True, alone

    def not_alone(self, pending: PendingRecord) -> None:
        """Notes that others are handled beside a suspected record from now on."""
        if pending.suspicion is not None:
            pending.suspicion.alone = False

    def cut_short(self, pending: PendingRecord) -> None:
        """Notes that a suspected record was not handled, or not to the end."""
        if pending.suspicion is not None:
            pending.suspicion.begun = False

    def survive(self, pending: PendingRecord) -> None:
        """Notes that a suspected record was handled and did not end the process."""
        pending.suspicion = None

    def open(self, records: Sequence[Record]) -> tuple[int, str]:
        """Returns the position, and its note, to commit before these records, the first ones of this member, arrive."""
        if self._told is not None:
            self._told.arrive(records)
        offset = records[0].offset
        return offset, encode_note(self._note(offset, self._token))

    def stay_unopened(self) -> None:
        """Notes that the commit of ``open`` has failed: the next one says it."""
        self.opened = True

    def due(self, *, last: bool = False, marks: bool = False) -> tuple[int, str] | None:
        """Returns the position to commit, and its note; None if nothing is to be committed.

        Args:
            last: whether this is the last commit of this member. Then it is also due where only records after the position are
                done, or to say that the partition is given up in good order.
            marks: whether it is also due where only the note has changed.
        """
        position = self.position
        moved = position > self.committed
        if not moved:
            if not (last or marks):
                return None
            if position < 0:
                if not self.pending:
                    return None
                position = self.pending[0].record.offset
        note = encode_note(self._note(position, "" if last else self._token))
        return None if not moved and note == self._noted else (position, note)

    def _note(self, position: int, token: str) -> PositionNote:
        done: list[tuple[int, int]] = []
        run: list[Suspect] = []
        died: list[Suspect] = []
        alone = False
        check: int | None = None
        first = behind = -1
        for pending in self.pending:
            offset = pending.record.offset
            suspicion = pending.suspicion
            if pending.done:
                if first < 0:
                    first = offset
                    if check is None:
                        check = check_of(pending.record)
                behind = offset + 1
                continue
            if first >= 0:
                done.append((first, behind))
                first = -1
            if suspicion is None:
                continue
            if suspicion.begun and token:
                run.append(Suspect(offset, check_of(pending.record), suspicion.deaths))
                alone = suspicion.alone
            elif suspicion.deaths or (suspicion.named and token):
                died.append(Suspect(offset, check_of(pending.record), suspicion.deaths))
        if first >= 0:
            done.append((first, behind))
        if self._told is not None:
            if not done:
                check = self._told.check
            at = max(behind, position)
            for start, end in self._told.done:
                if done and start <= at == done[-1][1]:
                    done[-1] = (done[-1][0], max(at, end))
                elif end > at:
                    done.append((max(start, at), end))
            died += [each for each in self._told.named if each.offset >= position and (each.deaths or token)]
        return PositionNote(position, done, check, token, alone and len(run) == 1, run, died)

    def done_here(self) -> DoneHere | None:
        """Returns what is done and not committed, for this member to remember if the partition is lost; None if nothing is."""
        if self.position <= self.committed:
            return None
        return DoneHere(self.committed, self.position, self.tail)

    def pass_over(self, done: DoneHere, records: Sequence[Record]) -> Sequence[Record]:
        """Passes over the first records, before any other has arrived, if this member has handled them before.

        Args:
            done: what it has handled.
            records: the first ones.

        Returns:
            Those that are still to be handled.
        """
        rest = done.rest(records)
        if len(rest) < len(records):
            self.position, self.tail = done.position, done.last
        return rest

    # What its owner decides

    def becomes_full(self, records: int) -> bool:
        """Checks whether it has as much in flight as it may; returns whether reading is to pause now.

        Args:
            records: how many may be in flight.
        """
        if self.full:
            return False
        size, allowance = self._bytes, self._allowance
        if size and size >= allowance.free:
            allowance.memory.note_full()
        elif self.in_flight < records:
            return False
        self.full = True
        return True

    def has_room_again(self, records: int) -> bool:
        """Checks whether half of what may be in flight is done; returns whether reading is to go on now.

        Args:
            records: how many may be in flight.
        """
        if not self.full or self.in_flight > records // 2:
            return False
        size, allowance = self._bytes, self._allowance
        if size and size > allowance.free // 2:
            allowance.memory.note_full()
            return False
        self.full = False
        return True

    def drop(self) -> None:
        """Gives back the memory of its records: the partition is not this member's any more."""
        self._give_back(self._bytes)
        self._allowance = Allowance(LoopMemory(), MAX_MEMORY)  # What still runs may end later.

    def _give_back(self, size: int) -> None:
        self._bytes -= size
        self._allowance.memory.give_back(size)

    def note_commit(self, position: int, note: str) -> None:
        """Notes the position that was committed, and the note that was committed with it."""
        self.committed = position
        self._noted = note
        self.opened = True

    def release(self) -> None:
        """Lets nothing more begin."""
        self.released = True

    # What is reported of it

    def idle(self) -> float:
        """Returns the seconds since the position moved, or since there was work; 0 if no record is in flight."""
        return loop_time() - self.moved_at if self.in_flight else 0.0

    def waiting_for(self) -> str:
        """Says which record the position waits for, and what is happening to it, for a person; empty if no record is in flight."""
        if self.pending:
            return self.pending[0].state_text()
        batch = self.batch
        if batch is None or batch.index >= len(batch.records):
            return ""
        return f"offset {batch.records[batch.index].offset}"


class DoneHere(NamedTuple):
    """What this member has handled of a partition and could not commit, because it had lost its place in the group by then."""

    committed: int
    """The position that was committed last; -1 for none."""
    position: int
    """The offset after the last record that is done."""
    last: tuple[float, bytes | None]
    """The time and the key of that record."""

    def rest(self, records: Sequence[Record]) -> Sequence[Record]:
        """Returns the records that follow what is done; all of them unless they certainly are the same as then.

        They are not if the topic was deleted and made again, or if somebody has set the position of the group back.
        """
        count = 0
        while count < len(records) and records[count].offset < self.position:
            count += 1
        if not count or records[0].offset < self.committed:
            return records
        last = records[count - 1]
        same = last.offset == self.position - 1 and (last.timestamp, last.key) == self.last
        return records[count:] if same else records


class PendingRecord:
    """One record that goes its own way, until it is done.

    Attributes:
        progress: the partition that it is of.
        record: the record.
        done: whether it is handled, or a dead letter, or nothing to handle.

    The other attributes are the state of its attempts: ``routing``, ``handling`` and ``failures`` write them.
    """

    __slots__ = (
        "attempts",
        "dead_letter_failures",
        "dead_letter_problem",
        "done",
        "envelope",
        "failed_at",
        "failure",
        "given_up",
        "on_failure",
        "progress",
        "record",
        "refused",
        "retried",
        "route",
        "suspicion",
        "task",
        "timer",
        "unreadable",
    )

    def __init__(self, progress: PartitionProgress, record: Record) -> None:
        self.progress = progress
        self.record = record
        self.done = False
        self.attempts = 0
        self.dead_letter_failures = 0
        self.dead_letter_problem = ""
        """Why it is not a dead letter yet, if it is to be one."""
        self.envelope: Envelope | None = None
        self.failed_at = 0.0
        """When the first attempt failed, on the clock of the loop."""
        self.failure = ""
        """What the last attempt failed with; empty before the first failure. The exception itself would keep its event in memory."""
        self.given_up: tuple[str, BaseException | None] | None = None
        """The reason and the error, once it is to become a dead letter."""
        self.refused = 0
        """How many attempts failed in a way that does not pass by itself."""
        self.retried = False
        """Whether it has had its attempts, and is tried on because its failure may pass by itself."""
        self.on_failure: Literal["", "dead_letter", "stop"] = ""
        """What becomes of it if it cannot be handled; empty for what the options say."""
        self.route: Route | None = None
        self.suspicion: Suspicion | None = None
        """Why it is handled with care; None if it is not."""
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.unreadable = ""

    def __str__(self) -> str:
        return f"{self.record.topic}/{self.record.partition}@{self.record.offset}"

    def state_text(self) -> str:
        """Says what is happening to the record, for a person."""
        if self.task is not None:
            return f"offset {self.record.offset}, attempt {self.attempts} is running"
        if self.dead_letter_problem:
            return f"offset {self.record.offset}, {self.dead_letter_problem}"
        if self.failure:
            return f"offset {self.record.offset}, attempt {self.attempts} failed: {self.failure}"
        return f"offset {self.record.offset}"


class FastBatch:
    """Records of one partition that one worker handles one after another, for as long as no handler has to wait.

    Attributes are for reading; only the methods of this module change them, except ``route`` and ``task``, which say what the
    worker is doing: ``handling`` writes them.

    Args:
        progress: the partition.
        records: the first records; more may arrive.
    """

    __slots__ = ("at_work", "ended", "index", "progress", "records", "route", "task")

    def __init__(self, progress: PartitionProgress, records: Sequence[Record]) -> None:
        self.progress = progress
        self.records = list(records)
        self.index = 0
        """Which of the records is at work, or next."""
        self.ended = False
        """Whether the records go their own ways now."""
        self.route: Route | None = None
        """The route of the record at ``index``, while its handler has begun and not returned."""
        self.at_work: PendingRecord | None = None
        """What the record at work has become, once the batch has ended."""
        self.task: asyncio.Task[None] | None = None
        """The task of the worker."""

    def handled(self) -> int:
        """Notes that the next record is handled, or is nothing to handle; returns how many are since ``settle``."""
        self.index = index = self.index + 1
        return index

    def settle(self) -> None:
        """Moves the position of the partition over the records that are handled, and forgets them."""
        self.progress.settle(self)

    def end(self) -> list[Record]:
        """Ends the batch; the record at work, if there is one, goes on as ``at_work``, with its key in line.

        Returns:
            The records that have not begun, which are still to be added.
        """
        self.ended = True
        self.settle()
        progress, records = self.progress, self.records
        progress.batch = None
        if self.route is not None:
            self.at_work = progress.add(records.pop(0))
            progress.line_up(self.at_work)
        return records


def error_text(error: BaseException) -> str:
    """Returns what an exception says, for a person."""
    return str(error) if isinstance(error, Error) else f"{type(error).__name__}: {error}"
