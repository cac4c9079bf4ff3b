"""Messages of torture/shadows.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportConstantRedefinition=false, reportUnusedImport=false

import builtins as _builtins_
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

from . import shadowed_pb2
from .shadowed_pb2 import *

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x15torture/shadows.proto\x12\x0ftorture.shadows\x1a\x16torture/shadowed.proto"L\n\x05Valu'
    b'e\x12)\n\x04kind\x18\x01 \x01(\x0e2\x1b.torture.shadows.Value.Kind"\x18\n\x04Kind\x12\x10'
    b"\n\x0cKIND_UNKNOWN\x10\x00\"b\n\x08HasField\x12'\n\x04self\x18\x01 \x01(\x0b2\x19.torture.s"
    b"hadows.HasField\x12\r\n\x05_self\x18\x02 \x01(\t\x12\x10\n\x08keywords\x18\x03 \x01(\t\x12\x0c\n\x04fr"
    b'om\x18\x04 \x01(\t"\x85\x01\n\x06Record\x12%\n\x04ours\x18\x01 \x01(\x0b2\x17.torture.shadows.Re'
    b"cord\x12(\n\x06theirs\x18\x02 \x01(\x0b2\x18.torture.shadowed.Record\x12*\n\x07glob"
    b'als\x18\x03 \x01(\x0b2\x19.torture.shadowed.globals"\x14\n\x04Page\x12\x0c\n\x04list\x18\x01'
    b' \x01(\t"\xfc\x03\n\x05Outer\x12+\n\x05clear\x18\x01 \x01(\x0b2\x1c.torture.shadows.Outer.'
    b"Clear\x12-\n\x04name\x18\x02 \x01(\x0b2\x1f.torture.shadows.Outer.CopyFrom\x12H\n\x11SerializeToStrin"
    b"g\x18\x03 \x03(\x0b2-.torture.shadows.Outer.SerializeToStringEntry\x1aj\n\x05Clear\x12.\n\x01a\x18\x01 \x01"
    b"(\x0b2#.torture.shadows.Outer.Clear.lambda\x1a1\n\x06lambda\x12'\n\x06values\x18\x01 \x01(\x0e2\x17.tort"
    b"ure.shadows.values\x1aa\n\x08CopyFrom\x128\n\x04name\x18\x01 \x01(\x0e2*.torture.shadows.Outer.Cop"
    b'yFrom.ClearField"\x1b\n\nClearField\x12\r\n\tMergeFrom\x10\x00\x1aV\n\x16SerializeToStringEntry\x12'
    b"\x0b\n\x03key\x18\x01 \x01(\t\x12+\n\x05value\x18\x02 \x01(\x0b2\x1c.torture.shadows.Outer.Cl"
    b'ear:\x028\x01"&\n\x11NAME_FIELD_NUMBER\x12\x11\n\rUnknownFields\x10\x00"?\n\x07get'
    b'attr\x12*\n\x01a\x18\x01 \x01(\x0b2\x1f.torture.shadows.getattr.import\x1a\x08\n\x06import"?\n\t_builtins\x12'
    b"*\n\x01a\x18\x01 \x01(\x0b2\x1f.torture.shadows._builtins.None\x1a\x06\n\x04None*\x1c\n"
    b"\x06values\x12\x12\n\x0eVALUES_UNKNOWN\x10\x00*\x1a\n\x05items\x12\x11\n\rITEMS_UNKNOWN\x10"
    b"\x00*#\n\tValueType\x12\x16\n\x12VALUE_TYPE_UNKNOWN\x10\x00*\x18\n\x04keys\x12\x10\n\x0cKEYS"
    b"_UNKNOWN\x10\x002C\n\x08_Shadows\x127\n\x04_Get\x12\x16.torture.shadows.Value\x1a\x17.torture.shadows"
    b".RecordP\x00b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _builtins_.globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, _builtins_.globals())
_builtins_.globals()["Outer"].Clear.lambda_ = _builtins_.getattr(_builtins_.globals()["Outer"].Clear, "lambda")
_builtins_.globals()["getattr"].import_ = _builtins_.getattr(_builtins_.globals()["getattr"], "import")
_builtins_.globals()["_builtins"].None_ = _builtins_.getattr(_builtins_.globals()["_builtins"], "None")
