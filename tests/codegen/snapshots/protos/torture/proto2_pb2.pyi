"""Messages of torture/proto2.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportPrivateUsage=false

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums
from google.protobuf.internal import extension_dict as _extensions
from .public.first_pb2 import First, KEYED_NOTHING, Keyed, Second

__all__ = [
    "Element",
    "Everything",
    "First",
    "KEYED_NOTHING",
    "Keyed",
    "NUMBERS_FIELD_NUMBER",
    "SHADE_FIELD_NUMBER",
    "Second",
    "Set",
    "numbers",
    "shade",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Everything(_message.Message):
    must: str
    may: int
    @property
    def many(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    small: float
    odd: float
    raw: bytes
    text: str
    colour: Everything.Colour
    yes: bool
    big: int
    @property
    def result(self) -> Everything.Result: ...
    @property
    def item(self) -> _containers.RepeatedCompositeFieldContainer[Everything.Item]: ...
    @property
    def left(self) -> Everything.Left: ...
    @property
    def right(self) -> Everything: ...
    @property
    def by_name(self) -> _containers.MessageMap[str, Everything]: ...
    @property
    def colours(self) -> _containers.ScalarMap[int, Everything.Colour]: ...
    @property
    def first(self) -> First:
        """Deprecated."""
    json: str

    def __init__(
        self,
        *,
        must: str | None = ...,
        may: int | None = ...,
        many: _abc.Iterable[int] | None = ...,
        small: float | None = ...,
        odd: float | None = ...,
        raw: bytes | None = ...,
        text: str | None = ...,
        colour: Everything.Colour | None = ...,
        yes: bool | None = ...,
        big: int | None = ...,
        result: Everything.Result | None = ...,
        item: _abc.Iterable[Everything.Item] | None = ...,
        left: Everything.Left | None = ...,
        right: Everything | None = ...,
        by_name: _abc.Mapping[str, Everything] | None = ...,
        colours: _abc.Mapping[int, Everything.Colour] | None = ...,
        first: First | None = ...,
        json: str | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: _typing.Literal[
            "must",
            "may",
            "small",
            "odd",
            "raw",
            "text",
            "colour",
            "yes",
            "big",
            "result",
            "left",
            "right",
            "first",
            "json",
            "either",
        ],
    ) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "must",
            "may",
            "many",
            "small",
            "odd",
            "raw",
            "text",
            "colour",
            "yes",
            "big",
            "result",
            "item",
            "left",
            "right",
            "by_name",
            "colours",
            "first",
            "json",
            "either",
        ],
    ) -> None: ...
    def WhichOneof(self, oneof_group: _typing.Literal["either"]) -> _typing.Literal["left", "right"] | None: ...

    MUST_FIELD_NUMBER: _typing.Final = 1
    MAY_FIELD_NUMBER: _typing.Final = 2
    MANY_FIELD_NUMBER: _typing.Final = 3
    SMALL_FIELD_NUMBER: _typing.Final = 4
    ODD_FIELD_NUMBER: _typing.Final = 5
    RAW_FIELD_NUMBER: _typing.Final = 6
    TEXT_FIELD_NUMBER: _typing.Final = 7
    COLOUR_FIELD_NUMBER: _typing.Final = 8
    YES_FIELD_NUMBER: _typing.Final = 9
    BIG_FIELD_NUMBER: _typing.Final = 10
    RESULT_FIELD_NUMBER: _typing.Final = 11
    ITEM_FIELD_NUMBER: _typing.Final = 12
    LEFT_FIELD_NUMBER: _typing.Final = 13
    RIGHT_FIELD_NUMBER: _typing.Final = 14
    BY_NAME_FIELD_NUMBER: _typing.Final = 15
    COLOURS_FIELD_NUMBER: _typing.Final = 16
    FIRST_FIELD_NUMBER: _typing.Final = 17
    JSON_FIELD_NUMBER: _typing.Final = 18

    class Colour(int, metaclass=_enums.EnumTypeWrapper):
        RED: _typing.ClassVar[Everything.Colour]
        GREEN: _typing.ClassVar[Everything.Colour]
        VERT: _typing.ClassVar[Everything.Colour]
        NEGATIVE: _typing.ClassVar[Everything.Colour]

        @classmethod
        def Value(cls, name: str) -> Everything.Colour: ...
        @classmethod
        def values(cls) -> list[Everything.Colour]: ...
        @classmethod
        def items(cls) -> list[tuple[str, Everything.Colour]]: ...

    RED: _typing.ClassVar[Everything.Colour]
    GREEN: _typing.ClassVar[Everything.Colour]
    VERT: _typing.ClassVar[Everything.Colour]
    NEGATIVE: _typing.ClassVar[Everything.Colour]

    @_typing.final
    class Result(_message.Message):
        """A group of its own."""

        url: str
        @property
        def snippet(self) -> _containers.RepeatedCompositeFieldContainer[Everything.Result.Snippet]: ...
        def __init__(
            self, *, url: str | None = ..., snippet: _abc.Iterable[Everything.Result.Snippet] | None = ...
        ) -> None: ...
        def HasField(self, field_name: _typing.Literal["url"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["url", "snippet"]) -> None: ...

        URL_FIELD_NUMBER: _typing.Final = 1
        SNIPPET_FIELD_NUMBER: _typing.Final = 2

        @_typing.final
        class Snippet(_message.Message):
            line: str

            def __init__(self, *, line: str | None = ...) -> None: ...
            def HasField(self, field_name: _typing.Literal["line"]) -> bool: ...
            def ClearField(self, field_name: _typing.Literal["line"]) -> None: ...

            LINE_FIELD_NUMBER: _typing.Final = 3

    @_typing.final
    class Item(_message.Message):
        @property
        def next(self) -> Everything.Item: ...
        def __init__(self, *, next: Everything.Item | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["next"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["next"]) -> None: ...

        NEXT_FIELD_NUMBER: _typing.Final = 1

    @_typing.final
    class Left(_message.Message):
        left: int

        def __init__(self, *, left: int | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["left"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["left"]) -> None: ...

        LEFT_FIELD_NUMBER: _typing.Final = 1

    @_typing.final
    class Extra(_message.Message):
        note: str

        def __init__(self, *, note: str | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["note"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["note"]) -> None: ...

        NOTE_FIELD_NUMBER: _typing.Final = 1

    INNER_FIELD_NUMBER: int
    inner: _extensions._ExtensionFieldDescriptor[Everything, Everything]

    EXTRA_FIELD_NUMBER: int
    extra: _extensions._ExtensionFieldDescriptor[
        Everything, _containers.RepeatedCompositeFieldContainer[Everything.Extra]
    ]

@_typing.final
class Set(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class Element(_message.Message):
    value: str

    def __init__(self, *, value: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["value"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["value"]) -> None: ...

    VALUE_FIELD_NUMBER: _typing.Final = 1

    ELEMENT_FIELD_NUMBER: int
    element: _extensions._ExtensionFieldDescriptor[Set, Element]

SHADE_FIELD_NUMBER: int
shade: _extensions._ExtensionFieldDescriptor[Everything, Everything.Colour]

NUMBERS_FIELD_NUMBER: int
numbers: _extensions._ExtensionFieldDescriptor[Everything, _containers.RepeatedScalarFieldContainer[int]]
