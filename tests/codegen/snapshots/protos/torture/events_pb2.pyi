"""Messages of torture/events.proto, written by protoc-gen-micro: change the .proto instead."""

import builtins as _builtins
import collections.abc as _abc
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
from google.protobuf.wrappers_pb2 import (
    BoolValue,
    BytesValue,
    DoubleValue,
    FloatValue,
    Int32Value,
    Int64Value,
    StringValue,
    UInt32Value,
    UInt64Value,
)

__all__ = [
    "AnEventWithANameThatIsSoLongThatHardlyAnythingFitsIntoALineOfAHundredAndTwentyWithIt",
    "Datetime",
    "EventsPublisher",
    "Everything",
    "Import",
    "In",
    "Iterable",
    "Order",
    "OrderPlaced",
    "PublishAll",
    "Publisher",
    "Tombstone",
    "_EVENTS_EVENTS",
    "_Hidden",
    "annotations",
    "bytes",
    "list",
    "publish_all_",
    "str",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class str(_message.Message):
    """Events called like what the generated code uses."""

    def __init__(self, **keywords: _typing.Unpack[_str_keywords]) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["from"]) -> None: ...

    FROM_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class bytes(_message.Message):
    def __init__(self, **keywords: _typing.Unpack[_bytes_keywords]) -> None: ...
    def HasField(self, field_name: _typing.Literal["class"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["class"]) -> None: ...

    CLASS_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class list(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class Datetime(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class Iterable(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class PublishAll(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class publish_all_(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class Tombstone(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class _Hidden(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class Import(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class annotations(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class EventsPublisher(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class Publisher(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class _EVENTS_EVENTS(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class Order(_message.Message):
    """Nested, and called like one that is not."""

    def __init__(self) -> None: ...

    @_typing.final
    class Placed(_message.Message):
        def __init__(self) -> None: ...

    @_typing.final
    class Import(_message.Message):
        def __init__(self) -> None: ...

@_typing.final
class OrderPlaced(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class In(_message.Message):
    def __init__(self, **keywords: _typing.Unpack[_In_keywords]) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["import"]) -> None: ...

    IMPORT_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class AnEventWithANameThatIsSoLongThatHardlyAnythingFitsIntoALineOfAHundredAndTwentyWithIt(_message.Message):
    """An event with a name that is so long that hardly anything fits into a line of a hundred and twenty with it."""

    a_field_with_a_name_that_is_so_long_that_it_takes_a_line_of_its_own: int

    def __init__(
        self, *, a_field_with_a_name_that_is_so_long_that_it_takes_a_line_of_its_own: int | None = ...
    ) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(
        self, field_name: _typing.Literal["a_field_with_a_name_that_is_so_long_that_it_takes_a_line_of_its_own"]
    ) -> None: ...

    A_FIELD_WITH_A_NAME_THAT_IS_SO_LONG_THAT_IT_TAKES_A_LINE_OF_ITS_OWN_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class Everything(_message.Message):
    """Everything that JSON has to write."""

    a_double: float
    a_float: float
    a_int32: int
    a_int64: int
    a_uint32: int
    a_uint64: int
    a_sint32: int
    a_sint64: int
    a_fixed32: int
    a_fixed64: int
    a_sfixed32: int
    a_sfixed64: int
    a_bool: bool
    a_string: _builtins.str
    a_bytes: _builtins.bytes
    kind: Everything.Kind
    @property
    def itself(self) -> Everything:
        """Itself again."""
    @property
    def many(self) -> _containers.RepeatedCompositeFieldContainer[Everything]: ...
    @property
    def numbers(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    @property
    def by_name(self) -> _containers.MessageMap[_builtins.str, Everything]: ...
    @property
    def by_number(self) -> _containers.ScalarMap[int, Everything.Kind]: ...
    @property
    def by_flag(self) -> _containers.ScalarMap[bool, _builtins.bytes]: ...
    @property
    def by_unsigned(self) -> _containers.ScalarMap[int, float]: ...
    first: _builtins.str
    @property
    def second(self) -> In: ...
    third: NullValue
    only: bool
    maybe: _builtins.str
    @property
    def any(self) -> Any: ...
    @property
    def duration(self) -> Duration: ...
    @property
    def empty(self) -> Empty: ...
    @property
    def mask(self) -> FieldMask: ...
    @property
    def struct(self) -> Struct: ...
    @property
    def value(self) -> Value: ...
    @property
    def values(self) -> ListValue: ...
    @property
    def time(self) -> Timestamp: ...
    @property
    def bool_value(self) -> BoolValue: ...
    @property
    def bytes_value(self) -> BytesValue: ...
    @property
    def double_value(self) -> DoubleValue: ...
    @property
    def float_value(self) -> FloatValue: ...
    @property
    def int32_value(self) -> Int32Value: ...
    @property
    def int64_value(self) -> Int64Value: ...
    @property
    def string_value(self) -> StringValue: ...
    @property
    def uint32_value(self) -> UInt32Value: ...
    @property
    def uint64_value(self) -> UInt64Value: ...
    old: _builtins.str
    """Not any more.

    Deprecated.
    """
    @property
    def mixed(self) -> Everything.Mixed: ...
    def __init__(
        self,
        *,
        a_double: float | None = ...,
        a_float: float | None = ...,
        a_int32: int | None = ...,
        a_int64: int | None = ...,
        a_uint32: int | None = ...,
        a_uint64: int | None = ...,
        a_sint32: int | None = ...,
        a_sint64: int | None = ...,
        a_fixed32: int | None = ...,
        a_fixed64: int | None = ...,
        a_sfixed32: int | None = ...,
        a_sfixed64: int | None = ...,
        a_bool: bool | None = ...,
        a_string: _builtins.str | None = ...,
        a_bytes: _builtins.bytes | None = ...,
        kind: Everything.Kind | None = ...,
        itself: Everything | None = ...,
        many: _abc.Iterable[Everything] | None = ...,
        numbers: _abc.Iterable[int] | None = ...,
        by_name: _abc.Mapping[_builtins.str, Everything] | None = ...,
        by_number: _abc.Mapping[int, Everything.Kind] | None = ...,
        by_flag: _abc.Mapping[bool, _builtins.bytes] | None = ...,
        by_unsigned: _abc.Mapping[int, float] | None = ...,
        first: _builtins.str | None = ...,
        second: In | None = ...,
        third: NullValue | None = ...,
        only: bool | None = ...,
        maybe: _builtins.str | None = ...,
        any: Any | None = ...,
        duration: Duration | None = ...,
        empty: Empty | None = ...,
        mask: FieldMask | None = ...,
        struct: Struct | None = ...,
        value: Value | None = ...,
        values: ListValue | None = ...,
        time: Timestamp | None = ...,
        bool_value: BoolValue | None = ...,
        bytes_value: BytesValue | None = ...,
        double_value: DoubleValue | None = ...,
        float_value: FloatValue | None = ...,
        int32_value: Int32Value | None = ...,
        int64_value: Int64Value | None = ...,
        string_value: StringValue | None = ...,
        uint32_value: UInt32Value | None = ...,
        uint64_value: UInt64Value | None = ...,
        old: _builtins.str | None = ...,
        mixed: Everything.Mixed | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: _typing.Literal[
            "itself",
            "first",
            "second",
            "third",
            "only",
            "maybe",
            "any",
            "duration",
            "empty",
            "mask",
            "struct",
            "value",
            "values",
            "time",
            "bool_value",
            "bytes_value",
            "double_value",
            "float_value",
            "int32_value",
            "int64_value",
            "string_value",
            "uint32_value",
            "uint64_value",
            "mixed",
            "choice",
            "single",
        ],
    ) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "a_double",
            "a_float",
            "a_int32",
            "a_int64",
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
            "a_bytes",
            "kind",
            "itself",
            "many",
            "numbers",
            "by_name",
            "by_number",
            "by_flag",
            "by_unsigned",
            "first",
            "second",
            "third",
            "only",
            "maybe",
            "any",
            "duration",
            "empty",
            "mask",
            "struct",
            "value",
            "values",
            "time",
            "bool_value",
            "bytes_value",
            "double_value",
            "float_value",
            "int32_value",
            "int64_value",
            "string_value",
            "uint32_value",
            "uint64_value",
            "old",
            "mixed",
            "choice",
            "single",
        ],
    ) -> None: ...
    @_typing.overload
    def WhichOneof(
        self, oneof_group: _typing.Literal["choice"]
    ) -> _typing.Literal["first", "second", "third"] | None: ...
    @_typing.overload
    def WhichOneof(self, oneof_group: _typing.Literal["single"]) -> _typing.Literal["only"] | None: ...

    A_DOUBLE_FIELD_NUMBER: _typing.Final = 1
    A_FLOAT_FIELD_NUMBER: _typing.Final = 2
    A_INT32_FIELD_NUMBER: _typing.Final = 3
    A_INT64_FIELD_NUMBER: _typing.Final = 4
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
    A_BYTES_FIELD_NUMBER: _typing.Final = 15
    KIND_FIELD_NUMBER: _typing.Final = 16
    ITSELF_FIELD_NUMBER: _typing.Final = 17
    MANY_FIELD_NUMBER: _typing.Final = 18
    NUMBERS_FIELD_NUMBER: _typing.Final = 19
    BY_NAME_FIELD_NUMBER: _typing.Final = 20
    BY_NUMBER_FIELD_NUMBER: _typing.Final = 21
    BY_FLAG_FIELD_NUMBER: _typing.Final = 22
    BY_UNSIGNED_FIELD_NUMBER: _typing.Final = 23
    FIRST_FIELD_NUMBER: _typing.Final = 24
    SECOND_FIELD_NUMBER: _typing.Final = 25
    THIRD_FIELD_NUMBER: _typing.Final = 26
    ONLY_FIELD_NUMBER: _typing.Final = 27
    MAYBE_FIELD_NUMBER: _typing.Final = 28
    ANY_FIELD_NUMBER: _typing.Final = 29
    DURATION_FIELD_NUMBER: _typing.Final = 30
    EMPTY_FIELD_NUMBER: _typing.Final = 31
    MASK_FIELD_NUMBER: _typing.Final = 32
    STRUCT_FIELD_NUMBER: _typing.Final = 33
    VALUE_FIELD_NUMBER: _typing.Final = 34
    VALUES_FIELD_NUMBER: _typing.Final = 35
    TIME_FIELD_NUMBER: _typing.Final = 36
    BOOL_VALUE_FIELD_NUMBER: _typing.Final = 37
    BYTES_VALUE_FIELD_NUMBER: _typing.Final = 38
    DOUBLE_VALUE_FIELD_NUMBER: _typing.Final = 39
    FLOAT_VALUE_FIELD_NUMBER: _typing.Final = 40
    INT32_VALUE_FIELD_NUMBER: _typing.Final = 41
    INT64_VALUE_FIELD_NUMBER: _typing.Final = 42
    STRING_VALUE_FIELD_NUMBER: _typing.Final = 43
    UINT32_VALUE_FIELD_NUMBER: _typing.Final = 44
    UINT64_VALUE_FIELD_NUMBER: _typing.Final = 45
    OLD_FIELD_NUMBER: _typing.Final = 46
    MIXED_FIELD_NUMBER: _typing.Final = 47

    class Kind(int, metaclass=_enums.EnumTypeWrapper):
        """What kind it is."""

        KIND_UNSPECIFIED: _typing.ClassVar[Everything.Kind]
        """Nobody said."""
        KIND_ONE: _typing.ClassVar[Everything.Kind]
        KIND_EINS: _typing.ClassVar[Everything.Kind]

        @classmethod
        def Value(cls, name: _builtins.str) -> Everything.Kind: ...
        @classmethod
        def values(cls) -> _builtins.list[Everything.Kind]: ...
        @classmethod
        def items(cls) -> _builtins.list[tuple[_builtins.str, Everything.Kind]]: ...

    KIND_UNSPECIFIED: _typing.ClassVar[Everything.Kind]
    KIND_ONE: _typing.ClassVar[Everything.Kind]
    KIND_EINS: _typing.ClassVar[Everything.Kind]

    @_typing.final
    class Mixed(_message.Message):
        done: bool

        def __init__(self, *, done: bool | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Never) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["done"]) -> None: ...

        DONE_FIELD_NUMBER: _typing.Final = 1

_str_keywords = _typing.TypedDict("_str_keywords", {"from": _builtins.str | None}, total=False)

_bytes_keywords = _typing.TypedDict("_bytes_keywords", {"class": In | None}, total=False)

_In_keywords = _typing.TypedDict("_In_keywords", {"import": int | None}, total=False)
