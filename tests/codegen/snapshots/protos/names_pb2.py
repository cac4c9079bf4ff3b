"""Messages of names.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\x0bnames.proto\x12\x05names"\x8f\x03\n\x06Fields\x12\x0c\n\x04from\x18\x01 \x01(\t\x12\r\n\x05class'
    b"\x18\x02 \x01(\x05\x12\x0b\n\x03str\x18\x03 \x01(\t\x12\x0b\n\x03int\x18\x04 \x01(\x05\x12\r\n\x05byte"
    b"s\x18\x05 \x01(\x0c\x12\x0c\n\x04bool\x18\x06 \x01(\x08\x12\r\n\x05float\x18\x07 \x01(\x02\x12\x0c\n\x04"
    b"list\x18\x08 \x03(\t\x12%\n\x04dict\x18\t \x03(\x0b2\x17.names.Fields.DictEntry\x12\x1f\n\x08p"
    b"roperty\x18\n \x01(\x0b2\r.names.Fields\x12\x0c\n\x04self\x18\x0b \x01(\t\x12\x1b\n\x05Thing\x18\x0c "
    b"\x01(\x0b2\x0c.names.Thing\x12\x19\n\x04Kind\x18\r \x01(\x0e2\x0b.names.Kind\x12\x0f\n\x07_typin"
    b"g\x18\x0e \x01(\t\x12\x0c\n\x04_abc\x18\x0f \x03(\t\x12\x0c\n\x04type\x18\x10 \x01(\t\x12\r\n\x05m"
    b"atch\x18\x11 \x01(\t\x12\x0f\n\x07Literal\x18\x12 \x01(\t\x12\x0c\n\x04None\x18\x13 \x01(\t\x1a+\n\tDictEntry"
    b'\x12\x0b\n\x03key\x18\x01 \x01(\t\x12\r\n\x05value\x18\x02 \x01(\x05:\x028\x01"\x07\n\x05Thing"\x0f\n\rAsyncIter'
    b'ator"\x06\n\x04list"\x07\n\x05float"\x0f\n\rTYPE_CHECKING"\x08\n\x06_micro"\x10\n\x0eKeywordsClient"\t\n\x07im'
    b"port_*&\n\x04Kind\x12\x08\n\x04None\x10\x00\x12\t\n\x05items\x10\x01\x12\t\n\x05print\x10\x022\x85\x03\n\x08Keyw"
    b"ords\x12+\n\x06Import\x12\x14.names.AsyncIterator\x1a\x0b.names.list\x12%\n\x07import_\x12\x0c.names.Thi"
    b"ng\x1a\x0c.names.float\x12#\n\x04List\x12\x0c.names.Thing\x1a\x0b.names.list0\x01\x12"
    b"-\n\x05Float\x12\x0c.names.float\x1a\x14.names.TYPE_CHECKING(\x01\x12-\n\x05Match\x12\r.names._micro\x1a\x15"
    b".names.KeywordsClient\x12'\n\x07_Hidden\x12\x0e.names.import_\x1a\x0c.names.Thing\x12&\n\x08__init"
    b"__\x12\x0c.names.Thing\x1a\x0c.names.Thing\x12,\n\x04Self\x12\x0c.names.Thing\x1a\x14.names.AsyncIterat"
    b"or0\x01\x12#\n\x05Thing\x12\x0c.names.Thing\x1a\x0c.names.Thing2\t\n\x07Nothingb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
