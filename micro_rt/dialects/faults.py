"""What is wrong with a message that cannot be encoded: which field of which message, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from struct import error as StructError  # noqa: N812
from typing import Any

import betterproto

from micro_rt.dialects import foreign
from micro_rt.dialects.fields import Spec, new

__all__ = ["FAULTS", "check", "check_class", "check_scalar", "fault", "located"]

FAULTS = (TypeError, ValueError, AttributeError, OverflowError, StructError)
"""What encoders raise for a message with a wrong value."""


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
        if found is not None:
            return located(message.__class__, spec, spec.get(message), found)
    return _like(error, f"not a valid {message._full_name_}: {error}")


def located(kind: Any, spec: Spec, value: Any, error: Exception) -> Exception:
    """Returns an error that names the innermost message with a wrong value, and its field.

    Args:
        kind: the class of the message, a generated one or one of betterproto's own.
        spec: the field with which encoding failed.
        value: what the field holds.
        error: what was raised; one that names a message and a field already is returned as it is.

    Returns:
        A ``TypeError`` for a value of a wrong type, else a ``ValueError``.
    """
    if isinstance(error, ValueError | TypeError) and str(error).startswith("in "):
        return error
    place = f"{foreign.full_name(kind)}.{spec.name}"
    try:
        for where, item, types in _items(place, spec, value):
            if not isinstance(item, types):
                return _wrong(where, types, item)
            inner = _inside(item)
            if inner is not None:
                return inner
    except (TypeError, ValueError) as shape:
        return shape
    return _like(error, f"in {place}: {error}")


def check(spec: Spec, value: Any) -> None:
    """Checks the type of one value of a field, which may be an item of a list.

    Raises:
        TypeError: the field cannot hold a value of this type.
    """
    check_class(_types(spec), value)


def check_class(types: Any, value: Any) -> None:
    """Checks the type of a value.

    Raises:
        TypeError: the value has none of these types.
    """
    if not isinstance(value, types):
        raise TypeError(_text(types, value))


def check_scalar(kind: str, value: Any) -> None:
    """Checks the type of a value of a scalar type, such as ``"int32"``.

    Raises:
        TypeError: the value has another type.
    """
    check_class(_TYPES[kind], value)


_TYPES: Mapping[str, Any] = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "sint32", "sint64", "enum"), int),
    **dict.fromkeys(("fixed32", "fixed64", "sfixed32", "sfixed64"), int),
    **dict.fromkeys(("double", "float"), (float, int)),
    "bool": (bool, int),
    "string": str,
    "bytes": (bytes, bytearray, memoryview),
    "timestamp": datetime,
    "duration": timedelta,
}
"""What values of each type are in Python."""


def _types(spec: Spec) -> Any:
    """Returns the types that a value of a field can have, or an item of a list."""
    if spec.kind == "message" and spec.type:
        return spec.type()
    return _TYPES.get(spec.wraps or spec.kind, object)


def _encode(message: Any) -> Exception | None:
    """Returns what goes wrong when a message is encoded, or None."""
    try:
        message._write_()
    except FAULTS as error:
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


def _inside(item: Any) -> Exception | None:
    """Returns what goes wrong when a value is encoded that may be a message, or None."""
    if hasattr(item, "_specs_"):
        error = _encode(item)
        return None if error is None else fault(item, error)
    if isinstance(item, betterproto.Message):
        for spec in foreign.specs_of(item.__class__):
            if not spec.holds(item):
                continue
            value = spec.get(item)
            try:
                foreign.encode_field(spec, value)
            except FAULTS as error:
                return located(item.__class__, spec, value, error)
    return None


def _items(place: str, spec: Spec, value: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yields each value in a field: where it is, the value, and the types that it can have.

    Raises:
        TypeError: a list or a map is something else.
    """
    whole = value  # with its type narrowed, the type of its items would be unknown
    types = _types(spec)
    if spec.map_key:
        if not isinstance(value, Mapping):
            raise _wrong(place, dict, value)
        for key, item in whole.items():
            yield f"{place}, a key", key, _TYPES[spec.map_key]
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
