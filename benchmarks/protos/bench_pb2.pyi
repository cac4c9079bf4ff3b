"""Messages of bench.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Item",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Item(_message.Message):
    """A small message: 24 bytes on the wire."""

    text: str
    """Some text."""
    number: int
    """How often, where that matters."""

    def __init__(self, *, text: str | None = ..., number: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["text", "number"]) -> None: ...

    TEXT_FIELD_NUMBER: _typing.Final = 1
    NUMBER_FIELD_NUMBER: _typing.Final = 2
