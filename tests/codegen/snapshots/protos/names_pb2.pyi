"""Messages of names.proto, written by protoc-gen-micro: change the .proto instead."""

import builtins as _builtins
import collections.abc as _abc_
import typing as _typing_
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "AsyncIterator",
    "Fields",
    "KeywordsClient",
    "Kind",
    "TYPE_CHECKING",
    "Thing",
    "_micro",
    "float",
    "import_",
    "items",
    "list",
    "print",
]

DESCRIPTOR: _descriptor.FileDescriptor

class Kind(_builtins.int, metaclass=_enums.EnumTypeWrapper):
    print: _typing_.ClassVar[_Kind]

    @classmethod
    def Value(cls, name: _builtins.str) -> _Kind: ...
    @classmethod
    def values(cls) -> _builtins.list[_Kind]: ...
    @classmethod
    def items(cls) -> _builtins.list[tuple[_builtins.str, _Kind]]: ...

items: _Kind
print: _Kind

@_typing_.final
class Fields(_message.Message):
    """A message whose fields have the names of Python's own things."""

    str: _builtins.str
    int: _builtins.int
    bytes: _builtins.bytes
    bool: _builtins.bool
    float: _builtins.float
    @_builtins.property
    def list(self) -> _containers.RepeatedScalarFieldContainer[_builtins.str]: ...
    @_builtins.property
    def dict(self) -> _containers.ScalarMap[_builtins.str, _builtins.int]: ...
    @_builtins.property
    def property(self) -> Fields: ...
    self: _builtins.str
    @_builtins.property
    def Thing(self) -> _Thing: ...
    Kind: _Kind
    _typing: _builtins.str
    @_builtins.property
    def _abc(self) -> _containers.RepeatedScalarFieldContainer[_builtins.str]: ...
    type: _builtins.str
    match: _builtins.str
    Literal: _builtins.str

    def __init__(
        _self,
        *,
        str: _builtins.str | None = ...,
        int: _builtins.int | None = ...,
        bytes: _builtins.bytes | None = ...,
        bool: _builtins.bool | None = ...,
        float: _builtins.float | None = ...,
        list: _abc_.Iterable[_builtins.str] | None = ...,
        dict: _abc_.Mapping[_builtins.str, _builtins.int] | None = ...,
        property: Fields | None = ...,
        self: _builtins.str | None = ...,
        Thing: _Thing | None = ...,
        Kind: _Kind | None = ...,
        _typing: _builtins.str | None = ...,
        _abc: _abc_.Iterable[_builtins.str] | None = ...,
        type: _builtins.str | None = ...,
        match: _builtins.str | None = ...,
        Literal: _builtins.str | None = ...,
        **keywords: _typing_.Unpack[_Fields_keywords],
    ) -> None: ...
    def HasField(self, field_name: _typing_.Literal["property", "Thing"]) -> _builtins.bool: ...
    def ClearField(
        self,
        field_name: _typing_.Literal[
            "from",
            "class",
            "str",
            "int",
            "bytes",
            "bool",
            "float",
            "list",
            "dict",
            "property",
            "self",
            "Thing",
            "Kind",
            "_typing",
            "_abc",
            "type",
            "match",
            "Literal",
            "None",
        ],
    ) -> None: ...

    FROM_FIELD_NUMBER: _typing_.Final = 1
    CLASS_FIELD_NUMBER: _typing_.Final = 2
    STR_FIELD_NUMBER: _typing_.Final = 3
    INT_FIELD_NUMBER: _typing_.Final = 4
    BYTES_FIELD_NUMBER: _typing_.Final = 5
    BOOL_FIELD_NUMBER: _typing_.Final = 6
    FLOAT_FIELD_NUMBER: _typing_.Final = 7
    LIST_FIELD_NUMBER: _typing_.Final = 8
    DICT_FIELD_NUMBER: _typing_.Final = 9
    PROPERTY_FIELD_NUMBER: _typing_.Final = 10
    SELF_FIELD_NUMBER: _typing_.Final = 11
    THING_FIELD_NUMBER: _typing_.Final = 12
    KIND_FIELD_NUMBER: _typing_.Final = 13
    _TYPING_FIELD_NUMBER: _typing_.Final = 14
    _ABC_FIELD_NUMBER: _typing_.Final = 15
    TYPE_FIELD_NUMBER: _typing_.Final = 16
    MATCH_FIELD_NUMBER: _typing_.Final = 17
    LITERAL_FIELD_NUMBER: _typing_.Final = 18
    NONE_FIELD_NUMBER: _typing_.Final = 19

@_typing_.final
class Thing(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class AsyncIterator(_message.Message):
    """Messages with the names of things that stubs use."""

    def __init__(self) -> None: ...

@_typing_.final
class list(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class float(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class TYPE_CHECKING(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class _micro(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class KeywordsClient(_message.Message):
    def __init__(self) -> None: ...

@_typing_.final
class import_(_message.Message):
    def __init__(self) -> None: ...

_Kind: _typing_.TypeAlias = Kind

_Thing: _typing_.TypeAlias = Thing

_Fields_keywords = _typing_.TypedDict(
    "_Fields_keywords",
    {"from": _builtins.str | None, "class": _builtins.int | None, "None": _builtins.str | None},
    total=False,
)
