"""The names that ``dataclasses.py.j2`` writes beside those of the .proto."""

from __future__ import annotations

from collections.abc import Iterator

from protoc_gen_micro.betterproto.declarations import declaration
from protoc_gen_micro.betterproto.dialect import field_names, value_names
from protoc_gen_micro.betterproto.unrolled import HELPERS, kind_of, wrapped
from protoc_gen_micro.python.imports import Imports, handed_on, import_directly, plan_names
from protoc_gen_micro.python.modules import Modules
from protoc_gen_micro.python.text import layout, literal
from protoc_gen_micro.schema.model import Enum, EnumValue, Field, File, Message
from protoc_gen_micro.schema.names import json_name, unused

__all__ = ["Classes"]


class Classes:
    """The classes of one file in the betterproto dialect.

    Args:
        file: the file, in the dialect.
        modules: where the modules are, and what star imports of them bring.

    Attributes:
        imports: how the types of other files are imported.
        helpers: the lines that import what hints are made of.
        names: the attributes of the fields, by the full name of the message and the name in the .proto.
        all: the line of ``__all__``.
    """

    def __init__(self, file: File, modules: Modules) -> None:
        self._file = file
        names = [field_names(message) for message in file.messages]
        self.names = {message.type_name.full_name: known for message, known in zip(file.messages, names, strict=True)}
        own = modules.exports[file.path]
        mine = {message.name for message in file.messages} | {enum.name for enum in file.enums}
        public = handed_on(file.path, file.public_dependencies, modules, mine)
        used = {(field.type_name.file, field.type_name.names[0]) for field in _used(file) if field.type_name}
        imported = sorted((path, name) for path, name in used if path != file.path)
        import_directly(public, imported, modules)
        needs = {path: set(names) for path, names in public.items() if names}
        for path, name in imported:
            needs.setdefault(path, set()).add(name)
        self.imports: Imports = plan_names(file.path, needs, modules, mine | HELPERS.keys(), public=public)
        exported = [literal(name) for name in sorted(own)]
        self.all = layout("__all__ = [", exported, "]") if exported else "__all__: list[str] = []"
        self._members = {name for known in names for name in known.values()}
        self.builtins = unused("_builtins", self._members)
        self.helpers = self._helpers()

    def nested(self, enum: Enum) -> tuple[str, ...]:
        """Returns the names of the messages that an enum is in, and its own."""
        package = self._file.package
        full_name = enum.type_name.full_name
        return tuple((full_name[len(package) + 1 :] if package else full_name).split("."))

    def members(self, enum: Enum) -> list[tuple[str, EnumValue]]:
        """Returns the members of an enum, with their names."""
        names = value_names(enum, self.nested(enum))
        return [(names[value.name], value) for value in enum.values]

    def text(self, message: Message) -> str:
        """Returns what the docstring of a message says: its comment, and those of its oneofs, which have no other place."""
        said = [f"The oneof {oneof.name}:\n{oneof.comment}" for oneof in message.oneofs if oneof.comment]
        return "\n\n".join([message.comment, *said]).lstrip("\n") if said else message.comment

    def originals(self, enum: Enum) -> list[str]:
        """Returns the items of the dict that knows the values' names in the .proto; none where they are the same."""
        names = value_names(enum, self.nested(enum))
        if all(name == member for name, member in names.items()):
            return []
        return [f"{literal(value.name)}: {value.number}" for value in enum.values]

    def field(self, message: Message, field: Field) -> str:
        """Returns the line that declares a field."""
        name = self.names[message.type_name.full_name][field.name]
        arguments = [str(field.number), literal(kind_of(field))]
        if field.type_name and kind_of(field) in ("message", "enum"):
            arguments.append(f"lambda: {self.class_name(field)}")
        if field.repeated:
            arguments.append("repeated=True")
        if field.map_key:
            arguments.append(f"key={literal(field.map_key)}")
        if _optional(field):
            arguments.append("optional=True")
        if field.oneof:
            index = [oneof.name for oneof in message.oneofs].index(field.oneof)
            arguments += [f"group={literal(field.oneof)}", *([f"oneof={index}"] if index else [])]
        if wrapped(field):
            arguments.append(f"wraps={literal(wrapped(field))}")
        if field.name != name:
            arguments.append(f"proto={literal(field.name)}")
        if field.json_name != json_name(field.name):
            arguments.append(f"json={literal(field.json_name)}")
        return declaration(name, self._hint(field), "_betterproto.field(", arguments)

    def decorator(self, message: Message) -> str:
        """Returns the line above the class of a message."""
        return layout("@_betterproto.message(", [literal(message.type_name.full_name)], ")")

    def class_name(self, field: Field) -> str:
        """Returns how the module writes the class of a field, empty for a scalar."""
        if field.type_name is None:
            return ""
        return (
            field.type_name.names[0] if field.type_name.file == self._file.path else self.imports.name(field.type_name)
        )

    def _builtin(self, name: str) -> str:
        return f"{self.builtins}.{name}" if name in self._members else name

    def _hint(self, field: Field) -> str:
        value = self._value_hint(field)
        if field.map_key:
            return f"{self._builtin('dict')}[{self._builtin(_SCALARS[field.map_key])}, {value}]"
        if field.repeated:
            return f"{self._builtin('list')}[{value}]"
        return f"{value} | None" if _optional(field) else value

    def _value_hint(self, field: Field) -> str:
        kind = kind_of(field)
        if kind == "wrapper":
            return f"{self._builtin(_SCALARS[wrapped(field)])} | None"
        if kind in _TIMES:
            return self._time(_TIMES[kind])
        return self.class_name(field) if field.type_name else self._builtin(_SCALARS[kind])

    def _time(self, name: str) -> str:
        return f"_{name}" if name in self._members else name

    def _helpers(self) -> list[str]:
        fields = [field for message in self._file.messages for field in message.fields]
        lines: list[str] = []
        if any(f"{self.builtins}." in self._hint(field) for field in fields):
            lines.append(f"import builtins as {self.builtins}")
        times = sorted({_TIMES[kind_of(field)] for field in fields if kind_of(field) in _TIMES})
        if times:
            imported = [name if self._time(name) == name else f"{name} as _{name}" for name in times]
            lines.append(f"from datetime import {', '.join(imported)}")
        if self.imports.checked:
            lines.append("from typing import TYPE_CHECKING")
        return lines


_TIMES = {"timestamp": "datetime", "duration": "timedelta"}
_SCALARS = {
    **dict.fromkeys(("double", "float"), "float"),
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "sint32", "sint64"), "int"),
    **dict.fromkeys(("fixed32", "fixed64", "sfixed32", "sfixed64"), "int"),
    "bool": "bool",
    "string": "str",
    "bytes": "bytes",
}


def _optional(field: Field) -> bool:
    """Returns whether a field is None when it is not set; a wrapper always is."""
    if field.oneof or field.repeated or field.map_key:
        return False
    return field.optional if field.type == "message" else field.has_presence


def _used(file: File) -> Iterator[Field]:
    """Yields every field whose type the module names."""
    for message in file.messages:
        for field in message.fields:
            if field.type_name and kind_of(field) in ("message", "enum"):
                yield field
