"""Messages of torture/import/3d-shape.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x1dtorture/import/3d-shape.proto\x12\x0etorture.import"\x17\n\x05Shape\x12\x0e\n\x06points\x18\x01 \x01(\x0c'
    b"b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
