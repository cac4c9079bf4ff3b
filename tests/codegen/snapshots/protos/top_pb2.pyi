"""Messages of top.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Label",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Label(_message.Message):
    text: str

    def __init__(self, *, text: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["text"]) -> None: ...

    TEXT_FIELD_NUMBER: _typing.Final = 1
