"""Messages of torture/edition2023.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x19torture/edition2023.proto\x12\rtorture.e2023"\xe9\x01\n\x08Features\x12\x10\n\x08implicit\x18\x01 \x01('
    b"\x05\x12\x17\n\x08explicit\x18\x02 \x01(\x05B\x05\xaa\x01\x02\x08\x01\x12\x17\n\x08required\x18\x03"
    b" \x01(\x05B\x05\xaa\x01\x02\x08\x03\x121\n\tdelimited\x18\x04 \x01(\x0b2\x17.torture.e2023.Feature"
    b"sB\x05\xaa\x01\x02(\x02\x12\x17\n\x08expanded\x18\x05 \x03(\x05B\x05\xaa\x01\x02\x18\x02\x12\x18\n\tunc"
    b"hecked\x18\x06 \x01(\tB\x05\xaa\x01\x02 \x03\x12,\n\x06closed\x18\x07 \x01(\x0e2\x15.torture.e2023.Cl"
    b"osedB\x05\xaa\x01\x02\x08\x01*\x05\x08d\x10\xc9\x01*\x1f\n\x06Closed\x12\x0f\n\x0bCLOSED_F"
    b"IVE\x10\x05\x1a\x04:\x02\x10\x02:)\n\x08extended\x12\x17.torture.e2023.Features\x18d \x01(\t"
    b"B\x05\x92\x03\x02\x08\x02b\x08editionsp\xe8\x07"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
