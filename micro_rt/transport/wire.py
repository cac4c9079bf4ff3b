"""gRPC's wire rules above HTTP/2: headers, metadata, timeouts, statuses and message frames.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md; section names below are its own.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from urllib.parse import quote, unquote

from micro_rt.errors import NOT_SERVED, UNKNOWN_METHOD, Code, Error, Internal
from micro_rt.go_micro.errors import decode_status
from micro_rt.kit.foreign import whole
from micro_rt.logs import logger, sparsely
from micro_rt.metadata import EMPTY, FACTS_KEY, NODE_KEY, RESERVED, Metadata, MetadataValue
from micro_rt.status import decode_facts, encode_details, encode_facts
from micro_rt.text import utf8

__all__ = [
    "Headers",
    "code_of_http_status",
    "content_subtype_of",
    "content_type_of",
    "decode_metadata",
    "decode_timeout",
    "encode_metadata",
    "encode_timeout",
    "error_of_trailers",
    "frame",
    "malformed",
    "request_headers",
    "size_of",
    "trailers_of",
]

_log = logger("micro_rt.transport")

Headers = list[tuple[str, str]]
"""Names and values; a value has one character for each byte, as latin-1 has."""

_GRPC = "application/grpc"
_PROTO = "proto"
_TE = ("te", "trailers")
_USER_AGENT = ("user-agent", "grpc-python-micro-rt")
_PROTO_HEADERS: Sequence[tuple[str, str]] = (_TE, ("content-type", _GRPC), _USER_AGENT)
_TAKEN_BY_ALL = 8000  # more than 8 KiB of headers, peers may refuse, such as grpcio and Java's
_STATUS_ROOM = 2048  # what is kept free of metadata, for the status
_LONGEST_TIMEOUT = 99_999_999  # "TimeoutValue": at most 8 digits
_UNITS: Mapping[str, float] = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_LARGEST_STATUS = 999  # gRPC defines 0 to 16
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])").fullmatch
_UNKNOWN_SERVICE = re.compile(r"unknown service ([\w.]+)\Z").match  # grpc-go, and so go-micro
_UNKNOWN_METHOD = re.compile(
    r"unknown method (?P<method>\w+) for service (?P<service>[\w.]+)\Z"  # grpc-go
    r"|Method not found!?\Z"  # gRPC core, as grpcio has it; grpclib
    r"|(?:Method not found: |The server does not implement the method /?)(?P<path>[\w./]+)\Z"  # grpc-java, grpc-js
    r"|(?:Service|Method) is unimplemented\.\Z"  # grpc-dotnet
).match
_NAME = re.compile(r":?[!#$%&'*+\-.^_`|~0-9a-z]+").fullmatch
_USUAL = frozenset(
    {
        ":authority",
        ":method",
        ":path",
        ":scheme",
        ":status",
        "accept-encoding",
        "content-type",
        "grpc-accept-encoding",
        "grpc-encoding",
        "grpc-message",
        "grpc-status",
        "grpc-status-details-bin",
        "grpc-timeout",
        "te",
        "timeout",
        "traceparent",
        "user-agent",
        "x-content-type",
        NODE_KEY,
    }
)
_VALUE = re.compile(r"[^\0-\x08\x0a-\x1f\x7f]*").fullmatch  # A tab may be within a value.
_UNQUOTED = "".join(chr(byte) for byte in range(0x20, 0x7F) if chr(byte) != "%")  # "Percent-Encoded"


def frame(message: bytes) -> bytes:
    """Returns a "Length-Prefixed-Message", not compressed."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def request_headers(content_subtype: str) -> Sequence[tuple[str, str]]:
    """Returns what every request with messages of a content subtype carries."""
    if content_subtype == _PROTO:
        return _PROTO_HEADERS
    return (_TE, ("content-type", content_type_of(content_subtype)), _USER_AGENT)


def content_type_of(content_subtype: str) -> str:
    """Returns the "Content-Type" of messages: ``application/grpc+json``; for protobuf ``application/grpc``, which all peers take."""
    return _GRPC if content_subtype == _PROTO else f"{_GRPC}+{content_subtype}"


