"""Messages of torture/import/v1.0/class.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

from ... import _3d_shape_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x1ftorture/import/v1.0/class.proto\x12\x14torture.import.class\x1a\x1dtorture/import/"
    b'3d-shape.proto"-\n\x05Class\x12$\n\x05shape\x18\x01 \x01(\x0b2\x15.torture.import.Shapeb\x06proto3'
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
