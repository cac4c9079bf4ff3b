"""Messages of mesh.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "Failure",
    "Node",
    "Number",
    "Pairs",
    "Rest",
    "Rests",
    "Shapes",
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

@_typing.final
class Node(_message.Message):
    """One process."""

    id: str
    """Unique."""
    language: str
    """
    "go" or "python".
    """

    def __init__(self, *, id: str | None = ..., language: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id", "language"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    LANGUAGE_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Failure(_message.Message):
    """An error to come."""

    kind: str
    """How: "error" as the language's own handlers do, "plain" with what is not an error of the mesh, "panic"."""
    code: int
    """One of HTTP's in Go, as go-micro has it; one of gRPC's in Python."""
    id: str
    """Who says so."""
    detail: str
    """What is wrong."""

    def __init__(
        self, *, kind: str | None = ..., code: int | None = ..., id: str | None = ..., detail: str | None = ...
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["kind", "code", "id", "detail"]) -> None: ...

    KIND_FIELD_NUMBER: _typing.Final = 1
    CODE_FIELD_NUMBER: _typing.Final = 2
    ID_FIELD_NUMBER: _typing.Final = 3
    DETAIL_FIELD_NUMBER: _typing.Final = 4

@_typing.final
class Rest(_message.Message):
    """A time of rest."""

    milliseconds: int
    """How long."""
    remaining: int
    """What is left until the deadline when it begins; negative without one."""
    name: str
    """Names it."""
    end: str
    """How it ended: "slept" or "stopped"."""

    def __init__(
        self,
        *,
        milliseconds: int | None = ...,
        remaining: int | None = ...,
        name: str | None = ...,
        end: str | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["milliseconds", "remaining", "name", "end"]) -> None: ...

    MILLISECONDS_FIELD_NUMBER: _typing.Final = 1
    REMAINING_FIELD_NUMBER: _typing.Final = 2
    NAME_FIELD_NUMBER: _typing.Final = 3
    END_FIELD_NUMBER: _typing.Final = 4

