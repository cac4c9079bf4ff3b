"""Messages of torture/deprecated.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x18torture/deprecated.proto\x12\x12torture.deprecated"|\n\x03Old\x12'
    b"\x11\n\x05field\x18\x01 \x01(\tB\x02\x18\x01\x123\n\x05older\x18\x02 \x01(\x0b2 .torture.deprecated"
    b".Nested.OlderB\x02\x18\x01\x12)\n\x06states\x18\x03 \x03(\x0e2\x19.torture.deprecated"
    b'.State:\x02\x18\x01"\x9a\x01\n\x06Nested\x120\n\x04kind\x18\x01 \x01(\x0e2".torture.deprecat'
    b"ed.Nested.OldKind\x12/\n\x05older\x18\x02 \x01(\x0b2 .torture.deprecated.Nested.Older\x1a\x0b\n\x05Ol"
    b'der:\x02\x18\x01" \n\x07OldKind\x12\x11\n\rOLD_KIND_NONE\x10\x00\x1a\x02\x18\x01*1\n\x05State\x12\x11\n\r'
    b"STATE_UNKNOWN\x10\x00\x12\x11\n\tSTATE_OLD\x10\x01\x1a\x02\x08\x01\x1a\x02\x18\x012\xe2\x01\n\nOldService\x12"
    b'>\n\x02Do\x12\x17.torture.deprecated.Old\x1a\x1a.torture.deprecated.Nested"\x03\x88\x02\x01\x12J\n\x06Follo'
    b'w\x12\x17.torture.deprecated.Old\x1a .torture.deprecated.Nested.Older"\x03\x88\x02\x010\x01\x12C\n\tS'
    b"tillGood\x12\x1a.torture.deprecated.Nested\x1a\x1a.torture.deprecated.Nested\x1a\x03\x88\x02\x01B\x03\xb8"
    b"\x01\x01b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
