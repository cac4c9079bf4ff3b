"""Messages of greeter.proto, written by protoc-gen-micro: change the .proto instead."""

from google.protobuf import descriptor_pool as _descriptor_pool
from google.protobuf.internal import builder as _builder

DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(
    b'\n\rgreeter.proto\x12\x07greeter"\x1c\n\x0cHelloRequest\x12\x0c\n\x04name\x18\x01 \x01(\t",\n\rRepeatRequest\x12'
    b'\x0c\n\x04name\x18\x01 \x01(\t\x12\r\n\x05times\x18\x02 \x01(\x05"\x1d\n\nHelloReply\x12\x0f\n\x07message\x18'
    b"\x01 \x01(\t2\xf4\x01\n\x07Greeter\x12;\n\x08SayHello\x12\x15.greeter.HelloRequest\x1a\x13.greeter.HelloRepl"
    b'y"\x03\x90\x02\x01\x12<\n\x06Repeat\x12\x16.greeter.RepeatRequest\x1a\x13.greeter.Hel'
    b'loReply"\x03\x90\x02\x010\x01\x126\n\x06Gather\x12\x15.greeter.HelloRequest\x1a\x13.greeter.HelloReply(\x01\x126'
    b"\n\x04Chat\x12\x15.greeter.HelloRequest\x1a\x13.greeter.HelloReply(\x010\x01b\x06proto3"
)

_builder.BuildMessageAndEnumDescriptors(DESCRIPTOR, globals())
_builder.BuildTopDescriptorsAndMessages(DESCRIPTOR, __name__, globals())