def content_subtype_of(content_type: str) -> str | None:
    """Returns the content subtype in a "Content-Type": ``"json"`` for ``application/grpc+json``, ``"proto"`` if it names none.

    Returns:
        The subtype in lower case, without parameters; None if the content type is not gRPC's.
    """
    if content_type == _GRPC:
        return _PROTO
    name, plus, subtype = content_type.partition(";")[0].strip().lower().partition("+")
    if name != _GRPC:
        return None
    return subtype if plus and subtype else _PROTO


def encode_timeout(seconds: float) -> str:
    """Returns a ``grpc-timeout``, in the finest unit that it fits in."""
    for unit, scale in (("n", 1e9), ("u", 1e6), ("m", 1e3), ("S", 1.0)):
        value = int(seconds * scale) if seconds * scale <= _LONGEST_TIMEOUT else None
        if value is not None:
            return f"{value}{unit}"
    return f"{_LONGEST_TIMEOUT}S"


def decode_timeout(value: str) -> float:
    """Returns the seconds of a ``grpc-timeout``.

    Raises:
        ValueError: it is not one.
    """
    match = _TIMEOUT(value)
    if match is None:
        raise ValueError(f"grpc-timeout {value!r} is not a gRPC timeout")
    return int(match[1]) * _UNITS[match[2]]


def encode_metadata(metadata: Metadata) -> Headers:
    """Returns "Custom-Metadata" as headers; bytes as base64 without padding."""
    return [
        (key, value if isinstance(value, str) else b64encode(value).rstrip(b"=").decode())
        for key, value in metadata.pairs
    ]


def decode_metadata(headers: Headers) -> Metadata:
    """Returns the "Custom-Metadata" among headers.

    Raises:
        ValueError: a ``-bin`` value that is not base64.
    """
    pairs: list[tuple[str, MetadataValue]] = []
    for key, value in headers:
        if key[:1] == ":" or key in RESERVED or key.startswith("grpc-") or key == FACTS_KEY:
            continue
        if key.endswith("-bin"):
            pairs.extend((key, _decode_binary(part)) for part in value.split(","))
        else:
            pairs.append((key, value))
    return Metadata.received(pairs) if pairs else EMPTY


def malformed(headers: Headers) -> bool:
    """Returns whether headers break the rules for what names and values may hold (RFC 9110, section 5; RFC 9113, section 8.2.1).

    Control characters do, in paths too, and names that are empty, in upper case, or not a token. No such header is handed to a
    handler, forwarded or logged. Blanks around a value do not count here, although RFC 9113 forbids them: gRPC has them stripped,
    as ``Metadata.received`` does, and grpc-go sends a ``grpc-message`` that ends with one.
    """
    fields = dict(headers)  # Nearly all headers pass here: these checks are what costs least.
    if fields.keys() <= _USUAL and "".join([value for _, value in headers]).isprintable():
        return False
    return not all(
        _NAME(name) and _VALUE(value) and (name != ":path" or value.isprintable()) for name, value in headers
    )


def size_of(headers: Headers) -> int:
    """Returns the size of headers as HTTP/2 counts it (RFC 9113, section 10.5.1)."""
    return sum(len(name) + len(value) + 32 for name, value in headers)


