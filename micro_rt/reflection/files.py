"""From the services that are served to the .proto files behind them.

Rules:

- Only what a served service needs is found: its file, and what that file imports. What else is in the pool of descriptors
  belongs to other parts of the program.
- Where messages carry no descriptors, as those of betterproto, the stubs carry them.
- A service of the runtime itself has messages under names of our own, so that they never meet a copy of the official ones.
  Reflection answers with the official names: the wire is the same, and clients know these names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor, FileDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto

from micro_rt.dialects.carried import collect, collect_carried
from micro_rt.method import Method, ServiceInfo
from micro_rt.reflection.index import Found

__all__ = ["find"]

_OFFICIAL = "grpc."
"""How the names of gRPC's own services begin."""
_OURS = "micro_rt/"
"""How the paths of our own files begin."""


def find(services: Iterable[ServiceInfo]) -> Found:
    """Returns the files of services, and what they import, each file after its imports.

    Args:
        services: those that are served.
    """
    files: dict[str, FileDescriptorProto] = {}
    reasons: dict[str, str] = {}
    names: list[str] = []
    for info in services:
        names.append(info.name)
        if info.descriptors:
            collect_carried(info.descriptors, files)
            continue
        own = _file_of_ours(info)
        if own is not None:
            files.setdefault(own.name, own)
            continue
        declaring = _declaring(info)
        if declaring is None:
            reasons[info.name] = "no .proto file in this process declares it"
        for file in [declaring] if declaring is not None else _of_messages(info):
            collect(file, files)
    return Found(tuple(names), tuple(files.values()), reasons)


def _declaring(info: ServiceInfo) -> FileDescriptor | None:
    """Returns the file that declares a service: from the pool of its messages, or else from the default one."""
    pools = [file.pool for file in _of_messages(info)]
    for pool in (*pools, descriptor_pool.Default()):
        try:
            return pool.FindServiceByName(info.name).file
        except KeyError:
            continue
    return None


def _of_messages(info: ServiceInfo) -> list[FileDescriptor]:
    """Returns the files of the messages of a service; none for messages without descriptors."""
    return list(dict.fromkeys(file for method in info.methods for file in _files(method)))


def _files(method: Method[Any, Any]) -> Iterator[FileDescriptor]:
    for kind in (method.request_type, method.reply_type):
        descriptor = getattr(kind, "DESCRIPTOR", None)
        if isinstance(descriptor, Descriptor):
            yield descriptor.file


def _file_of_ours(info: ServiceInfo) -> FileDescriptorProto | None:
    """Returns the file of a service of the runtime under its official names; None for a service of anybody else."""
    files = _of_messages(info)
    if not info.name.startswith(_OFFICIAL) or len(files) != 1 or not files[0].name.startswith(_OURS):
        return None
    file = FileDescriptorProto.FromString(files[0].serialized_pb)
    ours, (package, _, name) = f".{file.package}.", info.name.rpartition(".")
    official = f".{package}."
    for message in file.message_type:
        _rename(message, ours, official)
    file.package = package
    file.name = f"{package.replace('.', '/')}/{file.name.rpartition('/')[2]}"
    service = file.service.add(name=name)
    for method in info.methods:
        service.method.add(
            name=method.name,
            input_type=f"{official}{method.request_type.DESCRIPTOR.name}",
            output_type=f"{official}{method.reply_type.DESCRIPTOR.name}",
            client_streaming=method.kind.client_streams,
            server_streaming=method.kind.server_streams,
        )
    return file


def _rename(message: DescriptorProto, ours: str, official: str) -> None:
    """Puts the types of a message's fields into another package."""
    for field in message.field:
        if field.type_name.startswith(ours):
            field.type_name = official + field.type_name.removeprefix(ours)
    for nested in message.nested_type:
        _rename(nested, ours, official)
