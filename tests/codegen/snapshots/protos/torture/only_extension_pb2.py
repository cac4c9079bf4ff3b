"""Messages of torture/only_extension.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

from . import proto2_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x1ctorture/only_extension.proto\x12\x0ctorture.only\x1a\x14torture/proto2.proto:F\n\x08at"
    b"tached\x12\x1a.torture.proto2.Everything\x18\x96\x01 \x01(\x0b2\x17.torture.proto2.Element"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
