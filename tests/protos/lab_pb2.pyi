"""Messages of lab.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Number",
    "Text",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Text(_message.Message):
    """Some text."""

    value: str
    """The text."""

    def __init__(self, *, value: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["value"]) -> None: ...

    VALUE_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class Number(_message.Message):
    """A number."""

    value: int
    """The number."""

    def __init__(self, *, value: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["value"]) -> None: ...

    VALUE_FIELD_NUMBER: _typing.Final = 1
