"""Single values in protobuf's JSON mapping: numbers, strings, bytes, times, keys and paths."""

from __future__ import annotations

import math
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping
from datetime import datetime, timedelta
from struct import pack, unpack
from typing import Any

from micro_rt.dialects import known
from micro_rt.dialects.wire import DecodeError

__all__ = [
    "camel_path",
    "duration_of",
    "duration_text",
    "integer",
    "key",
    "key_text",
    "scalar",
    "scalar_json",
    "shown",
    "snake_path",
    "string",
    "timestamp_of",
    "timestamp_text",
]


def shown(value: Any) -> str:
    """Returns a value as errors show it."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def scalar_json(kind: str, value: Any) -> Any:
    """Returns a number, a string, bytes or a bool as JSON has it."""
    if kind in ("int64", "uint64", "sint64", "fixed64", "sfixed64"):
        return str(int(value))
    if kind == "bool":
        return bool(value)
    if kind == "bytes":
        return b64encode(value).decode("ascii")
    if kind in ("double", "float"):
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return _shortest(value) if kind == "float" else value
    return value


def key_text(key: Any) -> str:
    """Returns the key of a map as JSON has it."""
    if isinstance(key, bool):
        return "true" if key else "false"
    return key if isinstance(key, str) else str(int(key))


def key(kind: str, text: Any) -> Any:
    """Reads the key of a map."""
    if kind == "bool":
        if text not in ("true", "false"):
            raise DecodeError(f"a key is 'true' or 'false', not {shown(text)}")
        return text == "true"
    return string(text) if kind == "string" else integer(kind, text)


def string(value: Any) -> str:
    """Reads a string."""
    if not isinstance(value, str):
        raise DecodeError(f"a string is needed, not {shown(value)}")
    value.encode()  # a half of a surrogate pair is not text
    return value


def scalar(kind: str, value: Any) -> Any:
    """Reads a number, a string, bytes or a bool."""
    if kind == "string":
        return string(value)
    if kind == "bool":
        if not isinstance(value, bool):
            raise DecodeError(f"true or false is needed, not {shown(value)}")
        return value
    if kind == "bytes":
        return _bytes(value)
    if kind in ("double", "float"):
        return _number(kind, value)
    return integer(kind, value)


def integer(kind: str, value: Any) -> int:
    """Reads a whole number."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            raise DecodeError(f"a number is needed, not {shown(value)}")
        value = int(value) if value.removeprefix("-").isdigit() else float(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DecodeError(f"a whole number is needed, not {shown(value)}")
    least, most = _RANGES[kind]
    if not least <= value <= most:
        raise DecodeError(f"{value} is out of the range of {kind}")
    return int(value)


def timestamp_text(seconds: int, nanos: int) -> str:
    """Returns a ``google.protobuf.Timestamp`` as JSON has it."""
    if not (_FIRST <= seconds <= _LAST and 0 <= nanos <= 999_999_999):
        raise ValueError(f"a timestamp of {seconds} s and {nanos} ns has no JSON: it must be in the years 1 to 9999")
    moment = known.EPOCH + timedelta(seconds=seconds)
    return f"{moment.replace(tzinfo=None).isoformat()}{_fraction(nanos)}Z"


def duration_text(seconds: int, nanos: int) -> str:
    """Returns a ``google.protobuf.Duration`` as JSON has it."""
    if abs(seconds) > _LONGEST or abs(nanos) > 999_999_999 or (seconds < 0 < nanos) or (nanos < 0 < seconds):
        raise ValueError(f"a duration of {seconds} s and {nanos} ns has no JSON")
    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def timestamp_of(value: Any) -> tuple[int, int]:
    """Reads a timestamp: seconds since 1970 and nanoseconds."""
    if isinstance(value, datetime):
        return known.timestamp_parts(value)
    match = _TIMESTAMP.fullmatch(string(value))
    if not match:
        raise DecodeError(f"a timestamp such as 1970-01-01T00:00:00Z is needed, not {shown(value)}")
    *numbers, fraction, sign, hours, minutes = match.groups()
    moment = datetime(*map(int, numbers), tzinfo=known.EPOCH.tzinfo)  # type: ignore[arg-type, misc]
    since = moment - known.EPOCH
    seconds = since.days * 86400 + since.seconds
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise DecodeError(f"{value!r} has no valid offset")
        seconds -= int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60)
    if not _FIRST <= seconds <= _LAST:
        raise DecodeError(f"{value!r} is not in the years 1 to 9999")
    return seconds, int((fraction or "0").ljust(9, "0"))


