"""What reflection answers from, where the classes of messages carry no descriptors."""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from protoc_gen_micro.python.shipped import BETTERPROTO, MICRO_RT

__all__ = ["with_imports"]


def with_imports(path: str, files: Mapping[str, FileDescriptorProto]) -> bytes:
    """Returns a file and its transitive imports as a serialized ``FileDescriptorSet``, each file after its imports.

    The files that the runtime of protobuf and micro-rt bring are left out: they are wherever the code runs.

    Args:
        path: of the file.
        files: every file of the run.
    """
    found: dict[str, FileDescriptorProto] = {}
    _collect(path, files, found)
    return FileDescriptorSet(file=found.values()).SerializeToString()


def _collect(path: str, files: Mapping[str, FileDescriptorProto], found: dict[str, FileDescriptorProto]) -> None:
    if path in found or path in BETTERPROTO or path in MICRO_RT:
        return
    file = FileDescriptorProto()
    file.CopyFrom(files[path])
    file.ClearField("source_code_info")
    for imported in file.dependency:
        _collect(imported, files, found)
    found[path] = file
