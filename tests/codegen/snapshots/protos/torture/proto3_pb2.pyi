"""Messages of torture/proto3.proto, written by protoc-gen-micro: change the .proto instead."""

import builtins as _builtins
import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums
from google.protobuf.any_pb2 import Any
from google.protobuf.api_pb2 import Api
from google.protobuf.duration_pb2 import Duration
from google.protobuf.empty_pb2 import Empty
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.source_context_pb2 import SourceContext
from google.protobuf.struct_pb2 import ListValue, NullValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.type_pb2 import Type
from google.protobuf.wrappers_pb2 import BoolValue, BytesValue, Int64Value, StringValue

__all__ = [
    "Known",
    "Ping",
    "Pong",
    "Same",
    "Scalars",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Known(_message.Message):
    """Every well-known type, in every place."""

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
    def list(self) -> ListValue: ...
    null: NullValue
    @property
    def times(self) -> _containers.RepeatedCompositeFieldContainer[Timestamp]: ...
    @property
    def values(self) -> _containers.MessageMap[str, Value]: ...
    @property
    def string(self) -> StringValue: ...
    @property
    def int64(self) -> Int64Value: ...
    @property
    def bytes(self) -> BytesValue: ...
    @property
    def bool(self) -> BoolValue: ...
    @property
    def api(self) -> Api: ...
    @property
    def type(self) -> Type: ...
    @property
    def context(self) -> SourceContext: ...
    def __init__(
        self,
        *,
        any: Any | None = ...,
        duration: Duration | None = ...,
        empty: Empty | None = ...,
        mask: FieldMask | None = ...,
        struct: Struct | None = ...,
        value: Value | None = ...,
        list: ListValue | None = ...,
        null: NullValue | None = ...,
        times: _abc.Iterable[Timestamp] | None = ...,
        values: _abc.Mapping[str, Value] | None = ...,
        string: StringValue | None = ...,
        int64: Int64Value | None = ...,
        bytes: BytesValue | None = ...,
        bool: BoolValue | None = ...,
        api: Api | None = ...,
        type: Type | None = ...,
        context: SourceContext | None = ...,
    ) -> None: ...
    def HasField(
        self,
        field_name: _typing.Literal[
            "any",
            "duration",
            "empty",
            "mask",
            "struct",
            "value",
            "list",
            "string",
            "int64",
            "bytes",
            "bool",
            "api",
            "type",
            "context",
            "wrapped",
        ],
    ) -> _builtins.bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "any",
            "duration",
            "empty",
            "mask",
            "struct",
            "value",
            "list",
            "null",
            "times",
            "values",
            "string",
            "int64",
            "bytes",
            "bool",
            "api",
            "type",
            "context",
            "wrapped",
        ],
    ) -> None: ...
    def WhichOneof(
        self, oneof_group: _typing.Literal["wrapped"]
    ) -> _typing.Literal["string", "int64", "bytes"] | None: ...

    ANY_FIELD_NUMBER: _typing.Final = 1
    DURATION_FIELD_NUMBER: _typing.Final = 2
    EMPTY_FIELD_NUMBER: _typing.Final = 3
    MASK_FIELD_NUMBER: _typing.Final = 4
    STRUCT_FIELD_NUMBER: _typing.Final = 5
    VALUE_FIELD_NUMBER: _typing.Final = 6
    LIST_FIELD_NUMBER: _typing.Final = 7
    NULL_FIELD_NUMBER: _typing.Final = 8
    TIMES_FIELD_NUMBER: _typing.Final = 9
    VALUES_FIELD_NUMBER: _typing.Final = 10
    STRING_FIELD_NUMBER: _typing.Final = 11
    INT64_FIELD_NUMBER: _typing.Final = 12
    BYTES_FIELD_NUMBER: _typing.Final = 13
    BOOL_FIELD_NUMBER: _typing.Final = 14
    API_FIELD_NUMBER: _typing.Final = 15
    TYPE_FIELD_NUMBER: _typing.Final = 16
    CONTEXT_FIELD_NUMBER: _typing.Final = 17

