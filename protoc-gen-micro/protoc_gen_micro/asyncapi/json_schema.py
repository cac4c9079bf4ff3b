"""Messages as JSON Schema (draft 07) of protobuf's JSON mapping: what is written for them in JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from protoc_gen_micro.schema.model import Enum, Field, Message, TypeName

__all__ = ["Schema", "Schemas"]

Schema = dict[str, Any]


class Schemas:
    """Collects the schemas of messages and of all that they refer to, each once, so that they may contain themselves.

    Args:
        find_message: returns messages by their types.
        find_enum: returns enums by their types.
        required: says whether a field, by the full name of its message and its own, must be set.
        prefix: what references begin with.
    """

    def __init__(
        self,
        find_message: Callable[[TypeName], Message],
        find_enum: Callable[[TypeName], Enum],
        required: Callable[[str, str], bool],
        prefix: str = "#/components/schemas/",
    ) -> None:
        self._find_message = find_message
        self._find_enum = find_enum
        self._required = required
        self._prefix = prefix
        self._schemas: dict[str, Schema] = {}
        self._pending: list[TypeName] = []
        self._files: set[str] = set()

    def collect(self) -> dict[str, Schema]:
        """Returns the schemas of all that was referred to so far, by the full names of the types, in their order."""
        while self._pending:  # no recursion, since messages may refer to each other in long chains
            type_name = self._pending.pop()
            self._schemas[type_name.full_name] = self._object(self._find_message(type_name))
        return dict(sorted(self._schemas.items()))

    @property
    def files(self) -> list[str]:
        """The .proto files that define what ``collect`` returned."""
        return sorted(self._files)

    def message(self, type_name: TypeName) -> Schema:
        """Returns a reference to the schema of a message, or the schema itself where JSON has a form of its own for it."""
        known = _WELL_KNOWN.get(type_name.full_name)
        if known is not None:
            return dict(known)
        if type_name.full_name not in self._schemas:
            self._schemas[type_name.full_name] = {}  # it may contain itself
            self._files.add(type_name.file)
            self._pending.append(type_name)
        return {"$ref": self._prefix + type_name.full_name}

    def enum(self, type_name: TypeName) -> Schema:
        """Returns a reference to the schema of an enum."""
        if type_name.full_name == "google.protobuf.NullValue":
            return {"type": "null"}
        if type_name.full_name not in self._schemas:
            self._files.add(type_name.file)
            self._schemas[type_name.full_name] = _names(self._find_enum(type_name))
        return {"$ref": self._prefix + type_name.full_name}

    def value(self, kind: str, type_name: TypeName | None) -> Schema:
        """Returns the schema of one value of a type, ``"int64"``."""
        if type_name is None:
            return dict(_SCALARS[kind])
        return self.message(type_name) if kind == "message" else self.enum(type_name)

    def field(self, field: Field) -> Schema:
        """Returns the schema of a field, with its comment."""
        schema = self.value(field.type, field.type_name)
        if field.map_key:
            schema = {"type": "object", **_KEYS.get(field.map_key, {}), "additionalProperties": schema}
        elif field.repeated:
            schema = {"type": "array", "items": schema}
        said = _described(field.comment, field.deprecated)
        if said and "$ref" in schema:
            return {**said, "allOf": [schema]}  # what stands beside $ref does not count
        return {**schema, **said}

    def _object(self, message: Message) -> Schema:
        schema: Schema = {
            "title": message.type_name.full_name,
            **_described(message.comment, message.deprecated),
            "type": "object",
            "properties": {field.json_name: self.field(field) for field in message.fields},
        }
        required = [
            field.json_name for field in message.fields if self._required(message.type_name.full_name, field.name)
        ]
        if required:
            schema["required"] = required
        choices = list(_choices(message))
        if choices:
            schema["allOf"] = choices
        return schema


def _choices(message: Message) -> Iterator[Schema]:
    """Yields what says that at most one field of each oneof is set."""
    names = {field.name: field.json_name for field in message.fields}
    for oneof in message.oneofs:
        given: list[Schema] = [{"required": [names[name]]} for name in oneof.fields]
        if len(given) > 1:
            yield {**_described(oneof.comment, False), "oneOf": [*given, {"not": {"anyOf": given}}]}


def _names(enum: Enum) -> Schema:
    said = "\n".join(f"- `{value.name}`: {value.comment}" for value in enum.values if value.comment)
    comment = "\n\n".join(part for part in (enum.comment, said) if part)
    return {
        "title": enum.type_name.full_name,
        **_described(comment, enum.deprecated),
        "type": "string",
        "enum": [value.name for value in enum.values],
    }


def _described(comment: str, deprecated: bool) -> Schema:
    said: Schema = {"description": comment} if comment else {}
    if deprecated:
        said["deprecated"] = True
    return said


def _integer(bits: int, signed: bool) -> Schema:
    if bits == 64:  # more than a number of JSON holds in many languages
        return {
            "type": "string",
            "format": "int64" if signed else "uint64",
            "pattern": "^-?[0-9]+$" if signed else "^[0-9]+$",
        }
    low, high = (-(2**31), 2**31 - 1) if signed else (0, 2**32 - 1)
    return {"type": "integer", "minimum": low, "maximum": high}


def _float(name: str) -> Schema:
    return {"oneOf": [{"type": "number", "format": name}, {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]}]}


_SCALARS: dict[str, Schema] = {
    **dict.fromkeys(("int32", "sint32", "sfixed32"), _integer(32, True)),
    **dict.fromkeys(("uint32", "fixed32"), _integer(32, False)),
    **dict.fromkeys(("int64", "sint64", "sfixed64"), _integer(64, True)),
    **dict.fromkeys(("uint64", "fixed64"), _integer(64, False)),
    "float": _float("float"),
    "double": _float("double"),
    "bool": {"type": "boolean"},
    "string": {"type": "string"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
}
_SIGNED: Schema = {"propertyNames": {"pattern": "^-?[0-9]+$"}}
_UNSIGNED: Schema = {"propertyNames": {"pattern": "^[0-9]+$"}}
_KEYS: dict[str, Schema] = {
    **dict.fromkeys(("int32", "sint32", "sfixed32", "int64", "sint64", "sfixed64"), _SIGNED),
    **dict.fromkeys(("uint32", "fixed32", "uint64", "fixed64"), _UNSIGNED),
    "bool": {"propertyNames": {"enum": ["true", "false"]}},
}
"""What the keys of maps look like: names of JSON are strings."""


def _nullable(schema: Schema) -> Schema:
    return {"oneOf": [schema, {"type": "null"}]} if "oneOf" in schema else {**schema, "type": [schema["type"], "null"]}


_WELL_KNOWN: dict[str, Schema] = {
    "google.protobuf.Any": {
        "type": "object",
        "properties": {"@type": {"type": "string", "description": "A URL that ends with the message's full name."}},
        "required": ["@type"],
    },
    "google.protobuf.Duration": {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,9})?s$"},
    "google.protobuf.Empty": {"type": "object", "additionalProperties": False},
    "google.protobuf.FieldMask": {"type": "string", "description": "Paths of fields with commas between them."},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Value": {},
    "google.protobuf.BoolValue": _nullable(_SCALARS["bool"]),
    "google.protobuf.BytesValue": _nullable(_SCALARS["bytes"]),
    "google.protobuf.DoubleValue": _nullable(_SCALARS["double"]),
    "google.protobuf.FloatValue": _nullable(_SCALARS["float"]),
    "google.protobuf.Int32Value": _nullable(_SCALARS["int32"]),
    "google.protobuf.Int64Value": _nullable(_SCALARS["int64"]),
    "google.protobuf.StringValue": _nullable(_SCALARS["string"]),
    "google.protobuf.UInt32Value": _nullable(_SCALARS["uint32"]),
    "google.protobuf.UInt64Value": _nullable(_SCALARS["uint64"]),
}
"""What JSON has forms of its own for."""
