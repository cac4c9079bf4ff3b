"""Messages of torture/only_enum.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf.internal import enum_type_wrapper as _enums

__all__ = [
    "ONLY_ONE",
    "Only",
]

DESCRIPTOR: _descriptor.FileDescriptor

class Only(int, metaclass=_enums.EnumTypeWrapper):
    ONLY_ONE: _typing.ClassVar[Only]

    @classmethod
    def Value(cls, name: str) -> Only: ...
    @classmethod
    def values(cls) -> list[Only]: ...
    @classmethod
    def items(cls) -> list[tuple[str, Only]]: ...

ONLY_ONE: Only
