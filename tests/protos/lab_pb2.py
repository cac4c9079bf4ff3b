"""Messages of lab.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

import micro_rt.annotations_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\tlab.proto\x12\x03lab\x1a\x1amicro_rt/annotations.proto"\x15\n\x04Text\x12\r'
    b'\n\x05value\x18\x01 \x01(\t"\x17\n\x06Number\x12\r\n\x05value\x18\x01 \x01(\x032\x80'
    b"\x02\n\x03Lab\x12\x1b\n\x03Act\x12\t.lab.Text\x1a\t.lab.Text\x12!\n\x04Look\x12\t.lab.Text"
    b'\x1a\t.lab.Text"\x03\x90\x02\x01\x12(\n\x05Count\x12\x0b.lab.Number\x1a\x0b.lab.Number"\x03\x90'
    b"\x02\x010\x01\x12!\n\x03Sum\x12\x0b.lab.Number\x1a\x0b.lab.Number(\x01\x12 \n\x04Talk\x12\t.lab."
    b"Text\x1a\t.lab.Text(\x010\x01\x12\x1f\n\x07Missing\x12\t.lab.Text\x1a\t.lab.Text\x12)\n\rMissingStream\x12\t."
    b"lab.Text\x1a\t.lab.Text(\x010\x012*\n\x05Annex\x12!\n\x04Look\x12\t.lab.Text\x1a\t."
    b'lab.Text"\x03\x90\x02\x012\x9b\x02\n\x08Policies\x12+\n\x05Hurry\x12\t.lab.Text\x1a\t.lab.T'
    b'ext"\x0c\x92\x82\x19\x08\n\x06\x10\x80\xca\xb5\xee\x01\x125\n\x0bHurryStream\x12\t.lab.Text\x1a\t.lab.Text'
    b'"\x0c\x92\x82\x19\x08\n\x06\x10\x80\xca\xb5\xee\x01(\x010\x01\x124\n\x06Insist\x12\t.lab.Text\x1a'
    b'\t.lab.Text"\x14\x92\x82\x19\x10\x12\x0e\x08\x03\x12\x04\x10\xc0\x84="\x02\x0e\n(\x01\x12M\n\x05Guar'
    b"d\x12\t.lab.Text\x1a\t.lab.Text\".\x90\x02\x01\x92\x82\x19'\n\x08\x08<\x10\x80\xca\xb5"
    b'\xee\x01\x12\x0f\x08\x02\x12\x02\x08\x01\x1a\x02\x08\x04"\x03\x0e\x08\n\x1a\n\n\x08lab:read\x12&\n\x04Open\x12'
    b'\t.lab.Text\x1a\t.lab.Text"\x08\x92\x82\x19\x04\x1a\x02\x10\x01b\x06proto3'
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
