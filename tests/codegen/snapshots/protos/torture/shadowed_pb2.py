"""Messages of torture/shadowed.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x16torture/shadowed.proto\x12\x10torture.shadowed"\x18\n\x06Record\x12\x0e'
    b'\n\x06theirs\x18\x01 \x01(\t"\t\n\x07globals*\x19\n\nDESCRIPTOR\x12\x0b\n\x07getattr\x10\x00b\x06proto3'
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
