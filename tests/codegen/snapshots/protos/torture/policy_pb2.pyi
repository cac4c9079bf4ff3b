"""Messages of torture/policy.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Happened",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Happened(_message.Message):
    """An event."""

    id: str

    def __init__(self, *, id: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
