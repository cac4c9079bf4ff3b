"""Well-known types as betterproto has them: ``datetime``, ``timedelta``, plain values, and its own classes for the rest.

A ``datetime`` counts microseconds, protobuf nanoseconds, and protobuf can hold instants beyond the year 9999. What
``datetime`` and ``timedelta`` cannot hold is read as a subclass of them that remembers it: nothing is lost
between reading a message and writing it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from micro_rt.dialects import wire

__all__ = [
    "EPOCH",
    "NOTHING",
    "WIRE_TYPES",
    "ExactDatetime",
    "ExactTimedelta",
    "duration",
    "duration_parts",
    "make_datetime",
    "make_timedelta",
    "read_duration",
    "read_scalar",
    "read_timestamp",
    "read_wrapper",
    "timestamp",
    "timestamp_parts",
    "wrapper",
]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""A timestamp that was never set; this very object."""


class _Nothing(timedelta):
    """A class of its own, because Python may have one object for every ``timedelta(0)`` (3.13 has)."""

    def __repr__(self) -> str:
        return repr(timedelta(0))

    def __reduce__(self) -> str:
        return "NOTHING"  # copies and pickles of it are itself


NOTHING: timedelta = _Nothing(0)
"""A duration that was never set; this very object."""


class ExactDatetime(datetime):
    """A ``datetime`` that remembers the timestamp that it was read from; what is made from it does not."""

    exact: tuple[int, int] | None = None
    """Seconds since 1970 and nanoseconds."""

    def __reduce__(self) -> Any:
        """Keeps the timestamp in copies and pickles."""
        return (make_datetime, self.exact) if self.exact else (datetime.fromisoformat, (self.isoformat(),))

    def __reduce_ex__(self, protocol: object) -> Any:
        """Keeps the timestamp in copies and pickles."""
        return self.__reduce__()


class ExactTimedelta(timedelta):
    """A ``timedelta`` that remembers the duration that it was read from; what is made from it does not."""

    exact: tuple[int, int] | None = None
    """Seconds and nanoseconds."""

    def __reduce__(self) -> Any:
        """Keeps the duration in copies and pickles."""
        return make_timedelta, self.exact or duration_parts(self)


def make_datetime(seconds: int, nanos: int) -> datetime:
    """Returns a timestamp as a ``datetime``, an exact one where a plain one would lose something."""
    micros, rest = divmod(nanos, 1000)
    if not rest and 0 <= micros < 1_000_000 and _FIRST <= seconds <= _LAST:
        return EPOCH + timedelta(seconds=seconds, microseconds=micros)
    plain = EPOCH + timedelta(seconds=min(max(seconds, _FIRST), _LAST), microseconds=min(max(micros, 0), 999_999))
    result = ExactDatetime.combine(plain.date(), plain.timetz())
    result.exact = seconds, nanos
    return result