def trailers_of(error: Error | None, trailers: Metadata, room: int = 8192, path: str = "") -> Headers:
    """Returns the "Trailers" that end a call, with status OK if there is no error.

    A peer that gets longer ones than it takes closes the connection, with every call on it. So an error that is too
    long goes without its details, and with the beginning of its message; metadata that is too long is an error.

    Args:
        error: what the call ends with.
        trailers: metadata to go with it.
        room: bytes that they may have, as ``size_of`` counts.
        path: of the call.
    """
    custom = encode_metadata(trailers)
    if size_of(custom) > room - _STATUS_ROOM:
        _log.error(
            "trailers of %d bytes are not sent: %d is the most that can be",
            size_of(custom),
            room - _STATUS_ROOM,
            extra=sparsely("trailers"),
        )
        error = error or Internal("the trailers that the handler added are too long; the server's log has the rest")
        custom = []
    if error is None:
        return [("grpc-status", "0"), *custom]
    headers: Headers = [("grpc-status", str(int(error.code)))]
    room = max(min(room, _TAKEN_BY_ALL) - size_of(custom), _STATUS_ROOM) - size_of(headers)
    text = utf8(error.message)
    message = _quoted(text)
    if len(message) > room // 3:
        text = _beginning(message, room // 3)
        message = _quoted(text)
    if message:
        headers.append(("grpc-message", message))
        room -= size_of(headers[-1:])
    facts = encode_facts(error, path)
    if facts is not None and size_of([(FACTS_KEY, facts)]) <= room:
        headers.append((FACTS_KEY, facts))
        room -= size_of(headers[-1:])
    details = encode_details(error, text, facts=False)  # which hold the message once more
    if details is not None:
        packed = ("grpc-status-details-bin", b64encode(details).rstrip(b"=").decode())
        if size_of([packed]) <= room:
            headers.append(packed)
        else:
            _log.error(
                "the details of %s are not sent: %d bytes", error.code.name, len(packed[1]), extra=sparsely("details")
            )
    return headers + custom


def error_of_trailers(fields: Mapping[str, str], path: str = "") -> Error | None:
    """Returns the error that "Trailers" tell of; None for status OK.

    Args:
        fields: the trailers.
        path: of the call. If given, a status that says that another call did not run says nothing of this one: handlers in
            other languages pass on the status of a call that they made themselves.
    """
    status = fields.get("grpc-status", "")
    if status == "0":
        return None
    message = unquote(fields.get("grpc-message", ""), errors="replace")
    try:
        packed = _decode_binary(fields.get("grpc-status-details-bin", ""))
    except ValueError:
        packed = b""
    id, message, details, may_have_run, from_micro = decode_status(packed, message, path)
    facts = decode_facts(fields.get(FACTS_KEY, ""), path)
    if facts is not None:
        from_micro = True
        id, may_have_run = id or facts.id, may_have_run and facts.may_have_run
    code = whole(status, _LARGEST_STATUS)
    if code is None:
        code = Code.UNKNOWN
    if code == Code.UNIMPLEMENTED and not from_micro and not details and not id:
        id, may_have_run = _of_foreign(message, path)
    return Error.of(code, message, id=id, details=details, may_have_run=may_have_run)


def _of_foreign(message: str, path: str) -> tuple[str, bool]:
    """Returns the id of an ``UNIMPLEMENTED`` that other implementations sent, and whether the call may have run.

    gRPC has no status for a call that a server does not serve, so their texts are all there is to tell it by. A text that names
    another service or method than ``path``, if that is given, is about a call that the handler made.
    """
    service, _, method = path[1:].rpartition("/")
    short = service.rpartition(".")[2]
    if found := _UNKNOWN_SERVICE(message):
        named = found[1]
        if not path or named in {service, short}:  # go-micro leaves out the package.
            return NOT_SERVED, False
        return "", named != f"{short}.{method}"  # what go-micro says of a method
    found = _UNKNOWN_METHOD(message)
    if found is None:
        return "", True
    if not any(found.groupdict().values()):
        return UNKNOWN_METHOD, False
    parts = {"path": path[1:], "service": service, "method": method}
    return "", bool(path) and any(named and named != parts[part] for part, named in found.groupdict().items())


def code_of_http_status(status: str) -> Code:
    """Returns the code for an answer that is not gRPC's.

    https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
    """
    return _HTTP_STATUS.get(status, Code.UNKNOWN)


def _quoted(text: str) -> str:
    """Returns text percent-encoded; a value of a header may hold blanks, but neither begin nor end with one."""
    quoted = quote(text, safe=_UNQUOTED)
    if quoted[:1] == " ":
        quoted = f"%20{quoted[1:]}"
    return f"{quoted[:-1]}%20" if quoted[-1:] == " " else quoted


def _beginning(quoted: str, length: int) -> str:
    """Returns as much of percent-encoded text as fits, not cut within a character."""
    cut = quoted[: length - 3]
    escape = cut.rfind("%", len(cut) - 2)
    return unquote(cut if escape < 0 else cut[:escape], errors="ignore") + "..."


def _decode_binary(value: str) -> bytes:
    return b64decode(value + "=" * (-len(value) % 4), validate=True)


_HTTP_STATUS: Mapping[str, Code] = {
    "400": Code.INTERNAL,
    "401": Code.UNAUTHENTICATED,
    "403": Code.PERMISSION_DENIED,
    "404": Code.UNIMPLEMENTED,
    "429": Code.UNAVAILABLE,
    "502": Code.UNAVAILABLE,
    "503": Code.UNAVAILABLE,
    "504": Code.UNAVAILABLE,
}
