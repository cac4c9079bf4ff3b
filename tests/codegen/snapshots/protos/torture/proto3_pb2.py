"""Messages of torture/proto3.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.any_pb2
import google.protobuf.api_pb2
import google.protobuf.duration_pb2
import google.protobuf.empty_pb2
import google.protobuf.field_mask_pb2
import google.protobuf.source_context_pb2
import google.protobuf.struct_pb2
import google.protobuf.timestamp_pb2
import google.protobuf.type_pb2
import google.protobuf.wrappers_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x14torture/proto3.proto\x12\x0etorture.proto3\x1a\x19google/protobuf/any.proto\x1a\x19googl"
    b"e/protobuf/api.proto\x1a\x1egoogle/protobuf/duration.proto\x1a\x1bgoogle/protobuf/empty.proto\x1a google/protob"
    b"uf/field_mask.proto\x1a$google/protobuf/source_context.proto\x1a\x1cgoogle/protobuf/struct.proto\x1a\x1fgoogle/"
    b"protobuf/timestamp.proto\x1a\x1agoogle/protobuf/type.proto\x1a\x1egoogle/protobuf/wr"
    b'appers.proto"\xb9\x06\n\x05Known\x12!\n\x03any\x18\x01 \x01(\x0b2\x14.google.protobuf.'
    b"Any\x12+\n\x08duration\x18\x02 \x01(\x0b2\x19.google.protobuf.Duration\x12%\n\x05em"
    b"pty\x18\x03 \x01(\x0b2\x16.google.protobuf.Empty\x12(\n\x04mask\x18\x04 \x01(\x0b2\x1a.google.protobuf.FieldM"
    b"ask\x12'\n\x06struct\x18\x05 \x01(\x0b2\x17.google.protobuf.Struct\x12%\n\x05value\x18"
    b"\x06 \x01(\x0b2\x16.google.protobuf.Value\x12(\n\x04list\x18\x07 \x01(\x0b2\x1a.google.protobuf.ListValue\x12"
    b"(\n\x04null\x18\x08 \x01(\x0e2\x1a.google.protobuf.NullValue\x12)\n\x05times\x18\t \x03(\x0b2\x1a.google.protob"
    b"uf.Timestamp\x121\n\x06values\x18\n \x03(\x0b2!.torture.proto3.Known.ValuesEntry\x12.\n\x06strin"
    b"g\x18\x0b \x01(\x0b2\x1c.google.protobuf.StringValueH\x00\x12,\n\x05int64\x18\x0c \x01(\x0b2\x1b.google.protobuf"
    b".Int64ValueH\x00\x12,\n\x05bytes\x18\r \x01(\x0b2\x1b.google.protobuf.BytesVa"
    b"lueH\x00\x12-\n\x04bool\x18\x0e \x01(\x0b2\x1a.google.protobuf.BoolValueH\x01\x88\x01\x01\x12!"
    b"\n\x03api\x18\x0f \x01(\x0b2\x14.google.protobuf.Api\x12#\n\x04type\x18\x10 \x01(\x0b2\x15.goog"
    b"le.protobuf.Type\x12/\n\x07context\x18\x11 \x01(\x0b2\x1e.google.protobuf.SourceContext\x1aE\n\x0bVal"
    b"uesEntry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12%\n\x05value\x18\x02 \x01(\x0b2\x16.google.protobuf"
    b".Value:\x028\x01B\t\n\x07wrappedB\x07\n\x05_bool\"\x87\x05\n\x04Same\x12'\n\x04same\x18\x01 \x01(\x0b2"
    b"\x19.torture.proto3.Same.Same\x12#\n\x05outer\x18\x02 \x01(\x0b2\x14.torture.proto3.Same\x12'\n\x04many\x18"
    b"\x03 \x03(\x0b2\x19.torture.proto3.Same.Same\x121\n\x07by_bool\x18\x04 \x03(\x0b2 .torture.proto3.Same."
    b'ByBoolEntry\x125\n\tby_number\x18\x05 \x03(\x0b2".torture.proto3.Same.ByNumberEntry\x1a\x8c\x02\n\x04S'
    b"ame\x12,\n\x04same\x18\x01 \x01(\x0b2\x1e.torture.proto3.Same.Same.Same\x12#\n\x05o"
    b"uter\x18\x02 \x01(\x0b2\x14.torture.proto3.Same\x121\n\x04kind\x18\x03 \x01(\x0e2#.torture.proto3.Same.Sam"
    b"e.Same.Kind\x1a~\n\x04Same\x12,\n\x04same\x18\x01 \x01(\x0b2\x1e.torture.proto3.Same.Same.Same\x121\n\x04kin"
    b'd\x18\x02 \x01(\x0e2#.torture.proto3.Same.Same.Same.Kind"\x15\n\x04Kind\x12\r\n\tKIND_NONE\x10\x00\x1aH\n\x0bB'
    b"yBoolEntry\x12\x0b\n\x03key\x18\x01 \x01(\x08\x12(\n\x05value\x18\x02 \x01(\x0b2\x19.torture.proto"
    b"3.Same.Same:\x028\x01\x1aE\n\rByNumberEntry\x12\x0b\n\x03key\x18\x01 \x01(\x06\x12#\n\x05value"
    b"\x18\x02 \x01(\x0b2\x14.torture.proto3.Same:\x028\x01\"s\n\x04Ping\x12'\n\x04pong\x18\x01 \x01(\x0b"
    b"2\x14.torture.proto3.PongH\x01\x88\x01\x01\x12%\n\x05other\x18\x02 \x01(\x0b2\x14.torture.p"
    b'roto3.PongH\x00B\x12\n\x10_pong_or_nothingB\x07\n\x05_pong"+\n\x04Pong\x12#\n\x05p'
    b'ings\x18\x01 \x03(\x0b2\x14.torture.proto3.Ping"\xe0\x03\n\x07Scalars\x12\x0e\n\x06double'
    b"\x18\x01 \x01(\x01\x12\r\n\x05float\x18\x02 \x01(\x02\x12\r\n\x05int32\x18\x03 \x01(\x05\x12\r\n\x05"
    b"int64\x18\x04 \x01(\x03\x12\x0e\n\x06uint32\x18\x05 \x01(\r\x12\x0e\n\x06uint64\x18\x06 "
    b"\x01(\x04\x12\x0e\n\x06sint32\x18\x07 \x01(\x11\x12\x0e\n\x06sint64\x18\x08 \x01(\x12\x12\x0f\n\x07f"
    b"ixed32\x18\t \x01(\x07\x12\x0f\n\x07fixed64\x18\n \x01(\x06\x12\x10\n\x08sfixed3"
    b"2\x18\x0b \x01(\x0f\x12\x10\n\x08sfixed64\x18\x0c \x01(\x10\x12\x0c\n\x04bool\x18\r \x01(\x08\x12"
    b"\x0e\n\x06string\x18\x0e \x01(\t\x12\r\n\x05bytes\x18\x0f \x01(\x0c\x12\x19\n\x0cmaybe_"
    b"double\x18\x10 \x01(\x01H\x00\x88\x01\x01\x12\x18\n\x0bmaybe_bytes\x18\x11 \x01(\x0cH\x01"
    b"\x88\x01\x01\x12\x14\n\x08unpacked\x18\x12 \x03(\x05B\x02\x10\x00\x12C\n\x0fbytes_by_nu"
    b"mber\x18\x13 \x03(\x0b2*.torture.proto3.Scalars.BytesByNumberEntry\x1a4\n\x12BytesByNumberE"
    b"ntry\x12\x0b\n\x03key\x18\x01 \x01(\x03\x12\r\n\x05value\x18\x02 \x01(\x0c:\x028\x01B\x0f\n\r_maybe_doubleB"
    b"\x0e\n\x0c_maybe_bytes2\x8c\x01\n\tRecursive\x12D\n\x07Recurse\x12\x1e.torture.proto3.Same.Same.Same"
    b"\x1a\x19.torture.proto3.Same.Same\x129\n\x05Known\x12\x15.torture.proto3.Known\x1a\x17.torture.pr"
    b"oto3.Scalars(\x01b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
