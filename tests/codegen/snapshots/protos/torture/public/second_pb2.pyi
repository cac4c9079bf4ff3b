"""Messages of torture/public/second.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "KEYED_NOTHING",
    "Keyed",
    "Second",
]

DESCRIPTOR: _descriptor.FileDescriptor

class Keyed(int, metaclass=_enums.EnumTypeWrapper):
    KEYED_NOTHING: _typing.ClassVar[Keyed]

    @classmethod
    def Value(cls, name: str) -> Keyed: ...
    @classmethod
    def values(cls) -> list[Keyed]: ...
    @classmethod
    def items(cls) -> list[tuple[str, Keyed]]: ...

KEYED_NOTHING: Keyed

@_typing.final
class Second(_message.Message):
    value: str

    def __init__(self, *, value: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["value"]) -> None: ...

    VALUE_FIELD_NUMBER: _typing.Final = 1
