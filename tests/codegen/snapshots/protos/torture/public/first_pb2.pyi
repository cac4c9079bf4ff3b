"""Messages of torture/public/first.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from .second_pb2 import KEYED_NOTHING, Keyed, Second

__all__ = [
    "First",
    "KEYED_NOTHING",
    "Keyed",
    "Second",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class First(_message.Message):
    @property
    def second(self) -> Second: ...
    def __init__(self, *, second: Second | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["second"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["second"]) -> None: ...

    SECOND_FIELD_NUMBER: _typing.Final = 1