def make_timedelta(seconds: int, nanos: int) -> timedelta:
    """Returns a duration as a ``timedelta``, an exact one where a plain one would lose something."""
    agree = seconds ^ nanos >= 0 or not seconds or not nanos
    if agree and not nanos % 1000 and abs(nanos) < 1_000_000_000 and abs(seconds) < _LONGEST:
        return timedelta(seconds=seconds, microseconds=nanos // 1000)
    result = ExactTimedelta(seconds=min(max(seconds, -_LONGEST), _LONGEST), microseconds=nanos // 1000)
    result.exact = seconds, nanos
    return result


def timestamp_parts(value: datetime) -> tuple[int, int]:
    """Returns seconds since 1970 and nanoseconds; a ``datetime`` without a time zone is UTC."""
    exact: tuple[int, int] | None = getattr(value, "exact", None)
    if exact:
        return exact
    since = value - EPOCH if value.tzinfo else value - _NAIVE_EPOCH
    return since.days * 86400 + since.seconds, since.microseconds * 1000


def duration_parts(value: timedelta) -> tuple[int, int]:
    """Returns seconds and nanoseconds, both with the sign of the duration."""
    if isinstance(value, ExactTimedelta) and value.exact:
        return value.exact
    micros = (value.days * 86400 + value.seconds) * 1_000_000 + value.microseconds
    seconds, rest = divmod(abs(micros), 1_000_000)
    return (seconds, rest * 1000) if micros >= 0 else (-seconds, -rest * 1000)


def timestamp(value: datetime) -> bytes:
    """Encodes what a ``google.protobuf.Timestamp`` holds."""
    return _parts(*timestamp_parts(value))


def duration(value: timedelta) -> bytes:
    """Encodes what a ``google.protobuf.Duration`` holds."""
    return _parts(*duration_parts(value))


def read_timestamp(data: bytes, position: int, end: int, depth: int, previous: datetime | None) -> datetime:
    """Reads a ``google.protobuf.Timestamp``, onto a previous one if the message had it twice."""
    parts = timestamp_parts(previous) if previous is not None and previous is not EPOCH else (0, 0)
    return make_datetime(*_read_parts(data, position, end, depth, parts))


def read_duration(data: bytes, position: int, end: int, depth: int, previous: timedelta | None) -> timedelta:
    """Reads a ``google.protobuf.Duration``, onto a previous one if the message had it twice."""
    parts = duration_parts(previous) if previous is not None and previous is not NOTHING else (0, 0)
    return make_timedelta(*_read_parts(data, position, end, depth, parts))


def wrapper(kind: str, value: Any) -> bytes:
    """Encodes what a wrapper such as ``google.protobuf.Int32Value`` holds.

    Args:
        kind: the type in it, ``"int32"``.
        value: the value in it.
    """
    if not value and not (kind in ("float", "double") and wire.negative_zero(value)):
        return b""
    if kind == "string":
        value = value.encode()
    if kind in ("string", "bytes"):
        return b"".join((b"\x0a", wire.varint(len(value)), value))
    number, encode = _WRITERS[kind]
    return bytes((number,)) + encode(value)


def read_wrapper(kind: str, data: bytes, position: int, end: int, depth: int, previous: Any) -> Any:
    """Reads a wrapper such as ``google.protobuf.Int32Value``, onto a previous value if the message had it twice."""
    value = _DEFAULTS[kind] if previous is None else previous
    wire_type = WIRE_TYPES.get(kind, 0)
    while position < end:
        tag, position = wire.read_varint(data, position)
        if tag == 8 | wire_type:
            value, position = read_scalar(kind, data, position)
        else:
            position = wire.skip(data, position, tag, end, depth)
    if position != end:
        raise wire.DecodeError("a field is longer than its message")
    return value


_NAIVE_EPOCH = datetime(1970, 1, 1)
_FIRST, _LAST = -62135596800, 253402300799
_LONGEST = 999_999_999 * 86400
WIRE_TYPES: Mapping[str, int] = {
    "double": 1,
    "fixed64": 1,
    "sfixed64": 1,
    "string": 2,
    "bytes": 2,
    "message": 2,
    "map": 2,
    "float": 5,
    "fixed32": 5,
    "sfixed32": 5,
}
_DEFAULTS: Mapping[str, Any] = {
    "double": 0.0,
    "float": 0.0,
    "int64": 0,
    "uint64": 0,
    "int32": 0,
    "uint32": 0,
    "bool": False,
    "string": "",
    "bytes": b"",
}
_WRITERS: Mapping[str, tuple[int, Callable[[Any], bytes]]] = {
    "double": (9, wire.pack_double),
    "float": (13, wire.float32),
    "int64": (8, wire.int64),
    "uint64": (8, wire.uint64),
    "int32": (8, wire.int32),
    "uint32": (8, wire.uint32),
    "bool": (8, wire.varint),
}
_FIXED: Mapping[str, tuple[Callable[[bytes, int], tuple[Any, ...]], int]] = {
    "double": (wire.unpack_double, 8),
    "fixed64": (wire.unpack_fixed64, 8),
    "sfixed64": (wire.unpack_sfixed64, 8),
    "float": (wire.unpack_float, 4),
    "fixed32": (wire.unpack_fixed32, 4),
    "sfixed32": (wire.unpack_sfixed32, 4),
}
_FROM_VARINT: Mapping[str, Callable[[int], Any]] = {
    "int32": wire.signed32,
    "int64": wire.signed64,
    "uint32": lambda value: value & 0xFFFFFFFF,
    "uint64": int,
    "sint32": wire.unzigzag32,
    "sint64": wire.unzigzag64,
    "bool": bool,
    "enum": wire.signed32,
}


def _parts(seconds: int, nanos: int) -> bytes:
    out = b"\x08" + wire.int64(seconds) if seconds else b""
    return out + b"\x10" + wire.int32(nanos) if nanos else out


def _read_parts(data: bytes, position: int, end: int, depth: int, parts: tuple[int, int]) -> tuple[int, int]:
    seconds, nanos = parts
    while position < end:
        tag, position = wire.read_varint(data, position)
        if tag == 8:
            value, position = wire.read_varint(data, position)
            seconds = wire.signed64(value)
        elif tag == 16:
            value, position = wire.read_varint(data, position)
            nanos = wire.signed32(value)
        else:
            position = wire.skip(data, position, tag, end, depth)
    if position != end:
        raise wire.DecodeError("a field is longer than its message")
    return seconds, nanos


def read_scalar(kind: str, data: bytes, position: int) -> tuple[Any, int]:
    """Reads a number, a string or bytes; returns it and the next position."""
    fixed = _FIXED.get(kind)
    if fixed:
        return fixed[0](data, position)[0], position + fixed[1]
    value, position = wire.read_varint(data, position)
    if kind in ("string", "bytes"):
        chunk = data[position : position + value]
        return chunk.decode() if kind == "string" else chunk, position + value
    return _FROM_VARINT[kind](value), position
