"""Messages of billing/invoice-list.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found, no-redef"

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from shop.common.money_pb2 import Money  # pyright: ignore[reportMissingImports]
from ..shop.common.money_pb2 import Money
from shop.order_pb2 import Order  # pyright: ignore[reportMissingImports]
from ..shop.order_pb2 import Order
from top_pb2 import Label as _Label  # pyright: ignore[reportMissingImports]
from ..top_pb2 import Label as _Label

__all__ = [
    "Invoice",
    "Label",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Label(_message.Message):
    """Has the name of a message that it uses from elsewhere."""

    @property
    def label(self) -> _Label: ...
    @property
    def money(self) -> Money: ...
    def __init__(self, *, label: _Label | None = ..., money: Money | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["label", "money"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["label", "money"]) -> None: ...

    LABEL_FIELD_NUMBER: _typing.Final = 1
    MONEY_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Invoice(_message.Message):
    @property
    def orders(self) -> _containers.RepeatedCompositeFieldContainer[Order]: ...
    @property
    def label(self) -> Label: ...
    def __init__(self, *, orders: _abc.Iterable[Order] | None = ..., label: Label | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["label"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["orders", "label"]) -> None: ...

    ORDERS_FIELD_NUMBER: _typing.Final = 1
    LABEL_FIELD_NUMBER: _typing.Final = 2
