"""Messages of torture/events.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import google.protobuf.any_pb2
import google.protobuf.duration_pb2
import google.protobuf.empty_pb2
import google.protobuf.field_mask_pb2
import google.protobuf.struct_pb2
import google.protobuf.timestamp_pb2
import google.protobuf.wrappers_pb2
import micro_rt.annotations_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x14torture/events.proto\x12\x0etorture.events\x1a\x19google/protobuf/any.proto\x1a\x1egoogl"
    b"e/protobuf/duration.proto\x1a\x1bgoogle/protobuf/empty.proto\x1a google/protobuf/field_mask.proto\x1a\x1cgoogle"
    b"/protobuf/struct.proto\x1a\x1fgoogle/protobuf/timestamp.proto\x1a\x1egoogle/protobuf"
    b'/wrappers.proto\x1a\x1amicro_rt/annotations.proto"(\n\x03str\x12\x0c\n\x04'
    b'from\x18\x01 \x01(\t:\x13\x92\x82\x19\x0f\n\x07torture\x12\x04from"G\n\x05bytes\x12!\n\x05class\x18\x01 \x01('
    b'\x0b2\x12.torture.events.In:\x1b\x92\x82\x19\x17\n\x07torture\x12\x0cclass.import"\x15\n\x04'
    b'list:\r\x92\x82\x19\t\n\x07torture"\x19\n\x08Datetime:\r\x92\x82\x19\t\n\x07torture"\x19\n\x08Iter'
    b'able:\r\x92\x82\x19\t\n\x07torture"\x1b\n\nPublishAll:\r\x92\x82\x19\t\n\x07torture"\x1d\n\x0cpu'
    b'blish_all_:\r\x92\x82\x19\t\n\x07torture"\x1a\n\tTombstone:\r\x92\x82\x19\t\n\x07torture"'
    b'\x18\n\x07_Hidden:\r\x92\x82\x19\t\n\x07torture"\x17\n\x06Import:\r\x92\x82\x19\t\n\x07torture"\x1c\n\x0b'
    b'annotations:\r\x92\x82\x19\t\n\x07torture" \n\x0fEventsPublisher:\r\x92\x82\x19\t\n\x07torture"\x1a\n\tPublishe'
    b'r:\r\x92\x82\x19\t\n\x07torture"\x10\n\x0e_EVENTS_EVENTS"9\n\x05Order\x1a\x17\n\x06Placed:'
    b'\r\x92\x82\x19\t\n\x07torture\x1a\x17\n\x06Import:\r\x92\x82\x19\t\n\x07torture"\x1c\n\x0bOrderPlaced'
    b':\r\x92\x82\x19\t\n\x07torture"\x14\n\x02In\x12\x0e\n\x06import\x18\x01 \x01(\x03"\xf8\x02\nTAnEventWithA'
    b"NameThatIsSoLongThatHardlyAnythingFitsIntoALineOfAHundredAndTwentyWithIt\x12K\nCa_field_with_a_name_"
    b"that_is_so_long_that_it_takes_a_line_of_its_own\x18\x01 \x01(\x04:\xd2\x01\x92\x82\x19\xcd\x01\nZtorture.e"
    b"vents.with.names.that.are.so.long.that.hardly.anything.fits.into.a.line_with-them\x12Ca_field_with_"
    b"a_name_that_is_so_long_that_it_takes_a_line_of_its_own\x1a!1.0.0-alpha.with"
    b'.many.identifiers"\x05\x08\x80\xe7\x84\x0f(d"\xbe\x10\n\nEverything\x12\x10\n\x08a_double\x18'
    b"\x01 \x01(\x01\x12\x0f\n\x07a_float\x18\x02 \x01(\x02\x12\x0f\n\x07a_int32\x18\x03 \x01(\x05\x12"
    b"\x0f\n\x07a_int64\x18\x04 \x01(\x03\x12\x10\n\x08a_uint32\x18\x05 \x01(\r\x12\x10\n\x08a_"
    b"uint64\x18\x06 \x01(\x04\x12\x10\n\x08a_sint32\x18\x07 \x01(\x11\x12\x10\n\x08a_sint"
    b"64\x18\x08 \x01(\x12\x12\x11\n\ta_fixed32\x18\t \x01(\x07\x12\x11\n\ta_fixed64\x18\n \x01(\x06\x12\x12\n\na_sf"
    b"ixed32\x18\x0b \x01(\x0f\x12\x12\n\na_sfixed64\x18\x0c \x01(\x10\x12\x0e\n\x06a_bo"
    b"ol\x18\r \x01(\x08\x12\x10\n\x08a_string\x18\x0e \x01(\t\x12\x0f\n\x07a_bytes\x18\x0f "
    b"\x01(\x0c\x12-\n\x04kind\x18\x10 \x01(\x0e2\x1f.torture.events.Everything.Kind\x12*\n\x06"
    b"itself\x18\x11 \x01(\x0b2\x1a.torture.events.Everything\x12(\n\x04many\x18\x12 \x03(\x0b2\x1a.torture.events."
    b"Everything\x12\x0f\n\x07numbers\x18\x13 \x03(\x04\x127\n\x07by_name\x18\x14 \x03(\x0b2&.torture"
    b".events.Everything.ByNameEntry\x12;\n\tby_number\x18\x15 \x03(\x0b2(.torture.events.Every"
    b"thing.ByNumberEntry\x127\n\x07by_flag\x18\x16 \x03(\x0b2&.torture.events.Everything.ByFlagE"
    b"ntry\x12?\n\x0bby_unsigned\x18\x17 \x03(\x0b2*.torture.events.Everything.ByUnsignedEntry\x12\x1c\n"
    b'\x05first\x18\x18 \x01(\tH\x00R\x0bthe "first"\x12$\n\x06second\x18\x19 \x01(\x0b2\x12.torture.'
    b"events.InH\x00\x12+\n\x05third\x18\x1a \x01(\x0e2\x1a.google.protobuf.NullValue"
    b"H\x00\x12\x0e\n\x04only\x18\x1b \x01(\x08H\x01\x12\x12\n\x05maybe\x18\x1c \x01(\tH\x02\x88\x01\x01\x12!"
    b"\n\x03any\x18\x1d \x01(\x0b2\x14.google.protobuf.Any\x12+\n\x08duration\x18\x1e \x01(\x0b2\x19."
    b"google.protobuf.Duration\x12%\n\x05empty\x18\x1f \x01(\x0b2\x16.google.protobuf.Empty\x12(\n\x04mask\x18"
    b"  \x01(\x0b2\x1a.google.protobuf.FieldMask\x12'\n\x06struct\x18! \x01(\x0b2\x17.google.protobuf.Stru"
    b'ct\x12%\n\x05value\x18" \x01(\x0b2\x16.google.protobuf.Value\x12*\n\x06values\x18# \x01(\x0b2\x1a.google.proto'
    b"buf.ListValue\x12(\n\x04time\x18$ \x01(\x0b2\x1a.google.protobuf.Timestamp\x12.\n\nbool_value\x18% "
    b"\x01(\x0b2\x1a.google.protobuf.BoolValue\x120\n\x0bbytes_value\x18& \x01(\x0b2\x1b.google.protobuf.B"
    b"ytesValue\x122\n\x0cdouble_value\x18' \x01(\x0b2\x1c.google.protobuf.DoubleValue\x120\n\x0bfloat_v"
    b"alue\x18( \x01(\x0b2\x1b.google.protobuf.FloatValue\x120\n\x0bint32_value\x18) \x01(\x0b2\x1b.google.pr"
    b"otobuf.Int32Value\x120\n\x0bint64_value\x18* \x01(\x0b2\x1b.google.protobuf.Int64Value\x122\n\x0cs"
    b"tring_value\x18+ \x01(\x0b2\x1c.google.protobuf.StringValue\x122\n\x0cuint32_value\x18, \x01(\x0b2\x1c."
    b"google.protobuf.UInt32Value\x122\n\x0cuint64_value\x18- \x01(\x0b2\x1c.google.protobuf.UInt"
    b"64Value\x12\x0f\n\x03old\x18. \x01(\tB\x02\x18\x01\x12/\n\x05mixed\x18/ \x01(\x0b2 .torture.even"
    b"ts.Everything.Mixed\x1aI\n\x0bByNameEntry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12)\n\x05val"
    b"ue\x18\x02 \x01(\x0b2\x1a.torture.events.Everything:\x028\x01\x1aP\n\rByNumberEn"
    b"try\x12\x0b\n\x03key\x18\x01 \x01(\x03\x12.\n\x05value\x18\x02 \x01(\x0e2\x1f.torture.events.Every"
    b"thing.Kind:\x028\x01\x1a-\n\x0bByFlagEntry\x12\x0b\n\x03key\x18\x01 \x01(\x08\x12\r\n\x05value\x18\x02 "
    b"\x01(\x0c:\x028\x01\x1a1\n\x0fByUnsignedEntry\x12\x0b\n\x03key\x18\x01 \x01(\r\x12"
    b"\r\n\x05value\x18\x02 \x01(\x01:\x028\x01\x1a\x15\n\x05Mixed\x12\x0c\n\x04done\x18\x01 \x01("
    b'\x08"=\n\x04Kind\x12\x14\n\x10KIND_UNSPECIFIED\x10\x00\x12\x0c\n\x08KIND_ONE\x10\x01\x12\r\n\tKIND_'
    b"EINS\x10\x01\x1a\x02\x10\x01:\x1e\x92\x82\x19\x1a\n\x12torture.everything\x12\x04kindB\x08\n\x06choiceB\x08"
    b"\n\x06singleB\x08\n\x06_maybeJ\x04\x08d\x10oJ\x06\x08\xc8\x01\x10\xc9\x01J\t\x08\xe8\x07\x10\x80\x80"
    b"\x80\x80\x02R\x04goneR\x04lostb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
