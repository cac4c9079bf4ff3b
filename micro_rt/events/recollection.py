"""What the note of the member before this one says of records that have not arrived yet: done, or suspected.

A suspected record may be the one whose handler has ended a process. There are two kinds: those that the note names, because they were
running when a process ended, and, if a member has not ended in good order, every record that it may have begun.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from micro_rt.broker.base import Record
from micro_rt.events.position_note import PositionNote, Suspect, check_of, decode_note

__all__ = ["Recollection", "Suspicion"]


class Suspicion:
    """Why a record is handled with care, and what has become of it.

    Attributes:
        deaths: the tokens of the processes that have ended while it was the only record that they were handling.
        named: whether it was running when a process ended.
        begun: whether a commit says, or is about to say, that it runs.
        alone: whether nothing else runs in this process meanwhile.
    """

    __slots__ = ("alone", "begun", "deaths", "named")

    def __init__(self, deaths: Sequence[str], named: bool) -> None:
        self.deaths = deaths
        self.named = named
        self.begun = False
        self.alone = False


class Recollection:
    """What a note says of the records that have not arrived yet.

    Args:
        text: the note, or what another program has stored in its place.
        token: names this process. What it has noted itself, before it lost the partition, is no sign that a process has ended.
    """

    __slots__ = ("_check", "_done", "_from", "_named", "_until", "unclean")

    def __init__(self, text: str = "", token: str = "") -> None:
        note = decode_note(text) or PositionNote(0)
        self.unclean = bool(note.used) and note.used != token
        """Whether the member before this one has not given the partition up in good order."""
        self._done = deque(note.done)
        self._check = note.check
        """The checksum of the first done record, until it has arrived."""
        died = {note.used} if note.alone and len(note.run) == 1 else set[str]()
        self._named: dict[int, Suspect] = {}
        for each in (*note.died, *note.run):
            # A process that lost a partition without ending is taken for dead. It removes its name when it reads the partition again.
            deaths = {*each.deaths, *(died if each in note.run else ())} - {token, ""}
            self._named[each.offset] = each._replace(deaths=sorted(deaths))
        self._until = 0
        """The offset after the last record that the member before this one may have begun; 0 if it has ended in good order."""
        self._from = note.position

    def suspect(self, count: int) -> None:
        """Suspects so many offsets after the position of the note."""
        self._until = self._from + count if count else 0

    @property
    def says(self) -> bool:
        """Whether it says anything of records to come."""
        return bool(self._done or self._named or self._until)

    def arrive(self, records: Sequence[Record]) -> None:
        """Forgets what is said of records in front of these, or everything if it is about other records."""
        first = records[0].offset
        if first < self._from:  # An operator has set the position back, to have the records handled again.
            self._done.clear()
            self._named.clear()
            self._until = 0
        self._from = 0
        if self._until <= first:
            self._until = 0
        if self._named:
            self._named = {offset: each for offset, each in self._named.items() if offset >= first}
        if self._check is None:
            self._forget_done(first)

    def was_done(self, record: Record) -> bool:
        """Returns whether a record that arrives is done already."""
        done = self._done
        if not done or record.offset < done[0][0]:
            return False
        if self._check is not None:
            if record.offset != done[0][0] or check_of(record) != self._check:
                done.clear()  # They are other records: the topic was made anew.
                return False
            self._check = None
        self._forget_done(record.offset)
        return bool(done) and done[0][0] <= record.offset

    def suspicion(self, record: Record) -> Suspicion | None:
        """Returns why a record that arrives is to be handled with care; None if it is not."""
        named = self._named.pop(record.offset, None)
        if named is not None and named.check == check_of(record):
            return Suspicion(named.deaths, True)
        return Suspicion((), False) if record.offset < self._until else None

    @property
    def done(self) -> Sequence[tuple[int, int]]:
        """The done records that have not arrived."""
        return self._done

    @property
    def check(self) -> int | None:
        """The checksum of the first of them, if it is known."""
        return self._check

    @property
    def named(self) -> Sequence[Suspect]:
        """The named records that have not arrived."""
        return list(self._named.values())

    def _forget_done(self, offset: int) -> None:
        while self._done and self._done[0][1] <= offset:
            self._done.popleft()
