"""Messages of greeter.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "HelloReply",
    "HelloRequest",
    "RepeatRequest",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class HelloRequest(_message.Message):
    """Who is to be greeted."""

    name: str
    """The person's name."""

    def __init__(self, *, name: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["name"]) -> None: ...

    NAME_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class RepeatRequest(_message.Message):
    """Who is to be greeted, and how often."""

    name: str
    """The person's name."""
    times: int
    """How many greetings it takes."""

    def __init__(self, *, name: str | None = ..., times: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["name", "times"]) -> None: ...

    NAME_FIELD_NUMBER: _typing.Final = 1
    TIMES_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class HelloReply(_message.Message):
    """A greeting."""

    message: str
    """The greeting's text."""

    def __init__(self, *, message: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["message"]) -> None: ...

    MESSAGE_FIELD_NUMBER: _typing.Final = 1
