"""Messages of shop/order.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from .common.money_pb2 import Money
from top_pb2 import *  # pyright: ignore[reportMissingImports]
from ..top_pb2 import *

__all__ = [
    "Money",
    "Order",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Order(_message.Message):
    id: str
    @property
    def total(self) -> Money: ...
    @property
    def label(self) -> Label: ...
    def __init__(self, *, id: str | None = ..., total: Money | None = ..., label: Label | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["total", "label"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id", "total", "label"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    TOTAL_FIELD_NUMBER: _typing.Final = 2
    LABEL_FIELD_NUMBER: _typing.Final = 3
