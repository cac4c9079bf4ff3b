"""Messages of edition2024.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import __version__ as _version
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

if tuple(map(int, _version.split(".")[:2])) < (6, 32):
    raise ImportError(f"edition2024.proto is of edition 2024, which protobuf {_version} does not know: update protobuf")

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x11edition2024.proto\x12\x0bedition2024"/\n\x08Settings\x12\r\n\x05known\x18'
    b"\x01 \x01(\t\x12\x14\n\x05plain\x18\x02 \x01(\tB\x05\xaa\x01\x02\x08\x02b\x08editionsp\xe9\x07"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