def duration_of(value: Any) -> tuple[int, int]:
    """Reads a duration: seconds and nanoseconds."""
    if isinstance(value, timedelta):
        return known.duration_parts(value)
    match = _DURATION.fullmatch(string(value))
    if not match:
        raise DecodeError(f"a duration such as 1.5s is needed, not {shown(value)}")
    sign, whole, fraction = match.groups()
    seconds, nanos = int(whole), int((fraction or "0").ljust(9, "0"))
    if seconds > _LONGEST or (seconds == _LONGEST and nanos > 999_999_999):
        raise DecodeError(f"{value!r} is longer than 10,000 years")
    return (-seconds, -nanos) if sign else (seconds, nanos)


def camel_path(path: str) -> str:
    """Returns a path of a field mask as JSON has it; only what can be read back is written."""
    text = re.sub(r"_([a-z])", lambda match: match[1].upper(), path)
    if "_" in text or re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", text) != path:
        raise ValueError(f"the path {path!r} of a field mask has no JSON")
    return text


def snake_path(path: str) -> str:
    """Reads a path of a field mask."""
    if "_" in path:
        raise DecodeError(f"the path {path!r} of a field mask has an underscore, which JSON has not")
    return re.sub(r"([A-Z])", lambda match: f"_{match[1].lower()}", path)


_RANGES: Mapping[str, tuple[int, int]] = {
    **dict.fromkeys(("int32", "sint32", "sfixed32"), (-(1 << 31), (1 << 31) - 1)),
    **dict.fromkeys(("uint32", "fixed32"), (0, (1 << 32) - 1)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), (-(1 << 63), (1 << 63) - 1)),
    **dict.fromkeys(("uint64", "fixed64"), (0, (1 << 64) - 1)),
}
_LARGEST_FLOAT = 3.4028234663852886e38
_FLOAT_LIMIT = 3.4028235677973366e38
"""What is below is rounded to the largest one."""
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_TIMESTAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_DURATION = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s", re.ASCII)
_FIRST, _LAST = -62135596800, 253402300799
_LONGEST = 315_576_000_000


def _shortest(value: float) -> float:
    """Returns the number with the fewest digits that is the same ``float``."""
    if abs(value) > _FLOAT_LIMIT:
        return value
    exact = pack("<f", value)
    for digits in (6, 7, 8, 9):
        short = float(f"{value:.{digits}g}")
        # The official runtime does not read the largest one when it is rounded up.
        if abs(short) <= _LARGEST_FLOAT and pack("<f", short) == exact:
            return short
    return value


def _bytes(value: Any) -> bytes:
    text = string(value).replace("+", "-").replace("/", "_").rstrip("=")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text, re.ASCII) or len(text) % 4 == 1:
        raise DecodeError(f"base64 is needed, not {shown(value)}")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(kind: str, value: Any) -> float:
    if isinstance(value, str):
        special = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}.get(value)
        if special is not None:
            return special
        if not _NUMBER.fullmatch(value):
            raise DecodeError(f"a number is needed, not {shown(value)}")
    elif isinstance(value, bool) or not isinstance(value, int | float):
        raise DecodeError(f"a number is needed, not {shown(value)}")
    number = float(value)
    if kind == "float" and math.isfinite(number):
        if abs(number) > _FLOAT_LIMIT:
            raise DecodeError(f"{number} is out of the range of float")
        return float(unpack("<f", pack("<f", min(max(number, -_LARGEST_FLOAT), _LARGEST_FLOAT)))[0])
    if math.isinf(number) and isinstance(value, str):
        raise DecodeError(f"{shown(value)} is out of the range of {kind}")
    return number


def _fraction(nanos: int) -> str:
    """Returns nanoseconds as 0, 3, 6 or 9 digits behind a point."""
    if not nanos:
        return ""
    digits = f"{nanos:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}"
