"""Protobuf's JSON mapping for betterproto messages: https://protobuf.dev/programming-guides/json."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import betterproto
from betterproto.casing import camel_case
from betterproto.lib.std.google import protobuf as lib

from micro_rt.dialects import foreign, json_values, keys, known
from micro_rt.dialects.faults import FAULTS, check, check_class, check_scalar, located
from micro_rt.dialects.fields import Spec
from micro_rt.dialects.wire import LIMIT, DecodeError

__all__ = ["FromDict", "read_any", "read_json", "to_dict", "to_json_value"]


class FromDict:
    """``from_dict``: of a class it makes a message, of an instance it reads into that."""

    def __get__(self, instance: Any, owner: type[Any]) -> Callable[..., Any]:
        """Returns the method."""

        def from_dict(value: Mapping[str, Any], *, ignore_unknown_fields: bool = False) -> Any:
            """Reads protobuf's JSON mapping, as ``json.loads`` gives it.

            Args:
                value: the JSON object.
                ignore_unknown_fields: whether names and enum values that the .proto does not know are passed over.

            Raises:
                DecodeError: it is not the JSON of such a message; it is a ``ValueError``.
            """
            message = owner() if instance is None else instance
            _Parser(ignore_unknown_fields).fill(message, value, 0)
            return message

        return from_dict


def read_json(message: Any, text: str | bytes, ignore_unknown_fields: bool) -> Any:
    """Reads a JSON text into a message, and returns it."""
    return _read(message.__class__, text, ignore_unknown_fields, message)


def read_any(kind: type[Any], text: str | bytes, ignore_unknown_fields: bool) -> Any:
    """Reads a JSON text as a message of a class: a generated one, or one of betterproto's own.

    Raises:
        DecodeError: the text is not JSON, or not that of such a message; it is a ``ValueError``.
    """
    return _read(kind, text, ignore_unknown_fields, None)


def _read(kind: Any, text: str | bytes, ignore_unknown_fields: bool, onto: Any) -> Any:
    try:
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
        )
        return _Parser(ignore_unknown_fields).any_message(kind, value, 0, onto)
    except DecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not a valid {foreign.full_name(kind)} in JSON: {error}") from None


def to_dict(message: Any, casing: Any, include_default_values: bool) -> dict[str, Any]:
    """Returns a message as a JSON object."""
    result: dict[str, Any] = _Printer(casing, include_default_values).message(message, ())
    return result


def to_json_value(message: Any) -> Any:
    """Returns a message as JSON: one of a generated class, or one of betterproto's own."""
    return _Printer(camel_case, False).any_message(message, ())


