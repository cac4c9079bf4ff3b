"""Messages of torture/edition2024.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import __version__ as _version
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

if tuple(map(int, _version.split(".")[:2])) < (6, 32):
    raise ImportError(
        f"torture/edition2024.proto is of edition 2024, which protobuf {_version} does not know: update protobuf"
    )

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x19torture/edition2024.proto\x12\rtorture.e2024"\x9f\x01\n\x04Seen\x12\x0c\n'
    b"\x04name\x18\x01 \x01(\t\x12%\n\x06unseen\x18\x02 \x01(\x0b2\x15.torture.e2024.Unseen\x12(\n\x05"
    b'inner\x18\x03 \x01(\x0e2\x19.torture.e2024.Seen.Inner"\x1c\n\x05Inner\x12\x11\n\rINN'
    b'ER_NOTHING\x10\x000\x01:\x18\xfa\xb1\x19\x14only at compile timeX\x02"\x1a\n\x06Unseen\x12\x0e'
    b"\n\x06number\x18\x01 \x01(\x05X\x01b\x08editionsp\xe9\x07z\x15torture/options.proto"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
