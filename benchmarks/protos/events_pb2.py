"""Messages of events.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import micro_rt.annotations_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x0cevents.proto\x12\x0cbench.events\x1a\x1amicro_rt/annotations.proto"I\n\x08Happened\x12\x0b\n\x03'
    b"key\x18\x01 \x01(\t\x12\x0e\n\x06number\x18\x02 \x01(\x03\x12\x0c\n\x04text\x18\x03 \x01(\t:"
    b"\x12\x92\x82\x19\x0e\n\x05bench\x12\x03key(\x04b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
