"""Messages of torture/only_service.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.any_pb2
import google.protobuf.empty_pb2
import google.protobuf.struct_pb2
from . import proto2_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x1atorture/only_service.proto\x12\x0ctorture.only\x1a\x19google/protobuf/any.proto\x1a\x1bg"
    b"oogle/protobuf/empty.proto\x1a\x1cgoogle/protobuf/struct.proto\x1a\x14torture/proto2"
    b".proto2\xb9\x01\n\x0bOnlyService\x122\n\x02Do\x12\x16.google.protobuf.Empty\x1a\x14.google.protobuf.A"
    b"ny\x12:\n\x03Say\x12\x16.google.protobuf.Value\x1a\x17.google.protobuf.Struct(\x010\x01\x12:\n\x05Reach\x12"
    b"\x18.torture.publicly.Second\x1a\x17.torture.publicly.Firstb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
