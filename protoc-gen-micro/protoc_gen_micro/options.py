"""The options of ``micro_rt/annotations.proto``, read from the descriptors of one run.

The plugin does not import ``micro_rt``: the request itself brings the descriptor of every file, so the
options are read with the version of ``annotations.proto`` that the user's file imports. A run whose files
do not import it pays nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["ANNOTATIONS", "Options"]

ANNOTATIONS = "micro_rt/annotations.proto"
"""The file that declares the options, as users import it."""


class Options:
    """Reads the options; knows none when no file of the run imports them.

    Args:
        files: every file of the run.
    """

    def __init__(self, files: Iterable[descriptor_pb2.FileDescriptorProto]) -> None:
        self._service: tuple[type[Any], Any] | None = None
        for file in files:
            if file.name == ANNOTATIONS:
                self._service = _reader("ServiceOptions", "micro.service", file)

    def service_name(self, options: descriptor_pb2.ServiceOptions) -> str:
        """Returns ``(micro.service).name``, or empty."""
        if self._service is None:
            return ""
        message_class, extension = self._service
        return str(message_class.FromString(options.SerializeToString()).Extensions[extension].name)


def _reader(options: str, extension: str, file: descriptor_pb2.FileDescriptorProto) -> tuple[type[Any], Any]:
    """Returns a class for the options that knows the extension, and the extension; in a pool of their own."""
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(descriptor_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    message_class = message_factory.GetMessageClass(pool.FindMessageTypeByName(f"google.protobuf.{options}"))
    return message_class, pool.FindExtensionByName(extension)