@_typing.final
class Rests(_message.Message):
    """Several."""

    @property
    def rests(self) -> _containers.RepeatedCompositeFieldContainer[Rest]:
        """All that have ended."""

    def __init__(self, *, rests: _abc.Iterable[Rest] | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["rests"]) -> None: ...

    RESTS_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class Pairs(_message.Message):
    """Metadata."""

    @property
    def values(self) -> _containers.ScalarMap[str, str]:
        """By key."""

    def __init__(self, *, values: _abc.Mapping[str, str] | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["values"]) -> None: ...

    VALUES_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class Shapes(_message.Message):
    """A field of every kind."""

    a_double: float
    a_float: float
    an_int32: int
    an_int64: int
    a_uint32: int
    a_uint64: int
    a_sint32: int
    a_sint64: int
    a_fixed32: int
    a_fixed64: int
    a_sfixed32: int
    a_sfixed64: int
    a_bool: bool
    a_string: str
    some_bytes: bytes
    colour: Shapes.Colour
    @property
    def inner(self) -> Shapes.Inner: ...
    @property
    def numbers(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    @property
    def chunks(self) -> _containers.RepeatedScalarFieldContainer[bytes]: ...
    @property
    def inners(self) -> _containers.RepeatedCompositeFieldContainer[Shapes.Inner]: ...
    @property
    def colours(self) -> _containers.RepeatedScalarFieldContainer[Shapes.Colour]: ...
    @property
    def by_name(self) -> _containers.MessageMap[str, Number]: ...
    maybe: str
    left: str
    @property
    def right(self) -> Number: ...
    def __init__(
        self,
        *,
        a_double: float | None = ...,
        a_float: float | None = ...,
        an_int32: int | None = ...,
        an_int64: int | None = ...,
        a_uint32: int | None = ...,
        a_uint64: int | None = ...,
        a_sint32: int | None = ...,
        a_sint64: int | None = ...,
        a_fixed32: int | None = ...,
        a_fixed64: int | None = ...,
        a_sfixed32: int | None = ...,
        a_sfixed64: int | None = ...,
        a_bool: bool | None = ...,
        a_string: str | None = ...,
        some_bytes: bytes | None = ...,
        colour: Shapes.Colour | None = ...,
        inner: Shapes.Inner | None = ...,
        numbers: _abc.Iterable[int] | None = ...,
        chunks: _abc.Iterable[bytes] | None = ...,
        inners: _abc.Iterable[Shapes.Inner] | None = ...,
        colours: _abc.Iterable[Shapes.Colour] | None = ...,
        by_name: _abc.Mapping[str, Number] | None = ...,
        maybe: str | None = ...,
        left: str | None = ...,
        right: Number | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["inner", "maybe", "left", "right", "choice"]) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "a_double",
            "a_float",
            "an_int32",
            "an_int64",
            "a_uint32",
            "a_uint64",
            "a_sint32",
            "a_sint64",
            "a_fixed32",
            "a_fixed64",
            "a_sfixed32",
            "a_sfixed64",
            "a_bool",
            "a_string",
            "some_bytes",
            "colour",
            "inner",
            "numbers",
            "chunks",
            "inners",
            "colours",
            "by_name",
            "maybe",
            "left",
            "right",
            "choice",
        ],
    ) -> None: ...
    def WhichOneof(self, oneof_group: _typing.Literal["choice"]) -> _typing.Literal["left", "right"] | None: ...

    A_DOUBLE_FIELD_NUMBER: _typing.Final = 1
    A_FLOAT_FIELD_NUMBER: _typing.Final = 2
    AN_INT32_FIELD_NUMBER: _typing.Final = 3
    AN_INT64_FIELD_NUMBER: _typing.Final = 4
    A_UINT32_FIELD_NUMBER: _typing.Final = 5
    A_UINT64_FIELD_NUMBER: _typing.Final = 6
    A_SINT32_FIELD_NUMBER: _typing.Final = 7
    A_SINT64_FIELD_NUMBER: _typing.Final = 8
    A_FIXED32_FIELD_NUMBER: _typing.Final = 9
    A_FIXED64_FIELD_NUMBER: _typing.Final = 10
    A_SFIXED32_FIELD_NUMBER: _typing.Final = 11
    A_SFIXED64_FIELD_NUMBER: _typing.Final = 12
    A_BOOL_FIELD_NUMBER: _typing.Final = 13
    A_STRING_FIELD_NUMBER: _typing.Final = 14
    SOME_BYTES_FIELD_NUMBER: _typing.Final = 15
    COLOUR_FIELD_NUMBER: _typing.Final = 16
    INNER_FIELD_NUMBER: _typing.Final = 17
    NUMBERS_FIELD_NUMBER: _typing.Final = 18
    CHUNKS_FIELD_NUMBER: _typing.Final = 19
    INNERS_FIELD_NUMBER: _typing.Final = 20
    COLOURS_FIELD_NUMBER: _typing.Final = 21
    BY_NAME_FIELD_NUMBER: _typing.Final = 22
    MAYBE_FIELD_NUMBER: _typing.Final = 23
    LEFT_FIELD_NUMBER: _typing.Final = 24
    RIGHT_FIELD_NUMBER: _typing.Final = 25

    class Colour(int, metaclass=_enums.EnumTypeWrapper):
        """A kind of thing."""

        COLOUR_UNSPECIFIED: _typing.ClassVar[Shapes.Colour]
        """None."""
        COLOUR_RED: _typing.ClassVar[Shapes.Colour]
        """Red."""

        @classmethod
        def Value(cls, name: str) -> Shapes.Colour: ...
        @classmethod
        def values(cls) -> list[Shapes.Colour]: ...
        @classmethod
        def items(cls) -> list[tuple[str, Shapes.Colour]]: ...

    COLOUR_UNSPECIFIED: _typing.ClassVar[Shapes.Colour]
    COLOUR_RED: _typing.ClassVar[Shapes.Colour]

    @_typing.final
    class Inner(_message.Message):
        """Within."""

        @property
        def number(self) -> Number:
            """Deeper."""
        @property
        def texts(self) -> _containers.RepeatedCompositeFieldContainer[Text]:
            """Some."""

        def __init__(self, *, number: Number | None = ..., texts: _abc.Iterable[Text] | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["number"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["number", "texts"]) -> None: ...

        NUMBER_FIELD_NUMBER: _typing.Final = 1
        TEXTS_FIELD_NUMBER: _typing.Final = 2
