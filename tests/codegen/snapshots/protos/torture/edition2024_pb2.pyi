"""Messages of torture/edition2024.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "Seen",
    "Unseen",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Seen(_message.Message):
    name: str
    @property
    def unseen(self) -> Unseen: ...
    inner: Seen.Inner

    def __init__(
        self, *, name: str | None = ..., unseen: Unseen | None = ..., inner: Seen.Inner | None = ...
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["name", "unseen", "inner"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["name", "unseen", "inner"]) -> None: ...

    NAME_FIELD_NUMBER: _typing.Final = 1
    UNSEEN_FIELD_NUMBER: _typing.Final = 2
    INNER_FIELD_NUMBER: _typing.Final = 3

    class Inner(int, metaclass=_enums.EnumTypeWrapper):
        INNER_NOTHING: _typing.ClassVar[Seen.Inner]

        @classmethod
        def Value(cls, name: str) -> Seen.Inner: ...
        @classmethod
        def values(cls) -> list[Seen.Inner]: ...
        @classmethod
        def items(cls) -> list[tuple[str, Seen.Inner]]: ...

    INNER_NOTHING: _typing.ClassVar[Seen.Inner]

@_typing.final
class Unseen(_message.Message):
    number: int

    def __init__(self, *, number: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["number"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["number"]) -> None: ...

    NUMBER_FIELD_NUMBER: _typing.Final = 1
