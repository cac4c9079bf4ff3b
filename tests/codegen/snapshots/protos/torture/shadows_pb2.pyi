"""Messages of torture/shadows.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="assignment, misc, override"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

import builtins as _builtins_
import collections.abc as _abc
import typing as _typing
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums
from .shadowed_pb2 import DESCRIPTOR, Record as _Record, globals

__all__ = [
    "DESCRIPTOR",
    "HasField",
    "ITEMS_UNKNOWN",
    "KEYS_UNKNOWN",
    "Outer",
    "Page",
    "Record",
    "VALUES_UNKNOWN",
    "VALUE_TYPE_UNKNOWN",
    "Value",
    "ValueType",
    "_builtins",
    "getattr",
    "globals",
    "items",
    "keys",
    "values",
]

class values(int, metaclass=_enums.EnumTypeWrapper):
    VALUES_UNKNOWN: _typing.ClassVar[_values]
    ValueType: _typing.TypeAlias = _values

    @classmethod
    def Value(cls, name: str | bytes) -> _values: ...
    @classmethod
    def values(cls) -> _builtins_.list[_typing.Any]: ...
    @classmethod
    def items(cls) -> _builtins_.list[tuple[str, _typing.Any]]: ...

VALUES_UNKNOWN: _values

class items(int, metaclass=_enums.EnumTypeWrapper):
    ITEMS_UNKNOWN: _typing.ClassVar[_items]
    ValueType: _typing.TypeAlias = _items

    @classmethod
    def Value(cls, name: str | bytes) -> _items: ...
    @classmethod
    def values(cls) -> _builtins_.list[_typing.Any]: ...
    @classmethod
    def items(cls) -> _builtins_.list[tuple[str, _typing.Any]]: ...

ITEMS_UNKNOWN: _items

class ValueType(int, metaclass=_enums.EnumTypeWrapper):
    VALUE_TYPE_UNKNOWN: _typing.ClassVar[_ValueType]
    ValueType: _typing.TypeAlias = _ValueType

    @classmethod
    def Value(cls, name: str | bytes) -> _ValueType: ...
    @classmethod
    def values(cls) -> _builtins_.list[_typing.Any]: ...
    @classmethod
    def items(cls) -> _builtins_.list[tuple[str, _typing.Any]]: ...

VALUE_TYPE_UNKNOWN: _ValueType

class keys(int, metaclass=_enums.EnumTypeWrapper):
    KEYS_UNKNOWN: _typing.ClassVar[keys]
    ValueType: _typing.TypeAlias = keys

    @classmethod
    def Value(cls, name: str | bytes) -> keys: ...
    @classmethod
    def values(cls) -> _builtins_.list[_typing.Any]: ...
    @classmethod
    def items(cls) -> _builtins_.list[tuple[str, _typing.Any]]: ...

KEYS_UNKNOWN: keys

@_typing.final
class Value(_message.Message):
    """What is called like something that its own class, or a class beside it, defines."""

    kind: _Value.Kind

    def __init__(self, *, kind: _Value.Kind | str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["kind"]) -> None: ...

    KIND_FIELD_NUMBER: _typing.Final = 1

    class Kind(int, metaclass=_enums.EnumTypeWrapper):
        KIND_UNKNOWN: _typing.ClassVar[_Value.Kind]
        ValueType: _typing.TypeAlias = _Value.Kind

        @classmethod
        def Value(cls, name: str | bytes) -> _Value.Kind: ...
        @classmethod
        def values(cls) -> _builtins_.list[_typing.Any]: ...
        @classmethod
        def items(cls) -> _builtins_.list[tuple[str, _typing.Any]]: ...

    KIND_UNKNOWN: _typing.ClassVar[_Value.Kind]

@_typing.final
class HasField(_message.Message):
    @property
    def self(self) -> _HasField: ...
    _self: str
    keywords: str

    def __init__(
        _self_,
        *,
        self: _HasField | _Mapping | None = ...,
        _self: str | None = ...,
        keywords: str | None = ...,
        **keywords_: _typing.Unpack[_HasField_keywords],
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["self"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["self", "_self", "keywords", "from"]) -> None: ...

    SELF_FIELD_NUMBER: _typing.Final = 1
    _SELF_FIELD_NUMBER: _typing.Final = 2
    KEYWORDS_FIELD_NUMBER: _typing.Final = 3
    FROM_FIELD_NUMBER: _typing.Final = 4

@_typing.final
class Record(_message.Message):
    """It has the name of a message that the file imports."""

    @property
    def ours(self) -> Record: ...
    @property
    def theirs(self) -> _Record: ...
    @property
    def globals(self) -> _globals: ...
    def __init__(
        self,
        *,
        ours: Record | _Mapping | None = ...,
        theirs: _Record | _Mapping | None = ...,
        globals: _globals | _Mapping | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["ours", "theirs", "globals"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["ours", "theirs", "globals"]) -> None: ...

    OURS_FIELD_NUMBER: _typing.Final = 1
    THEIRS_FIELD_NUMBER: _typing.Final = 2
    GLOBALS_FIELD_NUMBER: _typing.Final = 3

@_typing.final
class Page(_message.Message):
    """Its field needs no builtin that its name could hide."""

    list: str

    def __init__(self, *, list: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["list"]) -> None: ...

    LIST_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class Outer(_message.Message):
    @property
    def clear(self) -> Outer.Clear: ...
    @property
    def name(self) -> Outer.CopyFrom: ...
    @property
    def SerializeToString(self) -> _containers.MessageMap[str, Outer.Clear]: ...
    def __init__(
        self,
        *,
        clear: Outer.Clear | _Mapping | None = ...,
        name: Outer.CopyFrom | _Mapping | None = ...,
        SerializeToString: _abc.Mapping[str, Outer.Clear | _Mapping] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["clear", "name"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["clear", "name", "SerializeToString"]) -> None: ...

    CLEAR_FIELD_NUMBER: _typing.Final = 1
    SERIALIZETOSTRING_FIELD_NUMBER: _typing.Final = 3

    class NAME_FIELD_NUMBER(int, metaclass=_enums.EnumTypeWrapper):
        UnknownFields: _typing.ClassVar[Outer.NAME_FIELD_NUMBER]
        ValueType: _typing.TypeAlias = Outer.NAME_FIELD_NUMBER

        @classmethod
        def Value(cls, name: str | bytes) -> Outer.NAME_FIELD_NUMBER: ...
        @classmethod
        def values(cls) -> _builtins_.list[_typing.Any]: ...
        @classmethod
        def items(cls) -> _builtins_.list[tuple[str, _typing.Any]]: ...

    UnknownFields: _typing.ClassVar[Outer.NAME_FIELD_NUMBER]

    @_typing.final
    class SerializeToStringEntry(_message.Message):
        key: str
        @property
        def value(self) -> Outer.Clear: ...
        def __init__(self, *, key: str | None = ..., value: Outer.Clear | _Mapping | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["value"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["key", "value"]) -> None: ...

        KEY_FIELD_NUMBER: _typing.Final = 1
        VALUE_FIELD_NUMBER: _typing.Final = 2

    @_typing.final
    class Clear(_message.Message):
        @property
        def a(self) -> Outer.Clear.lambda_: ...
        def __init__(self, *, a: Outer.Clear.lambda_ | _Mapping | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["a"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["a"]) -> None: ...

        A_FIELD_NUMBER: _typing.Final = 1

        @_typing.final
        class lambda_(_message.Message):
            values: _values

            def __init__(self, *, values: _values | str | None = ...) -> None: ...
            def HasField(self, field_name: _typing.Never) -> bool: ...
            def ClearField(self, field_name: _typing.Literal["values"]) -> None: ...

            VALUES_FIELD_NUMBER: _typing.Final = 1

    @_typing.final
    class CopyFrom(_message.Message):
        name: Outer.CopyFrom.ClearField

        def __init__(self, *, name: Outer.CopyFrom.ClearField | str | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Never) -> bool: ...

        NAME_FIELD_NUMBER: _typing.Final = 1

        class ClearField(int, metaclass=_enums.EnumTypeWrapper):
            MergeFrom: _typing.ClassVar[Outer.CopyFrom.ClearField]
            ValueType: _typing.TypeAlias = Outer.CopyFrom.ClearField

            @classmethod
            def Value(cls, name: str | bytes) -> Outer.CopyFrom.ClearField: ...
            @classmethod
            def values(cls) -> _builtins_.list[_typing.Any]: ...
            @classmethod
            def items(cls) -> _builtins_.list[tuple[str, _typing.Any]]: ...

        MergeFrom: _typing.ClassVar[Outer.CopyFrom.ClearField]

@_typing.final
class getattr(_message.Message):
    @property
    def a(self) -> getattr.import_: ...
    def __init__(self, *, a: getattr.import_ | _Mapping | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["a"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["a"]) -> None: ...

    A_FIELD_NUMBER: _typing.Final = 1

    @_typing.final
    class import_(_message.Message):
        def __init__(self) -> None: ...

@_typing.final
class _builtins(_message.Message):
    @property
    def a(self) -> _builtins.None_: ...
    def __init__(self, *, a: _builtins.None_ | _Mapping | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["a"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["a"]) -> None: ...

    A_FIELD_NUMBER: _typing.Final = 1

    @_typing.final
    class None_(_message.Message):
        def __init__(self) -> None: ...

_HasField_keywords = _typing.TypedDict("_HasField_keywords", {"from": str | None}, total=False)

_HasField: _typing.TypeAlias = HasField

_Value: _typing.TypeAlias = Value

_ValueType: _typing.TypeAlias = ValueType

_globals: _typing.TypeAlias = globals

_items: _typing.TypeAlias = items

_values: _typing.TypeAlias = values

_Mapping: _typing.TypeAlias = _abc.Mapping[_typing.Any, _typing.Any]
