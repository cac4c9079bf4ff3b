"""What is wrong with a message that cannot be encoded: which field of which message, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from struct import error as StructError  # noqa: N812
from typing import Any

from micro_rt.dialects.fields import Spec, new

__all__ = ["check", "fault"]


def fault(message: Any, error: Exception) -> Exception:
    """Returns the error for a message of a generated class that cannot be encoded.

    It encodes each field alone to find the one that fails. That takes time only after an error.

    Args:
        message: the message.
        error: what its encoder raised.

    Returns:
        A ``TypeError`` for a value of a wrong type, else a ``ValueError``; both name the innermost message and its field.
    """
    for spec in message._specs_:
        found = _encode_alone(message, spec)
        if found is None:
            continue
        try:
            for place, item, types in _items(message, spec):
                if not isinstance(item, types):
                    return _wrong(place, types, item)
                if hasattr(item, "_specs_"):
                    inner = _encode(item)
                    if inner is not None:
                        return fault(item, inner)
        except (TypeError, ValueError) as shape:
            return shape
        return _like(found, f"in {message._full_name_}.{spec.name}: {found}")
    return _like(error, f"not a valid {message._full_name_}: {error}")


def check(spec: Spec, value: Any) -> None:
    """Checks the type of one value of a field, which may be an item of a list.

    Raises:
        TypeError: the field cannot hold a value of this type.
    """
    types = _TYPES.get(spec.wraps or spec.kind, object)
    if not isinstance(value, types):
        raise TypeError(_text(types, value))


_TYPES: Mapping[str, Any] = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "sint32", "sint64", "enum"), int),
    **dict.fromkeys(("fixed32", "fixed64", "sfixed32", "sfixed64"), int),
    **dict.fromkeys(("double", "float"), (float, int)),
    "string": str,
    "bytes": (bytes, bytearray, memoryview),
    "timestamp": datetime,
    "duration": timedelta,
}
"""What values of each type are in Python. Every value is true or false, so a ``bool`` field takes each."""


def _encode(message: Any) -> Exception | None:
    """Returns what goes wrong when a message is encoded, or None."""
    try:
        message._write_()
    except (TypeError, ValueError, AttributeError, OverflowError, StructError) as error:
        return error
    return None


def _encode_alone(message: Any, spec: Spec) -> Exception | None:
    """Returns what goes wrong when one field of a message is encoded, or None."""
    probe: Any = new(message.__class__)
    state: dict[str, Any] = probe.__dict__
    state.update({each.name: each.default() for each in message._specs_ if not each.single})
    if spec.group:
        if getattr(message, spec.which) != spec.number:
            return None
        setattr(probe, spec.which, spec.number)
    place = spec.slot if spec.slot in vars(message) else spec.name
    if place not in vars(message):
        return None
    state[place] = vars(message)[place]
    return _encode(probe)


def _items(message: Any, spec: Spec) -> Iterator[tuple[str, Any, Any]]:
    """Yields each value in a field: where it is, the value, and the types that it can have.

    Raises:
        TypeError: a list or a map is something else.
    """
    place = f"{message._full_name_}.{spec.name}"
    value = whole = spec.get(message)  # with its type narrowed, the type of its items would be unknown
    kind = spec.wraps or spec.kind
    types: Any = spec.type() if kind == "message" and spec.type else _TYPES.get(kind, object)
    if spec.map_key:
        if not isinstance(value, Mapping):
            raise _wrong(place, dict, value)
        for key, item in whole.items():
            yield f"{place}, a key", key, _TYPES.get(spec.map_key, object)
            yield f"{place}[{key!r:.60}]", item, types
    elif spec.repeated:
        if not isinstance(value, list | tuple):
            raise _wrong(place, list, value)
        yield from ((f"{place}[{index}]", item, types) for index, item in enumerate(whole))
    else:
        yield place, value, types


def _like(error: Exception, text: str) -> Exception:
    return TypeError(text) if isinstance(error, TypeError | AttributeError) else ValueError(text)


def _wrong(place: str, types: Any, value: Any) -> TypeError:
    return TypeError(f"in {place}: {_text(types, value)}")


def _text(types: Any, value: Any) -> str:
    first: Any = types[0] if types.__class__ is tuple else types
    name: str = first.__name__
    article = "" if name == "bytes" else "an " if name[0] in "aeiouAEIOU" else "a "
    return f"{article}{name} is needed, not {value!r:.60}"
