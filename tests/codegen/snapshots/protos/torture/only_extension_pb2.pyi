"""Messages of torture/only_extension.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportPrivateUsage=false

from google.protobuf import descriptor as _descriptor
from google.protobuf.internal import extension_dict as _extensions
from .proto2_pb2 import Element, Everything

__all__ = [
    "ATTACHED_FIELD_NUMBER",
    "attached",
]

DESCRIPTOR: _descriptor.FileDescriptor

ATTACHED_FIELD_NUMBER: int
attached: _extensions._ExtensionFieldDescriptor[Everything, Element]
