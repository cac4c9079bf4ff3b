"""Messages of bench.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x0bbench.proto\x12\x05bench"$\n\x04Item\x12\x0c\n\x04text\x18\x01 \x01(\t\x12\x0e\n\x06number\x18\x02'
    b' \x01(\x032\x83\x01\n\x05Bench\x12%\n\x04Echo\x12\x0b.bench.Item\x1a\x0b.bench.Item"\x03\x90\x02\x01\x12'
    b')\n\x06Repeat\x12\x0b.bench.Item\x1a\x0b.bench.Item"\x03\x90\x02\x010\x01\x12(\n\x08PingPong'
    b"\x12\x0b.bench.Item\x1a\x0b.bench.Item(\x010\x01b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