class _Printer:
    def __init__(self, casing: Any, defaults: bool) -> None:
        self._casing = None if casing is camel_case else casing
        self._defaults = defaults

    def message(self, message: Any, outer: tuple[type[Any], ...]) -> dict[str, Any]:
        """Returns a message with fields as JSON; outer are the classes around it."""
        result: dict[str, Any] = {}
        kind = message.__class__
        inner: tuple[Any, ...] = (*outer, kind)
        names = keys.json_keys(kind) if self._casing is None else keys.keys(kind, self._casing)
        for spec, name in zip(foreign.specs_of(kind), names, strict=True):
            if spec.holds(message):
                value = spec.get(message)
                implicit = spec.single and not spec.group and not spec.optional
                if implicit and spec.kind in _PLAIN and _is_default(value) and not self._defaults:
                    continue
            elif self._defaults and not spec.group and not foreign.without_default(spec, inner):
                value = spec.default()
            else:
                continue
            try:
                result[name] = self._field(spec, value, inner)
            except FAULTS as error:
                raise located(kind, spec, value, error) from None
        return result

    def _field(self, spec: Spec, value: Any, outer: tuple[type[Any], ...]) -> Any:
        if spec.repeated:
            return [self._value(spec, item, outer) for item in value]
        if spec.map_key:
            return {self._key(spec, key): self._value(spec, item, outer) for key, item in value.items()}
        return None if value is None else self._value(spec, value, outer)

    def _value(self, spec: Spec, value: Any, outer: tuple[type[Any], ...]) -> Any:
        kind = spec.wraps or spec.kind
        check(spec, value)
        if kind == "message":
            return self.any_message(value, outer)
        if kind == "enum":
            return _enum_text(spec.type() if spec.type else betterproto.Enum, value)
        if kind == "timestamp":
            return json_values.timestamp_text(*known.timestamp_parts(value))
        if kind == "duration":
            return json_values.duration_text(*known.duration_parts(value))
        return json_values.scalar_json(kind, value)

    def _key(self, spec: Spec, key: Any) -> str:
        check_scalar(spec.map_key, key)
        return json_values.key_text(key)

    def any_message(self, value: Any, outer: tuple[type[Any], ...]) -> Any:
        """Returns a message of any class as JSON."""
        if hasattr(value, "_specs_"):
            return self.message(value, outer)
        match value:
            case lib.Struct():
                return {key: self._dynamic(item, outer) for key, item in value.fields.items()}
            case lib.ListValue():
                return [self._dynamic(item, outer) for item in value.values]
            case lib.Value():
                return self._dynamic(value, outer)
            case lib.Any():
                return self._any(value, outer)
            case lib.FieldMask():
                return ",".join(json_values.camel_path(path) for path in value.paths)
            case lib.Timestamp():
                return json_values.timestamp_text(value.seconds, value.nanos)
            case lib.Duration():
                return json_values.duration_text(value.seconds, value.nanos)
            case _:
                wrapped = _WRAPPED.get(value.__class__)
                if wrapped:
                    check_scalar(wrapped, value.value)
                    return json_values.scalar_json(wrapped, value.value)
                return self.message(value, outer)

    def _dynamic(self, value: Any, outer: tuple[type[Any], ...]) -> Any:
        check_class(lib.Value, value)
        name, found = betterproto.which_one_of(value, "kind")
        item: Any = found
        match name:
            case "null_value":
                return None
            case "number_value":
                check_scalar("double", item)
                if not math.isfinite(item):
                    raise ValueError(f"a google.protobuf.Value cannot be {item} in JSON")
                return item
            case "struct_value" | "list_value":
                check_class(lib.Struct if name == "struct_value" else lib.ListValue, item)
                return self.any_message(item, outer)
            case "":
                raise ValueError("a google.protobuf.Value without a value has no JSON")
            case _:
                check_scalar("string" if name == "string_value" else "bool", item)
                return item

    def _any(self, value: Any, outer: tuple[type[Any], ...]) -> Any:
        if not value.type_url:
            return {}
        kind = _find(value.type_url)
        inner = (
            kind.FromString(value.value)
            if hasattr(kind, "_specs_")
            else foreign.read(kind, value.value, 0, len(value.value), 0, None)
        )
        text = self.any_message(inner, outer)
        if kind in _SPECIAL or kind in _WRAPPED:
            return {"@type": value.type_url, "value": text}
        return {"@type": value.type_url, **text}


