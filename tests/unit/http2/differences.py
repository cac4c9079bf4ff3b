"""Differences between what we, ``h2`` and ``ngh2`` make of the same frame; cases.py is the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import HEADER_BYTES, MAX_STREAM_ID
from tests.unit.http2.engines import ENGINES, Engine, Event, Heard, Ours

__all__ = ["FINE", "Comparison", "Difference", "Found"]

FINE: Final = ""
"""The verdict on a frame that breaks no rule."""


class Difference(NamedTuple):
    """A row of the table."""

    peer: str
    kinds: tuple[int, ...]
    where: tuple[str, ...]
    """What the stream is when the frame comes: see ``Ours.situation``."""
    ours: tuple[str, ...]
    """Our verdict, as ``"reset PROTOCOL_ERROR"``, or FINE; one of these."""
    theirs: str
    section: str
    words: str
    note: str = ""
    reasons: tuple[str, ...] = ()
    """The rules that we found broken, in our words; whichever, if there are none."""
    explains: Callable[[Found], bool] = lambda _: True
    """Looks at the frame and the events: whether the row is about them."""

    def holds(self, found: Found) -> bool:
        """Whether the row is about a difference."""
        return (
            found.peer == self.peer
            and found.kind in self.kinds
            and found.where in self.where
            and found.ours in self.ours
            and found.theirs == self.theirs
            and (not self.reasons or found.reason in self.reasons)
            and self.explains(found)
        )


class Found(NamedTuple):
    """A difference that was found."""

    peer: str
    kind: int
    where: str
    ours: str
    theirs: str
    reason: str
    events: tuple[tuple[Event, ...], tuple[Event, ...]]
    frame: bytes

    @property
    def payload(self) -> bytes:
        """The payload of the frame."""
        return self.frame[HEADER_BYTES:]


class Comparison:
    """A connection of ours, and one of each peer, that hear the same.

    The comparison with a peer ends with the first difference, or when that peer hears nothing more. So a difference is
    always about one frame, and never about what follows from an earlier one.
    """

    def __init__(self, side: str, habit: str = "silent", peers: Iterable[type[Engine]] = ENGINES[1:]) -> None:
        self.ours = Ours(side, habit)
        self.peers = [engine(side, habit) for engine in peers]

    def hear(self, frame: bytes) -> list[Found]:
        """Gives a frame to all; returns where one differs from ours."""
        where, kind = self.ours.situation(int.from_bytes(frame[5:9], "big") & MAX_STREAM_ID), frame[3]
        heard = self.ours.hear(frame)
        found: list[Found] = []
        for peer in list(self.peers):
            if peer.deaf:
                self.peers.remove(peer)
                continue
            other = peer.hear(frame)
            if heard.verdicts != other.verdicts or (heard.events != other.events and not other.lost):
                events = (heard.events, other.events)
                said = _said(heard), _said(other)
                found.append(Found(peer.name, kind, where, *said, self.ours.reason, events, frame))
                self.peers.remove(peer)
            elif other.fatal:
                self.peers.remove(peer)
            else:
                peer.react()
        if heard.fatal:
            self.peers.clear()
        self.ours.react()
        return found

    @property
    def over(self) -> bool:
        """Whether there is nothing more to compare."""
        return not self.peers


def _said(heard: Heard) -> str:
    return " and ".join(f"{verdict} {ErrorCode(code).name}" for verdict, _, code in heard.verdicts)
