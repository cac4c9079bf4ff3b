"""Messages of edition.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Settings",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Settings(_message.Message):
    plain: str
    known: str
    @property
    def part(self) -> Settings: ...
    def __init__(self, *, plain: str | None = ..., known: str | None = ..., part: Settings | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["known", "part"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["plain", "known", "part"]) -> None: ...

    PLAIN_FIELD_NUMBER: _typing.Final = 1
    KNOWN_FIELD_NUMBER: _typing.Final = 2
    PART_FIELD_NUMBER: _typing.Final = 3