@_typing.final
class Same(_message.Message):
    """Nested types called like their parents."""

    @property
    def same(self) -> _Same.Same: ...
    @property
    def outer(self) -> _Same: ...
    @property
    def many(self) -> _containers.RepeatedCompositeFieldContainer[_Same.Same]: ...
    @property
    def by_bool(self) -> _containers.MessageMap[_builtins.bool, _Same.Same]: ...
    @property
    def by_number(self) -> _containers.MessageMap[int, _Same]: ...
    def __init__(
        self,
        *,
        same: _Same.Same | None = ...,
        outer: _Same | None = ...,
        many: _abc.Iterable[_Same.Same] | None = ...,
        by_bool: _abc.Mapping[_builtins.bool, _Same.Same] | None = ...,
        by_number: _abc.Mapping[int, _Same] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["same", "outer"]) -> _builtins.bool: ...
    def ClearField(self, field_name: _typing.Literal["same", "outer", "many", "by_bool", "by_number"]) -> None: ...

    SAME_FIELD_NUMBER: _typing.Final = 1
    OUTER_FIELD_NUMBER: _typing.Final = 2
    MANY_FIELD_NUMBER: _typing.Final = 3
    BY_BOOL_FIELD_NUMBER: _typing.Final = 4
    BY_NUMBER_FIELD_NUMBER: _typing.Final = 5

    @_typing.final
    class Same(_message.Message):
        @property
        def same(self) -> _Same.Same.Same: ...
        @property
        def outer(self) -> _Same: ...
        kind: _Same.Same.Same.Kind

        def __init__(
            self,
            *,
            same: _Same.Same.Same | None = ...,
            outer: _Same | None = ...,
            kind: _Same.Same.Same.Kind | None = ...,
        ) -> None: ...
        def HasField(self, field_name: _typing.Literal["same", "outer"]) -> _builtins.bool: ...
        def ClearField(self, field_name: _typing.Literal["same", "outer", "kind"]) -> None: ...

        SAME_FIELD_NUMBER: _typing.Final = 1
        OUTER_FIELD_NUMBER: _typing.Final = 2
        KIND_FIELD_NUMBER: _typing.Final = 3

        @_typing.final
        class Same(_message.Message):
            @property
            def same(self) -> _Same.Same.Same: ...
            kind: _Same.Same.Same.Kind

            def __init__(
                self, *, same: _Same.Same.Same | None = ..., kind: _Same.Same.Same.Kind | None = ...
            ) -> None: ...
            def HasField(self, field_name: _typing.Literal["same"]) -> _builtins.bool: ...
            def ClearField(self, field_name: _typing.Literal["same", "kind"]) -> None: ...

            SAME_FIELD_NUMBER: _typing.Final = 1
            KIND_FIELD_NUMBER: _typing.Final = 2

            class Kind(int, metaclass=_enums.EnumTypeWrapper):
                KIND_NONE: _typing.ClassVar[_Same.Same.Same.Kind]

                @classmethod
                def Value(cls, name: str) -> _Same.Same.Same.Kind: ...
                @classmethod
                def values(cls) -> _builtins.list[_Same.Same.Same.Kind]: ...
                @classmethod
                def items(cls) -> _builtins.list[tuple[str, _Same.Same.Same.Kind]]: ...

            KIND_NONE: _typing.ClassVar[_Same.Same.Same.Kind]

