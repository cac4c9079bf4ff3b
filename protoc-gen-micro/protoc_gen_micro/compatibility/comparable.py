"""The types of one set of files as ``compatibility`` compares them: by descriptors, with what the syntax or edition implies."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from google.protobuf import descriptor_pb2

from protoc_gen_micro.schema.comments import Path
from protoc_gen_micro.schema.model import Event
from protoc_gen_micro.schema.names import json_name
from protoc_gen_micro.schema.reader import Reader

__all__ = ["ComparableEnum", "ComparableField", "ComparableMessage", "SchemaSet", "SourceLocation"]


class SourceLocation(NamedTuple):
    """Where in the .proto files something is defined."""

    path: str
    line: int


class ComparableField(NamedTuple):
    """A field.

    Attributes:
        name: its name in the .proto.
        number: its number.
        type: ``"int32"``, …, ``"message"``, ``"group"`` (a message that is delimited) or ``"enum"``.
        type_name: full name of the message or enum, or empty.
        repeated: whether it is a list.
        map: key and value when it is a map.
        required: whether it must be set.
        presence: whether "not set" differs from "set to the default".
        oneof: the oneof that it is in, or empty.
        json_name: its name in JSON.
        default: the default that the .proto gives it, or empty.
        place: where it is.
    """

    name: str
    number: int
    type: str
    type_name: str
    repeated: bool
    map: tuple[ComparableField, ComparableField] | None
    required: bool
    presence: bool
    oneof: str
    json_name: str
    default: str
    place: SourceLocation

    @property
    def kind(self) -> str:
        """Its type as it is written: ``"int64"``, ``"repeated shop.Line"``, ``"map<string, int32>"``."""
        if self.map:
            return f"map<{self.map[0].kind}, {self.map[1].kind}>"
        return f"{'repeated ' if self.repeated else ''}{self.type_name or self.type}"


class ComparableMessage(NamedTuple):
    """A message; numbers that are reserved come as ranges, the last one included."""

    full_name: str
    fields: tuple[ComparableField, ...]
    reserved: tuple[tuple[int, int], ...]
    reserved_names: frozenset[str]
    place: SourceLocation

    def is_reserved(self, number: int) -> bool:
        """Returns whether no field may have the number."""
        return any(first <= number <= last for first, last in self.reserved)


class ComparableEnum(NamedTuple):
    """An enum: names by number, the one that is written first."""

    full_name: str
    values: dict[int, tuple[str, ...]]
    places: dict[int, SourceLocation]
    closed: bool
    reserved: tuple[tuple[int, int], ...]
    reserved_names: frozenset[str]
    place: SourceLocation

    def is_reserved(self, number: int) -> bool:
        """Returns whether no value may have the number."""
        return any(first <= number <= last for first, last in self.reserved)


class SchemaSet:
    """The types of one set of files.

    Args:
        files: every file, with all that it imports.
        chosen: the files whose events and messages are to be compared; the others are only referred to.

    Attributes:
        events: the events of the chosen files, by full name.
        names: the full names of the messages of the chosen files.

    Raises:
        GenerateError: an event says what cannot be.
    """

    def __init__(self, files: Iterable[descriptor_pb2.FileDescriptorProto], chosen: Iterable[str]) -> None:
        reader = Reader(files)
        self._files = reader.files
        self._lines: dict[str, dict[Path, int]] = {}
        self._messages: dict[str, tuple[str, descriptor_pb2.DescriptorProto, Path]] = {}
        self._enums: dict[str, tuple[str, descriptor_pb2.EnumDescriptorProto, Path]] = {}
        for file in self._files.values():
            prefix = f"{file.package}." if file.package else ""
            for index, enum in enumerate(file.enum_type):
                self._enums[prefix + enum.name] = (file.name, enum, (5, index))
            for index, message in enumerate(file.message_type):
                self._index(file.name, prefix, message, (4, index))
        chosen = set(chosen)
        self.events: dict[str, Event] = {
            event.full_name: event for name in sorted(chosen) for event in reader.read(name).events
        }
        self.names = sorted(
            name
            for name, (path, message, _) in self._messages.items()
            if path in chosen and not message.options.map_entry
        )

    def message(self, full_name: str) -> ComparableMessage | None:
        """Returns a message, or None if there is none of that name."""
        known = self._messages.get(full_name)
        if known is None:
            return None
        path, message, place = known
        synthetic = {field.oneof_index for field in message.field if field.proto3_optional}
        oneofs = ["" if index in synthetic else oneof.name for index, oneof in enumerate(message.oneof_decl)]
        return ComparableMessage(
            full_name=full_name,
            fields=tuple(
                self._field(path, field, (*place, 2, index), oneofs) for index, field in enumerate(message.field)
            ),
            reserved=tuple((numbers.start, numbers.end - 1) for numbers in message.reserved_range),
            reserved_names=frozenset(message.reserved_name),
            place=self._place(path, place),
        )

    def enum(self, full_name: str) -> ComparableEnum | None:
        """Returns an enum, or None if there is none of that name."""
        known = self._enums.get(full_name)
        if known is None:
            return None
        path, enum, place = known
        values: dict[int, tuple[str, ...]] = {}
        places: dict[int, SourceLocation] = {}
        for index, value in enumerate(enum.value):
            values[value.number] = (*values.get(value.number, ()), value.name)
            places.setdefault(value.number, self._place(path, (*place, 2, index)))
        features = enum.options.features
        if not features.HasField("enum_type"):
            features = self._files[path].options.features
        closed = (
            features.enum_type == descriptor_pb2.FeatureSet.CLOSED
            if features.HasField("enum_type")
            else self._files[path].syntax in ("", "proto2")
        )
        return ComparableEnum(
            full_name=full_name,
            values=values,
            places=places,
            closed=closed,
            reserved=tuple((numbers.start, numbers.end) for numbers in enum.reserved_range),
            reserved_names=frozenset(enum.reserved_name),
            place=self._place(path, place),
        )

    def _index(self, path: str, prefix: str, message: descriptor_pb2.DescriptorProto, place: Path) -> None:
        name = prefix + message.name
        self._messages[name] = (path, message, place)
        for index, enum in enumerate(message.enum_type):
            self._enums[f"{name}.{enum.name}"] = (path, enum, (*place, 4, index))
        for index, nested in enumerate(message.nested_type):
            self._index(path, f"{name}.", nested, (*place, 3, index))

    def _field(
        self, path: str, field: descriptor_pb2.FieldDescriptorProto, place: Path, oneofs: list[str]
    ) -> ComparableField:
        file = self._files[path]
        type_name = field.type_name.removeprefix(".")
        kind = _Field.Type.Name(field.type).removeprefix("TYPE_").lower()
        repeated = field.label == _Field.LABEL_REPEATED
        entry = self._messages.get(type_name) if kind == "message" and repeated else None
        pair: tuple[ComparableField, ComparableField] | None = None
        if entry is not None and entry[1].options.map_entry:
            key, value = (self._field(path, part, place, []) for part in entry[1].field)
            pair = key, value
        presence = _feature(file, field, "field_presence")
        if kind == "message" and not pair and _feature(file, field, "message_encoding") == _DELIMITED:
            kind = "group"
        explicit = (
            presence != descriptor_pb2.FeatureSet.IMPLICIT if presence else file.syntax != "proto3"
        ) or kind in ("message", "group")
        return ComparableField(
            name=field.name,
            number=field.number,
            type=kind,
            type_name="" if pair else type_name,
            repeated=repeated and not pair,
            map=pair,
            required=field.label == _Field.LABEL_REQUIRED or presence == descriptor_pb2.FeatureSet.LEGACY_REQUIRED,
            presence=not repeated and (explicit or field.HasField("oneof_index")),
            oneof=oneofs[field.oneof_index] if oneofs and field.HasField("oneof_index") else "",
            json_name=field.json_name or json_name(field.name),
            default=field.default_value,
            place=self._place(path, place),
        )

    def _place(self, path: str, place: Path) -> SourceLocation:
        """Returns where a part of a file is, or what it is a part of."""
        lines = self._lines.get(path)
        if lines is None:
            locations = self._files[path].source_code_info.location
            lines = self._lines[path] = {tuple(found.path): found.span[0] + 1 for found in locations if found.span}
        while place and place not in lines:
            place = place[:-1]
        return SourceLocation(path, lines.get(place, 0) if place else 0)


_Field = descriptor_pb2.FieldDescriptorProto
_DELIMITED = descriptor_pb2.FeatureSet.DELIMITED


def _feature(file: descriptor_pb2.FileDescriptorProto, field: descriptor_pb2.FieldDescriptorProto, name: str) -> int:
    """Returns what an edition's feature is for a field; 0 where neither the field nor the file says it."""
    own = field.options.features
    features = own if own.HasField(name) else file.options.features  # type: ignore[arg-type]
    return int(getattr(features, name))
