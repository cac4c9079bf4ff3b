"""Messages of torture/import/3d-shape.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Shape",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Shape(_message.Message):
    points: bytes

    def __init__(self, *, points: bytes | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["points"]) -> None: ...

    POINTS_FIELD_NUMBER: _typing.Final = 1
