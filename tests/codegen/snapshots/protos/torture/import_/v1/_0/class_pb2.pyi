"""Messages of torture/import/v1.0/class.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from ..._3d_shape_pb2 import Shape

__all__ = [
    "Class",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Class(_message.Message):
    @property
    def shape(self) -> Shape: ...
    def __init__(self, *, shape: Shape | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["shape"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["shape"]) -> None: ...

    SHAPE_FIELD_NUMBER: _typing.Final = 1
