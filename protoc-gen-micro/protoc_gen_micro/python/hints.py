"""The type hints of message classes: how ``messages.pyi.j2`` writes the type of everything.

A stub is full of scopes: inside a class, its fields and nested types hide what the module calls so. Whatever a
hint refers to is therefore written under a name that no message, field or value of the file has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protoc_gen_micro.python.imports import plan_names
from protoc_gen_micro.python.modules import Modules
from protoc_gen_micro.python.text import layout, literal
from protoc_gen_micro.schema.model import Enum, EnumValue, Field, File, Message, Oneof, TypeName
from protoc_gen_micro.schema.names import KEYWORDS, unused

__all__ = ["Hints"]


class Hints:
    """The hints of one file.

    Args:
        file: the file.
        modules: where the modules are, and what star imports of them bring.

    Attributes:
        imports: how the types of other files are imported.
        helpers: the lines that import what hints are made of.
        aliases: (alias, name) of the types of this file that something in it hides.
        extends: whether the file has extensions.
        describes: whether ``DESCRIPTOR`` of the module is the file's; not so when a message is called so.
        suppressed: comments that switch off what type checkers would say of names that protobuf allows.
        exported: the names of ``__all__``.
    """

    def __init__(self, file: File, modules: Modules) -> None:
        exports = modules.exports
        everything = list(_walk(file.messages))
        members = {name for message in everything for name in _members(message)}
        top = exports[file.path]
        needs = {path: set(filter(_writable, exports[path])) for path in file.public_dependencies}
        hidden: set[str] = set()
        for used in _used(file, everything):
            if used.file != file.path:
                needs.setdefault(used.file, set()).add(used.names[0])
            elif used.names[0] in members:
                hidden.add(used.names[0])
        self._file = file.path
        self._identifiers = members | top | {name for names in needs.values() for name in names}
        own_top = {name for name in top if not any(name in exports[path] for path in file.public_dependencies)}
        self.imports = plan_names(file.path, needs, modules, members | own_top)
        taken = self._identifiers | set(self.imports.local.values())
        self.exported = sorted(filter(_writable, top))
        self.describes = "DESCRIPTOR" not in top
        self._aliases = {name: unused(f"_{name}", taken) for name in sorted(hidden)}
        self.aliases = [(alias, name) for name, alias in self._aliases.items()]
        taken |= set(self._aliases.values())
        self.abc = unused("_abc", taken)
        self.builtins = unused("_builtins", taken)
        self.containers = unused("_containers", taken)
        self.descriptor = unused("_descriptor", taken)
        self.enums = unused("_enums", taken)
        self.extensions = unused("_extensions", taken)
        self.message = unused("_message", taken)
        self.typing = unused("_typing", taken)
        self._typing_extensions = unused("_typing_extensions", taken)
        self._keywords = self._unwritable(everything, taken)
        self.extends = bool(_extensions(file, everything))
        self.suppressed = self._suppressed(file, everything)
        self.helpers = self._helpers(file, everything)

    def builtin(self, name: str) -> str:
        """Returns how to write a builtin."""
        return f"{self.builtins}.{name}" if name in self._identifiers else name

    def type(self, field: Field) -> str:
        """Returns the type of one value of a field."""
        if field.type_name is None:
            return self.builtin(_SCALARS[field.type])
        return self.type_name(field.type_name)

    def type_name(self, type_name: TypeName) -> str:
        """Returns how to write a message or an enum."""
        if type_name.file != self._file:
            return self.imports.name(type_name)
        top, *nested = type_name.names
        return ".".join([self._aliases.get(top, top), *nested])

    def attribute(self, field: Field) -> str:
        """Returns the type of the attribute of a field."""
        value = self.type(field)
        if field.map_key:
            container = "MessageMap" if field.type == "message" else "ScalarMap"
            return f"{self.containers}.{container}[{self.builtin(_SCALARS[field.map_key])}, {value}]"
        if field.repeated:
            kind = "Composite" if field.type == "message" else "Scalar"
            return f"{self.containers}.Repeated{kind}FieldContainer[{value}]"
        return value

    def extension(self, field: Field) -> str:
        """Returns the type of an extension."""
        extendee = self.type_name(field.extendee) if field.extendee else self.typing + ".Any"
        return f"{self.extensions}._ExtensionFieldDescriptor[{extendee}, {self.attribute(field)}]"

    def overloaded(self, message: Message) -> bool:
        """Returns whether ``WhichOneof`` of a message has more than one signature."""
        return len(message.oneofs) > 1

    def assignable(self, field: Field) -> bool:
        """Returns whether the attribute of a field can be assigned to."""
        return not (field.map_key or field.repeated or field.type == "message")

    def accessible(self, field: Field) -> bool:
        """Returns whether Python can write the name of a field."""
        return _writable(field.name)

    def defines(self, message: Message, method: str) -> bool:
        """Returns whether a method of a message is to be declared: it has fields, and none that is called so."""
        return bool(message.fields) and all(field.name != method for field in message.fields)

    def items(self, enum: Enum) -> str:
        """Returns the type of what ``items`` of an enum returns."""
        pair = f"{self.builtin('tuple')}[{self.builtin('str')}, {self.type_name(enum.type_name)}]"
        return f"{self.builtin('list')}[{pair}]"

    def oneofs(self, message: Message) -> list[Oneof]:
        """Returns the oneofs that ``WhichOneof`` tells of; none where a field is called so."""
        return list(message.oneofs) if self.defines(message, "WhichOneof") else []

    def numbered(self, message: Message) -> list[Field]:
        """Returns the fields whose number has a constant: those where no other field is called like it."""
        names = {field.name for field in message.fields}
        return [field for field in message.fields if f"{field.name.upper()}_FIELD_NUMBER" not in names]

    def values(self, enum: Enum) -> list[EnumValue]:
        """Returns the values of an enum whose names Python can write."""
        return [value for value in enum.values if _writable(value.name)]

    def members(self, enum: Enum) -> list[EnumValue]:
        """Returns the values that are attributes of the enum: its class has methods, which go before them."""
        return [value for value in self.values(enum) if value.name not in _ENUM_MEMBERS]

    def deprecation(self, type_name: TypeName) -> str:
        """Returns the decorator of a deprecated message or enum."""
        said = literal(f"{type_name.full_name} is deprecated")
        return layout(f"@{self._typing_extensions}.deprecated(", [said], ")", len(type_name.names) - 1)

    @property
    def keywords(self) -> list[str]:
        """The definitions of the constructor arguments that only ``**`` can give: Python cannot write their names."""
        definitions: list[str] = []
        for name, fields in self._keywords.values():
            items = [f"{literal(field.name)}: {self._argument(field)} | None" for field in fields]
            arguments = [literal(name), layout("{", items, "},", 1).removesuffix(","), "total=False"]
            definitions.append(layout(f"{name} = {self.typing}.TypedDict(", arguments, ")"))
        return definitions

    def apart(self, message: Message) -> bool:
        """Returns whether the formatters want a blank line between the fields and the methods of a message."""
        fields = [field for field in message.fields if self.accessible(field)]
        return bool(fields) and (self.assignable(fields[-1]) or bool(fields[-1].comment or fields[-1].deprecated))

    def parameters(self, message: Message) -> list[str]:
        """Returns the parameters of the constructor of a message."""
        if not message.fields:
            return ["self"]
        taken = any(field.name == "self" for field in message.fields)
        parameters = ["_self" if taken else "self", "*"]
        accessible = [field for field in message.fields if self.accessible(field)]
        parameters += [f"{field.name}: {self._argument(field)} | None = ..." for field in accessible]
        if len(accessible) < len(message.fields):
            name, _ = self._keywords[message.type_name.full_name]
            parameters.append(f"**keywords: {self.typing}.Unpack[{name}]")
        return parameters if accessible else [name for name in parameters if name != "*"]

    def present(self, message: Message) -> list[str]:
        """Returns the parameters of ``HasField``."""
        names = [field.name for field in message.fields if field.has_presence]
        return self._field_name(message, [*names, *(oneof.name for oneof in message.oneofs)])

    def clearable(self, message: Message) -> list[str]:
        """Returns the parameters of ``ClearField``."""
        names = [field.name for field in message.fields]
        return self._field_name(message, [*names, *(oneof.name for oneof in message.oneofs)])

    def literal(self, *names: str) -> str:
        """Returns the type of the strings given."""
        return f"{self.typing}.Literal[{', '.join(literal(name) for name in names)}]"

    def choices(self, oneof: Oneof) -> str:
        """Returns the type of what ``WhichOneof`` returns."""
        return f"{self.literal(*oneof.fields)} | None"

    def class_name(self, thing: Message | Enum) -> str:
        """Returns the name of the class of a message or an enum."""
        return thing.type_name.names[-1]

    def level(self, thing: Message | Enum) -> int:
        """Returns how many classes a message or an enum is inside of."""
        return len(thing.type_name.names) - 1

    def depth(self, thing: Message | Enum) -> int:
        """Returns how many classes the body of a message or an enum is inside of."""
        return len(thing.type_name.names)

    def _argument(self, field: Field) -> str:
        value = self.type(field)
        if field.map_key:
            return f"{self.abc}.Mapping[{self.builtin(_SCALARS[field.map_key])}, {value}]"
        return f"{self.abc}.Iterable[{value}]" if field.repeated else value

    def _field_name(self, message: Message, names: list[str]) -> list[str]:
        if not names:
            return ["self", f"field_name: {self.typing}.Never"]
        quoted = [literal(name) for name in names]
        hint = layout(f"field_name: {self.typing}.Literal[", quoted, "],", self.depth(message) + 1)
        return ["self", hint.removesuffix(",")]

    def _unwritable(self, everything: Iterable[Message], taken: Iterable[str]) -> dict[str, tuple[str, list[Field]]]:
        """Returns the fields whose names Python cannot write, and a name for them, by message."""
        used = set(taken)
        result: dict[str, tuple[str, list[Field]]] = {}
        for message in everything:
            fields = [field for field in message.fields if not _writable(field.name)]
            if fields:
                name = unused(f"_{'_'.join(message.type_name.names)}_keywords", used)
                used.add(name)
                result[message.type_name.full_name] = name, fields
        return result

    def _suppressed(self, file: File, everything: list[Message]) -> list[str]:
        mypy: list[str] = []
        pyright: list[str] = []
        if self.imports.checked:
            mypy.append(self.imports.disabled)
        if self.extends:
            pyright.append("reportPrivateUsage=false")
        enums = [*file.enums, *(enum for message in everything for enum in message.enums)]
        fields = any(field.name in _MESSAGE_MEMBERS for message in everything for field in message.fields)
        values = any(value.name in _INT_MEMBERS for enum in enums for value in enum.values)
        if fields or values:
            # Something has the name of a member of its base class, and hides it at run time too.
            mypy += ["assignment", "override"]
            pyright += ["reportIncompatibleMethodOverride=false", "reportIncompatibleVariableOverride=false"]
        if any(used.deprecated for used in _used(file, everything)) or _deprecated(file.enums, everything):
            # What is deprecated is still referred to by its own file.
            mypy.append("deprecated")
            pyright.append("reportDeprecated=false")
        lines: list[str] = []
        if mypy:
            lines.append(f'# mypy: disable-error-code="{", ".join(mypy)}"')
        if pyright:
            lines.append(f"# pyright: {', '.join(pyright)}")
        return lines

    def _helpers(self, file: File, everything: list[Message]) -> list[str]:
        fields = [field for message in everything for field in message.fields]
        extensions = _extensions(file, everything)
        enums = bool(file.enums) or any(message.enums for message in everything)
        arguments = any(field.repeated or field.map_key for field in fields)
        held = [field for field in fields if _writable(field.name)] + extensions
        containers = any(field.repeated or field.map_key for field in held)
        builtins = self._identifiers & {*_SCALARS.values(), "classmethod", "list", "property", "tuple"}
        lines = [
            ("import builtins", self.builtins, bool(builtins)),
            ("import collections.abc", self.abc, arguments),
            ("import typing", self.typing, bool(everything) or enums),
            ("import typing_extensions", self._typing_extensions, _deprecated(file.enums, everything)),
            ("from google.protobuf import descriptor", self.descriptor, self.describes),
            ("from google.protobuf import message", self.message, bool(everything)),
            ("from google.protobuf.internal import containers", self.containers, containers),
            ("from google.protobuf.internal import enum_type_wrapper", self.enums, enums),
            ("from google.protobuf.internal import extension_dict", self.extensions, self.extends),
        ]
        return [f"{line} as {name}" for line, name, used in lines if used]


_SCALARS = {
    "double": "float",
    "float": "float",
    "int64": "int",
    "uint64": "int",
    "int32": "int",
    "fixed64": "int",
    "fixed32": "int",
    "bool": "bool",
    "string": "str",
    "bytes": "bytes",
    "uint32": "int",
    "sfixed32": "int",
    "sfixed64": "int",
    "sint32": "int",
    "sint64": "int",
}


# What the classes of messages and enums, and int, have already; of int, what a value can be called.
# fmt: off
_MESSAGE_MEMBERS = frozenset((
    "ByteSize", "Clear", "ClearExtension", "ClearField", "CopyFrom", "DESCRIPTOR", "DiscardUnknownFields",
    "Extensions", "FromString", "HasExtension", "HasField", "IsInitialized", "ListFields", "MergeFrom",
    "MergeFromString", "ParseFromString", "SerializePartialToString", "SerializeToString", "SetInParent",
    "UnknownFields", "WhichOneof",
))
_ENUM_MEMBERS = frozenset({"DESCRIPTOR", "Name", "Value", "items", "keys", "values"})
_INT_MEMBERS = frozenset((
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "imag", "is_integer",
    "numerator", "real", "to_bytes",
))
# fmt: on


def _writable(name: str) -> bool:
    """Returns whether Python can write a name: a keyword it cannot, and one with two underscores it would change."""
    return name not in KEYWORDS and not name.startswith("__")


def _walk(messages: Iterable[Message]) -> Iterator[Message]:
    for message in messages:
        yield message
        yield from _walk(message.messages)


def _members(message: Message) -> Iterator[str]:
    """Yields the names that the class of a message gives to something."""
    yield from (field.name for field in message.fields)
    yield from (field.name for field in message.extensions)
    yield from (nested.type_name.names[-1] for nested in message.messages)
    for enum in message.enums:
        yield enum.type_name.names[-1]
        yield from (value.name for value in enum.values)


def _extensions(file: File, everything: Iterable[Message]) -> list[Field]:
    """Returns the extensions of the file whose names Python can write."""
    extensions = [*file.extensions, *(field for message in everything for field in message.extensions)]
    return [field for field in extensions if _writable(field.name)]


def _used(file: File, everything: list[Message]) -> Iterator[TypeName]:
    """Yields every message and enum that a hint of the file refers to."""
    for message in everything:
        for field in message.fields:
            yield from _of(field)
        for enum in message.enums:
            yield enum.type_name
    for field in _extensions(file, everything):
        yield from _of(field)


def _deprecated(enums: Iterable[Enum], everything: Iterable[Message]) -> bool:
    """Returns whether a message or an enum is deprecated."""
    return any(enum.deprecated for enum in enums) or any(
        message.deprecated or any(enum.deprecated for enum in message.enums) for message in everything
    )


def _of(field: Field) -> Iterator[TypeName]:
    if field.type_name is not None:
        yield field.type_name
    if field.extendee is not None:
        yield field.extendee
