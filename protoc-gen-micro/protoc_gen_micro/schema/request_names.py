"""Checks the names in a request: generated code is made of them, and a request may come from anything, not only from protoc.

protoc and buf accept only identifiers, but take a file name as it is: a line break in the name of an import would begin a line
of Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

from protoc_gen_micro.errors import GenerateError

__all__ = ["check_names"]

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_REFERENCE = re.compile(r"\.?[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_LONGEST = 80


def check_names(files: Iterable[FileDescriptorProto]) -> None:
    """Refuses names that are not what the language of .proto files allows.

    Args:
        files: all files of a request.

    Raises:
        GenerateError: the name of a file has a character that is not printable; another name is not an identifier.
    """
    for file in files:
        for path in (file.name, *file.dependency):
            _check_path(path)
        identifiers: dict[object, str] = {}
        references: dict[object, str] = {}
        _collect(file, identifiers, references)
        for names, pattern in ((identifiers, _IDENTIFIER), (references, _REFERENCE)):
            for name, kind in names.items():
                # A damaged request has bytes where a name is not UTF-8; the reader refuses them.
                if isinstance(name, str) and not pattern.fullmatch(name):
                    problem = f"the request has a {kind} called {_shown(name)}, which is not an identifier"
                    raise GenerateError(problem, path=file.name)


def _check_path(path: object) -> None:
    if not isinstance(path, str):
        return
    if not path.isprintable():
        raise GenerateError("has characters that cannot be printed in its name; rename it", path=_shown(path))


def _collect(file: FileDescriptorProto, identifiers: dict[object, str], references: dict[object, str]) -> None:
    """Collects the names in a file, each with what it is the name of: large files use the same names again and again.

    Args:
        file: the file.
        identifiers: receives the names that must be identifiers.
        references: receives the names of packages and types, which have dots.
    """
    if file.package:
        references[file.package] = "package"
    _collect_messages(file.message_type, identifiers, references)
    _collect_enums(file.enum_type, identifiers)
    _collect_fields(file.extension, "extension", identifiers, references)
    for service in file.service:
        identifiers[service.name] = "service"
        for method in service.method:
            identifiers[method.name] = "method"
            references[method.input_type or "_"] = references[method.output_type or "_"] = "type"


def _collect_messages(
    messages: Iterable[DescriptorProto], identifiers: dict[object, str], references: dict[object, str]
) -> None:
    for message in messages:
        identifiers[message.name] = "message"
        _collect_fields(message.field, "field", identifiers, references)
        _collect_fields(message.extension, "field", identifiers, references)
        for oneof in message.oneof_decl:
            identifiers[oneof.name] = "oneof"
        _collect_messages(message.nested_type, identifiers, references)
        _collect_enums(message.enum_type, identifiers)


def _collect_fields(
    fields: Iterable[FieldDescriptorProto], kind: str, identifiers: dict[object, str], references: dict[object, str]
) -> None:
    for field in fields:
        identifiers[field.name] = kind
        if reference := field.type_name:
            references[reference] = "type"


def _collect_enums(enums: Iterable[EnumDescriptorProto], identifiers: dict[object, str]) -> None:
    for enum in enums:
        identifiers[enum.name] = "enum"
        for value in enum.value:
            identifiers[value.name] = "enum value"


def _shown(name: str) -> str:
    shown = ascii(name)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
