"""Messages of torture/public/second.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x1btorture/public/second.proto\x12\x10torture.publicly"\x17\n\x06Second\x12\r\n\x05value\x18\x01 \x01(\t'
    b"*2\n\x05Keyed\x12\x11\n\rKEYED_NOTHING\x10\x00\x12\x08\n\x04None\x10\x01\x12\x0c\n\x08__hidden\x10\x02b\x06"
    b"proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
