"""Messages of old.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\told.proto\x12\x03old"\xd5\x01\n\x06Record\x12\x0e\n\x06number\x18\x01 \x02(\x05\x12\x1b\n\x04text\x18\x02 '
    b'\x01(\t:\rit\'s "quoted"\x12\x1e\n\x04part\x18\x03 \x01(\n2\x10.old.Record.Part\x12 \n\x05'
    b"piece\x18\x04 \x03(\n2\x11.old.Record.Piece\x1a\x14\n\x04Part\x12\x0c\n\x04size\x18\x01 \x01(\x05\x1a\x15"
    b"\n\x05Piece\x12\x0c\n\x04name\x18\x01 \x02(\t*\x05\x08d\x10\xc9\x012(\n\x06inside\x12\x0b.old.Record\x18d "
    b"\x01(\x0b2\x0b.old.Record2+\n\x07Records\x12 \n\x04Keep\x12\x0b.old.Record\x1a\x0b.old.Record:\x1c\n\x07outside"
    b"\x12\x0b.old.Record\x18e \x01(\t:\x1c\n\x07numbers\x12\x0b.old.Record\x18f \x03(\x05:)\n\x07r"
    b"ecords\x12\x0b.old.Record\x18g \x03(\x0b2\x0b.old.Record"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
