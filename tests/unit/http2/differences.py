"""The table of cases: where ``h2`` or ``ngh2`` makes something else than we do of the same frame, and what the RFC says.

``words`` are those of RFC 9113, in the section that is named; "…" stands for what is left out. Where the RFC leaves a
choice, both verdicts are right, and the words are those that leave it. ``note`` says what the other package does, where
the verdicts do not tell.

A row holds for a frame of one of its ``kinds`` that comes in one of its situations (``where``), if the verdicts are
those of the row. ``test_verdicts.py`` compares all three packages on many conversations: there is no difference
without a row, and no row without a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from micro_rt.http2.errors import ErrorCode
from micro_rt.http2.frames import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from tests.unit.http2.engines import ENGINES, Engine, Event, Heard, Ours

__all__ = ["TABLE", "Comparison", "Difference", "Found", "rows"]

FINE: Final = ""
_CODES: Final = {each.name: each for each in ErrorCode}


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
    """Looks at the events, where they differ."""

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
        where, kind = self.ours.situation(int.from_bytes(frame[5:9], "big") & 0x7FFF_FFFF), frame[3]
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
                found.append(Found(peer.name, kind, where, *said, self.ours.reason, events))
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


def _joins_cookies(found: Found) -> bool:
    """Whether the events are the same but for the fields of the name cookie."""
    ours, theirs = found.events

    def joined(events: Sequence[Event]) -> list[Event]:
        return [
            (*event[:2], tuple(field for field in event[2] if field[0] != b"cookie")) if len(event) == 3 else event
            for event in events
        ]

    return any(b"cookie" in dict(event[2]) for event in ours if event[0] == "request") and joined(ours) == joined(theirs)


_OPEN: Final = ("open", "half-closed (local)")
_STREAMS: Final = (*_OPEN, "half-closed (remote)")
_RESET: Final = ("reset by us", "reset by the peer")
_CLOSED: Final = ("closed", "skipped", *_RESET)
_IDLE: Final = ("idle", "in a block")
_ANYWHERE: Final = ("connection", *_IDLE, *_STREAMS, *_CLOSED)
_ANYTHING: Final = tuple(range(10))

TABLE: Final[tuple[Difference, ...]] = (
    # Both
    *(
        Difference(
            peer,
            _ANYTHING,
            _ANYWHERE,
            (f"reset {code}",),
            f"fatal {code}",
            "5.4.1",
            "an endpoint MAY choose to treat a stream error as a connection error.",
        )
        for peer, code in (
            ("h2", "PROTOCOL_ERROR"),
            ("h2", "FRAME_SIZE_ERROR"),
            ("ngh2", "PROTOCOL_ERROR"),
            ("ngh2", "FRAME_SIZE_ERROR"),
            ("ngh2", "FLOW_CONTROL_ERROR"),
            ("ngh2", "STREAM_CLOSED"),
        )
    ),
    # h2
    Difference(
        "h2",
        (HEADERS, CONTINUATION),
        _ANYWHERE,
        ("fatal COMPRESSION_ERROR",),
        "fatal PROTOCOL_ERROR",
        "4.3",
        "A decoding error in a field block MUST be treated as a connection error (Section 5.4.1) of type "
        "COMPRESSION_ERROR.",
    ),
    Difference(
        "h2",
        (DATA,),
        (*_IDLE, "half-closed (local)", "half-closed (remote)", *_CLOSED),
        ("fatal PROTOCOL_ERROR", "fatal STREAM_CLOSED", "reset PROTOCOL_ERROR", "reset STREAM_CLOSED", FINE),
        "fatal FRAME_SIZE_ERROR",
        "4.2",
        "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame … is too small to contain mandatory frame "
        "data.",
        "The stream takes no DATA, and the length of the padding is missing: h2 looks at the frame first.",
    ),
    Difference(
        "h2",
        (DATA,),
        ("reset by us",),
        (FINE,),
        "fatal PROTOCOL_ERROR",
        "5.1",
        "An endpoint MUST minimally process and then discard any frames it receives in this state.",
        "The padding is too long: we do not look at it.",
    ),
    Difference(
        "h2",
        (DATA, HEADERS, CONTINUATION),
        ("reset by us",),
        (FINE,),
        "reset STREAM_CLOSED",
        "5.1",
        "An endpoint MUST minimally process and then discard any frames it receives in this state.",
    ),
    Difference(
        "h2",
        (DATA, HEADERS, CONTINUATION),
        ("closed", "skipped"),
        ("fatal STREAM_CLOSED",),
        "reset STREAM_CLOSED",
        "5.1",
        "An endpoint MAY treat receipt of any other type of frame on a closed stream as a connection error "
        "(Section 5.4.1) of type STREAM_CLOSED, except as noted below.",
    ),
    Difference(
        "h2",
        (HEADERS, CONTINUATION),
        ("skipped",),
        ("fatal STREAM_CLOSED",),
        "fatal PROTOCOL_ERROR",
        "5.1.1",
        "an endpoint may skip a stream identifier, with the effect being that the skipped stream is immediately closed.",
        "For h2, the identifier is unexpected.",
    ),
    Difference(
        "h2",
        (RST_STREAM,),
        ("idle",),
        ("fatal PROTOCOL_ERROR",),
        FINE,
        "6.4",
        "If a RST_STREAM frame identifying an idle stream is received, the recipient MUST treat this as a connection "
        "error (Section 5.4.1) of type PROTOCOL_ERROR.",
    ),
    Difference(
        "h2",
        (WINDOW_UPDATE,),
        _CLOSED,
        (FINE,),
        "fatal PROTOCOL_ERROR",
        "5.1",
        "An endpoint that sends a frame with the END_STREAM flag set or a RST_STREAM frame might receive a "
        "WINDOW_UPDATE or RST_STREAM frame from its peer in the time before the peer receives and processes the frame "
        "that closes the stream.",
        "The increment is 0: h2 looks at the frame first.",
    ),
    Difference(
        "h2",
        (DATA,),
        _ANYWHERE,
        ("fatal FRAME_SIZE_ERROR",),
        FINE,
        "4.2",
        "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame exceeds the size defined in "
        "SETTINGS_MAX_FRAME_SIZE",
        "Only the header of the frame has come: h2 waits for the rest.",
        reasons=("a frame of 16385 bytes",),
    ),
    Difference(
        "h2",
        (SETTINGS,),
        ("connection",),
        ("fatal FRAME_SIZE_ERROR",),
        "fatal PROTOCOL_ERROR",
        "6.5",
        "Receipt of a SETTINGS frame with the ACK flag set and a length field value other than 0 MUST be treated as a "
        "connection error (Section 5.4.1) of type FRAME_SIZE_ERROR.",
    ),
    Difference(
        "h2",
        (WINDOW_UPDATE,),
        ("connection", *_STREAMS),
        (FINE,),
        "fatal PROTOCOL_ERROR",
        "4.1",
        "Reserved:  A reserved 1-bit field.  The semantics of this bit are undefined, and the bit MUST remain unset "
        "(0x00) when sending and MUST be ignored when receiving.",
        "The reserved bit of the increment is set: for h2, the increment is too large.",
    ),
    Difference(
        "h2",
        (HEADERS, CONTINUATION),
        _ANYWHERE,
        ("reset PROTOCOL_ERROR",),
        FINE,
        "8.6",
        "HTTP/2 does not support the 101 (Switching Protocols) informational status code",
        reasons=("a response with status 101",),
    ),
    Difference(
        "h2",
        (HEADERS, CONTINUATION),
        _ANYWHERE,
        ("reset PROTOCOL_ERROR",),
        FINE,
        "8.3.2",
        'a single ":status" pseudo-header field is defined that carries the HTTP status code field',
        "RFC 9110 (section 15): a status code is a three-digit integer.",
        reasons=("a response without a :status of three digits",),
    ),
    Difference(
        "h2",
        (HEADERS, CONTINUATION),
        _ANYWHERE,
        ("reset PROTOCOL_ERROR",),
        FINE,
        "8.1.1",
        "A request or response is also malformed if the value of a content-length header field does not equal the sum "
        "of the DATA frame payload lengths that form the content, unless the message is defined as having no content.",
        reasons=("no data, against its content-length", "content-length twice", "a content-length that is not one number"),
    ),
    Difference(
        "h2",
        (HEADERS, CONTINUATION),
        _ANYWHERE,
        (FINE,),
        FINE,
        "8.2.3",
        "If there are multiple Cookie header fields after decompression, these MUST be concatenated into a single "
        "octet string … before being passed into a non-HTTP/2 context",
        "h2 does it; we leave it to the caller.",
        explains=_joins_cookies,
    ),
    # ngh2
    Difference(
        "ngh2",
        (DATA, HEADERS, CONTINUATION),
        ("closed", "skipped"),
        ("fatal STREAM_CLOSED",),
        FINE,
        "5.1",
        "An endpoint MAY treat receipt of any other type of frame on a closed stream as a connection error "
        "(Section 5.4.1) of type STREAM_CLOSED, except as noted below.",
    ),
    Difference(
        "ngh2",
        (DATA, HEADERS, CONTINUATION),
        ("reset by the peer",),
        ("reset STREAM_CLOSED",),
        FINE,
        "5.1",
        "An endpoint MUST NOT send frames other than PRIORITY on a closed stream.",
        "ngh2 does not tell who has closed it.",
    ),
    Difference(
        "ngh2",
        (DATA,),
        _OPEN,
        ("fatal FRAME_SIZE_ERROR",),
        "fatal PROTOCOL_ERROR",
        "4.2",
        "An endpoint MUST send an error code of FRAME_SIZE_ERROR if a frame … is too small to contain mandatory frame "
        "data.",
        "The length of the padding is missing.",
    ),
    Difference(
        "ngh2",
        (HEADERS,),
        ("half-closed (remote)",),
        (FINE,),
        "fatal STREAM_CLOSED",
        "5.1",
        "If an endpoint receives additional frames, other than WINDOW_UPDATE, PRIORITY, or RST_STREAM, for a stream "
        "that is in this state, it MUST respond with a stream error (Section 5.4.2) of type STREAM_CLOSED.",
        "The field block goes on: we judge it when it ends, since it has to be decoded first.",
    ),
    Difference(
        "ngh2",
        (HEADERS, CONTINUATION),
        ("idle", "in a block", *_OPEN),
        (FINE,),
        "reset PROTOCOL_ERROR",
        "8.1.1",
        "Malformed requests or responses that are detected MUST be treated as a stream error (Section 5.4.2) of type "
        "PROTOCOL_ERROR.",
        "The field block goes on: we judge it when it ends, ngh2 field by field.",
    ),
    Difference(
        "ngh2",
        (HEADERS, CONTINUATION),
        _ANYWHERE,
        ("reset PROTOCOL_ERROR",),
        FINE,
        "8.3.1",
        "A server SHOULD treat a request as malformed if it contains a Host header field that identifies an entity "
        'that differs from the entity in the ":authority" pseudo-header field.',
        reasons=("a host that contradicts :authority",),
    ),
    Difference(
        "ngh2",
        (PRIORITY,),
        ("idle",),
        ("fatal PROTOCOL_ERROR",),
        FINE,
        "5.3.2",
        "The bulk of the text related to priority signals is not included in this document.",
        "RFC 7540 (section 5.3.1): a stream cannot depend on itself; h2spec asks for it still.",
        reasons=("a stream that depends on itself",),
    ),
    Difference(
        "ngh2",
        (RST_STREAM,),
        _CLOSED,
        (FINE,),
        FINE,
        "5.1",
        "An endpoint that sends a frame with the END_STREAM flag set or a RST_STREAM frame might receive a "
        "WINDOW_UPDATE or RST_STREAM frame from its peer in the time before the peer receives and processes the frame "
        "that closes the stream.",
        "ngh2 tells that the stream was reset; for us it has ended before.",
    ),
    Difference(
        "ngh2",
        (SETTINGS,),
        ("connection",),
        (FINE,),
        "fatal PROTOCOL_ERROR",
        "6.5",
        "When set, the ACK flag indicates that this frame acknowledges receipt and application of the peer's SETTINGS "
        "frame.",
        "Nothing is left to acknowledge. The RFC does not call it an error: we count it, as what brings nothing.",
    ),
    Difference(
        "ngh2",
        (GOAWAY,),
        ("connection",),
        (FINE,),
        "fatal PROTOCOL_ERROR",
        "6.8",
        "the GOAWAY contains the stream identifier of the last peer-initiated stream that was or might be processed on "
        "the sending endpoint in this connection.",
        "The number is none that we may give to a stream. The RFC does not call it an error.",
    ),
)


def rows(found: Found) -> list[Difference]:
    """Returns the rows that a difference is in."""
    return [row for row in TABLE if row.holds(found)]
