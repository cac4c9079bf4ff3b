"""The table of cases: where ``h2`` or ``ngh2`` makes something else than we do of a frame, and what the RFC says.

``words`` are those of RFC 9113, in the section that is named; "…" stands for what is left out. Where the RFC leaves a
choice, both verdicts are right, and the words are those that leave it. ``note`` says what the other package does, where
the verdicts do not tell. ``test_verdicts.py`` compares all three packages on many conversations: there is no difference
without a row, and no row without a difference.
"""

from __future__ import annotations

from typing import Final

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
from tests.unit.http2.differences import (
    FINE,
    Difference,
    Found,
    drops_length,
    has_extensions,
    has_no_authority,
    has_reserved_bit,
    is_no_increment,
    joins_cookies,
    lacks_length,
    tells_nothing,
)

__all__ = ["TABLE", "rows"]


def rows(found: Found) -> list[Difference]:
    """Returns the rows that a difference is in."""
    return [row for row in TABLE if row.holds(found)]


_OPEN: Final = ("open", "half-closed (local)")
_STREAMS: Final = (*_OPEN, "half-closed (remote)")
_RESET: Final = ("reset by us", "reset by the peer")
_CLOSED: Final = ("closed", "skipped", *_RESET)
_IDLE: Final = ("idle", "in a block")
_ANYWHERE: Final = ("connection", *_IDLE, *_STREAMS, *_CLOSED)
_ANYTHING: Final = tuple(range(10))
_ALTSVC: Final = 0xA
_PRIORITY_UPDATE: Final = 0x10

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
        explains=lacks_length,
    ),
    Difference(
        "h2",
        (DATA, HEADERS, CONTINUATION),
        ("reset by us", "in a block"),
        (FINE,),
        "fatal PROTOCOL_ERROR",
        "5.1",
        "An endpoint MUST minimally process and then discard any frames it receives in this state.",
        "The padding is too long, or the message malformed: we do not look at it.",
        explains=tells_nothing,
    ),
    Difference(
        "h2",
        (DATA, HEADERS, CONTINUATION),
        ("reset by us", "in a block"),
        (FINE,),
        "reset STREAM_CLOSED",
        "5.1",
        "An endpoint MUST minimally process and then discard any frames it receives in this state.",
        explains=tells_nothing,
    ),
    Difference(
        "h2",
        (DATA, HEADERS, CONTINUATION),
        ("closed", "skipped", "in a block"),
        ("fatal STREAM_CLOSED",),
        "reset STREAM_CLOSED",
        "5.1",
        "An endpoint MAY treat receipt of any other type of frame on a closed stream as a connection error "
        "(Section 5.4.1) of type STREAM_CLOSED, except as noted below.",
    ),
    Difference(
        "h2",
        (HEADERS, CONTINUATION),
        ("skipped", "in a block"),
        ("fatal STREAM_CLOSED",),
        "fatal PROTOCOL_ERROR",
        "5.1.1",
        "an endpoint may skip a stream identifier, with the effect being that the skipped stream is immediately "
        "closed.",
        "For h2, the identifier is unexpected.",
    ),
    Difference(
        "h2",
        (CONTINUATION,),
        ("closed", "skipped", *_RESET),
        ("fatal PROTOCOL_ERROR",),
        "fatal STREAM_CLOSED",
        "6.10",
        "A CONTINUATION frame MUST be preceded by a HEADERS, PUSH_PROMISE or CONTINUATION frame without the "
        "END_HEADERS flag set. A recipient that observes violation of this rule MUST respond with a connection error "
        "(Section 5.4.1) of type PROTOCOL_ERROR.",
    ),
    Difference(
        "h2",
        (CONTINUATION,),
        ("reset by us",),
        ("fatal PROTOCOL_ERROR",),
        "reset STREAM_CLOSED",
        "6.10",
        "A CONTINUATION frame MUST be preceded by a HEADERS, PUSH_PROMISE or CONTINUATION frame without the "
        "END_HEADERS flag set. A recipient that observes violation of this rule MUST respond with a connection error "
        "(Section 5.4.1) of type PROTOCOL_ERROR.",
        "For h2, that a stream was reset counts more than the order of frames.",
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
        "The increment is 0 or has its reserved bit: h2 looks at the frame first.",
        explains=is_no_increment,
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
        "Reserved: A reserved 1-bit field. The semantics of this bit are undefined, and the bit MUST remain unset "
        "(0x00) when sending and MUST be ignored when receiving.",
        "The reserved bit of the increment is set: for h2, the increment is too large.",
        explains=has_reserved_bit,
    ),
    Difference(
        "h2",
        (GOAWAY,),
        ("connection",),
        (FINE,),
        FINE,
        "4.1",
        "Reserved: A reserved 1-bit field. The semantics of this bit are undefined, and the bit MUST remain unset "
        "(0x00) when sending and MUST be ignored when receiving.",
        "The reserved bit of the last stream is set: for h2, the number is larger.",
        explains=has_reserved_bit,
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
        reasons=(
            "no data, against its content-length",
            "content-length twice",
            "a content-length that is not one number",
        ),
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
        explains=joins_cookies,
    ),
    Difference(
        "h2",
        (HEADERS, CONTINUATION),
        _ANYWHERE,
        (FINE,),
        "fatal PROTOCOL_ERROR",
        "8.3.1",
        'unless there is no authority information to convey (in which case it MUST NOT generate ":authority").',
        explains=has_no_authority,
    ),
    Difference(
        "h2",
        (SETTINGS,),
        ("connection",),
        (FINE,),
        "fatal PROTOCOL_ERROR",
        "6.5.2",
        "An endpoint that receives a SETTINGS frame with any unknown or unsupported identifier MUST ignore that "
        "setting.",
        "h2 knows those of RFC 8441.",
        explains=has_extensions,
    ),
    *(
        Difference(
            "h2",
            (HEADERS, CONTINUATION),
            _ANYWHERE,
            ("reset PROTOCOL_ERROR",),
            FINE,
            section,
            words,
            reasons=(reason,),
        )
        for reason, section, words in (
            (
                "a request without :method, :scheme or :path",
                "8.3.1",
                (
                    'All HTTP/2 requests MUST include exactly one valid value for the ":method", ":scheme", and '
                    '":path" pseudo-header fields, unless they are CONNECT requests (Section 8.5).'
                ),
            ),
            (
                "a :path that does not begin with a slash",
                "8.3.1",
                (
                    'The ":path" pseudo-header field includes the path and query parts of the target URI (the '
                    "absolute-path production and, optionally, a '?' character followed by the query production"
                ),
            ),
            (
                "a user in :authority",
                "8.3.1",
                '":authority" MUST NOT include the deprecated userinfo subcomponent',
            ),
            (
                "a CONNECT that has more or less than :authority",
                "8.5",
                'The ":authority" pseudo-header field contains the host and port to connect to',
            ),
            (
                "a pseudo-header field that has no place there",
                "8.3",
                (
                    "Endpoints MUST treat a request or response that contains undefined or invalid pseudo-header "
                    "fields as malformed (Section 8.1.1)."
                ),
            ),
        )
    ),
    # Both: what RFC 7838 and 9218 add
    *(
        Difference(
            peer,
            (_ALTSVC, _PRIORITY_UPDATE),
            _ANYWHERE,
            (FINE,),
            theirs,
            "5.5",
            "Implementations MUST discard frames that have unknown or unsupported types.",
            f"{peer} knows the type.",
        )
        for peer, theirs in (("h2", "fatal FRAME_SIZE_ERROR"), ("ngh2", "fatal FRAME_SIZE_ERROR"))
    ),
    # ngh2
    Difference(
        "ngh2",
        (HEADERS, CONTINUATION),
        _ANYWHERE,
        (FINE,),
        FINE,
        "8.1.1",
        "For example, 204 or 304 responses contain no content",
        "ngh2 drops the content-length of such a response.",
        explains=drops_length,
    ),
    Difference(
        "ngh2",
        (DATA, HEADERS, CONTINUATION),
        ("closed", "skipped", "in a block"),
        ("fatal STREAM_CLOSED",),
        FINE,
        "5.1",
        "An endpoint MAY treat receipt of any other type of frame on a closed stream as a connection error "
        "(Section 5.4.1) of type STREAM_CLOSED, except as noted below.",
    ),
    Difference(
        "ngh2",
        (DATA, HEADERS, CONTINUATION),
        ("reset by the peer", "in a block"),
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
        explains=lacks_length,
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
