"""Messages of torture/wide.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.any_pb2
import google.protobuf.duration_pb2
import google.protobuf.empty_pb2
import google.protobuf.field_mask_pb2
import google.protobuf.struct_pb2
import google.protobuf.timestamp_pb2
import google.protobuf.type_pb2
import google.protobuf.wrappers_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x12torture/wide.proto\x12\x0ctorture.wide\x1a\x19google/protobuf/any.proto\x1a\x1egoogle/pr"
    b"otobuf/duration.proto\x1a\x1bgoogle/protobuf/empty.proto\x1a google/protobuf/field_mask.proto\x1a\x1cgoogle/pro"
    b"tobuf/struct.proto\x1a\x1fgoogle/protobuf/timestamp.proto\x1a\x1agoogle/protobuf/typ"
    b'e.proto\x1a\x1egoogle/protobuf/wrappers.proto"8\n\x05Inner\x12\x0c\n\x04na'
    b'me\x18\x01 \x01(\t\x12!\n\x04next\x18\x02 \x01(\x0b2\x13.torture.wide.Inner"\xee\x0c\n\x04Item\x12&'
    b"\n\x02at\x18\x01 \x01(\x0b2\x1a.google.protobuf.Timestamp\x12'\n\x04life\x18\x02 \x01(\x0b2\x19"
    b".google.protobuf.Duration\x12'\n\x06struct\x18\x03 \x01(\x0b2\x17.google.protobuf.Struct\x12%\n\x05va"
    b"lue\x18\x04 \x01(\x0b2\x16.google.protobuf.Value\x12.\n\nlist_value\x18\x05 \x01(\x0b2\x1a.google.protobuf."
    b"ListValue\x12(\n\x04null\x18\x06 \x01(\x0e2\x1a.google.protobuf.NullValue\x12!\n"
    b"\x03any\x18\x07 \x01(\x0b2\x14.google.protobuf.Any\x12(\n\x04mask\x18\x08 \x01(\x0b2\x1a.google.protobuf.FieldMa"
    b"sk\x12,\n\x07wrapped\x18\t \x01(\x0b2\x1b.google.protobuf.Int32Value\x12'\n\x06syntax\x18\n \x01(\x0e2\x17.googl"
    b"e.protobuf.Syntax\x12%\n\x05empty\x18\x0b \x01(\x0b2\x16.google.protobuf.Emp"
    b'ty\x12"\n\x05inner\x18\x0c \x01(\x0b2\x13.torture.wide.Inner\x12$\n\x06status\x18\r \x01(\x0e'
    b"2\x14.torture.wide.Status\x12(\n\x05maybe\x18\x0e \x01(\x0e2\x14.torture.wide.S"
    b"tatusH\x01\x88\x01\x01\x12$\n\x05first\x18\x0f \x01(\x0b2\x13.torture.wide.InnerH\x00\x12&\n\x06se"
    b"cond\x18\x10 \x01(\x0e2\x14.torture.wide.StatusH\x00\x12+\n\x05third\x18\x11 \x01(\x0b2\x1a.google.protobuf.Time"
    b"stampH\x00\x12#\n\x06inners\x18\x12 \x03(\x0b2\x13.torture.wide.Inner\x12&\n\x08status"
    b"es\x18\x13 \x03(\x0e2\x14.torture.wide.Status\x12'\n\x03ats\x18\x14 \x03(\x0b2\x1a.google.protobuf.Timestamp\x12"
    b"(\n\x05lives\x18\x15 \x03(\x0b2\x19.google.protobuf.Duration\x12(\n\x07structs\x18\x16"
    b" \x03(\x0b2\x17.google.protobuf.Struct\x12)\n\x05nulls\x18\x17 \x03(\x0e2\x1a.google.protobuf.NullValue"
    b"\x12\x0f\n\x07numbers\x18\x18 \x03(\x05\x121\n\x08inner_by\x18\x19 \x03(\x0b2\x1f.torture.wide.Ite"
    b"m.InnerByEntry\x123\n\tstatus_by\x18\x1a \x03(\x0b2 .torture.wide.Item.StatusByEntry\x12+\n\x05a"
    b"t_by\x18\x1b \x03(\x0b2\x1c.torture.wide.Item.AtByEntry\x12/\n\x07null_by\x18\x1c \x03(\x0b2\x1e.torture.wide"
    b".Item.NullByEntry\x12-\n\x06raw_by\x18\x1d \x03(\x0b2\x1d.torture.wide.Item.RawByEntry\x12,\n\tlast"
    b"_life\x18\x1e \x01(\x0b2\x19.google.protobuf.Duration\x12\x0b\n\x03raw\x18\x1f \x01(\x0c\x12\x0c\n"
    b"\x04text\x18  \x01(\t\x12\x0e\n\x06number\x18! \x01(\x01\x1aC\n\x0cInnerByEntry\x12\x0b\n\x03key\x18\x01 \x01"
    b'(\t\x12"\n\x05value\x18\x02 \x01(\x0b2\x13.torture.wide.Inner:\x028\x01\x1aE\n\rStatusBy'
    b"Entry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12#\n\x05value\x18\x02 \x01(\x0e2\x14.torture.wide.Statu"
    b"s:\x028\x01\x1aG\n\tAtByEntry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12)\n\x05value\x18\x02 \x01(\x0b2\x1a.googl"
    b"e.protobuf.Timestamp:\x028\x01\x1aI\n\x0bNullByEntry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12)"
    b"\n\x05value\x18\x02 \x01(\x0e2\x1a.google.protobuf.NullValue:\x028\x01\x1a,\n\nRawBy"
    b"Entry\x12\x0b\n\x03key\x18\x01 \x01(\x05\x12\r\n\x05value\x18\x02 \x01(\x0c:\x028\x01B\x05\n"
    b'\x03oneB\x08\n\x06_maybe"\xac\x01\n\x08Keywords\x12\x0c\n\x04from\x18\x01 \x01('
    b"\t\x12&\n\x02in\x18\x02 \x01(\x0b2\x1a.google.protobuf.Timestamp\x12\x1f\n\x02is\x18\x03 \x01(\x0b2"
    b"\x13.torture.wide.Inner\x12!\n\x03not\x18\x04 \x03(\x0e2\x14.torture.wide.Statu"
    b's\x12&\n\x02or\x18\x05 \x01(\x0b2\x1a.google.protobuf.ListValue")\n\x0bOnlyStrin'
    b'gs\x12\x0c\n\x04name\x18\x01 \x01(\t\x12\x0c\n\x04from\x18\x02 \x01(\t"6\n\x0cLastAssigned\x12&\n\x02at\x18\x01'
    b" \x01(\x0b2\x1a.google.protobuf.Timestamp*/\n\x06Status\x12\x16\n\x12STATUS_UNSPECIFIED\x10\x00\x12\r\n\tST"
    b"ATUS_OK\x10\x01b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
