"""Messages of edition.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\redition.proto\x12\x07edition"W\n\x08Settings\x12\r\n\x05plain\x18\x01 \x01(\t\x12\x14\n'
    b"\x05known\x18\x02 \x01(\tB\x05\xaa\x01\x02\x08\x01\x12&\n\x04part\x18\x03 \x01(\x0b2\x11.edition.SettingsB\x05"
    b"\xaa\x01\x02(\x02B\x05\x92\x03\x02\x08\x02b\x08editionsp\xe8\x07"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
