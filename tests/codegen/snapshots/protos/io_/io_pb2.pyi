"""Messages of io/io.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "io",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class io(_message.Message):
    @property
    def io(self) -> _io: ...
    def __init__(self, *, io: _io | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["io"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["io"]) -> None: ...

    IO_FIELD_NUMBER: _typing.Final = 1

_io: _typing.TypeAlias = io