class _Parser:
    def __init__(self, lenient: bool) -> None:
        self._lenient = lenient

    def fill(self, message: Any, value: Any, depth: int) -> None:
        """Reads a JSON object into a message with fields."""
        if depth > LIMIT:
            raise DecodeError(f"messages are nested deeper than {LIMIT}")
        pairs = _object(value)
        kind = message.__class__
        names = keys.specs_by_key(kind)
        seen: set[str] = set()
        message._serialized_on_wire = True
        for key, item in pairs.items():
            spec = names.get(key)
            if spec is None:
                if self._lenient:
                    continue
                raise DecodeError(f"{foreign.full_name(kind)} has no field {key!r}")
            if spec.name in seen:
                raise DecodeError(f"{foreign.full_name(kind)} has {spec.name!r} twice")
            seen.add(spec.name)
            if item is None and not _takes_null(spec):
                continue
            if spec.group:
                if spec.group in seen:
                    raise DecodeError(f"{foreign.full_name(kind)} has two members of the oneof {spec.group!r}")
                seen.add(spec.group)
            try:
                self._field(message, spec, item, depth)
            except (ValueError, TypeError, OverflowError) as error:
                if isinstance(error, DecodeError) and error.args[0].startswith("in "):
                    raise
                raise DecodeError(f"in {foreign.full_name(kind)}.{spec.proto_name}: {error}") from None

    def _field(self, message: Any, spec: Spec, value: Any, depth: int) -> None:
        if spec.repeated:
            items = [self._item(spec, item, depth) for item in _list(value)]
            spec.put(message, [item for item in items if item is not _IGNORED])
        elif spec.map_key:
            pairs = {
                json_values.key(spec.map_key, key): self._item(spec, item, depth)
                for key, item in _object(value).items()
            }
            if len(pairs) != len(value):
                raise DecodeError("a key is there twice")
            spec.put(message, {key: item for key, item in pairs.items() if item is not _IGNORED})
        elif spec.kind == "message" and not spec.group and getattr(message, spec.slot, None) is not None:
            kind = spec.type() if spec.type else None
            spec.put(message, self.any_message(kind, value, depth + 1, getattr(message, spec.slot)))
        else:
            item = self._value(spec, value, depth)
            if item is not _IGNORED:
                spec.put(message, item)

    def _item(self, spec: Spec, value: Any, depth: int) -> Any:
        if value is None and not _takes_null(spec):
            raise DecodeError("null cannot be in a list or a map")
        return self._value(spec, value, depth)

    def _value(self, spec: Spec, value: Any, depth: int) -> Any:
        match spec.kind:
            case "message":
                return self.any_message(spec.type() if spec.type else None, value, depth + 1, None)
            case "enum":
                return self._enum(spec.type() if spec.type else None, value)
            case "timestamp":
                return known.make_datetime(*json_values.timestamp_of(value))
            case "duration":
                return known.make_timedelta(*json_values.duration_of(value))
            case _:
                return json_values.scalar(spec.wraps or spec.kind, value)

    def _enum(self, kind: Any, value: Any) -> Any:
        if value is None:  # only google.protobuf.NullValue comes here with it
            return kind.try_value(0)
        if isinstance(value, str):
            found = _enum_names(kind).get(value)
            if found is None:
                if self._lenient:
                    return _IGNORED
                raise DecodeError(f"the enum {kind.__name__} has no value {value!r}")
            return found
        return kind.try_value(json_values.integer("int32", value))

    def any_message(self, kind: Any, value: Any, depth: int, onto: Any) -> Any:
        """Reads JSON as a message of any class."""
        result: Any
        if depth > LIMIT:
            raise DecodeError(f"messages are nested deeper than {LIMIT}")
        if kind not in _SPECIAL and kind not in _WRAPPED and kind is not lib.Empty:
            message = kind() if onto is None else onto
            self.fill(message, value, depth)
            return message
        if kind is lib.Struct:
            pairs = _object(value).items()
            fields = {
                json_values.string(key): self.any_message(lib.Value, item, depth + 1, None) for key, item in pairs
            }
            result = lib.Struct(fields=fields)
        elif kind is lib.ListValue:
            items = [self.any_message(lib.Value, item, depth + 1, None) for item in _list(value)]
            result = lib.ListValue(values=items)
        elif kind is lib.Value:
            result = self._dynamic(value, depth)
        elif kind is lib.Any:
            result = self._any(value, depth)
        elif kind is lib.FieldMask:
            result = lib.FieldMask(
                paths=[json_values.snake_path(path) for path in json_values.string(value).split(",")] if value else []
            )
        elif kind is lib.Empty:
            if _object(value) and not self._lenient:
                raise DecodeError(f"an empty object is needed, not {json_values.shown(value)}")
            result = lib.Empty()
        elif kind is lib.Timestamp:
            result = lib.Timestamp(*json_values.timestamp_of(value))
        elif kind is lib.Duration:
            result = lib.Duration(*json_values.duration_of(value))
        else:
            make: Any = kind
            result = make(value=json_values.scalar(_WRAPPED[kind], value))
        result._serialized_on_wire = True
        return result

    def _dynamic(self, value: Any, depth: int) -> Any:
        match value:
            case None:
                return lib.Value(null_value=lib.NullValue.try_value(0))
            case bool():
                return lib.Value(bool_value=value)
            case str():
                return lib.Value(string_value=json_values.string(value))
            case int() | float():
                return lib.Value(number_value=json_values.scalar("double", value))
            case list():
                return lib.Value(list_value=self.any_message(lib.ListValue, value, depth + 1, None))
            case _:
                return lib.Value(struct_value=self.any_message(lib.Struct, value, depth + 1, None))

    def _any(self, value: Any, depth: int) -> Any:
        rest = dict(_object(value))
        if not rest:
            return lib.Any()
        if "@type" not in rest:
            raise DecodeError("a google.protobuf.Any needs '@type'")
        url = json_values.string(rest.pop("@type"))
        kind = _find(url)
        if kind not in _SPECIAL and kind not in _WRAPPED:
            former = rest.get("value")
            if not hasattr(kind, "_specs_") and set(rest) == {"value"} and "value" not in keys.specs_by_key(kind):
                rest = _object(former)  # the form that earlier versions wrote
            return lib.Any(url, _encode(self.any_message(kind, rest, depth + 1, None)))
        if "value" not in rest:
            raise DecodeError(f"a google.protobuf.Any of {url!r} needs 'value'")
        item = rest.pop("value")
        if rest and not self._lenient:
            raise DecodeError(f"a google.protobuf.Any of {url!r} has no {sorted(map(str, rest))}")
        return lib.Any(url, foreign.encode(self.any_message(kind, item, depth + 1, None)))


