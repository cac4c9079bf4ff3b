"""Messages of torture/policy.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.empty_pb2
import micro_rt.annotations_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x14torture/policy.proto\x12\x0etorture.policy\x1a\x1bgoogle/protobuf/empty.proto\x1a\x1amic"
    b'ro_rt/annotations.proto"2\n\x08Happened\x12\n\n\x02id\x18\x01 \x01(\t:\x1a\x92\x82\x19\x16\n'
    b"\x10torture.happened\x12\x02id2\xd0\x03\n\x08Policies\x127\n\x05Plain\x12\x16.google.protobuf.Empty\x1a\x16.go"
    b"ogle.protobuf.Empty\x12=\n\x05Empty\x12\x16.google.protobuf.Empty\x1a\x16.google.protobuf.E"
    b'mpty"\x04\x92\x82\x19\x00\x12F\n\x07Timeout\x12\x16.google.protobuf.Empty\x1a\x16.google.protobuf.Empty"\x0b\x92'
    b"\x82\x19\x07\n\x05\x08\x90\x1c\x10\x01\x12\xe9\x01\n\nEverything\x12\x16.google.protobuf.Empty\x1a\x16.go"
    b'ogle.protobuf.Empty"\xa6\x01\x88\x02\x01\x90\x02\x02\x92\x82\x19\x9b\x01\n\x02\x08\x1e\x12\x1d\x08'
    b'\x07\x12\x03\x10\xe8\x07\x1a\x02\x08\n"\x07\x01\x02\x04\x08\n\r\x0e(\x002\x05\x10\x80\xe5\x9aw\x1av\n,torture:'
    b'a scope with a long name, number one\n,torture:a scope with a long name, number two\n\x18torture:a "q'
    b'uoted" scope(\x010\x01\x1a\x18\x92\x82\x19\x14\n\x12torture "policies"b\x06proto3'
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
