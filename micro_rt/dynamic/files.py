"""The .proto files behind a target, as descriptors, and the pool that they are built into.

Rules:

- A pool belongs to one target. It is never the default pool, so two targets may have different versions of one file.
- Whoever sends the files is not trusted: their number and size are bounded before they are parsed, and whatever is wrong with them is
  an ``UnusableError`` that names the file.
- Files of ``google/protobuf`` that this process has are those of this process, and so is ``micro_rt/annotations.proto``. Protobuf's JSON
  mapping knows the messages of the first ones by their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from google.protobuf import (
    any_pb2,
    api_pb2,
    descriptor_pb2,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    source_context_pb2,
    struct_pb2,
    timestamp_pb2,
    type_pb2,
    wrappers_pb2,
)
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError

from micro_rt import annotations_pb2
from micro_rt.text import printable

__all__ = ["MOST_BYTES", "MOST_FILES", "Files", "UnusableError", "shown"]

MOST_FILES = 1_000
"""Files that a target may have."""
MOST_BYTES = 16 * 1024 * 1024
"""Bytes that the files of a target may have together."""

_SHOWN = 200
"""Characters of a name that the text of an error shows."""
_LONGEST = 300
"""Characters that the text of an error shows of what protobuf says."""


class UnusableError(Exception):
    """Files cannot be used; the text says what is wrong with which one."""


class Files:
    """The files of one target: collected one by one, then built into a pool."""

    def __init__(self) -> None:
        self._files: dict[str, FileDescriptorProto] = {}
        self._data: dict[str, bytes] = {}
        self._size = 0
        self._wanted: dict[str, str] = {}
        """Paths of files that are imported and not here, and which file imports each."""

    def __iter__(self) -> Iterator[FileDescriptorProto]:
        return iter(self._files.values())

    def __contains__(self, path: str) -> bool:
        return path in self._files

    @property
    def missing(self) -> str | None:
        """The path of a file that is imported and not here; None if none is missing."""
        return next(iter(self._wanted), None)

    def importer(self, path: str) -> str:
        """Returns the path of a file that imports a missing one."""
        return self._wanted[path]

    def add(self, data: bytes) -> str:
        """Adds a file, and returns its path.

        A file that this process brings is left out. A file that is here already is passed over.

        Args:
            data: a serialized ``FileDescriptorProto``.

        Raises:
            UnusableError: there are too many files or bytes, the bytes are no file, or another file has the same path.
        """
        self._size += len(data)
        if self._size > MOST_BYTES:
            raise UnusableError(f"its files have more than {MOST_BYTES} bytes")
        if len(self._files) >= MOST_FILES:
            raise UnusableError(f"it has more than {MOST_FILES} files")
        try:
            file = FileDescriptorProto.FromString(data)
        except DecodeError as error:
            raise UnusableError(f"file {len(self._files) + 1} is not a FileDescriptorProto: {_text(error)}") from None
        path, imports = file.name, list(file.dependency)
        if not all(isinstance(cast("object", name), str) for name in (path, *imports)):  # Protobuf gives bytes then.
            raise UnusableError(f"file {len(self._files) + 1} has a name, or imports one, that is not UTF-8")
        if not path:
            raise UnusableError(f"file {len(self._files) + 1} has no name")
        if path in _BROUGHT:
            return path
        if (known := self._data.setdefault(path, data)) is not data:
            if known != data:
                raise UnusableError(f"two different files have the name {shown(path)}")
            return path
        self._files[path] = file
        self._wanted.pop(path, None)
        for imported in imports:
            if imported not in self._files and imported not in _BROUGHT:
                self._wanted.setdefault(imported, path)
        return path

    def check(self) -> None:
        """Raises ``UnusableError`` if a file is missing that another one imports."""
        missing = self.missing
        if missing is not None:
            raise UnusableError(f"{shown(self._wanted[missing])} imports {shown(missing)}, which is missing")

    def pool(self) -> DescriptorPool:
        """Builds the files into a pool of their own.

        Raises:
            UnusableError: protobuf does not take a file, or files import each other in a circle.
        """
        self.check()
        pool = DescriptorPool()
        for file in _BROUGHT.values():
            pool.AddSerializedFile(file.serialized_pb)
        for path in self._ordered():
            try:
                pool.AddSerializedFile(self._data[path])
                pool.FindFileByName(path)
            except Exception as error:  # What protobuf raises depends on its implementation.
                raise UnusableError(f"{shown(path)} is not a valid file: {_text(error)}") from None
        return pool

    def _ordered(self) -> list[str]:
        """Returns the paths, each after those that the file imports, in a time that is linear in the number of imports.

        Raises:
            UnusableError: files import each other in a circle.
        """
        left: dict[str, int] = {}
        importers: dict[str, list[str]] = {}
        for path, file in self._files.items():
            imports = {each for each in file.dependency if each in self._files}
            left[path] = len(imports)
            for each in imports:
                importers.setdefault(each, []).append(path)
        ordered = [path for path, count in left.items() if not count]
        for path in ordered:
            for importer in importers.get(path, ()):
                left[importer] -= 1
                if not left[importer]:
                    ordered.append(importer)
        if len(ordered) < len(left):
            circle = next(path for path, count in left.items() if count)
            raise UnusableError(f"{shown(circle)} imports itself, or a file of a circle of imports")
        return ordered


def shown(name: str) -> str:
    """Returns a name from outside as the text of an error shows it."""
    return f"'{printable(name, _SHOWN)}'"


def _text(error: Exception) -> str:
    text = str(error).removeprefix("Couldn't build proto file into descriptor pool: ")
    return printable(" ".join(text.split()), _LONGEST) or type(error).__name__


_BROUGHT: Mapping[str, FileDescriptor] = {
    module.DESCRIPTOR.name: module.DESCRIPTOR
    for module in (
        any_pb2,
        descriptor_pb2,
        duration_pb2,
        empty_pb2,
        field_mask_pb2,
        source_context_pb2,
        struct_pb2,
        timestamp_pb2,
        wrappers_pb2,
        # These import some of those above.
        type_pb2,
        api_pb2,
        annotations_pb2,
    )
}
"""The files that this process brings, each after those that it imports."""
