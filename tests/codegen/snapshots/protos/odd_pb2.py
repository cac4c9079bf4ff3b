"""Messages of odd.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\todd.proto\x12\x03odd"\x92\x02\n\x03Odd\x12\r\n\x05Clear\x18\x01 \x01(\t\x12\x12\n\nDESCRIPTOR\x18'
    b"\x02 \x01(\x05\x12\x1c\n\nExtensions\x18\x03 \x01(\x0b2\x08.odd.Odd\x12\x10\n\x08ByteSize\x18\x04 \x03(\x05\x12"
    b"\x19\n\x11SerializeToString\x18\x05 \x01(\t\x12\x10\n\x08HasField\x18\x06 \x01(\t\x12\x10\n\x08__init"
    b"__\x18\x07 \x01(\t\x12\x11\n\t__slots__\x18\x08 \x01(\t\x12\x10\n\x06choice\x18\t "
    b"\x01(\x05H\x00\x12\x1f\n\x17DESCRIPTOR_FIELD_NUMBER\x18\n \x01(\x05\x12\x11\n\tMergeFrom\x18\x0b "
    b'\x01(\t\x12\x12\n\nClearField\x18\x0c \x01(\tB\x0c\n\nWhichOneof"\x0c\n\nDESCRIPTOR"\x08\n'
    b'\x06object"\x08\n\x06google"\t\n\x07globals*B\n\x07Members\x12\x08\n\x04real\x10\x00\x12\x0e\n\nf'
    b"rom_bytes\x10\x01\x12\x08\n\x04Name\x10\x02\x12\x07\n\x03mro\x10\x03\x12\n\n\x06values\x10\x04b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
