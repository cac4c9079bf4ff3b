"""Messages of events.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Happened",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Happened(_message.Message):
    """Something that happened."""

    key: str
    """What orders it."""
    number: int
    """Which one it is."""
    text: str
    """Some text."""

    def __init__(self, *, key: str | None = ..., number: int | None = ..., text: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["key", "number", "text"]) -> None: ...

    KEY_FIELD_NUMBER: _typing.Final = 1
    NUMBER_FIELD_NUMBER: _typing.Final = 2
    TEXT_FIELD_NUMBER: _typing.Final = 3
