"""Messages of shop/common/money.proto, written by protoc-gen-micro: change the .proto instead."""

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message

__all__ = [
    "Money",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Money(_message.Message):
    """An amount in a currency."""

    currency: str
    cents: int

    def __init__(self, *, currency: str | None = ..., cents: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["currency", "cents"]) -> None: ...

    CURRENCY_FIELD_NUMBER: _typing.Final = 1
    CENTS_FIELD_NUMBER: _typing.Final = 2
