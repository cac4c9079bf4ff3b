"""Messages of micro_rt/annotations.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.descriptor_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x1amicro_rt/annotations.proto\x12\x05micro\x1a google/protobuf/descriptor.proto"\x1e\n'
    b"\x0eServiceOptions\x12\x0c\n\x04name\x18\x01 \x01(\t:I\n\x07service\x12\x1f.google.protobuf.ServiceOption"
    b"s\x18\xa2\x90\x03 \x01(\x0b2\x15.micro.ServiceOptionsb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
