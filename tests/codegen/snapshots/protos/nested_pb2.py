"""Messages of nested.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.duration_pb2
import google.protobuf.empty_pb2
import google.protobuf.struct_pb2
import google.protobuf.timestamp_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x0cnested.proto\x12\x06nested\x1a\x1egoogle/protobuf/duration.proto\x1a\x1bgoogle/protobuf/"
    b"empty.proto\x1a\x1cgoogle/protobuf/struct.proto\x1a\x1fgoogle/protobuf/timestamp.pro"
    b'to"\xa9\x07\n\x05Outer\x12*\n\x07by_name\x18\x01 \x03(\x0b2\x19.nested.Outer.ByNameEnt'
    b"ry\x12.\n\tby_number\x18\x02 \x03(\x0b2\x1b.nested.Outer.ByNumberEntry\x12,\n\x08"
    b"by_truth\x18\x03 \x03(\x0b2\x1a.nested.Outer.ByTruthEntry\x12#\n\x06inners\x18\x04 \x03(\x0b2\x13.nested.Oute"
    b"r.Inner\x12\r\n\x05words\x18\x05 \x03(\t\x12(\n\x04time\x18\x06 \x01(\x0b2\x1a.google.protobuf"
    b".Timestamp\x12+\n\x08duration\x18\x07 \x01(\x0b2\x19.google.protobuf.Duratio"
    b"n\x12%\n\x04data\x18\x08 \x01(\x0b2\x17.google.protobuf.Struct\x12+\n\x07nothing\x18\t "
    b"\x01(\x0e2\x1a.google.protobuf.NullValue\x12\x1c\n\x05state\x18\n \x01(\x0e2\r.neste"
    b'd.State\x12"\n\x05outer\x18\x0b \x01(\x0b2\x13.nested.Outer.Outer\x12\x0f\n\x03old\x18\x0c \x01'
    b"(\x04B\x02\x18\x01\x1a\x82\x02\n\x05Inner\x120\n\tinnermost\x18\x01 \x01(\x0b2\x1d.nested.Outer.Inn"
    b"er.Innermost\x12'\n\x05kinds\x18\x02 \x03(\x0e2\x18.nested.Outer.Inner.Kind\x12"
    b"\x1c\n\x05state\x18\x03 \x01(\x0e2\r.nested.State\x1aX\n\tInnermost\x12#\n\x06parent\x18\x01"
    b' \x01(\x0b2\x13.nested.Outer.Inner\x12&\n\x04kind\x18\x02 \x01(\x0e2\x18.nested.Outer.Inner.Kind"&\n\x04Kin'
    b'd\x12\x10\n\x0cKIND_UNKNOWN\x10\x00\x12\x0c\n\x08KIND_ODD\x10\x01\x1a+\n\x05Outer\x12"\n\x05inner\x18\x01 '
    b'\x01(\x0b2\x13.nested.Outer.Inner\x1aB\n\x0bByNameEntry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12"'
    b"\n\x05value\x18\x02 \x01(\x0b2\x13.nested.Outer.Inner:\x028\x01\x1a/\n\rByNumberEntr"
    b"y\x12\x0b\n\x03key\x18\x01 \x01(\x03\x12\r\n\x05value\x18\x02 \x01(\t:\x028\x01\x1a=\n\x0cByT"
    b"ruthEntry\x12\x0b\n\x03key\x18\x01 \x01(\x08\x12\x1c\n\x05value\x18\x02 \x01(\x0e2\r.nested.State:\x02"
    b"8\x01*@\n\x05State\x12\x11\n\rSTATE_UNKNOWN\x10\x00\x12\x0e\n\nSTATE_GOOD\x10\x01\x12\x10\n\x08STAT"
    b"E_OK\x10\x01\x1a\x02\x08\x01\x1a\x02\x10\x012l\n\x06Things\x127\n\x05Reset\x12\x16.google.protobuf.Em"
    b"pty\x1a\x16.google.protobuf.Empty\x12)\n\x03Get\x12\x13.nested.Outer.Inner\x1a\r.nested.Outerb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
