"""Messages of torture/events_old.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import micro_rt.annotations_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x18torture/events_old.proto\x12\x12torture.events_old\x1a\x1amicro_rt/annotations.pro"
    b'to"\xdf\x04\n\x03Old\x12"\n\x02id\x18\x01 \x02(\x0b2\x16.torture.events_old.Id\x12\x1e\n\x04name'
    b'\x18\x02 \x01(\t:\x10a "quoted"\nname\\\x12\x15\n\x04data\x18\x03 \x01(\x0c:\x07\\001\\"x\x12\x11\n\x04muc'
    b"h\x18\x04 \x01(\x01:\x03inf\x124\n\x05color\x18\x05 \x01(\x0e2\x19.torture.events_old.Color"
    b":\nCOLOR_BLUE\x12\x13\n\x07numbers\x18\x06 \x03(\x05B\x02\x10\x01\x12*\n\x04part\x18\x07 \x03(\n2\x1c.tort"
    b"ure.events_old.Old.Part\x12\x0f\n\x05first\x18\x08 \x01(\tH\x00\x120\n\x06second\x18\t \x01"
    b"(\n2\x1e.torture.events_old.Old.SecondH\x00\x124\n\x07by_name\x18\n \x03(\x0b2#.torture.events_o"
    b"ld.Old.ByNameEntry\x1ad\n\x04Part\x12\x0c\n\x04text\x18\x01 \x02(\t\x121\n\x05inner\x18\x02 \x01("
    b'\n2".torture.events_old.Old.Part.Inner\x1a\x1b\n\x05Inner\x12\x12\n\x04flag'
    b"\x18\x01 \x01(\x08:\x04true\x1a\x13\n\x06Second\x12\t\n\x01x\x18\x01 \x01(\x05\x1aE\n\x0bByN"
    b"ameEntry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12%\n\x05value\x18\x02 \x01(\x0b2\x16.torture.events_"
    b"old.Id:\x028\x01*\x05\x08d\x10\xc8\x01*\t\x08\xf4\x03\x10\x80\x80\x80\x80\x02:\x1c\x92\x82\x19\x18\n\x0btort"
    b'ure.old\x12\tid.numberB\x08\n\x06choice"\x14\n\x02Id\x12\x0e\n\x06number\x18\x01 \x02(\x12*P\n\x05'
    b"Color\x12\x16\n\tCOLOR_RED\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x12\x12\n\nCOLOR_B"
    b'LUE\x10\x02\x1a\x02\x08\x01"\x04\x08\x05\x10\x07"\x08\x08\n\x10\xff\xff\xff\xff\x07*\x0bCOLOR_GREEN:%'
    b"\n\x04more\x12\x17.torture.events_old.Old\x18d \x01(\t"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
