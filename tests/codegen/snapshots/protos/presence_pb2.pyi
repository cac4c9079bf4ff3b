"""Messages of presence.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers

__all__ = [
    "Empty",
    "Presence",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Presence(_message.Message):
    """Fields that know whether they were set, and fields that do not."""

    plain: str
    maybe: str
    data: bytes
    @property
    def numbers(self) -> _containers.RepeatedScalarFieldContainer[float]: ...
    @property
    def itself(self) -> Presence: ...
    first: int
    """One."""
    @property
    def second(self) -> Presence: ...
    third: bool

    def __init__(
        self,
        *,
        plain: str | None = ...,
        maybe: str | None = ...,
        data: bytes | None = ...,
        numbers: _abc.Iterable[float] | None = ...,
        itself: Presence | None = ...,
        first: int | None = ...,
        second: Presence | None = ...,
        third: bool | None = ...,
    ) -> None: ...
    def HasField(
        self, field_name: _typing.Literal["maybe", "data", "itself", "first", "second", "third", "choice", "other"]
    ) -> bool: ...
    def ClearField(
        self,
        field_name: _typing.Literal[
            "plain", "maybe", "data", "numbers", "itself", "first", "second", "third", "choice", "other"
        ],
    ) -> None: ...
    @_typing.overload
    def WhichOneof(self, oneof_group: _typing.Literal["choice"]) -> _typing.Literal["first", "second"] | None: ...
    @_typing.overload
    def WhichOneof(self, oneof_group: _typing.Literal["other"]) -> _typing.Literal["third"] | None: ...

    PLAIN_FIELD_NUMBER: _typing.Final = 1
    MAYBE_FIELD_NUMBER: _typing.Final = 2
    DATA_FIELD_NUMBER: _typing.Final = 3
    NUMBERS_FIELD_NUMBER: _typing.Final = 4
    ITSELF_FIELD_NUMBER: _typing.Final = 5
    FIRST_FIELD_NUMBER: _typing.Final = 6
    SECOND_FIELD_NUMBER: _typing.Final = 7
    THIRD_FIELD_NUMBER: _typing.Final = 8

@_typing.final
class Empty(_message.Message):
    def __init__(self) -> None: ...
