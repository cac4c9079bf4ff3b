"""A file's messages and enums as the text of a .proto: the plugin is given descriptors, never the text itself.

The text defines the same types as the file: compiled, it gives the same descriptors, but for services, extensions and
options that programs declare themselves, and the imports that only those need.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from google.protobuf import descriptor_pb2

from protoc_gen_micro.schema.comments import Path, Source
from protoc_gen_micro.schema.names import json_name

__all__ = ["imports_of", "proto_text"]

_Field = descriptor_pb2.FieldDescriptorProto
_Message = descriptor_pb2.DescriptorProto


def imports_of(
    file: descriptor_pb2.FileDescriptorProto, files: Mapping[str, descriptor_pb2.FileDescriptorProto]
) -> list[str]:
    """Returns the files that a file's messages need, as it imports them.

    Args:
        file: the file.
        files: every file of the run, by its name.
    """
    used = set(_referenced(file.message_type))
    public = {file.dependency[index] for index in file.public_dependency}
    return [name for name in file.dependency if name in public or used & _defined(name, files)]


def proto_text(
    file: descriptor_pb2.FileDescriptorProto, files: Mapping[str, descriptor_pb2.FileDescriptorProto]
) -> str:
    """Returns the text of a file's messages and enums, with their comments.

    Args:
        file: the file.
        files: every file of the run, by its name.
    """
    return "\n".join(_Writer(file, imports_of(file, files)).lines()) + "\n"


class _Writer:
    """Writes one file."""

    def __init__(self, file: descriptor_pb2.FileDescriptorProto, imports: Iterable[str]) -> None:
        self._file = file
        self._imports = list(imports)
        self._source = Source(file)

    def lines(self) -> Iterator[str]:
        file = self._file
        public = {file.dependency[index] for index in file.public_dependency}
        weak = {file.dependency[index] for index in file.weak_dependency}
        yield from self._comment((12,))
        if file.syntax == "editions":
            edition = descriptor_pb2.Edition.Name(file.edition).removeprefix("EDITION_")
            yield f'edition = "{edition}";'
        else:
            yield f'syntax = "{file.syntax or "proto2"}";'
        if file.package:
            yield from ("", f"package {file.package};")
        if self._imports:
            yield ""
        for name in self._imports:
            kind = "public " if name in public else "weak " if name in weak else ""
            yield f'import {kind}"{name}";'
        features = list(_features(file.options))
        if features:
            yield ""
            yield from (f"option {name} = {value};" for name, value in features)
        for index, message in enumerate(file.message_type):
            yield from ("", *self._message(message, (4, index), f"{_visibility(message)}message {message.name}"))
        for index, enum in enumerate(file.enum_type):
            yield from ("", *self._enum(enum, (5, index)))

    def _message(self, message: _Message, path: Path, head: str) -> Iterator[str]:
        yield from self._comment(path)
        body = list(self._body(message, path))
        if not body:
            yield f"{head} {{}}"
            return
        yield f"{head} {{"
        yield from _moved(body)
        yield "}"

    def _body(self, message: _Message, path: Path) -> Iterator[str]:
        if message.options.deprecated:
            yield "option deprecated = true;"
        if message.options.message_set_wire_format:
            yield "option message_set_wire_format = true;"
        if message.options.HasField("no_standard_descriptor_accessor"):
            yield f"option no_standard_descriptor_accessor = {_word(message.options.no_standard_descriptor_accessor)};"
        yield from (f"option {name} = {value};" for name, value in _features(message.options))
        yield from self._fields(message, path)
        groups = {field.type_name.rpartition(".")[2] for field in message.field if field.type == _Field.TYPE_GROUP}
        for index, nested in enumerate(message.nested_type):
            if not nested.options.map_entry and not (nested.name in groups and self._file.syntax != "editions"):
                yield from self._message(nested, (*path, 3, index), f"{_visibility(nested)}message {nested.name}")
        for index, enum in enumerate(message.enum_type):
            yield from self._enum(enum, (*path, 4, index))
        for extensions in message.extension_range:
            yield f"extensions {_range(extensions.start, extensions.end - 1, _LAST_FIELD)};"
        reserved = [_range(numbers.start, numbers.end - 1, _LAST_FIELD) for numbers in message.reserved_range]
        yield from _reserved(reserved, message.reserved_name, self._file.syntax == "editions")

    def _fields(self, message: _Message, path: Path) -> Iterator[str]:
        opened: set[int] = set()
        for index, field in enumerate(message.field):
            if not field.HasField("oneof_index") or field.proto3_optional:
                yield from self._field(message, field, path, index)
            elif field.oneof_index not in opened:
                opened.add(field.oneof_index)
                oneof = message.oneof_decl[field.oneof_index]
                yield from self._comment((*path, 8, field.oneof_index))
                yield f"oneof {oneof.name} {{"
                yield from _moved(f"option {name} = {value};" for name, value in _features(oneof.options))
                for place, member in enumerate(message.field):
                    if member.HasField("oneof_index") and member.oneof_index == field.oneof_index:
                        yield from _moved(self._field(message, member, path, place))
                yield "}"

    def _field(self, message: _Message, field: _Field, path: Path, index: int) -> Iterator[str]:
        yield from self._comment((*path, 2, index))
        nested = {entry.name: (place, entry) for place, entry in enumerate(message.nested_type)}
        options = ", ".join(f"{name} = {value}" for name, value in _options(field))
        behind = f" = {field.number} [{options}]" if options else f" = {field.number}"
        place, entry = nested.get(field.type_name.rpartition(".")[2], (0, None))
        if entry is not None and entry.options.map_entry:
            key, value = entry.field
            yield f"map<{_type(key)}, {_type(value)}> {field.name}{behind};"
            return
        label = self._label(field)
        if field.type == _Field.TYPE_GROUP and entry is not None and self._file.syntax != "editions":
            yield from self._message(entry, (*path, 3, place), f"{label}group {entry.name}{behind}")
            return
        yield f"{label}{_type(field)} {field.name}{behind};"

    def _label(self, field: _Field) -> str:
        if field.label == _Field.LABEL_REPEATED:
            return "repeated "
        if field.label == _Field.LABEL_REQUIRED:
            return "required "
        if field.proto3_optional or (self._file.syntax in ("", "proto2") and not field.HasField("oneof_index")):
            return "optional "
        return ""

    def _enum(self, enum: descriptor_pb2.EnumDescriptorProto, path: Path) -> Iterator[str]:
        yield from self._comment(path)
        yield f"{_visibility(enum)}enum {enum.name} {{"
        lines: list[str] = []
        if enum.options.allow_alias:
            lines.append("option allow_alias = true;")
        if enum.options.deprecated:
            lines.append("option deprecated = true;")
        lines += [f"option {name} = {value};" for name, value in _features(enum.options)]
        for index, value in enumerate(enum.value):
            lines += self._comment((*path, 2, index))
            lines.append(f"{value.name} = {value.number}{' [deprecated = true]' if value.options.deprecated else ''};")
        reserved = [_range(numbers.start, numbers.end, 2**31 - 1) for numbers in enum.reserved_range]
        lines += _reserved(reserved, enum.reserved_name, self._file.syntax == "editions")
        yield from _moved(lines)
        yield "}"

    def _comment(self, path: Path) -> Iterator[str]:
        comment = self._source.comment(path)
        if comment:
            yield from (f"// {line}".rstrip() for line in comment.split("\n"))


_LAST_FIELD = 2**29 - 1


def _referenced(messages: Iterable[_Message]) -> Iterator[str]:
    """Yields the full names, with the leading dot, of the types of all fields."""
    for message in messages:
        yield from (field.type_name for field in message.field if field.type_name)
        yield from _referenced(message.nested_type)


def _defined(name: str, files: Mapping[str, descriptor_pb2.FileDescriptorProto]) -> set[str]:
    """Returns the full names, with the leading dot, of the types that a file brings."""
    file = files[name]
    found: set[str] = set()
    prefix = f".{file.package}." if file.package else "."
    pending = [(prefix, file.message_type, file.enum_type)]
    while pending:
        prefix, messages, enums = pending.pop()
        found.update(prefix + enum.name for enum in enums)
        for message in messages:
            found.add(prefix + message.name)
            pending.append((f"{prefix}{message.name}.", message.nested_type, message.enum_type))
    return found.union(*(_defined(file.dependency[index], files) for index in file.public_dependency))


def _type(field: _Field) -> str:
    if field.type_name:
        return field.type_name
    return _Field.Type.Name(field.type).removeprefix("TYPE_").lower()


def _visibility(thing: _Message | descriptor_pb2.EnumDescriptorProto) -> str:
    """Returns what edition 2024 has before a type; older runtimes do not know it."""
    return {1: "local ", 2: "export "}.get(getattr(thing, "visibility", 0), "")


def _options(field: _Field) -> Iterator[tuple[str, str]]:
    if field.HasField("default_value"):
        yield "default", _default(field)
    if field.json_name and field.json_name != json_name(field.name):
        yield "json_name", _quoted(field.json_name)
    if field.options.HasField("packed"):
        yield "packed", _word(field.options.packed)
    if field.options.deprecated:
        yield "deprecated", "true"
    yield from _features(field.options)


def _features(options: Any) -> Iterator[tuple[str, str]]:
    """Yields the features of editions that options set, but for those of single languages."""
    for field, value in options.features.ListFields():
        if not field.is_extension:
            yield f"features.{field.name}", field.enum_type.values_by_number[value].name


def _default(field: _Field) -> str:
    if field.type == _Field.TYPE_STRING:
        return _quoted(field.default_value)
    if field.type == _Field.TYPE_BYTES:
        return f'"{field.default_value}"'  # escaped already
    return field.default_value


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(letter if letter >= " " else f"\\{ord(letter):03o}" for letter in escaped) + '"'


def _word(flag: bool) -> str:
    return "true" if flag else "false"


def _range(first: int, last: int, end: int) -> str:
    if last >= end:
        return f"{first} to max"
    return f"{first}" if first == last else f"{first} to {last}"


def _reserved(ranges: list[str], names: Iterable[str], editions: bool) -> Iterator[str]:
    if ranges:
        yield f"reserved {', '.join(ranges)};"
    listed = list(names) if editions else [_quoted(name) for name in names]
    if listed:
        yield f"reserved {', '.join(listed)};"


def _moved(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" if line else line for line in lines)
