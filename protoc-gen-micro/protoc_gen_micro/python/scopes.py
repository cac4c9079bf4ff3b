"""The names of a file's classes, as a type stub has to know them: what hides what, and what Python cannot write.

A class of a message holds its fields, its extensions and what is nested in it, and the class of an enum its values.
A hint inside such a class that uses one of these names means that member, not what the module calls so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from protoc_gen_micro.schema.model import Enum, Field, File, Message, TypeName
from protoc_gen_micro.schema.names import KEYWORDS

__all__ = [
    "ENUM_BODY",
    "ENUM_MEMBERS",
    "MESSAGE_MEMBERS",
    "deprecated",
    "enums_of",
    "extensions_of",
    "named",
    "overridden",
    "overriding",
    "own_names",
    "stub_names",
    "types_of",
    "walk",
    "writable",
]

ENUM_MEMBERS = frozenset({"DESCRIPTOR", "Name", "Value", "ValueType", "items", "keys", "values"})
"""What every enum has at run time: a value of that name is not an attribute of its enum."""
ENUM_BODY = frozenset({"Value", "ValueType", "items", "values"})
"""What the stub writes into the class of an enum."""


def writable(name: str) -> bool:
    """Returns whether Python can write a name: a keyword it cannot, and one with two underscores it would change."""
    return name not in KEYWORDS and not name.startswith("__")


def walk(messages: Iterable[Message]) -> Iterator[Message]:
    """Yields messages, and all that are nested in them, but for the entries of maps."""
    for message in messages:
        yield message
        yield from walk(message.messages)


def named(message: Message) -> list[str]:
    """Returns the names that a message gives to its fields and extensions, and to what is nested in it."""
    names = [field.name for field in message.fields]
    if message.extensions:
        names += [field.name for field in message.extensions]
    names += [inner.type_name.names[-1] for inner in (*message.entries, *message.messages)]
    for enum in message.enums:
        names.append(enum.type_name.names[-1])
        names += [value.name for value in enum.values]
    return names


def stub_names(message: Message) -> list[str]:
    """Returns the names that the stub gives to something in the class of a message, beside those of the message itself."""
    names = [f"{field.name.upper()}_FIELD_NUMBER" for field in (*message.fields, *message.extensions)]
    if message.fields:
        names += ["ClearField", "HasField"]
    if message.oneofs:
        names.append("WhichOneof")
    if message.entries:
        names += _ENTRY
    return names


def own_names(file: File) -> Iterator[str]:
    """Yields the names that the module gives to what the file itself defines."""
    yield from (message.type_name.names[0] for message in file.messages)
    for enum in file.enums:
        yield enum.type_name.names[0]
        yield from (value.name for value in enum.values)
    for extension in file.extensions:
        yield extension.name
        yield f"{extension.name.upper()}_FIELD_NUMBER"


def overriding(type_name: TypeName) -> bool:
    """Returns whether a nested type, or one that it is in, has the name of a member of every message."""
    return any(name in MESSAGE_MEMBERS for name in type_name.names[1:])


def overridden(enum: Enum) -> bool:
    """Returns whether a value of an enum has the name of a member of ``int``."""
    return any(value.name in _INT_MEMBERS for value in enum.values)


def enums_of(file: File, everything: Iterable[Message]) -> list[Enum]:
    """Returns the enums of the file, nested ones too."""
    return [*file.enums, *(enum for message in everything for enum in message.enums)]


def extensions_of(file: File, everything: Iterable[Message]) -> list[Field]:
    """Returns the extensions of the file whose names Python can write."""
    extensions = [*file.extensions, *(field for message in everything for field in message.extensions)]
    return [field for field in extensions if writable(field.name)]


def types_of(file: File, everything: Iterable[Message]) -> Iterator[TypeName]:
    """Yields every message and enum that a hint in the class of a message, or of an extension, refers to."""
    fields = [field for message in everything for field in message.fields]
    for field in [*fields, *extensions_of(file, everything)]:
        if field.type_name is not None:
            yield field.type_name
        if field.extendee is not None:
            yield field.extendee


def deprecated(enums: Iterable[Enum], everything: Iterable[Message]) -> bool:
    """Returns whether a message or an enum is deprecated."""
    return any(enum.deprecated for enum in enums) or any(message.deprecated for message in everything)


_ENTRY = ("ClearField", "HasField", "KEY_FIELD_NUMBER", "VALUE_FIELD_NUMBER", "key", "value")
"""What the stub writes into the class of a map's entry."""

# What the classes of messages, and int, have already; of int, what a value can be called.
# fmt: off
MESSAGE_MEMBERS = frozenset((
    "ByteSize", "Clear", "ClearExtension", "ClearField", "CopyFrom", "DESCRIPTOR", "DiscardUnknownFields",
    "Extensions", "FromString", "HasExtension", "HasField", "IsInitialized", "ListFields", "MergeFrom",
    "MergeFromString", "ParseFromString", "SerializePartialToString", "SerializeToString", "SetInParent",
    "UnknownFields", "WhichOneof",
))
_INT_MEMBERS = frozenset((
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "imag", "is_integer",
    "numerator", "real", "to_bytes",
))
# fmt: on
