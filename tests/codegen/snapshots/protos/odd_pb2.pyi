"""Messages of odd.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="assignment, misc, override"
# pyright: reportIncompatibleMethodOverride=false, reportIncompatibleVariableOverride=false

import collections.abc as _abc
import typing as _typing
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "DESCRIPTOR",
    "Members",
    "Name",
    "Odd",
    "from_bytes",
    "globals",
    "google",
    "mro",
    "object",
    "real",
    "values",
]

class Members(int, metaclass=_enums.EnumTypeWrapper):
    real: _typing.ClassVar[Members]
    from_bytes: _typing.ClassVar[Members]
    mro: _typing.ClassVar[Members]
    ValueType: _typing.TypeAlias = Members

    @classmethod
    def Value(cls, name: str | bytes) -> Members: ...
    @classmethod
    def values(cls) -> list[_typing.Any]: ...
    @classmethod
    def items(cls) -> list[tuple[str, _typing.Any]]: ...

real: Members
from_bytes: Members
Name: Members
mro: Members
values: Members

@_typing.final
class Odd(_message.Message):
    """Fields with the names of what every message class has."""

    Clear: str
    DESCRIPTOR: int
    @property
    def Extensions(self) -> Odd: ...
    @property
    def ByteSize(self) -> _containers.RepeatedScalarFieldContainer[int]: ...
    SerializeToString: str
    HasField: str
    choice: int
    DESCRIPTOR_FIELD_NUMBER: int
    MergeFrom: str
    ClearField: str

    def __init__(
        self,
        *,
        Clear: str | None = ...,
        DESCRIPTOR: int | None = ...,
        Extensions: Odd | _Mapping | None = ...,
        ByteSize: _abc.Iterable[int] | None = ...,
        SerializeToString: str | None = ...,
        HasField: str | None = ...,
        choice: int | None = ...,
        DESCRIPTOR_FIELD_NUMBER: int | None = ...,
        MergeFrom: str | None = ...,
        ClearField: str | None = ...,
        **keywords: _typing.Unpack[_Odd_keywords],
    ) -> None: ...
    def WhichOneof(self, oneof_group: _typing.Literal["WhichOneof"]) -> _typing.Literal["choice"] | None: ...

    CLEAR_FIELD_NUMBER: _typing.Final = 1
    EXTENSIONS_FIELD_NUMBER: _typing.Final = 3
    BYTESIZE_FIELD_NUMBER: _typing.Final = 4
    SERIALIZETOSTRING_FIELD_NUMBER: _typing.Final = 5
    HASFIELD_FIELD_NUMBER: _typing.Final = 6
    __INIT___FIELD_NUMBER: _typing.Final = 7
    __SLOTS___FIELD_NUMBER: _typing.Final = 8
    CHOICE_FIELD_NUMBER: _typing.Final = 9
    DESCRIPTOR_FIELD_NUMBER_FIELD_NUMBER: _typing.Final = 10
    MERGEFROM_FIELD_NUMBER: _typing.Final = 11
    CLEARFIELD_FIELD_NUMBER: _typing.Final = 12

@_typing.final
class DESCRIPTOR(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class object(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class google(_message.Message):
    def __init__(self) -> None: ...

@_typing.final
class globals(_message.Message):
    def __init__(self) -> None: ...

_Odd_keywords = _typing.TypedDict("_Odd_keywords", {"__init__": str | None, "__slots__": str | None}, total=False)

_Mapping: _typing.TypeAlias = _abc.Mapping[_typing.Any, _typing.Any]
