"""Files, and where each name in them is declared: what reflection answers from.

Rules:

- Everything is computed when the index is made. A look-up is one step in a dictionary, however long the name is that a client
  sends, and hands out bytes that are there already.
- A name is the one that descriptors give it: the value ``RED`` of ``shop.Color`` is ``shop.RED``, beside its enum.
- Of two files with one path, and of two declarations of one name, the first counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
)

__all__ = ["LARGEST_IMPORTS", "Found", "Index"]

LARGEST_IMPORTS = 1024 * 1024
"""Bytes of imports that one answer may have beside the file that was asked for. Clients ask for others by their path."""


class Found(NamedTuple):
    """What there is to reflect.

    Attributes:
        services: full names of the services that are served.
        files: the files of the services, and what they import.
        reasons: why there is no file of a service, by its name.
    """

    services: tuple[str, ...]
    files: tuple[FileDescriptorProto, ...]
    reasons: Mapping[str, str]


class Index:
    """The files behind services, by all that they can be asked for.

    Args:
        found: what there is.

    Attributes:
        services: full names of the services, sorted.
        reasons: why there is no file of a service, by its name.
    """

    def __init__(self, found: Found) -> None:
        self.services = tuple(sorted(found.services))
        self.reasons = found.reasons
        self._files: dict[str, _File] = {}
        self._symbols: dict[str, str] = {}
        self._extensions: dict[str, dict[int, str]] = {}
        """The paths of files, by the message that is extended and the number; empty for a message without extensions."""
        for file in found.files:
            if file.name not in self._files:
                self._add(file)

    def file(self, path: str) -> str | None:
        """Returns the path of a file if the file is here, and None otherwise."""
        return path if path in self._files else None

    def symbol(self, name: str) -> str | None:
        """Returns the path of the file that declares a full name; None if no file does."""
        return self._symbols.get(name)

    def extension(self, extended: str, number: int) -> str | None:
        """Returns the path of the file that declares an extension; None if no file does.

        Args:
            extended: full name of the message that it extends.
            number: of the extension.
        """
        return self._extensions.get(extended, {}).get(number)

    def numbers(self, extended: str) -> list[int] | None:
        """Returns the numbers of all extensions of a message, sorted; None if there is no such message."""
        known = self._extensions.get(extended)
        return None if known is None else sorted(known)

    def with_imports(self, path: str, sent: set[str]) -> list[bytes]:
        """Returns a serialized file, and those of its transitive imports that were not sent.

        Args:
            path: of the file, which must be here. It is returned in any case.
            sent: the paths of files that the client has. What is returned is added.
        """
        data = [self._files[path].data]
        sent.add(path)
        size = 0
        seen, waiting = {path}, deque(self._files[path].imports)
        while waiting:
            path = waiting.popleft()
            file = self._files.get(path)
            if file is None or path in seen:
                continue
            seen.add(path)
            waiting += file.imports
            if path not in sent and size + len(file.data) <= LARGEST_IMPORTS:
                size += len(file.data)
                data.append(file.data)
                sent.add(path)
        return data

    def _add(self, file: FileDescriptorProto) -> None:
        self._files[file.name] = _File(file.SerializeToString(), tuple(file.dependency))
        for name in _symbols(file):
            self._symbols.setdefault(name, file.name)
        for name in _messages(file.package, file.message_type):
            self._extensions.setdefault(name, {})
        for extension in _extensions(file):
            extended = extension.extendee.removeprefix(".")
            self._extensions.setdefault(extended, {}).setdefault(extension.number, file.name)


class _File(NamedTuple):
    data: bytes
    imports: tuple[str, ...]


def _symbols(file: FileDescriptorProto) -> Iterator[str]:
    """Yields the full name of everything that a file declares."""
    for service in file.service:
        name = _join(file.package, service.name)
        yield name
        yield from (_join(name, method.name) for method in service.method)
    yield from _values(file.package, file.enum_type)
    yield from (_join(file.package, extension.name) for extension in file.extension)
    for name, message in _nested(file.package, file.message_type):
        yield name
        yield from (_join(name, field.name) for field in (*message.field, *message.extension))
        yield from (_join(name, oneof.name) for oneof in message.oneof_decl)
        yield from _values(name, message.enum_type)


def _values(scope: str, enums: Iterable[EnumDescriptorProto]) -> Iterator[str]:
    for enum in enums:
        yield _join(scope, enum.name)
        yield from (_join(scope, value.name) for value in enum.value)


def _messages(scope: str, messages: Iterable[DescriptorProto]) -> Iterator[str]:
    return (name for name, _ in _nested(scope, messages))


def _extensions(file: FileDescriptorProto) -> Iterator[FieldDescriptorProto]:
    yield from file.extension
    for _, message in _nested(file.package, file.message_type):
        yield from message.extension


def _nested(scope: str, messages: Iterable[DescriptorProto]) -> Iterator[tuple[str, DescriptorProto]]:
    """Yields messages with their full names, each before those inside it."""
    for message in messages:
        name = _join(scope, message.name)
        yield name, message
        yield from _nested(name, message.nested_type)


def _join(scope: str, name: str) -> str:
    return f"{scope}.{name}" if scope else name
