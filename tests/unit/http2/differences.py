"""Differences between what we, ``h2`` and ``ngh2`` make of the same frame; cases.py is the table of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import HEADER_BYTES, MAX_STREAM_ID, PADDED
from tests.unit.http2.engines import ENGINES, Engine, Event, Heard, Ours

__all__ = [
    "FINE",
    "Comparison",
    "Difference",
    "Found",
    "drops_length",
    "has_extensions",
    "has_no_authority",
    "has_reserved_bit",
    "is_no_increment",
    "joins_cookies",
    "lacks_length",
    "tells_nothing",
]

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


# What a row may ask about a frame and its events


def joins_cookies(found: Found) -> bool:
    """Whether the events are the same but for the fields of the name cookie."""
    return _differs_by(b"cookie", found)


def has_no_authority(found: Found) -> bool:
    """Whether a request names no host."""
    requests = [event[2] for event in found.events[0] if event[0] == "request"]
    return any(not {b":authority", b"host"} & dict(fields).keys() for fields in requests)


def drops_length(found: Found) -> bool:
    """Whether the events are the same but for the field content-length."""
    return _differs_by(b"content-length", found)


def has_extensions(found: Found) -> bool:
    """Whether SETTINGS have one of a later RFC: 8441 or 9218."""
    return any(found.payload[place : place + 2] in (b"\0\x08", b"\0\x09") for place in range(0, len(found.payload), 6))


def lacks_length(found: Found) -> bool:
    """Whether the frame is padded, and does not say how much."""
    return bool(found.frame[4] & PADDED) and not found.payload


def tells_nothing(found: Found) -> bool:
    """Whether we drop the frame."""
    return not found.events[0]


def has_reserved_bit(found: Found) -> bool:
    """Whether the reserved bit before the number in the frame is set."""
    return bool(found.payload[0] & 0x80)


def is_no_increment(found: Found) -> bool:
    """Whether a WINDOW_UPDATE frame has an increment of 0, or one with its reserved bit."""
    return has_reserved_bit(found) or not any(found.payload)


# Helpers


def _said(heard: Heard) -> str:
    return " and ".join(f"{verdict} {ErrorCode(code).name}" for verdict, _, code in heard.verdicts)


_SECTIONS: Final = ("request", "response", "interim", "trailers")


def _differs_by(name: bytes, found: Found) -> bool:
    ours, theirs = found.events
    return ours != _without(name, ours) == _without(name, theirs)


def _without(name: bytes, events: Sequence[Event]) -> tuple[Event, ...]:
    """Returns events without the fields of a name."""
    return tuple(
        (*event[:2], tuple(field for field in event[2] if field[0] != name)) if event[0] in _SECTIONS else event
        for event in events
    )
