"""Messages of torture/options.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import __version__ as _version
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.descriptor_pb2

if tuple(map(int, _version.split(".")[:2])) < (6, 32):
    raise ImportError(
        f"torture/options.proto is of edition 2024, which protobuf {_version} does not know: update protobuf"
    )

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x15torture/options.proto\x12\x0ftorture.options\x1a google/protobuf/descriptor.pro"
    b"to:/\n\x04note\x12\x1f.google.protobuf.MessageOptions\x18\x9f\x96\x03 \x01(\tb\x08editionsp\xe9\x07"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
