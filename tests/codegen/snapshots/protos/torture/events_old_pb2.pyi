"""Messages of torture/events_old.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportPrivateUsage=false

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums
from google.protobuf.internal import extension_dict as _extensions

__all__ = [
    "COLOR_BLUE",
    "COLOR_RED",
    "Color",
    "Id",
    "MORE_FIELD_NUMBER",
    "Old",
    "more",
]

DESCRIPTOR: _descriptor.FileDescriptor

class Color(int, metaclass=_enums.EnumTypeWrapper):
    COLOR_RED: _typing.ClassVar[Color]
    COLOR_BLUE: _typing.ClassVar[Color]
    """Deprecated."""

    @classmethod
    def Value(cls, name: str) -> Color: ...
    @classmethod
    def values(cls) -> list[Color]: ...
    @classmethod
    def items(cls) -> list[tuple[str, Color]]: ...

COLOR_RED: Color
COLOR_BLUE: Color

@_typing.final
class Old(_message.Message):
    @property
    def id(self) -> Id: ...
    name: str
    data: bytes
    much: float
    color: Color
    @property
    def numbers(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    @property
    def part(self) -> _containers.RepeatedCompositeFieldContainer[Old.Part]: ...
    first: str
    @property
    def second(self) -> Old.Second: ...
    @property
    def by_name(self) -> _containers.MessageMap[str, Id]: ...
    def __init__(
        self,
        *,
        id: Id | None = ...,
        name: str | None = ...,
        data: bytes | None = ...,
        much: float | None = ...,
        color: Color | None = ...,
        numbers: _abc.Iterable[int] | None = ...,
        part: _abc.Iterable[Old.Part] | None = ...,
        first: str | None = ...,
        second: Old.Second | None = ...,
        by_name: _abc.Mapping[str, Id] | None = ...,
    ) -> None: ...
    def HasField(
        self, field_name: _typing.Literal["id", "name", "data", "much", "color", "first", "second", "choice"]
    ) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "id", "name", "data", "much", "color", "numbers", "part", "first", "second", "by_name", "choice"
        ],
    ) -> None: ...
    def WhichOneof(self, oneof_group: _typing.Literal["choice"]) -> _typing.Literal["first", "second"] | None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    NAME_FIELD_NUMBER: _typing.Final = 2
    DATA_FIELD_NUMBER: _typing.Final = 3
    MUCH_FIELD_NUMBER: _typing.Final = 4
    COLOR_FIELD_NUMBER: _typing.Final = 5
    NUMBERS_FIELD_NUMBER: _typing.Final = 6
    PART_FIELD_NUMBER: _typing.Final = 7
    FIRST_FIELD_NUMBER: _typing.Final = 8
    SECOND_FIELD_NUMBER: _typing.Final = 9
    BY_NAME_FIELD_NUMBER: _typing.Final = 10

    @_typing.final
    class Part(_message.Message):
        """A group."""

        text: str
        @property
        def inner(self) -> Old.Part.Inner: ...
        def __init__(self, *, text: str | None = ..., inner: Old.Part.Inner | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["text", "inner"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["text", "inner"]) -> None: ...

        TEXT_FIELD_NUMBER: _typing.Final = 1
        INNER_FIELD_NUMBER: _typing.Final = 2

        @_typing.final
        class Inner(_message.Message):
            flag: bool

            def __init__(self, *, flag: bool | None = ...) -> None: ...
            def HasField(self, field_name: _typing.Literal["flag"]) -> bool: ...
            def ClearField(self, field_name: _typing.Literal["flag"]) -> None: ...

            FLAG_FIELD_NUMBER: _typing.Final = 1

    @_typing.final
    class Second(_message.Message):
        x: int

        def __init__(self, *, x: int | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["x"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["x"]) -> None: ...

        X_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class Id(_message.Message):
    number: int

    def __init__(self, *, number: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["number"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["number"]) -> None: ...

    NUMBER_FIELD_NUMBER: _typing.Final = 1

MORE_FIELD_NUMBER: int
more: _extensions._ExtensionFieldDescriptor[Old, str]
