"""Messages of betterproto's own classes, those of ``google/protobuf/*.proto``: their fields, bytes and names.

betterproto's own encoder and decoder take damaged bytes for good ones, and fail at some of these classes (``Enum`` with values).
Its JSON has neither the field names nor the enum values of the .proto. So this module does what generated code does, by
the tables of these classes, and takes the names from the descriptors of the official runtime.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

import betterproto
from betterproto.lib.std.google import protobuf as lib

from micro_rt.dialects import known, wire
from micro_rt.dialects.fields import Spec, checked

__all__ = ["encode", "encode_field", "enum_names", "full_name", "read", "specs_of", "without_default"]


class _ForeignSpec(Spec):
    """One field of a class of betterproto's own, which keeps its values elsewhere than generated classes do."""

    __slots__ = ()

    def holds(self, message: Any) -> bool:
        """Returns whether the field was set; a field without presence is set when it is not the default."""
        if self.group:
            return betterproto.which_one_of(message, self.group)[0] == self.name
        value = getattr(message, self.name)
        if self.single and self.kind == "message":
            return bool(getattr(value, "_serialized_on_wire", True))
        return bool(value)

    def is_set(self, message: Any) -> bool:
        """Returns whether the field was set."""
        return self.holds(message)

    def get(self, message: Any) -> Any:
        """Returns the value, or the default when the field is not set."""
        return getattr(message, self.name) if not self.group or self.holds(message) else None


def specs_of(kind: Any) -> tuple[Spec, ...]:
    """Returns the fields of a message class, a generated one or one of betterproto's own."""
    found: tuple[Spec, ...] | None = getattr(kind, "_specs_", None)
    return _foreign_specs(kind) if found is None else found


def full_name(kind: Any) -> str:
    """Returns the name of a message class in the .proto, with its package."""
    found = getattr(kind, "_full_name_", "")
    described = None if found else _described(kind)
    return found or (described.full_name if described else kind.__name__)


def enum_names(kind: Any) -> Mapping[str, int]:
    """Returns the values of an enum of betterproto's own by their names in the .proto; empty for any other enum."""
    return _enum_names(kind) if kind.__module__.startswith(_PACKAGE) else {}


def without_default(spec: Spec, outer: tuple[Any, ...]) -> bool:
    """Returns whether the default of a field cannot be written in a dict: it would be inside itself, or has no JSON.

    Args:
        spec: the field.
        outer: the classes of the messages around the default.
    """
    if not (spec.type and spec.single and spec.kind == "message" and not spec.optional):
        return False
    kind = spec.type()
    return kind in outer or kind is lib.Value


def encode(message: Any, kind: Any = None) -> bytes:
    """Encodes a message of one of betterproto's own classes.

    Args:
        message: the message.
        kind: the class that the message must have; None for any of these classes.

    Raises:
        TypeError: the message has another class, or a field has a value of a wrong type.
        ValueError: a field has a value that it cannot hold.
    """
    if kind is not None:
        checked(message, kind)
    out = [encode_field(spec, spec.get(message)) for spec in specs_of(message.__class__) if spec.holds(message)]
    out.append(message._unknown_fields)
    return b"".join(out)


def encode_field(spec: Spec, value: Any) -> bytes:
    """Encodes what a field of one of betterproto's own classes holds, behind its tag; see ``encode``."""
    kind = spec.type() if spec.kind == "message" and spec.type else None
    if spec.map_key:
        entries = [_field(1, spec.map_key, key, None) + _field(2, spec.kind, item, kind) for key, item in value.items()]
        return b"".join([_field(spec.number, "bytes", entry, None) for entry in entries])
    if spec.repeated and spec.kind in _ENCODERS:
        return _field(spec.number, "bytes", b"".join(map(_ENCODERS[spec.kind], value)), None)
    return b"".join([_field(spec.number, spec.kind, item, kind) for item in (value if spec.repeated else (value,))])


def read(
    kind: type[betterproto.Message],
    data: bytes,
    position: int,
    end: int,
    depth: int,
    previous: betterproto.Message | None,
) -> Any:
    """Reads a message of one of betterproto's own classes, onto a previous one if there is one."""
    if depth > wire.LIMIT:
        raise wire.DecodeError(f"messages are nested deeper than {wire.LIMIT}")
    # betterproto describes its classes nowhere else.
    message: Any = kind() if previous is None else previous
    message._serialized_on_wire = True
    table: Any = message._betterproto
    unknown: list[bytes] = []
    while position < end:
        start = position
        tag, position = wire.read_varint(data, position)
        name = table.field_name_by_number.get(tag >> 3)
        meta = table.meta_by_field_name[name] if name else None
        wire_type = tag & 7
        if name is None or meta is None:
            position = wire.skip(data, position, tag, end, depth)
            unknown.append(data[start:position])
            continue
        expected = known.WIRE_TYPES.get(meta.proto_type, 0)
        repeated = table.default_gen[name] is list
        if wire_type != expected and not (repeated and wire_type == 2):
            position = wire.skip(data, position, tag, end, depth)
            unknown.append(data[start:position])
            continue
        if wire_type != 2:
            value, position = known.read_scalar(meta.proto_type, data, position)
            if meta.proto_type == "enum":
                value = _enum_class(table, name).try_value(value)
            _put(message, name, value, repeated)
            continue
        length, position = wire.read_varint(data, position)
        stop = position + length
        if stop > end:
            raise wire.DecodeError("a field is longer than its message")
        if expected != 2:
            while position < stop:
                value, position = known.read_scalar(meta.proto_type, data, position)
                if meta.proto_type == "enum":
                    value = _enum_class(table, name).try_value(value)
                _put(message, name, value, True)
            if position != stop:
                raise wire.DecodeError("a field is longer than its message")
        elif meta.proto_type == "message":
            current = None if repeated or not message.is_set(name) else _current(message, name)
            _put(
                message,
                name,
                read(table.cls_by_field[name], data, position, stop, depth + 1, current),
                repeated,
            )
        elif meta.proto_type == "map":
            entry = read(table.cls_by_field[name], data, position, stop, depth + 1, None)
            getattr(message, name)[entry.key] = entry.value
        else:
            chunk = data[position:stop]
            _put(message, name, chunk.decode() if meta.proto_type == "string" else chunk, repeated)
        position = stop
    if position != end:
        raise wire.DecodeError("a field is longer than its message")
    if unknown:
        message._unknown_fields += b"".join(unknown)
    return message


