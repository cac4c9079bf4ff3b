"""Messages of edition2024.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Settings",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Settings(_message.Message):
    known: str
    plain: str

    def __init__(self, *, known: str | None = ..., plain: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["known"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["known", "plain"]) -> None: ...

    KNOWN_FIELD_NUMBER: _typing.Final = 1
    PLAIN_FIELD_NUMBER: _typing.Final = 2
