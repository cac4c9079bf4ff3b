"""Messages of comments.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x0ecomments.proto\x12\x08comments"T\n\x05Block\x12\t\n\x01a\x18\x01 \x01(\t\x12\t\n\x01b\x18\x02 '
    b"\x01(\t\x12\t\n\x01c\x18\x03 \x01(\t\x12\t\n\x01d\x18\x04 \x01(\t\x12\t\n\x01e\x18\x05 \x01(\t\x12\t\n\x01"
    b'f\x18\x06 \x01(\t\x12\t\n\x01g\x18\x07 \x01(\t"w\n\x07Starred\x12\t\n\x01a\x18\x01 \x01(\t'
    b"\x12\t\n\x01b\x18\x02 \x01(\t\x12\t\n\x01c\x18\x03 \x01(\t\x12\t\n\x01d\x18\x04 \x01(\t\x12\t\n\x01e\x18\x05"
    b" \x01(\t\x12\t\n\x01f\x18\x06 \x01(\t\x12\t\n\x01g\x18\x07 \x01(\t\x12\t\n\x01h\x18\x08 \x01(\t\x12\t\n"
    b"\x01i\x18\t \x01(\t\x12\t\n\x01j\x18\n \x01(\t2\x8d\x01\n\x04Talk\x12'\n\x03Say\x12\x0f.comments.Block\x1a\x0f"
    b".comments.Block\x12,\n\x03Old\x12\x0f.comments.Block\x1a\x0f.comments.Blo"
    b'ck"\x03\x88\x02\x01\x12.\n\x05Older\x12\x0f.comments.Block\x1a\x0f.comments.Block"\x03\x88\x02'
    b"\x012\x96\x01\n\x06Quoted\x12-\n\x05First\x12\x11.comments.Starred\x1a\x11.comments.St"
    b"arred\x12.\n\x06Second\x12\x11.comments.Starred\x1a\x11.comments.Starred\x12-\n\x05Third\x12\x11.comment"
    b"s.Starred\x1a\x11.comments.Starredb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
