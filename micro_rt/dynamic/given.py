"""The descriptors that a caller gives: a descriptor set, or modules that protobuf has generated."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from types import ModuleType
from typing import Any, TypeAlias, cast

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import DecodeError

from micro_rt.dynamic.files import Files, UnusableError

__all__ = ["Descriptors", "files_in", "key_of"]

Descriptors: TypeAlias = bytes | FileDescriptorSet | ModuleType | Iterable[ModuleType]
"""Where descriptors come from that a caller gives."""


def key_of(descriptors: Descriptors) -> Hashable:
    """Returns what tells descriptors from others.

    Raises:
        TypeError: they are of none of the kinds that there are.
    """
    if isinstance(descriptors, bytes):
        return descriptors
    if isinstance(descriptors, FileDescriptorSet):
        return descriptors.SerializeToString(deterministic=True)
    if isinstance(descriptors, ModuleType):
        return (_file(descriptors),)
    if isinstance(descriptors, str | bytearray | memoryview) or not isinstance(cast("object", descriptors), Iterable):
        raise _wrong(descriptors)
    modules: Any = descriptors
    return tuple([_file(module) for module in modules])


def files_in(key: Hashable) -> Files:
    """Returns the files of descriptors, and what they import.

    Args:
        key: as ``key_of`` returns it.

    Raises:
        UnusableError: they cannot be used; says why.
    """
    files = Files()
    if isinstance(key, bytes):
        try:
            found = FileDescriptorSet.FromString(key).file
        except DecodeError as error:
            raise UnusableError(f"the bytes are not a FileDescriptorSet: {error}") from None
        for file in found:
            files.add(file.SerializeToString())
        if not found:
            raise UnusableError("the descriptor set is empty")
        try:
            files.check()
        except UnusableError as error:
            raise UnusableError(f"{error}: write the set with --include_imports") from None
    else:
        waiting = list(cast("tuple[FileDescriptor, ...]", key))
        seen = set[str]()
        while waiting:
            descriptor = waiting.pop()
            if descriptor.name not in seen:
                seen.add(descriptor.name)
                files.add(descriptor.serialized_pb)
                waiting += descriptor.dependencies
    return files


def _file(module: ModuleType) -> FileDescriptor:
    descriptor = getattr(module, "DESCRIPTOR", None)
    if not isinstance(descriptor, FileDescriptor):
        raise _wrong(module)
    return descriptor


def _wrong(descriptors: object) -> TypeError:
    what = f"the module {descriptors.__name__}" if isinstance(descriptors, ModuleType) else type(descriptors).__name__
    return TypeError(
        "descriptors= takes a FileDescriptorSet, its bytes, or modules that protobuf has generated, such as greeter_pb2, "
        f"not {what}"
    )
