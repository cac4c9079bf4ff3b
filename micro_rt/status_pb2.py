"""Messages of micro_rt/status.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.any_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x15micro_rt/status.proto\x12\x0cmicro.status\x1a\x19google/protobuf/any.proto"N\n\x06Stat'
    b"us\x12\x0c\n\x04code\x18\x01 \x01(\x05\x12\x0f\n\x07message\x18\x02 \x01(\t\x12%\n\x07det"
    b'ails\x18\x03 \x03(\x0b2\x14.google.protobuf.Any"\x95\x01\n\tErrorInfo\x12\x0e\n\x06reas'
    b"on\x18\x01 \x01(\t\x12\x0e\n\x06domain\x18\x02 \x01(\t\x127\n\x08metadata\x18\x03 \x03(\x0b2%.micro.sta"
    b"tus.ErrorInfo.MetadataEntry\x1a/\n\rMetadataEntry\x12\x0b\n\x03key\x18\x01 "
    b'\x01(\t\x12\r\n\x05value\x18\x02 \x01(\t:\x028\x01"H\n\x0cGoMicroError\x12\n'
    b"\n\x02id\x18\x01 \x01(\t\x12\x0c\n\x04code\x18\x02 \x01(\x05\x12\x0e\n\x06detail\x18\x03 \x01(\t"
    b"\x12\x0e\n\x06status\x18\x04 \x01(\tb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
