"""Checks the names in a request: generated code is made of them, and a request may come from anything, not only from protoc.

protoc and buf accept only identifiers, but take a file name as it is: a line break in the name of an import would begin a line
of Python.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from google.protobuf.descriptor_pb2 import DescriptorProto, EnumDescriptorProto, FileDescriptorProto

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
        for kind, name, pattern in _names(file):
            # A damaged request has bytes where a name is not UTF-8; the reader refuses them.
            if isinstance(name, str) and not pattern.fullmatch(name):
                problem = f"the request has a {kind} called {_shown(name)}, which is not an identifier"
                raise GenerateError(problem, path=file.name)


def _check_path(path: object) -> None:
    if not isinstance(path, str):
        return
    if not path.isprintable():
        raise GenerateError("has characters that cannot be printed in its name; rename it", path=_shown(path))


def _names(file: FileDescriptorProto) -> Iterator[tuple[str, object, re.Pattern[str]]]:
    """Yields what kind of name it is, the name, and what it must look like."""
    if file.package:
        yield "package", file.package, _REFERENCE
    for message in file.message_type:
        yield from _of_message(message)
    for enum in file.enum_type:
        yield from _of_enum(enum)
    for extension in file.extension:
        yield "extension", extension.name, _IDENTIFIER
        if extension.type_name:
            yield "type", extension.type_name, _REFERENCE
    for service in file.service:
        yield "service", service.name, _IDENTIFIER
        for method in service.method:
            yield "method", method.name, _IDENTIFIER
            for reference in (method.input_type, method.output_type):
                if reference:
                    yield "type", reference, _REFERENCE


def _of_message(message: DescriptorProto) -> Iterator[tuple[str, object, re.Pattern[str]]]:
    yield "message", message.name, _IDENTIFIER
    for field in (*message.field, *message.extension):
        yield "field", field.name, _IDENTIFIER
        if field.type_name:
            yield "type", field.type_name, _REFERENCE
    for oneof in message.oneof_decl:
        yield "oneof", oneof.name, _IDENTIFIER
    for nested in message.nested_type:
        yield from _of_message(nested)
    for enum in message.enum_type:
        yield from _of_enum(enum)


def _of_enum(enum: EnumDescriptorProto) -> Iterator[tuple[str, object, re.Pattern[str]]]:
    yield "enum", enum.name, _IDENTIFIER
    for value in enum.value:
        yield "enum value", value.name, _IDENTIFIER


def _shown(name: str) -> str:
    shown = ascii(name)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}…"
