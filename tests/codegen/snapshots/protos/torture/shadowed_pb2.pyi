"""Messages of torture/shadowed.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import message as _message
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "DESCRIPTOR",
    "Record",
    "getattr",
    "globals",
]

class DESCRIPTOR(int, metaclass=_enums.EnumTypeWrapper):
    getattr: _typing.ClassVar[DESCRIPTOR]
    ValueType: _typing.TypeAlias = DESCRIPTOR

    @classmethod
    def Value(cls, name: str | bytes) -> DESCRIPTOR: ...
    @classmethod
    def values(cls) -> list[_typing.Any]: ...
    @classmethod
    def items(cls) -> list[tuple[str, _typing.Any]]: ...

getattr: DESCRIPTOR

@_typing.final
class Record(_message.Message):
    """Other files have a message of this name, and hand this one on."""

    theirs: str

    def __init__(self, *, theirs: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["theirs"]) -> None: ...

    THEIRS_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class globals(_message.Message):
    def __init__(self) -> None: ...
