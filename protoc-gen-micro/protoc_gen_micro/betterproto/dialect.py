"""The betterproto dialect: what a .proto becomes there, and what it cannot become.

The names are betterproto's own, because code that was written for them is the reason for the dialect:

1. A message or an enum is PascalCase, and one inside another has its outer's name in front: ``Outer.inner_part`` is
   ``OuterInnerPart``.
2. A field is snake_case; a keyword gets an underscore behind it.
3. A value of an enum loses the enum's own name in front: ``COLOR_RED`` of ``Color`` is ``RED``. In an enum inside a
   message that name is the whole one (``OUTER_COLOR_RED`` of ``Outer.Color``), so that most keep what they have.

Where betterproto's names do not work, an underscore more is put behind them: two types or two fields that would have
one name, a field called like a method of every message (``parse``), a value called like a member of every enum
(``name``). Two values of one enum that would have one name keep those of the .proto.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from google.protobuf import descriptor_pb2

from protoc_gen_micro.betterproto.descriptors import with_imports
from protoc_gen_micro.betterproto.limits import INSTEAD, Losses, examine
from protoc_gen_micro.errors import GenerateError, SeveralGenerateError
from protoc_gen_micro.python.shipped import BETTERPROTO, MICRO_RT, NOT_IN_BETTERPROTO
from protoc_gen_micro.schema.model import Enum, Event, Field, File, Message, Method, Service, TypeName
from protoc_gen_micro.schema.names import KEYWORDS, unused
from protoc_gen_micro.schema.reader import Reader

__all__ = ["SUFFIX", "Dialect", "field_names", "value_names"]


SUFFIX = "_pb"
"""What the names of modules end with: one letter away from protoc's, so that both can be in one folder."""


class Dialect:
    """The names of one run in the dialect.

    Args:
        files: every file of the run.
        reader: reads them.
        mapped: returns the module that the user names for a file, or an empty string.

    Attributes:
        exports: the names that a star import of each file's module brings.
        defined: the names that each file itself defines.
        losses: what the files read so far say and betterproto leaves out.
    """

    def __init__(
        self, files: Iterable[descriptor_pb2.FileDescriptorProto], reader: Reader, mapped: Callable[[str], str]
    ) -> None:
        self._files = {file.name: file for file in files}
        self._reader = reader
        self.losses = Losses()
        self._types: dict[str, TypeName] = {}
        self._absent: dict[str, str] = {}
        taken: dict[str, set[str]] = {}
        for known in sorted(reader.types, key=lambda known: len(known.names)):  # the outer ones choose first
            names = taken.setdefault(known.file, set())
            name = unused(_importable(_pascal_case("_".join(known.names))), names)
            names.add(name)
            self._types[known.full_name] = TypeName(known.full_name, known.file, (name,))
            reason = "" if mapped(known.file) else _absence(known.file, name)
            if reason:
                self._absent[f".{known.full_name}"] = f"uses {known.full_name} of {known.file}, {reason}"
                names.discard(name)
        self.exports: dict[str, frozenset[str]] = {}
        self.defined: dict[str, frozenset[str]] = {}
        for file in self._files.values():  # in the order of their imports
            public = (self.exports[file.dependency[index]] for index in file.public_dependency)
            own = frozenset(taken.get(file.name, ()))
            self.defined[file.name] = own
            self.exports[file.name] = own.union(*public)

    def read(self, path: str) -> File:
        """Reads one file, with the dialect's types: none is inside another one.

        Raises:
            GenerateError: something in the file cannot become Python, or cannot be held by betterproto.
        """
        file = self._read(path)
        messages = [self._message(message) for message in _messages(file.messages)]
        enums = [*file.enums, *(enum for message in _messages(file.messages) for enum in message.enums)]
        return file._replace(
            messages=tuple(messages),
            enums=tuple(self._enum(enum) for enum in enums),
            services=tuple(self._service(service) for service in file.services),
            events=tuple(self._event(event) for event in file.events),
            descriptors=with_imports(path, self._files) if file.services else b"",
        )

    def _read(self, path: str) -> File:
        """Reads one file as it is, and raises all mistakes: those of every dialect, and those of this one."""
        mistakes: list[GenerateError] = []
        try:
            examine(self._files[path], self.losses, self._absent)
        except GenerateError as error:
            mistakes.append(error)
        try:
            file = self._reader.read(path)
        except GenerateError as error:
            mistakes.append(error)
            raise SeveralGenerateError(mistakes) from None
        if mistakes:
            raise mistakes[0]
        return file

    def _message(self, message: Message) -> Message:
        type_name = self._types[message.type_name.full_name]
        fields = tuple(self._field(field) for field in message.fields)
        return message._replace(name=type_name.names[0], type_name=type_name, fields=fields, messages=(), enums=())

    def _field(self, field: Field) -> Field:
        return field._replace(type_name=self._types[field.type_name.full_name]) if field.type_name else field

    def _enum(self, enum: Enum) -> Enum:
        type_name = self._types[enum.type_name.full_name]
        return enum._replace(name=type_name.names[0], type_name=type_name)

    def _service(self, service: Service) -> Service:
        return service._replace(methods=tuple(self._method(method) for method in service.methods))

    def _method(self, method: Method) -> Method:
        request, reply = self._types[method.request.full_name], self._types[method.reply.full_name]
        return method._replace(request=request, reply=reply)

    def _event(self, event: Event) -> Event:
        return event._replace(
            type_name=self._types[event.full_name], python_key=".".join(self._python_key(event)) if event.key else ""
        )

    def _python_key(self, event: Event) -> Iterator[str]:
        """Yields the attributes that lead to the value of an event's key."""
        from protoc_gen_micro.schema.events import fields_of_key

        message = self._reader.message(event.type_name)
        for field in fields_of_key(message, event.key, self._reader.message):
            yield field_names(message)[field.name]
            if field.type == "message" and field.type_name is not None:
                message = self._reader.message(field.type_name)


