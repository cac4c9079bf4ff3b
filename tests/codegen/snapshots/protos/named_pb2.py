"""Messages of named.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import micro_rt.annotations_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x0bnamed.proto\x12\x08named.v1\x1a\x1amicro_rt/annotations.proto\"\x06\n\x04Ping2@\n\x05Named\x12'\n\x05"
    b"Check\x12\x0e.named.v1.Ping\x1a\x0e.named.v1.Ping\x1a\x0e\x92\x82\x19\n\n\x08the.name2"
    b"2\n\x07Unnamed\x12'\n\x05Check\x12\x0e.named.v1.Ping\x1a\x0e.named.v1.Pingb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
