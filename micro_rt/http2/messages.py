"""What a header section may say (RFC 9113, sections 8.1 to 8.6).

Rules kept here. A section that breaks one makes its message malformed: a stream error PROTOCOL_ERROR (section 8.1.1).

- A name has no upper case, no space, no control character, nothing above 0x7e, and a colon only as its first
  character; a value has no NUL, CR or LF, and no space or tab around it (section 8.2.1). A blank around the value of a
  regular field of a response is let through: grpc-go sends an error message that ends with one as it is.
- The fields of a connection, which HTTP/1.1 has, are illegal; ``te`` may only say ``trailers`` (section 8.2.2).
- Pseudo-header fields come first, once each, and only those that the section defines (section 8.3). A request has
  ``:method``, ``:scheme`` and ``:path``, and a CONNECT has ``:method`` and ``:authority`` alone (sections 8.3.1 and
  8.5). A response has ``:status`` (section 8.3.2). Trailers have none (section 8.1).
- A ``host`` that contradicts ``:authority`` is illegal (section 8.3.1).
- ``content-length`` is one number, and it is what the DATA frames then add up to (section 8.1.1).

Most fields come again: the table of HPACK gives the same object for each reference to an entry. So a field is judged
once, and the role that it may play is noted on it (``Field.role``). What is left for each section is how its fields go
together. That is noted on the fields which it begins with (``Fields.lead``): if only ordinary fields follow them, the
verdict is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from micro_rt.http2.blocks import Field, Fields
from micro_rt.http2.errors import ErrorCode, StreamError

__all__ = ["NO_LENGTH", "REQUEST", "RESPONSE", "TRAILERS", "Head", "check"]

REQUEST: Final = 0
RESPONSE: Final = 1
TRAILERS: Final = 2

NO_LENGTH: Final = -1
"""The length of a message without ``content-length``."""


class Head:
    """What the connection keeps about a header section that is well-formed."""

    __slots__ = ("interim", "kind", "length")

    def __init__(self, kind: int, length: int = NO_LENGTH, interim: bool = False) -> None:
        self.kind: Final = kind
        """REQUEST, RESPONSE or TRAILERS."""
        self.length: Final = length
        """Its content-length, or NO_LENGTH."""
        self.interim: Final = interim
        """Whether it is a response with a status of 1xx."""


def check(kind: int, stream_id: int, fields: Fields) -> Head:
    """Checks a header section by all rules of this module.

    Args:
        kind: REQUEST, RESPONSE or TRAILERS.
        stream_id: of its stream, for the error.
        fields: the section.

    Raises:
        StreamError: it breaks a rule.
    """
    lead = fields.lead
    if lead is not None:
        for field in fields.rest:
            if (field.role or _judge(field)) != _ORDINARY:
                lead = None
                break
        else:
            head: Head | None = lead.verdict
            if head is not None and head.kind == kind:
                return head
    head = _check_all(kind, stream_id, fields)
    if lead is not None:
        lead.verdict = head
    return head


def _check_all(kind: int, stream_id: int, fields: Iterable[Field]) -> Head:
    """Checks each field of a section, and how they go together."""
    allowed = _PSEUDO[kind]
    marked: dict[bytes, bytes] = {}  # the fields whose values matter here
    fault = ""
    regular = False
    for field in fields:
        role = field.role or _judge(field)
        if role == _ORDINARY:
            regular = True
            continue
        name = field.name
        if role == _BLANKED and kind != REQUEST:
            regular = True
            continue
        if role == _SPECIAL:
            regular = True
        elif role != _PSEUDO_FIELD:
            fault = _fault(field)
            break
        elif regular:
            fault = "a pseudo-header field after a regular field"
            break
        elif name not in allowed:
            fault = "a pseudo-header field that has no place there"
            break
        if name in marked:
            fault = f"{name.decode()} twice"
            break
        marked[name] = field.value
    if not fault and kind != TRAILERS:
        fault = _fault_of_request(marked) if kind == REQUEST else _fault_of_response(marked)
    if fault:
        raise StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
    interim = kind == RESPONSE and marked[b":status"][:1] == b"1"
    length = marked.get(b"content-length")
    if length is None and not interim:
        return _PLAIN[kind]
    return Head(kind, NO_LENGTH if length is None else int(length), interim)


_PLAIN: Final = tuple(map(Head, (REQUEST, RESPONSE, TRAILERS)))
"""What most sections come to."""

_PSEUDO: Final[tuple[frozenset[bytes], ...]] = (
    frozenset({b":method", b":scheme", b":authority", b":path"}),
    frozenset({b":status"}),
    frozenset(),
)
"""The pseudo-header fields of each kind."""

# The roles of fields; 0 is that of a field that has not been judged
_ORDINARY: Final = 1
"""A regular field, whose value does not matter here."""
_SPECIAL: Final = 2
"""A regular field that comes at most once, and whose value matters."""
_PSEUDO_FIELD: Final = 3
_ILLEGAL: Final = 4
_BLANKED: Final = 5
"""A regular field with a blank around its value, and with no other fault."""

_CONNECTION_FIELDS: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_SPECIAL_FIELDS: Final = frozenset({b"te", b"host", b"content-length"})
_COMMON: Final = frozenset(
    {
        b"accept-encoding",
        b"authorization",
        b"baggage",
        b"content-type",
        b"grpc-accept-encoding",
        b"grpc-encoding",
        b"grpc-message",
        b"grpc-status",
        b"grpc-status-details-bin",
        b"grpc-timeout",
        b"grpc-trace-bin",
        b"traceparent",
        b"tracestate",
        b"user-agent",
    }
)
"""Names that are certainly legal and ordinary."""
_NUL: Final = 0x00
_LF: Final = 0x0A
_CR: Final = 0x0D
_SPACE: Final = 0x20
_NAME_BYTES: Final = b"!\"#$%&'()*+,-./0123456789;<=>?@[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
"""The characters of names (section 8.2.1), but for the colon."""
_DIGITS: Final = b"0123456789"
_LONGEST_NUMBER: Final = 19
"""Digits of a content-length: more than any message has, and few enough to convert at once."""
_BLANKS: Final = (b" ", b"\t")
_BLANK: Final = "a field value with a blank around it"
_HTTP: Final = frozenset({b"http", b"https"})


def _judge(field: Field) -> int:
    """Returns the role that a field may play, wherever it is, and notes it on the field."""
    name, value = field.name, field.value
    if (
        name in _COMMON
        and not (_NUL in value or _CR in value or _LF in value)
        and (not value or (value[0] > _SPACE and value[-1] > _SPACE))
    ):
        field.role = _ORDINARY  # Most fields that vary take this short way.
    elif fault := _fault(field):
        plain = fault is _BLANK and name[:1] != b":" and name not in _SPECIAL_FIELDS
        field.role = _BLANKED if plain else _ILLEGAL
    elif name[:1] == b":":
        field.role = _PSEUDO_FIELD
    else:
        field.role = _SPECIAL if name in _SPECIAL_FIELDS else _ORDINARY
    return field.role


def _fault(field: Field) -> str:
    """Returns what is wrong with a field, wherever it is; nothing if it is legal."""
    name, value = field.name, field.value
    if _NUL in value or _CR in value or _LF in value:
        return "a field value with an illegal character"
    blank = _BLANK if value.startswith(_BLANKS) or value.endswith(_BLANKS) else ""
    if name[:1] == b":":
        return blank  # Only some names are allowed anywhere, and all of these are legal.
    if not name or name.translate(None, _NAME_BYTES):
        return "a field name with an illegal character"
    if name in _CONNECTION_FIELDS:
        return "a field of a connection"
    if name == b"te" and value.lower() != b"trailers":
        return "te other than trailers"
    if name == b"content-length" and (not value or len(value) > _LONGEST_NUMBER or value.translate(None, _DIGITS)):
        return "a content-length that is not one number"
    return blank


def _fault_of_request(marked: dict[bytes, bytes]) -> str:
    method, authority = marked.get(b":method"), marked.get(b":authority")
    if method == b"CONNECT":
        if not authority or b":scheme" in marked or b":path" in marked:
            return "a CONNECT that has more or less than :authority"
    else:
        scheme, path = marked.get(b":scheme"), marked.get(b":path")
        if not method or not scheme or not path:
            return "a request without :method, :scheme or :path"
        if scheme in _HTTP:
            if path[:1] != b"/" and (path != b"*" or method != b"OPTIONS"):
                return "a :path that does not begin with a slash"
            if authority is not None and b"@" in authority:
                return "a user in :authority"
    if authority is not None and marked.get(b"host", authority) != authority:
        return "a host that contradicts :authority"
    return ""


def _fault_of_response(marked: dict[bytes, bytes]) -> str:
    status = marked.get(b":status", b"")
    if len(status) != 3 or status.translate(None, _DIGITS) or status[:1] == b"0":
        return "a response without a :status of three digits"
    if status == b"101":
        return "a response with status 101"  # 8.6
    return ""
