"""Messages of presence.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x0epresence.proto\x12\x08presence"\xe3\x01\n\x08Presence\x12\r\n\x05plain\x18\x01 \x01(\t'
    b"\x12\x12\n\x05maybe\x18\x02 \x01(\tH\x02\x88\x01\x01\x12\x11\n\x04data\x18\x03 \x01(\x0cH\x03\x88\x01\x01\x12"
    b'\x0f\n\x07numbers\x18\x04 \x03(\x01\x12"\n\x06itself\x18\x05 \x01(\x0b2\x12.presence.Presence\x12\x0f'
    b"\n\x05first\x18\x06 \x01(\x05H\x00\x12$\n\x06second\x18\x07 \x01(\x0b2\x12.presence.PresenceH\x00\x12"
    b"\x0f\n\x05third\x18\x08 \x01(\x08H\x01B\x08\n\x06choiceB\x07\n\x05otherB\x08\n\x06_maybeB\x07\n\x05_data"
    b'"\x07\n\x05Emptyb\x06proto3'
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
