"""Messages of shop/common/money.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x17shop/common/money.proto\x12\x0bshop.common"(\n\x05Money\x12\x10\n\x08cur'
    b"rency\x18\x01 \x01(\t\x12\r\n\x05cents\x18\x02 \x01(\x03b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
