"""Messages of lab.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\tlab.proto\x12\x03lab"\x15\n\x04Text\x12\r\n\x05value\x18\x01 \x01(\t"\x17\n\x06Number\x12\r\n\x05v'
    b"alue\x18\x01 \x01(\x032\x80\x02\n\x03Lab\x12\x1b\n\x03Act\x12\t.lab.Text\x1a\t.lab.Text\x12!\n\x04Loo"
    b'k\x12\t.lab.Text\x1a\t.lab.Text"\x03\x90\x02\x01\x12(\n\x05Count\x12\x0b.lab.Number\x1a\x0b.l'
    b'ab.Number"\x03\x90\x02\x010\x01\x12!\n\x03Sum\x12\x0b.lab.Number\x1a\x0b.lab.Number(\x01\x12 \n'
    b"\x04Talk\x12\t.lab.Text\x1a\t.lab.Text(\x010\x01\x12\x1f\n\x07Missing\x12\t.lab.Text\x1a\t.lab.Text\x12)\n\rMiss"
    b"ingStream\x12\t.lab.Text\x1a\t.lab.Text(\x010\x012*\n\x05Annex\x12!\n\x04Look\x12\t.lab.Text\x1a\t.lab.Te"
    b'xt"\x03\x90\x02\x01b\x06proto3'
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
