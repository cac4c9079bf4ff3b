"""The type hints of message classes: how ``messages.pyi.j2`` writes the type of everything.

A stub is full of scopes: inside a class, its fields and nested types hide what the module calls so. Whatever a
hint refers to is therefore written under a name that no message, field or value of the file has.

The hints accept what protoc's own stubs accept, so that code which is clean with those stays clean, and what every
supported runtime accepts besides. Names of fields and oneofs are the exception: they are checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from protoc_gen_micro.python.imports import handed_on, plan_names
from protoc_gen_micro.python.modules import Modules, typed_by_typeshed
from protoc_gen_micro.python.scopes import (
    ENUM_BODY,
    ENUM_MEMBERS,
    MESSAGE_MEMBERS,
    deprecated,
    enums_of,
    extensions_of,
    named,
    overridden,
    overriding,
    own_names,
    stub_names,
    types_of,
    walk,
    writable,
)
from protoc_gen_micro.python.text import layout, literal
from protoc_gen_micro.schema.model import Enum, EnumValue, Field, File, Message, Oneof, TypeName
from protoc_gen_micro.schema.names import unused

__all__ = ["Hints"]


class Hints:
    """The hints of one file.

    Args:
        file: the file.
        modules: where the modules are, and what star imports of them bring.

    Attributes:
        imports: how the types of other files are imported.
        extends: whether the file has extensions.
        describes: whether ``DESCRIPTOR`` of the module is the file's; not so when a message is called so.
        suppressed: comments that switch off what type checkers would say of names that protobuf allows.
        exported: the names of ``__all__``.
    """

    def __init__(self, file: File, modules: Modules) -> None:
        everything = list(walk(file.messages))
        self._members = {message.type_name.full_name: frozenset(named(message)) for message in everything}
        hiding = {name for message in everything for name in stub_names(message)}.union(*self._members.values())
        top = modules.exports[file.path]
        own = set(own_names(file))
        enums = enums_of(file, everything)
        public = handed_on(file.path, file.public_dependencies, modules, own)
        needs = {path: set(names) for path, names in public.items()}
        hidden = {enum.type_name.names[0] for enum in enums} & (hiding | ENUM_BODY)
        for used in types_of(file, everything):
            top_name = used.names[0]
            if used.file != file.path:
                needs.setdefault(used.file, set()).add(top_name)
            if top_name in hiding and (used.file == file.path or top_name in public.get(used.file, ())):
                hidden.add(top_name)
        self._file = file.path
        # A star import brings all that a module exports, whatever of it is needed.
        self._identifiers = hiding | top | {name for path in needs for name in modules.exports[path]}
        self._identifiers.update(*needs.values())
        self.imports = plan_names(file.path, needs, modules, own | {"DESCRIPTOR"}, hiding, public)
        types = {message.type_name.names[0] for message in file.messages}
        types.update(enum.type_name.names[0] for enum in file.enums)
        self.exported = sorted(types.union(filter(writable, top)))
        self.describes = "DESCRIPTOR" not in top
        self.extends = bool(extensions_of(file, everything))
        taken = {*self._identifiers, *self.imports.local.values(), *(ENUM_BODY if enums else ())}
        self._aliases: dict[str, str] = {}
        for name in sorted(hidden):
            self._aliases[name] = unused(f"_{name}", taken)
            taken.add(self._aliases[name])
        self._names = {name: unused(f"_{name}", taken) for name in _HELPERS}
        taken.update(self._names.values())
        self._written: set[str] = set()
        self._type_names: dict[str, str] = {}
        self._bodies: dict[tuple[object, ...], str] = {}
        self._keywords = self._unwritable(everything, taken)
        self.suppressed = self._suppressed(file, everything, enums)

    def helper(self, name: str) -> str:
        """Returns how to write something that the stub imports or defines for its hints; ``helpers`` then has it."""
        self._written.add(name)
        return self._names[name]

    @property
    def helpers(self) -> list[str]:
        """The lines that import what the hints written so far are made of."""
        lines = ((line, name) for name, line in _HELPERS.items() if line and name in self._written)
        return [f"{line} as {self._names[name]}" for line, name in lines]

    @property
    def aliases(self) -> list[tuple[str, str]]:
        """(alias, type): what hints call the types of this file that something in it hides, and mappings."""
        aliases = [(alias, name) for name, alias in self._aliases.items()]
        if "Mapping" in self._written:
            anything = self.helper("typing") + ".Any"
            aliases.append((self._names["Mapping"], f"{self.helper('abc')}.Mapping[{anything}, {anything}]"))
        return aliases

    def builtin(self, name: str) -> str:
        """Returns how to write a builtin."""
        return f"{self.helper('builtins')}.{name}" if name in self._identifiers else name

    def type(self, field: Field) -> str:
        """Returns the type of one value of a field."""
        if field.type_name is None:
            return self.builtin(_SCALARS[field.type])
        name = self.type_name(field.type_name)
        # In the types of the runtime's own messages, the class of an enum is not the type of its values.
        foreign = field.type == "enum" and typed_by_typeshed(field.type_name.file)
        return f"{name}.ValueType" if foreign else name

    def type_name(self, type_name: TypeName) -> str:
        """Returns how to write a message or an enum."""
        written = self._type_names.get(type_name.full_name)
        if written is None:
            name = self.imports.name(type_name) if type_name.file != self._file else ".".join(type_name.names)
            top, dot, inner = name.partition(".")
            written = f"{self._aliases.get(top, top)}{dot}{inner}"
            self._type_names[type_name.full_name] = written
        return written

    def attribute(self, field: Field) -> str:
        """Returns the type of the attribute of a field."""
        value = self.type(field)
        if field.map_key:
            container = "MessageMap" if field.type == "message" else "ScalarMap"
            return f"{self.helper('containers')}.{container}[{self.builtin(_SCALARS[field.map_key])}, {value}]"
        if field.repeated:
            kind = "Composite" if field.type == "message" else "Scalar"
            return f"{self.helper('containers')}.Repeated{kind}FieldContainer[{value}]"
        return value

    def extension(self, field: Field) -> str:
        """Returns the type of an extension."""
        extendee = self.type_name(field.extendee) if field.extendee else self.helper("typing") + ".Any"
        return f"{self.helper('extension_dict')}._ExtensionFieldDescriptor[{extendee}, {self.attribute(field)}]"

    def overloaded(self, message: Message) -> bool:
        """Returns whether ``WhichOneof`` of a message has more than one signature."""
        return len(message.oneofs) > 1

    def assignable(self, field: Field) -> bool:
        """Returns whether the attribute of a field is a variable, which can be assigned to.

        mypy takes a type in the annotation of a variable for the member of its class that it overrides: such a field is a property.
        """
        if field.map_key or field.repeated or field.type == "message":
            return False
        return field.type_name is None or not overriding(field.type_name)

    def assigned(self, field: Field) -> str:
        """Returns what can be assigned to the attribute of a field that is a property: nothing to most of them."""
        if self.assignable(field) or field.repeated or field.map_key or field.type_name is None:
            return ""
        if field.name == "_":
            return ""  # mypy takes each function of this name for another one, and finds no setter.
        if field.type == "enum":
            return self.type(field)
        match field.type_name.full_name:
            case "google.protobuf.Timestamp":
                return self.helper("datetime") + ".datetime"
            case "google.protobuf.Duration":
                return self.helper("datetime") + ".timedelta"
            case "google.protobuf.Struct":
                return f"{self.type(field)} | {self.helper('Mapping')}"
            case "google.protobuf.ListValue":
                return f"{self.type(field)} | {self._list()}"
            case _:
                return ""

    def known_body(self, entry: Message) -> str:
        """Returns the body of the class of a map's entry, if ``keep_body`` was given one for the same types; or empty.

        Many maps of a file have the same types, and so their entries have the same bodies.
        """
        return self._bodies.get(_likeness(entry), "")

    def keep_body(self, entry: Message, body: str) -> str:
        """Returns the body of the class of a map's entry, and keeps it for ``known_body``."""
        body = body.rstrip("\n")
        self._bodies[_likeness(entry)] = body
        return body

    def accessible(self, field: Field) -> bool:
        """Returns whether Python can write the name of a field."""
        return writable(field.name)

    def attributes(self, message: Message) -> Sequence[Field]:
        """Returns the fields of a message whose names Python can write."""
        if message.type_name.full_name not in self._keywords:
            return message.fields
        return [field for field in message.fields if self.accessible(field)]

    def defines(self, message: Message, method: str) -> bool:
        """Returns whether a method of a message is to be declared: it has fields, and nothing that is called so."""
        return bool(message.fields) and method not in self._members[message.type_name.full_name]

    def name(self) -> str:
        """Returns the type of the name of an enum's value."""
        return f"{self.builtin('str')} | {self.builtin('bytes')}"

    def listed(self) -> str:
        """Returns the type of what ``values`` of an enum returns.

        A list of the enum would be no list of ``int`` to a checker, which it is in protoc's stubs; this is both.
        """
        return f"{self.builtin('list')}[{self.helper('typing')}.Any]"

    def items(self) -> str:
        """Returns the type of what ``items`` of an enum returns."""
        return f"{self.builtin('list')}[{self.builtin('tuple')}[{self.builtin('str')}, {self.helper('typing')}.Any]]"

    def oneofs(self, message: Message) -> list[Oneof]:
        """Returns the oneofs that ``WhichOneof`` tells of; none where a field is called so."""
        return list(message.oneofs) if self.defines(message, "WhichOneof") else []

    def constants(self, message: Message) -> list[str]:
        """Returns the constants for the numbers of the fields, where nothing else is called like one."""
        taken = self._members[message.type_name.full_name]
        final = f"{self.helper('typing')}.Final"
        constants = [(f"{field.name.upper()}_FIELD_NUMBER", field.number) for field in message.fields]
        return [f"{name}: {final} = {number}" for name, number in constants if name not in taken]

    def values(self, enum: Enum) -> list[EnumValue]:
        """Returns the values of an enum whose names Python can write."""
        return [value for value in enum.values if writable(value.name)]

    def members(self, enum: Enum) -> list[EnumValue]:
        """Returns the values that are attributes of the enum: its class has methods, which go before them."""
        return [value for value in self.values(enum) if value.name not in ENUM_MEMBERS]

    def deprecation(self, type_name: TypeName) -> str:
        """Returns the decorator of a deprecated message or enum."""
        said = literal(f"{type_name.full_name} is deprecated")
        return layout(f"@{self.helper('typing_extensions')}.deprecated(", [said], ")", len(type_name.names) - 1)

    @property
    def keywords(self) -> list[str]:
        """The definitions of the constructor arguments that only ``**`` can give: Python cannot write their names."""
        definitions: list[str] = []
        for name, fields in self._keywords.values():
            items = [f"{literal(field.name)}: {self._argument(field)} | None" for field in fields]
            arguments = [literal(name), layout("{", items, "},", 1).removesuffix(","), "total=False"]
            definitions.append(layout(f"{name} = {self.helper('typing')}.TypedDict(", arguments, ")"))
        return definitions

    def apart(self, message: Message) -> bool:
        """Returns whether the formatters want a blank line between the fields and the methods of a message."""
        fields = self.attributes(message)
        if not fields or self.assigned(fields[-1]):
            return False
        return self.assignable(fields[-1]) or bool(fields[-1].comment or fields[-1].deprecated)

    def parameters(self, message: Message) -> list[str]:
        """Returns the parameters of the constructor of a message."""
        if not message.fields:
            return ["self"]
        names = {field.name for field in message.fields}
        parameters = [unused("_self", names) if "self" in names else "self", "*"]
        accessible = self.attributes(message)
        parameters += [f"{field.name}: {self._argument(field)} | None = ..." for field in accessible]
        if len(accessible) < len(message.fields):
            name, _ = self._keywords[message.type_name.full_name]
            parameters.append(f"**{unused('keywords', names)}: {self.helper('typing')}.Unpack[{name}]")
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
        return f"{self.helper('typing')}.Literal[{', '.join(literal(name) for name in names)}]"

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
            if field.type == "message":
                value = f"{value} | {self.helper('Mapping')}"
            return f"{self.helper('abc')}.Mapping[{self.builtin(_SCALARS[field.map_key])}, {value}]"
        if field.type_name is not None:
            value = f"{value} | {self._convertible(field, field.type_name)}"
        return f"{self.helper('abc')}.Iterable[{value}]" if field.repeated else value

    def _convertible(self, field: Field, type_name: TypeName) -> str:
        """Returns what a constructor turns into a message or a value of an enum."""
        if field.type == "enum":
            return self.builtin("str")
        match type_name.full_name:
            case "google.protobuf.Timestamp":
                return f"{self.helper('datetime')}.datetime | {self.helper('Mapping')}"
            case "google.protobuf.Duration":
                return f"{self.helper('datetime')}.timedelta | {self.helper('Mapping')}"
            case "google.protobuf.ListValue" if not field.repeated:
                return f"{self._list()} | {self.helper('Mapping')}"
            case _:
                return self.helper("Mapping")

    def _list(self) -> str:
        return f"{self.builtin('list')}[{self.helper('typing')}.Any]"

    def _field_name(self, message: Message, names: list[str]) -> list[str]:
        if not names:
            return ["self", f"field_name: {self.helper('typing')}.Never"]
        quoted = [literal(name) for name in names]
        hint = layout(f"field_name: {self.helper('typing')}.Literal[", quoted, "],", self.depth(message) + 1)
        return ["self", hint.removesuffix(",")]

    def _unwritable(self, everything: Iterable[Message], taken: Iterable[str]) -> dict[str, tuple[str, list[Field]]]:
        """Returns the fields whose names Python cannot write, and a name for them, by message."""
        used = set(taken)
        result: dict[str, tuple[str, list[Field]]] = {}
        for message in everything:
            fields = [field for field in message.fields if not writable(field.name)]
            if fields:
                name = unused(f"_{'_'.join(message.type_name.names)}_keywords", used)
                used.add(name)
                result[message.type_name.full_name] = name, fields
        return result

    def _suppressed(self, file: File, everything: list[Message], enums: list[Enum]) -> list[str]:
        mypy: list[str] = []
        pyright: list[str] = []
        if self.imports.disabled:
            mypy.append(self.imports.disabled)
        if self.extends:
            pyright.append("reportPrivateUsage=false")
        if any(not MESSAGE_MEMBERS.isdisjoint(names) for names in self._members.values()) or any(
            map(overridden, enums)
        ):
            # Something has the name of a member of its base class, and hides it at run time too.
            mypy += ["assignment", "misc", "override"]
            pyright += ["reportIncompatibleMethodOverride=false", "reportIncompatibleVariableOverride=false"]
        if any(used.deprecated for used in types_of(file, everything)) or deprecated(enums, everything):
            # What is deprecated is still referred to by its own file.
            mypy.append("deprecated")
            pyright.append("reportDeprecated=false")
        lines: list[str] = []
        if mypy:
            lines.append(f'# mypy: disable-error-code="{", ".join(mypy)}"')
        if pyright:
            lines.append(f"# pyright: {', '.join(pyright)}")
        return lines


_HELPERS = {
    "builtins": "import builtins",
    "abc": "import collections.abc",
    "datetime": "import datetime",
    "typing": "import typing",
    "typing_extensions": "import typing_extensions",
    "descriptor": "from google.protobuf import descriptor",
    "message": "from google.protobuf import message",
    "containers": "from google.protobuf.internal import containers",
    "enums": "from google.protobuf.internal import enum_type_wrapper",
    "extension_dict": "from google.protobuf.internal import extension_dict",
    "Mapping": "",
}
"""What hints are made of, by the name that follows the underscore: the import of each, or empty where it is an alias."""

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


def _likeness(entry: Message) -> tuple[object, ...]:
    """Returns what the body of the class of a map's entry depends on, within one file."""
    key, value = entry.fields
    type_name = value.type_name.full_name if value.type_name else ""
    return key.type, value.type, type_name, len(entry.type_name.names)