_FILES = (
    (
        "",
        (
            "any",
            "api",
            "descriptor",
            "duration",
            "empty",
            "field_mask",
            "source_context",
            "struct",
            "timestamp",
            "type",
        ),
    ),
    ("", ("wrappers",)),
    (".compiler", ("plugin",)),
)
"""The modules of the official runtime, by the packages of betterproto's that their classes are in."""
_PACKAGE = "betterproto.lib.std.google.protobuf"


def _bool(value: Any) -> bytes:
    return wire.varint(wire.boolean(value))


_ENCODERS: Mapping[str, Any] = {
    "double": wire.pack_double,
    "float": wire.float32,
    "int32": wire.int32,
    "int64": wire.int64,
    "uint32": wire.uint32,
    "uint64": wire.uint64,
    "bool": _bool,
    "enum": wire.int32,
}
"""All numbers that a file of ``google/protobuf`` has."""


@functools.cache
def _foreign_specs(kind: Any) -> tuple[Spec, ...]:
    # betterproto describes its classes nowhere else.
    table = kind._betterproto
    described = _described(kind)
    found: list[Spec] = []
    for number in sorted(table.field_name_by_number):
        name = table.field_name_by_number[number]
        meta = table.meta_by_field_name[name]
        official = described.fields_by_number.get(number) if described else None
        key, value = meta.map_types or ("", meta.proto_type)
        types = table.cls_by_field
        inner = types.get(f"{name}.value" if key else name)
        proto_name = official.name if official else name
        found.append(
            _ForeignSpec(
                name=name,
                number=number,
                kind=value,
                type=functools.partial(_itself, inner) if value in ("message", "enum") else None,
                repeated=table.default_gen[name] is list,
                map_key=key,
                optional=bool(meta.optional),
                group=meta.group or "",
                wraps="",
                proto_name=proto_name,
                json_name=official.json_name if official else proto_name,
                slot=name,
                which="",
            )
        )
    return tuple(found)


@functools.cache
def _enum_names(kind: Any) -> Mapping[str, int]:
    described = _described(kind)
    return {value.name: value.number for value in described.values} if described else {}


def _itself(kind: Any) -> Any:
    return kind


def _described(kind: Any) -> Any:
    """Returns the official descriptor of a class of betterproto's own, or None."""
    return _official().get((kind.__module__, kind.__name__.lower()))


@functools.cache
def _official() -> Mapping[tuple[str, str], Any]:
    """Returns the descriptors of messages and enums by the names that betterproto's classes have."""
    found: dict[tuple[str, str], Any] = {}
    for package, files in _FILES:
        for file in files:
            described = import_module(f"google.protobuf{package}.{file}_pb2").DESCRIPTOR
            for each in _types(described.message_types_by_name.values(), described.enum_types_by_name.values()):
                name = each.full_name.removeprefix(f"{described.package}.").replace(".", "").lower()
                found[_PACKAGE + package, name] = each
    return found


def _types(messages: Any, enums: Any) -> Iterator[Any]:
    yield from enums
    for message in messages:
        yield message
        yield from _types(message.nested_types, message.enum_types)


def _field(number: int, kind: str, value: Any, type: Any) -> bytes:
    """Encodes a value behind its tag; a message must have a class."""
    if kind == "message":
        value = encode(value, type)
    elif kind == "string":
        value = value.encode()
    elif kind != "bytes":
        return wire.varint(number << 3 | known.WIRE_TYPES.get(kind, 0)) + bytes(_ENCODERS[kind](value))
    return b"".join((wire.varint(number << 3 | 2), wire.varint(len(value)), value))


def _enum_class(table: Any, name: str) -> Any:
    return table.cls_by_field[name]


def _current(message: Any, name: str) -> Any:
    try:
        return getattr(message, name)
    except AttributeError:  # another member of its oneof is set
        return None


def _put(message: Any, name: str, value: Any, repeated: bool) -> None:
    if repeated:
        getattr(message, name).append(value)
    else:
        setattr(message, name, value)
