"""Messages of torture/proto2.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportConstantRedefinition=false, reportUnusedImport=false

import builtins as _builtins
from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

from . import only_enum_pb2
from .public import first_pb2
from .public.first_pb2 import *

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b"\n\x14torture/proto2.proto\x12\x0etorture.proto2\x1a\x17torture/only_enum.proto\x1a\x1atorture"
    b'/public/first.proto"\x81\n\n\nEverything\x12\x0c\n\x04must\x18\x01 \x02(\t\x12\x0f\n\x03ma'
    b"y\x18\x02 \x01(\x05:\x02-7\x12\x10\n\x04many\x18\x03 \x03(\x12B\x02\x10\x01\x12\x12\n\x05small\x18\x04"
    b" \x01(\x02:\x03inf\x12\x10\n\x03odd\x18\x05 \x01(\x01:\x03nan\x12\x1b\n\x03raw\x18\x06 \x01(\x0c"
    b":\x0e\\000\\001\\\"\\'\\\\\x12)\n\x04text\x18\x07 \x01(\t:\x1ba \"quoted\" 'text' \\ \xc3\xbc"
    b"mlaut\x128\n\x06colour\x18\x08 \x01(\x0e2!.torture.proto2.Everything.Colour:\x05GREEN\x12\x11\n\x03yes\x18\t"
    b" \x01(\x08:\x04true\x12!\n\x03big\x18\n \x01(\x06:\x1418446744073709551615\x121\n\x06resul"
    b"t\x18\x0b \x01(\n2!.torture.proto2.Everything.Result\x12-\n\x04item\x18\x0c \x03(\n2\x1f.torture.proto"
    b"2.Everything.Item\x12/\n\x04left\x18\r \x01(\n2\x1f.torture.proto2.Everything.LeftH\x00\x12+\n\x05ri"
    b"ght\x18\x0e \x01(\x0b2\x1a.torture.proto2.EverythingH\x00\x127\n\x07by_name\x18\x0f \x03(\x0b2&.torture.proto"
    b"2.Everything.ByNameEntry\x128\n\x07colours\x18\x10 \x03(\x0b2'.torture.proto2.Everything.Co"
    b"loursEntry\x12*\n\x05first\x18\x11 \x01(\x0b2\x17.torture.publicly.FirstB\x02\x18\x01"
    b"\x12\x12\n\x04json\x18\x12 \x01(\tR\x04JSON\x1aj\n\x06Result\x12\x0b\n\x03url\x18\x01 \x01(\t\x12:\n\x07snippet"
    b"\x18\x02 \x03(\n2).torture.proto2.Everything.Result.Snippet\x1a\x17\n\x07Snippet\x12\x0c\n\x04line\x18\x03 \x02"
    b"(\t\x1a5\n\x04Item\x12-\n\x04next\x18\x01 \x01(\x0b2\x1f.torture.proto2.Everything.I"
    b"tem\x1a\x14\n\x04Left\x12\x0c\n\x04left\x18\x01 \x01(\x05\x1aI\n\x0bByNameEntry"
    b"\x12\x0b\n\x03key\x18\x01 \x01(\t\x12)\n\x05value\x18\x02 \x01(\x0b2\x1a.torture.proto2.Everythi"
    b"ng:\x028\x01\x1aQ\n\x0cColoursEntry\x12\x0b\n\x03key\x18\x01 \x01(\x05\x120\n\x05value\x18\x02 \x01(\x0e2!.t"
    b"orture.proto2.Everything.Colour:\x028\x01\x1a\x15\n\x05Extra\x12\x0c\n\x04note\x18\x01"
    b' \x01(\t"A\n\x06Colour\x12\x07\n\x03RED\x10\x00\x12\t\n\x05GREEN\x10\x01\x12\x08\n\x04VE'
    b"RT\x10\x01\x12\x15\n\x08NEGATIVE\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x02\x10"
    b"\x01*\x05\x08d\x10\xc8\x01*\t\x08\xe8\x07\x10\x80\x80\x80\x80\x022E\n\x05inner\x12\x1a.torture.proto2.Everythi"
    b"ng\x18d \x01(\x0b2\x1a.torture.proto2.Everything2K\n\x05extra\x12\x1a.torture.proto2.Everythin"
    b'g\x18e \x03(\n2 .torture.proto2.Everything.ExtraB\x08\n\x06eitherJ\x04\x082\x10=R\x04goneR\x04away"\x13\n'
    b'\x03Set*\x08\x08\x04\x10\xff\xff\xff\xff\x07:\x02\x08\x01"W\n\x07Element\x12\r\n\x05value\x18\x01'
    b" \x01(\t2=\n\x07element\x12\x13.torture.proto2.Set\x18\x05 \x01(\x0b2\x17.torture.proto2.Element:L\n\x05s"
    b"hade\x12\x1a.torture.proto2.Everything\x18n \x01(\x0e2!.torture.proto2.Everything.Colou"
    b"r:/\n\x07numbers\x12\x1a.torture.proto2.Everything\x18o \x03(\x05B\x02\x10\x01B\t\n\x07tortureP\x01X\x00"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, _builtins.globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, _builtins.globals())