@_typing.final
class Ping(_message.Message):
    """Messages that hold each other."""

    @property
    def pong(self) -> Pong: ...
    @property
    def other(self) -> Pong: ...
    def __init__(self, *, pong: Pong | None = ..., other: Pong | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["pong", "other", "_pong_or_nothing"]) -> _builtins.bool: ...
    def ClearField(self, field_name: _typing.Literal["pong", "other", "_pong_or_nothing"]) -> None: ...
    def WhichOneof(self, oneof_group: _typing.Literal["_pong_or_nothing"]) -> _typing.Literal["other"] | None: ...

    PONG_FIELD_NUMBER: _typing.Final = 1
    OTHER_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Pong(_message.Message):
    @property
    def pings(self) -> _containers.RepeatedCompositeFieldContainer[Ping]: ...
    def __init__(self, *, pings: _abc.Iterable[Ping] | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> _builtins.bool: ...
    def ClearField(self, field_name: _typing.Literal["pings"]) -> None: ...

    PINGS_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class Scalars(_message.Message):
    """Every scalar, with and without presence."""

    double: _builtins.float
    float: _builtins.float
    int32: int
    int64: int
    uint32: int
    uint64: int
    sint32: int
    sint64: int
    fixed32: int
    fixed64: int
    sfixed32: int
    sfixed64: int
    bool: _builtins.bool
    string: str
    bytes: _builtins.bytes
    maybe_double: _builtins.float
    maybe_bytes: _builtins.bytes
    @property
    def unpacked(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    @property
    def bytes_by_number(self) -> _containers.ScalarMap[int, _builtins.bytes]: ...
    def __init__(
        self,
        *,
        double: _builtins.float | None = ...,
        float: _builtins.float | None = ...,
        int32: int | None = ...,
        int64: int | None = ...,
        uint32: int | None = ...,
        uint64: int | None = ...,
        sint32: int | None = ...,
        sint64: int | None = ...,
        fixed32: int | None = ...,
        fixed64: int | None = ...,
        sfixed32: int | None = ...,
        sfixed64: int | None = ...,
        bool: _builtins.bool | None = ...,
        string: str | None = ...,
        bytes: _builtins.bytes | None = ...,
        maybe_double: _builtins.float | None = ...,
        maybe_bytes: _builtins.bytes | None = ...,
        unpacked: _abc.Iterable[int] | None = ...,
        bytes_by_number: _abc.Mapping[int, _builtins.bytes] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["maybe_double", "maybe_bytes"]) -> _builtins.bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "double",
            "float",
            "int32",
            "int64",
            "uint32",
            "uint64",
            "sint32",
            "sint64",
            "fixed32",
            "fixed64",
            "sfixed32",
            "sfixed64",
            "bool",
            "string",
            "bytes",
            "maybe_double",
            "maybe_bytes",
            "unpacked",
            "bytes_by_number",
        ],
    ) -> None: ...

    DOUBLE_FIELD_NUMBER: _typing.Final = 1
    FLOAT_FIELD_NUMBER: _typing.Final = 2
    INT32_FIELD_NUMBER: _typing.Final = 3
    INT64_FIELD_NUMBER: _typing.Final = 4
    UINT32_FIELD_NUMBER: _typing.Final = 5
    UINT64_FIELD_NUMBER: _typing.Final = 6
    SINT32_FIELD_NUMBER: _typing.Final = 7
    SINT64_FIELD_NUMBER: _typing.Final = 8
    FIXED32_FIELD_NUMBER: _typing.Final = 9
    FIXED64_FIELD_NUMBER: _typing.Final = 10
    SFIXED32_FIELD_NUMBER: _typing.Final = 11
    SFIXED64_FIELD_NUMBER: _typing.Final = 12
    BOOL_FIELD_NUMBER: _typing.Final = 13
    STRING_FIELD_NUMBER: _typing.Final = 14
    BYTES_FIELD_NUMBER: _typing.Final = 15
    MAYBE_DOUBLE_FIELD_NUMBER: _typing.Final = 16
    MAYBE_BYTES_FIELD_NUMBER: _typing.Final = 17
    UNPACKED_FIELD_NUMBER: _typing.Final = 18
    BYTES_BY_NUMBER_FIELD_NUMBER: _typing.Final = 19

_Same: _typing.TypeAlias = Same
