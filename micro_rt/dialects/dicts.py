"""Messages as dicts of Python's own values, what betterproto calls pydict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import betterproto
from betterproto.lib.std.google import protobuf as lib

from micro_rt.dialects.fields import Spec
from micro_rt.dialects.foreign import full_name, specs_of, without_default
from micro_rt.dialects.keys import find, keys

__all__ = ["from_pydict", "to_pydict"]


def to_pydict(message: Any, casing: Any, include_default_values: bool, outer: tuple[Any, ...] = ()) -> Any:
    """Returns a message as a dict; a ``Struct``, ``Value`` or ``ListValue`` becomes the value that it stands for.

    Args:
        message: the message.
        casing: the form of the keys.
        include_default_values: whether fields that are not set are in it too.
        outer: the classes of the messages around it.
    """
    match message:
        case lib.Struct():
            return {key: to_pydict(item, casing, False) for key, item in message.fields.items()}
        case lib.ListValue():
            return [to_pydict(item, casing, False) for item in message.values]
        case lib.Value():
            name, item = betterproto.which_one_of(message, "kind")
            return None if name in ("", "null_value") else _plain(item, casing, False, ())
        case _:
            result: dict[str, Any] = {}
            kind = message.__class__
            inner = (*outer, kind)
            for spec, key in zip(specs_of(kind), keys(kind, casing), strict=True):
                if spec.holds(message):
                    value = spec.get(message)
                elif include_default_values and not spec.group and not without_default(spec, inner):
                    value = spec.default()
                else:
                    continue
                result[key] = _plain(value, casing, include_default_values, inner)
            return result


def from_pydict(message: Any, value: Any) -> Any:
    """Reads a dict as ``to_pydict`` makes it into a message, and returns it. Keys that no field has are passed over.

    Raises:
        TypeError: a message, a list or a map is something else in the dict.
    """
    message._serialized_on_wire = True
    kind = message.__class__
    for key, item in value.items():
        spec = find(kind, key)
        if spec is None or (item is None and not _is_dynamic(spec)):
            continue
        place = f"in {full_name(kind)}.{spec.name}"
        if spec.repeated and not isinstance(item, list | tuple):
            raise TypeError(f"{place}: a list is needed, not {item!r:.60}")
        if spec.map_key and not isinstance(item, Mapping):
            raise TypeError(f"{place}: a dict is needed, not {item!r:.60}")
        spec.put(message, _rich(spec, item, place))
    return message


_DYNAMIC = (lib.Struct, lib.ListValue, lib.Value)


def _is_dynamic(spec: Spec) -> bool:
    """Returns whether None is a value of a field: that of a ``google.protobuf.Value``."""
    return spec.single and spec.kind == "message" and spec.type is not None and spec.type() is lib.Value


def _plain(value: Any, casing: Any, include_default_values: bool, outer: tuple[Any, ...]) -> Any:
    if isinstance(value, betterproto.Message):
        return to_pydict(value, casing, include_default_values, outer)
    if value.__class__ is list:
        return [_plain(item, casing, include_default_values, outer) for item in value]
    if value.__class__ is dict:
        return {key: _plain(item, casing, include_default_values, outer) for key, item in value.items()}
    return value


def _rich(spec: Spec, value: Any, place: str) -> Any:
    if spec.type is None or spec.kind != "message":
        return value
    kind = spec.type()
    if spec.repeated:
        return [_message(kind, item, place) for item in value]
    if spec.map_key:
        return {key: _message(kind, item, place) for key, item in value.items()}
    return _message(kind, value, place)


def _message(kind: Any, value: Any, place: str) -> Any:
    if isinstance(value, kind):
        return value
    if kind in _DYNAMIC:
        result = _dynamic(kind, value, place)
        result._serialized_on_wire = True
        return result
    if not isinstance(value, Mapping):
        raise TypeError(f"{place}: a dict is needed, not {value!r:.60}")
    return from_pydict(kind(), value)


def _dynamic(kind: Any, value: Any, place: str) -> Any:
    """Returns a ``Struct``, ``ListValue`` or ``Value`` that stands for a value."""
    whole = value  # with its type narrowed, the type of its items would be unknown
    if kind is lib.Struct and isinstance(value, Mapping):
        return lib.Struct(fields={key: _message(lib.Value, item, place) for key, item in whole.items()})
    if kind is lib.ListValue and isinstance(value, list | tuple):
        return lib.ListValue(values=[_message(lib.Value, item, place) for item in whole])
    if kind is lib.Value:
        match value:
            case None:
                return lib.Value(null_value=lib.NullValue.try_value(0))
            case bool():
                return lib.Value(bool_value=value)
            case str():
                return lib.Value(string_value=value)
            case int() | float():
                return lib.Value(number_value=float(value))
            case list() | tuple():
                return lib.Value(list_value=_message(lib.ListValue, value, place))
            case Mapping():
                return lib.Value(struct_value=_message(lib.Struct, value, place))
            case _:
                pass
    raise TypeError(f"{place}: a value of a google.protobuf.{kind.__name__} is needed, not {value!r:.60}")
