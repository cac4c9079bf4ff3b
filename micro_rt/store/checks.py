"""What may be passed to a store: keys, versions, times to live, metadata, fences.

A wrong type is a ``TypeError``. A value that cannot be is an ``InvalidArgument``: it may come from somebody else's request.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from micro_rt.errors import InvalidArgument
from micro_rt.fence import Fence
from micro_rt.store.base import MAX_KEY, MAX_METADATA, Keep

__all__ = [
    "check_key",
    "check_text",
    "checked_fence",
    "checked_metadata",
    "checked_ttl",
    "checked_value",
    "checked_version",
    "not_text",
]

_LONGEST_TTL = 1e9
"""Seconds, 31 years: a longer time is a mistake."""
_LOCK = 300
"""Bytes of UTF-8 that the name of a lock has at most."""


def check_text(text: object, what: str) -> int:
    """Returns how many bytes a text has that is part of a key.

    Args:
        text: the text.
        what: it is, for the error.

    Raises:
        TypeError: it is no text.
        InvalidArgument: it is too long, or has a surrogate.
    """
    if not isinstance(text, str):
        raise TypeError(f"a {what} is a str, not {type(text).__name__}")
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise InvalidArgument(f"the {what} is not text that UTF-8 can hold: it has a surrogate") from None
    if size > MAX_KEY:
        raise InvalidArgument(f"the {what} has {size} bytes, and a key has {MAX_KEY} at most")
    return size


def check_key(key: str) -> str:
    """Returns a key that can be one.

    Raises:
        TypeError: it is no text.
        InvalidArgument: it is empty, too long or has a surrogate.
    """
    if not check_text(key, "key"):
        raise InvalidArgument("a key must not be empty")
    return key


def not_text(keys: Iterable[str]) -> Iterable[str]:
    """Returns several keys.

    Raises:
        TypeError: they are one text, whose characters would be taken for keys.
    """
    if isinstance(keys, str | bytes):
        raise TypeError("read_many() takes several keys, such as a list, not one text")
    return keys


def checked_value(value: object) -> bytes:
    """Returns a value as bytes that nobody changes.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, memoryview):
        return cast("memoryview[int]", value).tobytes()
    raise TypeError(f"a value is bytes, not {type(value).__name__}; TypedStore stores messages")


def checked_version(version: object) -> int:
    """Returns a version.

    Raises:
        InvalidArgument: it is not a whole number from 0 to 2^63 - 1.
    """
    if type(version) is not int:
        raise InvalidArgument(f"a version is an int, not {type(version).__name__}")
    if not 0 <= version < 1 << 63:
        raise InvalidArgument(f"if_version={_shown(version)}: a version is a number from 0 to 2^63 - 1")
    return version


def checked_ttl(ttl: object) -> float | Keep | None:
    """Returns a time to live.

    Raises:
        TypeError: it is neither a number, nor ``KEEP``, nor None.
        InvalidArgument: it is out of range.
    """
    if ttl is None or isinstance(ttl, Keep):
        return ttl
    if isinstance(ttl, bool) or not isinstance(ttl, int | float):
        raise TypeError(f"ttl is a number of seconds, KEEP or None, not {type(ttl).__name__}")
    if not 0 < ttl <= _LONGEST_TTL:  # nan is not.
        raise InvalidArgument(f"ttl must be greater than 0, and at most {_LONGEST_TTL:g} seconds, not {_shown(ttl)}")
    return float(ttl)


def checked_metadata(metadata: object) -> Mapping[str, str] | Keep:
    """Returns a copy of metadata, or ``KEEP``.

    Raises:
        TypeError: it is no mapping of texts to texts.
        InvalidArgument: it is too large, or has a surrogate.
    """
    if isinstance(metadata, Keep):
        return metadata
    if metadata is None:
        return {}
    if not isinstance(metadata, Mapping):
        raise TypeError(f"metadata is a mapping of names to values, not {type(metadata).__name__}")
    size = 0
    checked: dict[str, str] = {}
    for name, value in cast("Mapping[object, object]", metadata).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError("names and values of metadata are str")
        try:
            size += len(name.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise InvalidArgument("the metadata is not text that UTF-8 can hold: it has a surrogate") from None
        checked[name] = value
    if size > MAX_METADATA:
        raise InvalidArgument(f"the metadata has {size} bytes, and a record has {MAX_METADATA} at most")
    return checked


def checked_fence(fence: object) -> Fence | None:
    """Returns the fence of a write. What has one, such as a lock, is asked for it, once.

    Raises:
        TypeError: it is no fence, and has none, or a part of it has a wrong type.
        InvalidArgument: a part of it is out of range, or has a surrogate.
        Error: what a lock says that is not held any more.
    """
    if fence is None:
        return None
    if not isinstance(fence, Fence):
        try:
            found: object = cast("Any", fence).fence
        except AttributeError as error:
            raise TypeError(f"fence= is a lock that is held, or its Fence, not {type(fence).__name__}") from error
        if not isinstance(found, Fence):
            raise TypeError(f"the fence of {type(fence).__name__} is a Fence, not {type(found).__name__}")
        fence = found
    if not isinstance(fence.lock, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"the lock of a fence is a str, not {type(fence.lock).__name__}")
    try:
        size = len(fence.lock.encode())
    except UnicodeEncodeError:
        raise InvalidArgument("the lock of the fence is not text that UTF-8 can hold: it has a surrogate") from None
    if not 1 <= size <= _LOCK:
        raise InvalidArgument(f"the lock of the fence has {size} bytes: it must have 1 to {_LOCK}")
    for name, number in (("epoch", fence.epoch), ("token", fence.token)):
        if type(number) is not int:
            raise TypeError(f"the {name} of a fence is an int, not {type(number).__name__}")
        if not 0 <= number < 1 << 63:
            raise InvalidArgument(f"the {name} of the fence is a number from 0 to 2^63 - 1, not {_shown(number)}")
    return fence


def _shown(number: float) -> str:
    """Returns a number as text; Python refuses to write a whole number of more than 4,300 digits."""
    if isinstance(number, int) and number.bit_length() > 128:
        return f"a number of {number.bit_length()} bits"
    return repr(number)
