"""Messages of torture/keywords.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x16torture/keywords.proto\x12\x10torture.keywords\"\xe1\x01\n\x04None\x12'\n"
    b"\x01a\x18\x01 \x01(\x0b2\x1c.torture.keywords.None.class\x12,\n\x06class_\x18\x02 \x01(\x0b2\x1c.torture.keyword"
    b"s.None.class\x1a|\n\x05class\x12/\n\x04true\x18\x01 \x01(\x0e2!.torture.keywords.None.class.True\x12$"
    b'\n\x04none\x18\x02 \x01(\x0b2\x16.torture.keywords.None"\x1c\n\x04True\x12\t\n\x05True_\x10'
    b'\x00\x12\t\n\x05FALSE\x10\x01*\x04\x08\n\x10\x15"\x07\n\x05None_"\x14\n\x04from\x12\x0c\n\x04f'
    b'rom\x18\x01 \x01(\t"1\n\x07Nothing\x12&\n\x06lambda\x18\x01 \x03(\x0b2\x16.torture.keyword'
    b"s.None*\x1d\n\x06import\x12\x08\n\x04pass\x10\x00\x12\t\n\x05raise\x10\x012\x83\x01\n\x03try\x12>\n\x06excep"
    b"t\x12\x16.torture.keywords.None\x1a\x1c.torture.keywords.None.class\x12<\n\x07finally\x12\x16.tor"
    b"ture.keywords.from\x1a\x17.torture.keywords.None_0\x01:<\n\x02is\x12\x16.torture.keywords.N"
    b"one\x18\n \x01(\x0e2\x18.torture.keywords.import::\n\x02in\x12\x16.torture.keywords.None\x18\x0b \x03(\x0b2"
    b"\x16.torture.keywords.from"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
None__ = globals()["None"]
None__.class__ = getattr(None__, "class")
None__.class__.True__ = getattr(None__.class__, "True")
from_ = globals()["from"]
import_ = globals()["import"]
