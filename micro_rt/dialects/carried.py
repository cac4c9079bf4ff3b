"""The .proto files behind messages that carry no descriptors: the stubs carry them."""

from __future__ import annotations

from importlib import import_module

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

__all__ = ["collect", "collect_carried"]

_BROUGHT = ("google/protobuf/", "micro_rt/")
"""How the paths of files begin that have a module wherever the code runs."""


def collect(file: FileDescriptor, files: dict[str, FileDescriptorProto]) -> None:
    """Adds a file, after all that it imports."""
    if file.name in files:
        return
    for imported in file.dependencies:
        collect(imported, files)
    files[file.name] = FileDescriptorProto.FromString(file.serialized_pb)


def collect_carried(descriptors: bytes, files: dict[str, FileDescriptorProto]) -> None:
    """Adds the files that stubs carry, and those that the runtimes bring and stubs leave out."""
    for file in FileDescriptorSet.FromString(descriptors).file:
        for path in file.dependency:
            brought = None if path in files else _brought(path)
            if brought is not None:
                collect(brought, files)
        files.setdefault(file.name, file)


def _brought(path: str) -> FileDescriptor | None:
    """Returns a file that the runtime of protobuf or micro-rt brings; None for another one."""
    if not path.startswith(_BROUGHT):
        return None
    module = path.removesuffix(".proto").replace("/", ".")
    try:
        import_module(f"{module}_pb2")
        return descriptor_pool.Default().FindFileByName(path)
    except (ImportError, KeyError):
        return None
