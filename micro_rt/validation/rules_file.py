"""The file that declares the rules: ``buf/validate/validate.proto``, as the installed ``protovalidate`` knows it.

``protovalidate`` brings no .proto file and no module for protobuf's own messages. It has the descriptor.
"""

from __future__ import annotations

from google.protobuf.descriptor_pb2 import FileDescriptorProto

from micro_rt.kit.optional import optional

__all__ = ["RULES_FILE", "rules_file"]

RULES_FILE = "buf/validate/validate.proto"


def rules_file() -> FileDescriptorProto | None:
    """Returns the descriptor of the file; None if ``protovalidate`` is not installed."""
    library = optional("protovalidate")
    if library is None:
        return None
    return FileDescriptorProto.FromString(library.ViolationPb.desc().file.proto.to_binary())