_IGNORED: Any = object()
_PLAIN = frozenset(
    (
        *("double", "float", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "bool", "string", "bytes"),
        *("fixed32", "fixed64", "sfixed32", "sfixed64", "enum"),
    )
)
_SPECIAL = frozenset((lib.Any, lib.Duration, lib.FieldMask, lib.ListValue, lib.Struct, lib.Timestamp, lib.Value))
"""The messages, besides wrappers, whose JSON is not an object with their fields; in an ``Any`` it is below ``value``."""
_WRAPPED: Mapping[type[Any], str] = {
    lib.DoubleValue: "double",
    lib.FloatValue: "float",
    lib.Int64Value: "int64",
    lib.UInt64Value: "uint64",
    lib.Int32Value: "int32",
    lib.UInt32Value: "uint32",
    lib.BoolValue: "bool",
    lib.StringValue: "string",
    lib.BytesValue: "bytes",
}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise DecodeError("an object has a name twice")
    return result


def _refuse_constant(text: str) -> Any:
    raise DecodeError(f"{text} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise DecodeError(f"{text} is too large for a number")
    return value


def _enum_names(kind: Any) -> dict[str, Any]:
    """Returns the values of an enum by their names: those of the .proto, then those of its members."""
    if kind is lib.NullValue:
        return {"NULL_VALUE": kind.try_value(0)}  # betterproto has lost the name
    members: dict[str, Any] = dict(kind.__members__)
    originals = _originals(kind)
    return {**members, **{name: kind.try_value(number) for name, number in originals.items()}}


def _enum_text(kind: Any, value: Any) -> Any:
    if kind is lib.NullValue:
        return None
    for name, number in _originals(kind).items():
        if number == value:
            return name
    member = kind.try_value(value)
    return int(value) if member.name is None else member.name


def _originals(kind: Any) -> Mapping[str, int]:
    """Returns the values of an enum by their names in the .proto; empty where these are the members' names."""
    found: Mapping[str, int] | None = getattr(kind, "__proto_names__", None)
    return foreign.enum_names(kind) if found is None else found


def _takes_null(spec: Spec) -> bool:
    kind = spec.type() if spec.type else None
    return (kind is lib.Value or kind is lib.NullValue) and (spec.single or spec.kind == "enum" or kind is lib.Value)


def _find(url: str) -> Any:
    """Returns the class of the message that a ``google.protobuf.Any`` names."""
    name = url.rpartition("/")[2]
    if name.startswith("google.protobuf."):
        found = getattr(lib, name.removeprefix("google.protobuf.").replace(".", ""), None)
        if isinstance(found, type) and issubclass(found, betterproto.Message):
            return found
    for kind in _subclasses(betterproto.Message):
        if kind.__dict__.get("_full_name_") == name:
            return kind
    raise DecodeError(f"a google.protobuf.Any holds {url!r}, which is not the name of an imported message")


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for inner in kind.__subclasses__():
        yield inner
        yield from _subclasses(inner)


def _encode(message: Any) -> bytes:
    return bytes(message) if hasattr(message, "_specs_") else foreign.encode(message)


def _is_default(value: Any) -> bool:
    return not value and not (value.__class__ is float and math.copysign(1.0, value) < 0)


def _object(value: Any) -> Any:
    found = value
    if not isinstance(value, Mapping):
        raise DecodeError(f"an object is needed, not {json_values.shown(value)}")
    return found


def _list(value: Any) -> Any:
    found = value
    if not isinstance(value, list):
        raise DecodeError(f"a list is needed, not {json_values.shown(value)}")
    return found