def _absence(path: str, name: str) -> str:
    """Returns why there is no class of a message or an enum, and what to do; empty if there is one, or may be."""
    if path in BETTERPROTO and name in NOT_IN_BETTERPROTO:
        return f"which betterproto does not have; {INSTEAD}"
    if path in MICRO_RT:
        return f"which micro-rt has only for the official runtime; {INSTEAD}"
    return ""


def field_names(message: Message) -> dict[str, str]:
    """Returns the attributes of a message's fields, by their names in the .proto."""
    taken: set[str] = {*_MESSAGE_MEMBERS}
    result: dict[str, str] = {}
    for field in message.fields:
        result[field.name] = unused(_importable(_snake_case(field.name)), taken)
        taken.add(result[field.name])
    return result


def value_names(enum: Enum, nesting: tuple[str, ...]) -> dict[str, str]:
    """Returns the members of an enum, by their names in the .proto.

    Args:
        enum: the enum.
        nesting: the names of the messages that it is in, and its own.
    """
    prefix = _snake_case("_".join(nesting)).upper()
    short = {value.name: _member_name(value.name, prefix) for value in enum.values}
    counted = Counter(short.values())
    taken: set[str] = {*_ENUM_MEMBERS}
    result: dict[str, str] = {}
    for name, member in short.items():
        result[name] = unused(member if counted[member] == 1 else _importable(name), taken)
        taken.add(result[name])
    return result


# fmt: off
_MESSAGE_MEMBERS = (
    "dump", "from_dict", "from_json", "from_pydict", "is_set", "load", "parse", "to_dict", "to_json", "to_pydict",
)
_ENUM_MEMBERS = (
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator", "from_bytes", "from_string", "imag",
    "is_integer", "mro", "name", "numerator", "real", "to_bytes", "try_value", "value",
)
# fmt: on
_SYMBOLS = "[^a-zA-Z0-9]*"
_WORD = "[A-Z]*[a-z]*[0-9]*"
_UPPER_WORD = "[A-Z]+(?![a-z])[0-9]*"
_PART = re.compile(f"{_SYMBOLS}({_UPPER_WORD}|{_WORD})")


def _pascal_case(name: str) -> str:
    """Returns a name as betterproto writes those of classes.

    >>> [_pascal_case(name) for name in ("Foo", "foo_bar", "Outer_Inner", "HTTPServer", "_micro")]
    ['Foo', 'FooBar', 'OuterInner', 'HttpServer', 'Micro']
    """
    return _PART.sub(lambda match: match[1].capitalize(), name)


def _snake_case(name: str) -> str:
    """Returns a name as betterproto writes those of fields.

    >>> [_snake_case(name) for name in ("fieldName7", "FIELD_NAME11", "__field_name13", "field0name5", "HTTPServer")]
    ['field_name7', 'field_name11', 'field_name13', 'field0_name5', 'http_server']
    """
    return "_".join(match[1].lower() for match in _PART.finditer(name) if match[1])


def _importable(name: str) -> str:
    """Returns a name that Python can write."""
    if name in KEYWORDS:
        return f"{name}_"
    return name if name.isidentifier() else f"_{name}"


def _member_name(name: str, prefix: str) -> str:
    place = name.find(prefix)
    short = name[place + len(prefix) :].strip("_") if place >= 0 else name
    if not short:
        short = name
    # Two underscores in front would make it no member.
    return f"value{short}" if short.startswith("_") else _importable(short)


def _messages(messages: Iterable[Message]) -> Iterator[Message]:
    for message in messages:
        yield message
        yield from _messages(message.messages)
