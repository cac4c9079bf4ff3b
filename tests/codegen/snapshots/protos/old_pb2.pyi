"""Messages of old.proto, written by protoc-gen-micro: change the .proto instead."""
# pyright: reportPrivateUsage=false

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import extension_dict as _extensions

__all__ = [
    "NUMBERS_FIELD_NUMBER",
    "OUTSIDE_FIELD_NUMBER",
    "RECORDS_FIELD_NUMBER",
    "Record",
    "numbers",
    "outside",
    "records",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Record(_message.Message):
    number: int
    text: str
    @property
    def part(self) -> Record.Part: ...
    @property
    def piece(self) -> _containers.RepeatedCompositeFieldContainer[Record.Piece]: ...
    def __init__(
        self,
        *,
        number: int | None = ...,
        text: str | None = ...,
        part: Record.Part | None = ...,
        piece: _abc.Iterable[Record.Piece] | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["number", "text", "part"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["number", "text", "part", "piece"]) -> None: ...

    NUMBER_FIELD_NUMBER: _typing.Final = 1
    TEXT_FIELD_NUMBER: _typing.Final = 2
    PART_FIELD_NUMBER: _typing.Final = 3
    PIECE_FIELD_NUMBER: _typing.Final = 4

    @_typing.final
    class Part(_message.Message):
        size: int

        def __init__(self, *, size: int | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["size"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["size"]) -> None: ...

        SIZE_FIELD_NUMBER: _typing.Final = 1

    @_typing.final
    class Piece(_message.Message):
        name: str

        def __init__(self, *, name: str | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["name"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["name"]) -> None: ...

        NAME_FIELD_NUMBER: _typing.Final = 1

    INSIDE_FIELD_NUMBER: int
    inside: _extensions._ExtensionFieldDescriptor[Record, Record]
    """An extension inside."""

OUTSIDE_FIELD_NUMBER: int
outside: _extensions._ExtensionFieldDescriptor[Record, str]
"""An extension outside."""

NUMBERS_FIELD_NUMBER: int
numbers: _extensions._ExtensionFieldDescriptor[Record, _containers.RepeatedScalarFieldContainer[int]]

RECORDS_FIELD_NUMBER: int
records: _extensions._ExtensionFieldDescriptor[Record, _containers.RepeatedCompositeFieldContainer[Record]]
