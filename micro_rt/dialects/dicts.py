"""Messages as dicts of Python's own values, what betterproto calls pydict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import betterproto
from betterproto.lib.std.google import protobuf as lib

from micro_rt.dialects.faults import FAULTS, check, check_class, located
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

    Raises:
        TypeError: a field of messages holds something else; the error names the message and the field.
    """
    match message:
        case lib.Struct():
            return {key: _dynamic_plain(item, casing) for key, item in message.fields.items()}
        case lib.ListValue():
            return [_dynamic_plain(item, casing) for item in message.values]
        case lib.Value():
            return _dynamic_plain(message, casing)
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
                try:
                    result[key] = _plain(spec, value, casing, include_default_values, inner)
                except FAULTS as error:
                    raise located(kind, spec, value, error) from None
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


def _plain(spec: Spec, value: Any, casing: Any, include_default_values: bool, outer: tuple[Any, ...]) -> Any:
    """Returns what a field holds, with dicts for messages and with lists and dicts of its own."""
    if spec.kind != "message":
        return value.copy() if value.__class__ in (list, dict) else value
    if value is None:
        return None

    def plain(item: Any) -> Any:
        check(spec, item)
        return to_pydict(item, casing, include_default_values, outer)

    if spec.repeated:
        return [plain(item) for item in value]
    if spec.map_key:
        return {key: plain(item) for key, item in value.items()}
    return plain(value)


def _dynamic_plain(value: Any, casing: Any) -> Any:
    """Returns the value that a ``google.protobuf.Value`` stands for."""
    check_class(lib.Value, value)
    name, found = betterproto.which_one_of(value, "kind")
    item: Any = found
    match name:
        case "" | "null_value":
            return None
        case "struct_value" | "list_value":
            check_class(lib.Struct if name == "struct_value" else lib.ListValue, item)
            return to_pydict(item, casing, False)
        case _:
            return item


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
