"""Messages of torture/public/first.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportConstantRedefinition=false, reportUnusedImport=false

import builtins as _builtins
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

from . import second_pb2
from .second_pb2 import *

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x1atorture/public/first.proto\x12\x10torture.publicly\x1a\x1btorture/public/second.pr"
    b'oto"1\n\x05First\x12(\n\x06second\x18\x01 \x01(\x0b2\x18.torture.publicly.SecondP\x00b\x06proto3'
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _builtins.globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, _builtins.globals())
