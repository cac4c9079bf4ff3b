"""Messages of torture/edition2023.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportPrivateUsage=false

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums
from google.protobuf.internal import extension_dict as _extensions

__all__ = [
    "CLOSED_FIVE",
    "Closed",
    "EXTENDED_FIELD_NUMBER",
    "Features",
    "extended",
]

DESCRIPTOR: _descriptor.FileDescriptor

class Closed(int, metaclass=_enums.EnumTypeWrapper):
    CLOSED_FIVE: _typing.ClassVar[Closed]

    @classmethod
    def Value(cls, name: str) -> Closed: ...
    @classmethod
    def values(cls) -> list[Closed]: ...
    @classmethod
    def items(cls) -> list[tuple[str, Closed]]: ...

CLOSED_FIVE: Closed

@_typing.final
class Features(_message.Message):
    implicit: int
    explicit: int
    required: int
    @property
    def delimited(self) -> Features: ...
    @property
    def expanded(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    unchecked: str
    closed: Closed

    def __init__(
        self,
        *,
        implicit: int | None = ...,
        explicit: int | None = ...,
        required: int | None = ...,
        delimited: Features | None = ...,
        expanded: _abc.Iterable[int] | None = ...,
        unchecked: str | None = ...,
        closed: Closed | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["explicit", "required", "delimited", "closed"]) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal["implicit", "explicit", "required", "delimited", "expanded", "unchecked", "closed"],
    ) -> None: ...

    IMPLICIT_FIELD_NUMBER: _typing.Final = 1
    EXPLICIT_FIELD_NUMBER: _typing.Final = 2
    REQUIRED_FIELD_NUMBER: _typing.Final = 3
    DELIMITED_FIELD_NUMBER: _typing.Final = 4
    EXPANDED_FIELD_NUMBER: _typing.Final = 5
    UNCHECKED_FIELD_NUMBER: _typing.Final = 6
    CLOSED_FIELD_NUMBER: _typing.Final = 7

EXTENDED_FIELD_NUMBER: int
extended: _extensions._ExtensionFieldDescriptor[Features, str]
