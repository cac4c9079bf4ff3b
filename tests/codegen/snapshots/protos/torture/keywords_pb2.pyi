"""Messages of torture/keywords.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "IN_FIELD_NUMBER",
    "IS_FIELD_NUMBER",
    "None_",
    "None__",
    "Nothing",
    "from_",
    "import_",
]

DESCRIPTOR: _descriptor.FileDescriptor

class import_(int, metaclass=_enums.EnumTypeWrapper):
    @classmethod
    def Value(cls, name: str) -> import_: ...
    @classmethod
    def values(cls) -> list[import_]: ...
    @classmethod
    def items(cls) -> list[tuple[str, import_]]: ...

@_typing.final
class None__(_message.Message):
    """Types with keywords for names, and a neighbour in the way of each."""

    @property
    def a(self) -> None__.class__: ...
    @property
    def class_(self) -> None__.class__: ...
    def __init__(self, *, a: None__.class__ | None = ..., class_: None__.class__ | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["a", "class_"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["a", "class_"]) -> None: ...

    A_FIELD_NUMBER: _typing.Final = 1
    CLASS__FIELD_NUMBER: _typing.Final = 2

    @_typing.final
    class class__(_message.Message):
        true: None__.class__.True__
        @property
        def none(self) -> None__: ...
        def __init__(self, *, true: None__.class__.True__ | None = ..., none: None__ | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["true", "none"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["true", "none"]) -> None: ...

        TRUE_FIELD_NUMBER: _typing.Final = 1
        NONE_FIELD_NUMBER: _typing.Final = 2

        class True__(int, metaclass=_enums.EnumTypeWrapper):
            True_: _typing.ClassVar[None__.class__.True__]
            FALSE: _typing.ClassVar[None__.class__.True__]

            @classmethod
            def Value(cls, name: str) -> None__.class__.True__: ...
            @classmethod
            def values(cls) -> list[None__.class__.True__]: ...
            @classmethod
            def items(cls) -> list[tuple[str, None__.class__.True__]]: ...

        True_: _typing.ClassVar[None__.class__.True__]
        FALSE: _typing.ClassVar[None__.class__.True__]

@_typing.final
class None_(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class from_(_message.Message):
    def __init__(self, **keywords: _typing.Unpack[_from__keywords]) -> None: ...
    def HasField(self, field_name: _typing.Literal["from"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["from"]) -> None: ...

    FROM_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class Nothing(_message.Message):
    def __init__(self, **keywords: _typing.Unpack[_Nothing_keywords]) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["lambda"]) -> None: ...

    LAMBDA_FIELD_NUMBER: _typing.Final = 1

IS_FIELD_NUMBER: int

IN_FIELD_NUMBER: int

_from__keywords = _typing.TypedDict("_from__keywords", {"from": str | None}, total=False)

_Nothing_keywords = _typing.TypedDict("_Nothing_keywords", {"lambda": _abc.Iterable[None__] | None}, total=False)
