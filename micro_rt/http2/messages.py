"""What a header section may say (RFC 9113, sections 8.1 to 8.5).

Rules kept here; a section that breaks one makes its message malformed, which is a stream error PROTOCOL_ERROR (section 8.1.1):

- A name has no upper case, no space, no control character, nothing above 0x7e, and a colon only as its first character; a
  value has no NUL, CR or LF, and no space or tab around it (section 8.2.1).
- The fields of a connection, which HTTP/1.1 has, are illegal; ``te`` may only say ``trailers`` (section 8.2.2).
- Pseudo-header fields come first, once each, and only those that the section defines (section 8.3). A request has ``:method``,
  ``:scheme`` and ``:path``, and a CONNECT has ``:method`` and ``:authority`` alone (sections 8.3.1 and 8.5). A response has
  ``:status`` (section 8.3.2). Trailers have none (section 8.1).
- A ``host`` that contradicts ``:authority`` is illegal (section 8.3.1).
- ``content-length`` is one number, and it is what the DATA frames then add up to (section 8.1.1).
"""

from __future__ import annotations

from typing import Final

from micro_rt.http2.blocks import Fields
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

    def __init__(self, kind: int, length: int, interim: bool) -> None:
        self.kind = kind
        """REQUEST, RESPONSE or TRAILERS."""
        self.length = length
        """Its content-length, or NO_LENGTH."""
        self.interim = interim
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
    fault, length, pseudo = _check_fields(fields, _PSEUDO[kind])
    if not fault:
        fault = _RULES[kind](pseudo)
    if fault:
        raise StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
    return Head(kind, length, kind == RESPONSE and pseudo[b":status"].startswith(b"1"))


_PSEUDO: Final = (
    frozenset({b":method", b":scheme", b":authority", b":path"}),
    frozenset({b":status"}),
    frozenset[bytes](),
)
"""The pseudo-header fields of each kind."""

_CONNECTION_FIELDS: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_NAME_BYTES: Final = bytes(each for each in range(0x21, 0x7F) if not 0x41 <= each <= 0x5A and each != 0x3A)
_DIGITS: Final = b"0123456789"
_LONGEST_NUMBER: Final = 19
"""Digits of a content-length: more than any message has, and few enough to convert at once."""


def _check_fields(fields: Fields, allowed: frozenset[bytes]) -> tuple[str, int, dict[bytes, bytes]]:
    """Checks each field.

    Returns:
        What is wrong, or nothing; the content-length; the pseudo-header fields, with ``host`` if it is there.
    """
    pseudo: dict[bytes, bytes] = {}
    length = NO_LENGTH
    regular = False
    for field in fields:
        name, value = field.name, field.value
        if name[:1] == b":":
            if regular:
                return "a pseudo-header field after a regular field", length, pseudo
            if name not in allowed:
                return "a pseudo-header field that has no place there", length, pseudo
            if name in pseudo:
                return "a pseudo-header field twice", length, pseudo
            pseudo[name] = value
        else:
            regular = True
            if not name or name.translate(None, _NAME_BYTES):
                return "a field name with an illegal character", length, pseudo
            if name in _SPECIAL:
                if name in _CONNECTION_FIELDS:
                    return "a field of a connection", length, pseudo
                if name == b"te":
                    if value.lower() != b"trailers":
                        return "te other than trailers", length, pseudo
                elif name == b"host":
                    if pseudo.setdefault(name, value) != value:
                        return "two different hosts", length, pseudo
                else:
                    if (
                        length != NO_LENGTH
                        or not value
                        or len(value) > _LONGEST_NUMBER
                        or value.translate(None, _DIGITS)
                    ):
                        return "a content-length that is not one number", length, pseudo
                    length = int(value)
        if b"\0" in value or b"\r" in value or b"\n" in value or value[:1] in _BLANKS or value[-1:] in _BLANKS:
            return "a field value with an illegal character", length, pseudo
    return "", length, pseudo


_BLANKS: Final = frozenset({b" ", b"\t"})
_SPECIAL: Final = _CONNECTION_FIELDS | {b"te", b"host", b"content-length"}


def _check_request(pseudo: dict[bytes, bytes]) -> str:
    method = pseudo.get(b":method")
    if not method:
        return "a request without :method"
    authority = pseudo.get(b":authority")
    if method == b"CONNECT":
        if not authority or b":scheme" in pseudo or b":path" in pseudo:
            return "a CONNECT that has more or less than :authority"
        return ""
    scheme, path = pseudo.get(b":scheme"), pseudo.get(b":path")
    if not scheme or not path:
        return "a request without :scheme or :path"
    if scheme in _HTTP and path[:1] != b"/" and (path != b"*" or method != b"OPTIONS"):
        return "a :path that does not begin with a slash"
    if authority is not None:
        if pseudo.get(b"host", authority) != authority:
            return "a host that contradicts :authority"
        if b"@" in authority and scheme in _HTTP:
            return "a user in :authority"
    return ""


_HTTP: Final = frozenset({b"http", b"https"})


def _check_response(pseudo: dict[bytes, bytes]) -> str:
    status = pseudo.get(b":status", b"")
    if len(status) != 3 or status.translate(None, _DIGITS) or status[:1] == b"0":
        return "a response without a :status of three digits"
    if status == b"101":
        return "a response with status 101"  # 8.6
    return ""


def _check_trailers(pseudo: dict[bytes, bytes]) -> str:
    return ""


_RULES: Final = (_check_request, _check_response, _check_trailers)
