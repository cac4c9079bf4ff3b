"""What the fields of a request say to a server of gRPC ("Requests" of PROTOCOL-HTTP2.md).

Rules kept here:

- A request that is not gRPC's is answered in HTTP (405, 415), and one that is no POST also with a text, which browsers
  and command lines show. One that is gRPC's, and is wrong, is answered with a status.
- No field with a control character reaches a handler, or a log: it makes its request malformed (RFC 9110, section
  5.5).
- What a field means is found out once, and noted on the field and on its block: the decoder gives the same objects
  again for what comes again. What only varies in its deadline and its trace costs little more.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from micro_rt.backends.grpc.fields import response_group
from micro_rt.errors import Error, InvalidArgument, Unimplemented, Unknown
from micro_rt.http2.hpack import Field, Fields, Group
from micro_rt.metadata import EMPTY, RESERVED, Metadata, MetadataValue
from micro_rt.text import printable
from micro_rt.transport.compression import ACCEPTED, IDENTITY
from micro_rt.transport.wire import content_subtype_of, decode_timeout

__all__ = ["Request", "read_request"]


class Request:
    """What the fields of a request say. Calls with the same fields share it."""

    __slots__ = (
        "accepted",
        "compression",
        "content_subtype",
        "foreign",
        "malformed",
        "metadata",
        "path",
        "refusal",
        "response",
        "text",
        "timeout",
    )

    def __init__(self) -> None:
        self.path = ""
        """``/package.Service/Method``."""
        self.content_subtype = "proto"
        """Of the codec."""
        self.compression = ""
        """Of the messages of the client; empty for none."""
        self.accepted: frozenset[str] = _NO_COMPRESSION
        """How messages for the client may be compressed."""
        self.metadata = EMPTY
        self.timeout: float | None = None
        """Seconds until the deadline."""
        self.response = _RESPONSE
        """The fields that a response begins with."""
        self.malformed = False
        """Whether the stream is to be reset (RFC 9113, section 8.1.1)."""
        self.refusal: Error | None = None
        """What the call ends with before a handler begins. It is not raised."""
        self.foreign = False
        """Whether it is no call: it is answered when all of it has come."""
        self.text = b""
        """What is sent before that, to whoever does not speak gRPC."""

    def copy(self) -> Request:
        """Returns a request that says the same."""
        request = _new_request(Request)
        request.path = self.path
        request.content_subtype = self.content_subtype
        request.compression = self.compression
        request.accepted = self.accepted
        request.metadata = self.metadata
        request.timeout = self.timeout
        request.response = self.response
        request.malformed = self.malformed
        request.refusal = self.refusal
        request.foreign = self.foreign
        request.text = self.text
        return request


def read_request(fields: Fields) -> Request:
    """Reads the fields of a request that HTTP/2 allows.

    Whatever they hold, there is a result.
    """
    lead = fields.lead
    if lead is not None:
        if lead.note is None:
            lead.note = _read_all(lead.fields)
        request = _with_rest(lead.note, fields.rest)
        if request is not None:
            return request
    return _read_all(fields)


def _with_rest(known: Request, fields: Iterable[Field]) -> Request | None:
    """Returns a request with fields after those that are known; None if they say more than a deadline and metadata."""
    request = known.copy()
    pairs: list[tuple[str, MetadataValue]] = []
    for field in fields:
        meaning, value = field.note or _read(field)
        if meaning == _METADATA:
            pairs += value
        elif meaning == _TIMEOUT:
            request.timeout = value
        elif meaning != _IGNORED:
            return None
    if pairs:
        request.metadata = known.metadata.with_received(*pairs)
    return request


def _read_all(fields: Iterable[Field]) -> Request:
    request = Request()
    pairs: list[tuple[str, MetadataValue]] = []
    method, subtype, content_type = b"", None, b""
    for field in fields:
        meaning, value = field.note or _read(field)
        if meaning == _IGNORED:
            continue
        if meaning == _METADATA:
            pairs += value
        elif meaning == _PATH:
            request.path = value
        elif meaning == _METHOD:
            method = value
        elif meaning == _CONTENT_TYPE:
            subtype, content_type = value, field.value
        elif meaning == _TIMEOUT:
            request.timeout = value
        elif meaning == _ACCEPTED:
            request.accepted = value
        elif meaning == _ENCODING:
            request.compression = value
        elif meaning == _UNKNOWN_ENCODING:
            request.response = response_group("proto", asked=True)
            request.refusal = request.refusal or value
        elif meaning == _MALFORMED:
            request.malformed = True
        elif request.refusal is None:
            request.refusal = value
    if pairs:
        request.metadata = EMPTY.with_received(*pairs)
    if subtype is None:
        request.foreign = True
        request.response = _NOT_GRPC
        request.refusal = Unknown(f"content-type {content_type.decode('latin-1')!r} is not gRPC's application/grpc")
    elif subtype != "proto":
        request.content_subtype = subtype
        request.response = response_group(subtype, asked=request.response is not _RESPONSE)
    if method != b"POST":
        request.foreign = True
        request.response = _NOT_POST
        request.refusal = Unknown("gRPC calls are POST requests")
        if method != b"HEAD":
            request.text = _TEXT
    return request


_CONTENT_TYPE_FIELD: Final = (b"content-type", b"application/grpc")
_RESPONSE: Final = Group([(b":status", b"200"), _CONTENT_TYPE_FIELD])
_NOT_GRPC: Final = Group([(b":status", b"415"), _CONTENT_TYPE_FIELD])
_NOT_POST: Final = Group([(b":status", b"405"), (b"content-type", b"text/plain; charset=utf-8"), (b"allow", b"POST")])
_TEXT: Final = b"This port serves gRPC, whose calls are POST requests.\n"

_NO_COMPRESSION: Final[frozenset[str]] = frozenset()
_SHOWN: Final = 50
"""Characters of the name of an algorithm that an error shows."""

_new_request: Final = Request.__new__

# What a field may mean
_IGNORED: Final = 0
_METADATA: Final = 1
_PATH: Final = 2
_METHOD: Final = 3
_CONTENT_TYPE: Final = 4
_TIMEOUT: Final = 5
_REFUSAL: Final = 6
_MALFORMED: Final = 7
_ENCODING: Final = 8
_ACCEPTED: Final = 9
_UNKNOWN_ENCODING: Final = 10

Meaning: TypeAlias = tuple[int, Any]
"""What a field means, and the value that it has."""

_NOTHING: Final[Meaning] = (_IGNORED, None)
_BROKEN: Final[Meaning] = (_MALFORMED, None)

_has_control_character = re.compile(rb"[\0-\x08\x0a-\x1f\x7f]").search
"""A tab may be within a value."""


def _read(field: Field) -> Meaning:
    """Returns what a field means, and notes it on the field."""
    name = field.name
    meaning: Meaning
    if name == b"grpc-timeout":
        meaning = _timeout(field.value)
    elif name in _VARYING and _is_plain(text := field.value.decode("latin-1")):
        meaning = _METADATA, ((_VARYING[name], text),)
    elif _has_control_character(field.value):
        meaning = _BROKEN
    elif (reader := _READERS.get(name)) is not None:
        meaning = reader(field.value)
    elif name[:1] == b":" or name[:5] == b"grpc-":
        meaning = _NOTHING
    else:
        meaning = _metadata(name.decode("latin-1"), field.value)
    field.note = meaning
    return meaning


_VARYING: Mapping[bytes, str] = MappingProxyType({b"traceparent": "traceparent", b"tracestate": "tracestate"})
"""Metadata that differs in every request: this is read in the least time."""


def _metadata(key: str, value: bytes) -> Meaning:
    if key in RESERVED:
        return _NOTHING
    found: list[tuple[str, MetadataValue]]
    if key.endswith("-bin"):
        try:
            found = [(key, _binary(part)) for part in value.split(b",")]
        except ValueError as error:
            return _REFUSAL, InvalidArgument(f"metadata {key}: {error}")
    else:
        found = [(key, value.decode("latin-1"))]
    pairs = Metadata.received(found).pairs
    return (_METADATA, pairs) if pairs else _NOTHING


def _is_plain(text: str) -> bool:
    """Whether text is a value that ``Metadata.received`` leaves as it is."""
    return text.isascii() and text.isprintable() and text[:1] != " " and text[-1:] != " "


def _binary(value: bytes) -> bytes:
    return b64decode(value + b"=" * (-len(value) % 4), validate=True)


def _path(value: bytes) -> Meaning:
    path = value.decode("latin-1")
    return (_PATH, path) if path.isprintable() else _BROKEN


def _method(value: bytes) -> Meaning:
    return _METHOD, value


def _content_type(value: bytes) -> Meaning:
    return _CONTENT_TYPE, content_subtype_of(value.decode("latin-1"))


_UNITS: Mapping[bytes, float] = MappingProxyType(
    {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
)
_MOST_DIGITS: Final = 8


def _timeout(value: bytes) -> Meaning:
    digits, scale = value[:-1], _UNITS.get(value[-1:])
    if scale is not None and digits.isdigit() and len(digits) <= _MOST_DIGITS:
        return _TIMEOUT, int(digits) * scale
    if _has_control_character(value):
        return _BROKEN
    try:
        return _TIMEOUT, decode_timeout(value.decode("latin-1"))
    except ValueError as error:
        return _REFUSAL, InvalidArgument(str(error))


def _encoding(value: bytes) -> Meaning:
    name = value.decode("latin-1")
    if name == IDENTITY:
        return _NOTHING
    if name in ACCEPTED:
        return _ENCODING, name
    shown, known = printable(name, _SHOWN), ", ".join((IDENTITY, *ACCEPTED))
    problem = f"messages compressed with {shown!r} cannot be read; this server reads {known}"
    return _UNKNOWN_ENCODING, Unimplemented(problem, may_have_run=False)


def _accept(value: bytes) -> Meaning:
    names = (name.strip() for name in value.decode("latin-1").split(","))
    return _ACCEPTED, frozenset(ACCEPTED).intersection(names)


_READERS: Mapping[bytes, Any] = MappingProxyType(
    {
        b":path": _path,
        b":method": _method,
        b"content-type": _content_type,
        b"grpc-encoding": _encoding,
        b"grpc-accept-encoding": _accept,
    }
)
