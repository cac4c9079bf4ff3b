"""Messages of torture/options.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportPrivateUsage=false

from google.protobuf import descriptor as _descriptor
from google.protobuf.internal import extension_dict as _extensions
from google.protobuf.descriptor_pb2 import MessageOptions

__all__ = [
    "NOTE_FIELD_NUMBER",
    "note",
]

DESCRIPTOR: _descriptor.FileDescriptor

NOTE_FIELD_NUMBER: int
note: _extensions._ExtensionFieldDescriptor[MessageOptions, str]
