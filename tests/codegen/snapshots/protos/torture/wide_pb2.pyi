"""Messages of torture/wide.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import datetime as _datetime
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.type_pb2 import Syntax
from google.protobuf.wrappers_pb2 import Int32Value

__all__ = [
    "Inner",
    "Item",
    "Keywords",
    "LastAssigned",
    "OnlyStrings",
    "STATUS_OK",
    "STATUS_UNSPECIFIED",
    "Status",
]

DESCRIPTOR: _descriptor.FileDescriptor

class Status(int, metaclass=_enums.EnumTypeWrapper):
    STATUS_UNSPECIFIED: _typing.ClassVar[Status]
    STATUS_OK: _typing.ClassVar[Status]
    ValueType: _typing.TypeAlias = Status

    @classmethod
    def Value(cls, name: str | bytes) -> Status: ...
    @classmethod
    def values(cls) -> list[_typing.Any]: ...
    @classmethod
    def items(cls) -> list[tuple[str, _typing.Any]]: ...

STATUS_UNSPECIFIED: Status
STATUS_OK: Status

@_typing.final
class Inner(_message.Message):
    name: str
    @property
    def next(self) -> Inner: ...
    def __init__(self, *, name: str | None = ..., next: Inner | _Mapping | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["next"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["name", "next"]) -> None: ...

    NAME_FIELD_NUMBER: _typing.Final = 1
    NEXT_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Item(_message.Message):
    """A field of every kind that constructors accept more for than its own type."""

    @property
    def at(self) -> Timestamp: ...
    @at.setter
    def at(self, value: _datetime.datetime) -> None: ...
    @property
    def life(self) -> Duration: ...
    @life.setter
    def life(self, value: _datetime.timedelta) -> None: ...
    @property
    def struct(self) -> Struct: ...
    @struct.setter
    def struct(self, value: Struct | _Mapping) -> None: ...
    @property
    def value(self) -> Value: ...
    @property
    def list_value(self) -> ListValue: ...
    @list_value.setter
    def list_value(self, value: ListValue | list[_typing.Any]) -> None: ...
    null: NullValue.ValueType
    @property
    def any(self) -> Any: ...
    @property
    def mask(self) -> FieldMask: ...
    @property
    def wrapped(self) -> Int32Value: ...
    syntax: Syntax.ValueType
    @property
    def empty(self) -> Empty: ...
    @property
    def inner(self) -> Inner: ...
    status: Status
    maybe: Status
    @property
    def first(self) -> Inner: ...
    second: Status
    @property
    def third(self) -> Timestamp: ...
    @third.setter
    def third(self, value: _datetime.datetime) -> None: ...
    @property
    def inners(self) -> _containers.RepeatedCompositeFieldContainer[Inner]: ...
    @property
    def statuses(self) -> _containers.RepeatedScalarFieldContainer[Status]: ...
    @property
    def ats(self) -> _containers.RepeatedCompositeFieldContainer[Timestamp]: ...
    @property
    def lives(self) -> _containers.RepeatedCompositeFieldContainer[Duration]: ...
    @property
    def structs(self) -> _containers.RepeatedCompositeFieldContainer[Struct]: ...
    @property
    def nulls(self) -> _containers.RepeatedScalarFieldContainer[NullValue.ValueType]: ...
    @property
    def numbers(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    @property
    def inner_by(self) -> _containers.MessageMap[str, Inner]: ...
    @property
    def status_by(self) -> _containers.ScalarMap[str, Status]: ...
    @property
    def at_by(self) -> _containers.MessageMap[str, Timestamp]: ...
    @property
    def null_by(self) -> _containers.ScalarMap[str, NullValue.ValueType]: ...
    @property
    def raw_by(self) -> _containers.ScalarMap[int, bytes]: ...
    @property
    def last_life(self) -> Duration:
        """The last one can be assigned to."""
    @last_life.setter
    def last_life(self, value: _datetime.timedelta) -> None: ...
    raw: bytes
    text: str
    number: float

    def __init__(
        self,
        *,
        at: Timestamp | _datetime.datetime | _Mapping | None = ...,
        life: Duration | _datetime.timedelta | _Mapping | None = ...,
        struct: Struct | _Mapping | None = ...,
        value: Value | _Mapping | None = ...,
        list_value: ListValue | list[_typing.Any] | _Mapping | None = ...,
        null: NullValue.ValueType | str | None = ...,
        any: Any | _Mapping | None = ...,
        mask: FieldMask | _Mapping | None = ...,
        wrapped: Int32Value | _Mapping | None = ...,
        syntax: Syntax.ValueType | str | None = ...,
        empty: Empty | _Mapping | None = ...,
        inner: Inner | _Mapping | None = ...,
        status: Status | str | None = ...,
        maybe: Status | str | None = ...,
        first: Inner | _Mapping | None = ...,
        second: Status | str | None = ...,
        third: Timestamp | _datetime.datetime | _Mapping | None = ...,
        inners: _abc.Iterable[Inner | _Mapping] | None = ...,
        statuses: _abc.Iterable[Status | str] | None = ...,
        ats: _abc.Iterable[Timestamp | _datetime.datetime | _Mapping] | None = ...,
        lives: _abc.Iterable[Duration | _datetime.timedelta | _Mapping] | None = ...,
        structs: _abc.Iterable[Struct | _Mapping] | None = ...,
        nulls: _abc.Iterable[NullValue.ValueType | str] | None = ...,
        numbers: _abc.Iterable[int] | None = ...,
        inner_by: _abc.Mapping[str, Inner | _Mapping] | None = ...,
        status_by: _abc.Mapping[str, Status] | None = ...,
        at_by: _abc.Mapping[str, Timestamp | _Mapping] | None = ...,
        null_by: _abc.Mapping[str, NullValue.ValueType] | None = ...,
        raw_by: _abc.Mapping[int, bytes] | None = ...,
        last_life: Duration | _datetime.timedelta | _Mapping | None = ...,
        raw: bytes | None = ...,
        text: str | None = ...,
        number: float | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: _typing.Literal[
            "at",
            "life",
            "struct",
            "value",
            "list_value",
            "any",
            "mask",
            "wrapped",
            "empty",
            "inner",
            "maybe",
            "first",
            "second",
            "third",
            "last_life",
            "one",
        ],
    ) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "at",
            "life",
            "struct",
            "value",
            "list_value",
            "null",
            "any",
            "mask",
            "wrapped",
            "syntax",
            "empty",
            "inner",
            "status",
            "maybe",
            "first",
            "second",
            "third",
            "inners",
            "statuses",
            "ats",
            "lives",
            "structs",
            "nulls",
            "numbers",
            "inner_by",
            "status_by",
            "at_by",
            "null_by",
            "raw_by",
            "last_life",
            "raw",
            "text",
            "number",
            "one",
        ],
    ) -> None: ...
    def WhichOneof(self, oneof_group: _typing.Literal["one"]) -> _typing.Literal["first", "second", "third"] | None: ...

    AT_FIELD_NUMBER: _typing.Final = 1
    LIFE_FIELD_NUMBER: _typing.Final = 2
    STRUCT_FIELD_NUMBER: _typing.Final = 3
    VALUE_FIELD_NUMBER: _typing.Final = 4
    LIST_VALUE_FIELD_NUMBER: _typing.Final = 5
    NULL_FIELD_NUMBER: _typing.Final = 6
    ANY_FIELD_NUMBER: _typing.Final = 7
    MASK_FIELD_NUMBER: _typing.Final = 8
    WRAPPED_FIELD_NUMBER: _typing.Final = 9
    SYNTAX_FIELD_NUMBER: _typing.Final = 10
    EMPTY_FIELD_NUMBER: _typing.Final = 11
    INNER_FIELD_NUMBER: _typing.Final = 12
    STATUS_FIELD_NUMBER: _typing.Final = 13
    MAYBE_FIELD_NUMBER: _typing.Final = 14
    FIRST_FIELD_NUMBER: _typing.Final = 15
    SECOND_FIELD_NUMBER: _typing.Final = 16
    THIRD_FIELD_NUMBER: _typing.Final = 17
    INNERS_FIELD_NUMBER: _typing.Final = 18
    STATUSES_FIELD_NUMBER: _typing.Final = 19
    ATS_FIELD_NUMBER: _typing.Final = 20
    LIVES_FIELD_NUMBER: _typing.Final = 21
    STRUCTS_FIELD_NUMBER: _typing.Final = 22
    NULLS_FIELD_NUMBER: _typing.Final = 23
    NUMBERS_FIELD_NUMBER: _typing.Final = 24
    INNER_BY_FIELD_NUMBER: _typing.Final = 25
    STATUS_BY_FIELD_NUMBER: _typing.Final = 26
    AT_BY_FIELD_NUMBER: _typing.Final = 27
    NULL_BY_FIELD_NUMBER: _typing.Final = 28
    RAW_BY_FIELD_NUMBER: _typing.Final = 29
    LAST_LIFE_FIELD_NUMBER: _typing.Final = 30
    RAW_FIELD_NUMBER: _typing.Final = 31
    TEXT_FIELD_NUMBER: _typing.Final = 32
    NUMBER_FIELD_NUMBER: _typing.Final = 33

    @_typing.final
    class InnerByEntry(_message.Message):
        key: str
        @property
        def value(self) -> Inner: ...
        def __init__(self, *, key: str | None = ..., value: Inner | _Mapping | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["value"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["key", "value"]) -> None: ...

        KEY_FIELD_NUMBER: _typing.Final = 1
        VALUE_FIELD_NUMBER: _typing.Final = 2

    @_typing.final
    class StatusByEntry(_message.Message):
        key: str
        value: Status

        def __init__(self, *, key: str | None = ..., value: Status | str | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Never) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["key", "value"]) -> None: ...

        KEY_FIELD_NUMBER: _typing.Final = 1
        VALUE_FIELD_NUMBER: _typing.Final = 2

    @_typing.final
    class AtByEntry(_message.Message):
        key: str
        @property
        def value(self) -> Timestamp: ...
        @value.setter
        def value(self, value: _datetime.datetime) -> None: ...
        def __init__(
            self, *, key: str | None = ..., value: Timestamp | _datetime.datetime | _Mapping | None = ...
        ) -> None: ...
        def HasField(self, field_name: _typing.Literal["value"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["key", "value"]) -> None: ...

        KEY_FIELD_NUMBER: _typing.Final = 1
        VALUE_FIELD_NUMBER: _typing.Final = 2

    @_typing.final
    class NullByEntry(_message.Message):
        key: str
        value: NullValue.ValueType

        def __init__(self, *, key: str | None = ..., value: NullValue.ValueType | str | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Never) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["key", "value"]) -> None: ...

        KEY_FIELD_NUMBER: _typing.Final = 1
        VALUE_FIELD_NUMBER: _typing.Final = 2

    @_typing.final
    class RawByEntry(_message.Message):
        key: int
        value: bytes

        def __init__(self, *, key: int | None = ..., value: bytes | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Never) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["key", "value"]) -> None: ...

        KEY_FIELD_NUMBER: _typing.Final = 1
        VALUE_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Keywords(_message.Message):
    """Names that Python cannot write, beside what constructors accept more for."""

    def __init__(self, **keywords: _typing.Unpack[_Keywords_keywords]) -> None: ...
    def HasField(self, field_name: _typing.Literal["in", "is", "or"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["from", "in", "is", "not", "or"]) -> None: ...

    FROM_FIELD_NUMBER: _typing.Final = 1
    IN_FIELD_NUMBER: _typing.Final = 2
    IS_FIELD_NUMBER: _typing.Final = 3
    NOT_FIELD_NUMBER: _typing.Final = 4
    OR_FIELD_NUMBER: _typing.Final = 5

@_typing.final
class OnlyStrings(_message.Message):
    name: str

    def __init__(self, *, name: str | None = ..., **keywords: _typing.Unpack[_OnlyStrings_keywords]) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["name", "from"]) -> None: ...

    NAME_FIELD_NUMBER: _typing.Final = 1
    FROM_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class LastAssigned(_message.Message):
    @property
    def at(self) -> Timestamp:
        """When it happens."""
    @at.setter
    def at(self, value: _datetime.datetime) -> None: ...
    def __init__(self, *, at: Timestamp | _datetime.datetime | _Mapping | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["at"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["at"]) -> None: ...

    AT_FIELD_NUMBER: _typing.Final = 1

_Keywords_keywords = _typing.TypedDict(
    "_Keywords_keywords",
    {
        "from": str | None,
        "in": Timestamp | _datetime.datetime | _Mapping | None,
        "is": Inner | _Mapping | None,
        "not": _abc.Iterable[Status | str] | None,
        "or": ListValue | list[_typing.Any] | _Mapping | None,
    },
    total=False,
)

_OnlyStrings_keywords = _typing.TypedDict("_OnlyStrings_keywords", {"from": str | None}, total=False)

_Mapping: _typing.TypeAlias = _abc.Mapping[_typing.Any, _typing.Any]
