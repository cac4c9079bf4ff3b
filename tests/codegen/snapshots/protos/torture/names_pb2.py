"""Messages of torture/names.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportUnusedImport=false

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

from .import_.v1._0 import class_pb2

if (__package__ or "").count(".") >= 1:
    from ..io_ import io_pb2
else:
    import io_.io_pb2

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x13torture/names.proto\x12\x06typing\x1a\x0bio/io.proto\x1a\x1ftorture/import/v1.0/class.pr"
    b'oto"\x0b\n\tnames_pb2"\r\n\x0bnames_micro"\n\n\x08micro_rt"\x08\n\x06typing"\r\n\x0bcollections"\n\n\x08'
    b'builtins"\t\n\x07Message"\x05\n\x03Any"\x05\n\x03str"\x06\n\x04bool"\t\n\x07Context"\x0b'
    b'\n\tShoutBase"\r\n\x0bShoutClient"\x08\n\x06_SHOUT"\x0c\n\ndeprecated"\r\n\x0bannotations"\xba\x04\n\x04Us'
    b"es\x12$\n\tnames_pb2\x18\x01 \x01(\x0b2\x11.typing.names_pb2\x12\x1e\n\x06typing\x18\x02 \x01"
    b"(\x0b2\x0e.typing.typing\x12\x18\n\x03str\x18\x03 \x01(\x0b2\x0b.typing.str\x12\x1a\n\x04bool\x18\x04"
    b" \x01(\x0b2\x0c.typing.bool\x12 \n\x07message\x18\x05 \x03(\x0b2\x0f.typing.Message\x12,"
    b"\n\x08builtins\x18\x06 \x03(\x0b2\x1a.typing.Uses.BuiltinsEntry\x12\x12\n\x02io\x18\x07 \x01"
    b"(\x0b2\x06.io.io\x12*\n\x05class\x18\x08 \x01(\x0b2\x1b.torture.import.class.Class"
    b"\x12\x0c\n\x04from\x18\t \x01(\t\x12\x0e\n\x06lambda\x18\n \x03(\x05\x12(\n\x06global"
    b"\x18\x0b \x03(\x0b2\x18.typing.Uses.GlobalEntry\x12!\n\t__private\x18\x0c \x01(\x0b2\x0e."
    b"typing._SHOUT\x12\x0c\n\x02is\x18\r \x01(\tH\x00\x12\r\n\x03not\x18\x0e \x01(\x05H\x00\x12\r\n\x05match\x18\x0f "
    b"\x01(\t\x12\t\n\x01_\x18\x10 \x01(\t\x1aA\n\rBuiltinsEntry\x12\x0b\n\x03key\x18\x01"
    b" \x01(\t\x12\x1f\n\x05value\x18\x02 \x01(\x0b2\x10.typing.builtins:\x028\x01\x1a;\n\x0bGlobalEnt"
    b"ry\x12\x0b\n\x03key\x18\x01 \x01(\t\x12\x1b\n\x05value\x18\x02 \x01(\x0b2\x0c.typing.Uses:\x028\x01B\x04\n\x02in"
    b"2\xb3\x04\n\x05Shout\x12&\n\x06GetURL\x12\x0b.typing.Any\x1a\x0f.typing.Context\x12&\n\x06"
    b"getUrl\x12\x0f.typing.Context\x1a\x0b.typing.Any\x12-\n\x07get_url\x12\x0f.typing.Message\x1a\x0f.typin"
    b"g.Message0\x01\x12%\n\x06Import\x12\x0b.typing.str\x1a\x0c.typing.bool(\x01\x12.\n\x04case\x12\x11.typing.Shou"
    b"tBase\x1a\x13.typing.ShoutClient\x12-\n\x01_\x12\x13.typing.collections\x1a\x13.typing.annotation"
    b"s\x12,\n\x06_unary\x12\x0e.typing._SHOUT\x1a\x12.typing.deprecated\x12#\n\x05Unary\x12\x0c.typing.Uses\x1a\x0c"
    b".typing.Uses\x12/\n\x06_info_\x12\x13.typing.names_micro\x1a\x10.typing.micro_rt\x12,\n\x05Class\x12\x06"
    b".io.io\x1a\x1b.torture.import.class.Class\x12#\n\x05Close\x12\x0c.typing.Uses\x1a\x0c.typing.Uses"
    b"\x12%\n\x07Message\x12\x0c.typing.Uses\x1a\x0c.typing.Uses\x12'\n\t__class__\x12\x0c.typing.Uses\x1a\x0c.typ"
    b"ing.Usesb\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
