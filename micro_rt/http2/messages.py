"""What a header section may say (RFC 9113, sections 8.1 to 8.6).

Rules kept here; a section that breaks one makes its message malformed, which is a stream error PROTOCOL_ERROR (section 8.1.1):

- A name has no upper case, no space, no control character, nothing above 0x7e, and a colon only as its first character; a
  value has no NUL, CR or LF, and no space or tab around it (section 8.2.1).
- The fields of a connection, which HTTP/1.1 has, are illegal; ``te`` may only say ``trailers`` (section 8.2.2).
- Pseudo-header fields come first, once each, and only those that the section defines (section 8.3). A request has ``:method``,
  ``:scheme`` and ``:path``, and a CONNECT has ``:method`` and ``:authority`` alone (sections 8.3.1 and 8.5). A response has
  ``:status`` (section 8.3.2). Trailers have none (section 8.1).
- A ``host`` that contradicts ``:authority`` is illegal (section 8.3.1).
- ``content-length`` is one number, and it is what the DATA frames then add up to (section 8.1.1).

Most sections of a connection have the same names in the same order as an earlier one, even if their values vary. So what the
names say is worked out once for each such list (``Shape``), and the values are looked at together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from micro_rt.http2.blocks import Fields
from micro_rt.http2.errors import ErrorCode, StreamError

__all__ = ["NO_LENGTH", "REQUEST", "RESPONSE", "TRAILERS", "Checker", "Head"]

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


class Checker:
    """Checks the header sections of one connection by all rules of this module."""

    __slots__ = ("_shapes",)

    def __init__(self) -> None:
        self._shapes: dict[tuple[int, tuple[bytes, ...]], Shape] = {}

    def check(self, kind: int, stream_id: int, fields: Fields) -> Head:
        """Checks a header section.

        Args:
            kind: REQUEST, RESPONSE or TRAILERS.
            stream_id: of its stream, for the error.
            fields: the section.

        Raises:
            StreamError: it breaks a rule.
        """
        key = (kind, tuple([field.name for field in fields]))
        shape = self._shapes.get(key)
        if shape is None:
            shape = self._shape(kind, key[1])
        values = [field.value for field in fields]
        fault = shape.fault or _fault_of_values(values) or _RULES[kind](shape, values)
        if fault:
            raise StreamError(stream_id, ErrorCode.PROTOCOL_ERROR, fault)
        if shape.length is None and not (kind == RESPONSE and values[0][:1] == b"1"):
            return _PLAIN[kind]
        length = NO_LENGTH if shape.length is None else int(values[shape.length])
        return Head(kind, length, kind == RESPONSE and values[0][:1] == b"1")

    def _shape(self, kind: int, names: tuple[bytes, ...]) -> Shape:
        shape = Shape(kind, names)
        if len(names) <= _NAMES and sum(map(len, names)) <= _NAMES_BYTES:
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            self._shapes[kind, names] = shape
        return shape


_SHAPES: Final = 32
"""Shapes that a connection remembers, and how long the lists of names of each may be."""
_NAMES: Final = 32
_NAMES_BYTES: Final = 1024

_PLAIN: Final = (Head(REQUEST), Head(RESPONSE), Head(TRAILERS))
"""What most sections come to."""

_PSEUDO: Final = (
    frozenset({b":method", b":scheme", b":authority", b":path"}),
    frozenset({b":status"}),
    frozenset[bytes](),
)
"""The pseudo-header fields of each kind."""
_CONNECTION_FIELDS: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_ONCE: Final = frozenset({b"te", b"host", b"content-length"})
"""Regular fields that come at most once and whose value is looked at."""
_NAME_BYTES: Final = bytes(each for each in range(0x21, 0x7F) if not 0x41 <= each <= 0x5A and each != 0x3A)
_DIGITS: Final = b"0123456789"
_LONGEST_NUMBER: Final = 19
"""Digits of a content-length: more than any message has, and few enough to convert at once."""
_BLANKS: Final = frozenset({b" ", b"\t"})
_HTTP: Final = frozenset({b"http", b"https"})


class Shape:
    """What the names of a header section say, in their order: what is wrong, and at which places the values matter."""

    __slots__ = ("authority", "fault", "host", "length", "method", "path", "scheme", "te")

    def __init__(self, kind: int, names: tuple[bytes, ...]) -> None:
        places: dict[bytes, int] = {}
        self.fault = _fault_of_names(kind, names, places)
        """What is wrong; nothing if it is empty."""
        self.method = places.get(b":method")
        self.scheme = places.get(b":scheme")
        self.path = places.get(b":path")
        self.authority = places.get(b":authority")
        self.host = places.get(b"host")
        self.te = places.get(b"te")
        self.length = places.get(b"content-length")


def _fault_of_names(kind: int, names: tuple[bytes, ...], places: dict[bytes, int]) -> str:
    """Returns what is wrong with names, and notes the places of those whose values matter."""
    allowed = _PSEUDO[kind]
    regular = False
    for place, name in enumerate(names):
        if name[:1] == b":":
            if regular:
                return "a pseudo-header field after a regular field"
            if name not in allowed:
                return "a pseudo-header field that has no place there"
            if name in places:
                return "a pseudo-header field twice"
            places[name] = place
            continue
        regular = True
        if not name or name.translate(None, _NAME_BYTES):
            return "a field name with an illegal character"
        if name in _CONNECTION_FIELDS:
            return "a field of a connection"
        if name in _ONCE:
            if name in places:
                return f"{name.decode()} twice"
            places[name] = place
    if kind == REQUEST and b":method" not in places:
        return "a request without :method"
    if kind == RESPONSE and b":status" not in places:
        return "a response without :status"
    return ""


def _fault_of_values(values: Sequence[bytes]) -> str:
    """Returns what is wrong with values, whatever their names."""
    joined = b"\n".join(values)
    if b"\0" in joined or b"\r" in joined or joined.count(b"\n") > max(0, len(values) - 1):
        return "a field value with an illegal character"
    if b" " in joined or b"\t" in joined:
        for value in values:
            if value[:1] in _BLANKS or value[-1:] in _BLANKS:
                return "a field value with a blank around it"
    return ""


def _check_request(shape: Shape, values: Sequence[bytes]) -> str:
    assert shape.method is not None  # noqa: S101 - as _fault_of_names has seen
    method = values[shape.method]
    authority = None if shape.authority is None else values[shape.authority]
    if method == b"CONNECT":
        if not authority or shape.scheme is not None or shape.path is not None:
            return "a CONNECT that has more or less than :authority"
    else:
        if not method or shape.scheme is None or shape.path is None:
            return "a request without :method, :scheme or :path"
        scheme, path = values[shape.scheme], values[shape.path]
        if not scheme or not path:
            return "a request with an empty :scheme or :path"
        if scheme in _HTTP:
            if path[:1] != b"/" and (path != b"*" or method != b"OPTIONS"):
                return "a :path that does not begin with a slash"
            if authority is not None and b"@" in authority:
                return "a user in :authority"
    if shape.host is not None and authority is not None and values[shape.host] != authority:
        return "a host that contradicts :authority"
    return _check_regular(shape, values)


def _check_response(shape: Shape, values: Sequence[bytes]) -> str:
    status = values[0]  # Nothing can be before it.
    if len(status) != 3 or status.translate(None, _DIGITS) or status[:1] == b"0":
        return "a :status that is no number of three digits"
    if status == b"101":
        return "a response with status 101"  # 8.6
    return _check_regular(shape, values)


def _check_regular(shape: Shape, values: Sequence[bytes]) -> str:
    if shape.te is not None and values[shape.te].lower() != b"trailers":
        return "te other than trailers"
    if shape.length is not None:
        length = values[shape.length]
        if not length or len(length) > _LONGEST_NUMBER or length.translate(None, _DIGITS):
            return "a content-length that is not one number"
    return ""


_RULES: Final = (_check_request, _check_response, _check_regular)
"""The rules about the values of each kind."""
