"""Messages of order_events.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found, no-redef, deprecated"
# pyright: reportDeprecated=false

import typing as _typing
import typing_extensions as _typing_extensions
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from shop.common.money_pb2 import Money  # pyright: ignore[reportMissingImports]
from .shop.common.money_pb2 import Money
from shop.order_pb2 import Order  # pyright: ignore[reportMissingImports]
from .shop.order_pb2 import Order

__all__ = [
    "Lost",
    "Placed",
]

DESCRIPTOR: _descriptor.FileDescriptor

@_typing.final
class Placed(_message.Message):
    """An order was placed."""

    order_id: str
    """Its number."""
    @property
    def order(self) -> Order: ...
    def __init__(self, *, order_id: str | None = ..., order: Order | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["order"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["order_id", "order"]) -> None: ...

    ORDER_ID_FIELD_NUMBER: _typing.Final = 1
    ORDER_FIELD_NUMBER: _typing.Final = 2

    @_typing.final
    class Part(_message.Message):
        """A part of it was taken back."""

        @property
        def whole(self) -> Placed: ...
        @property
        def refund(self) -> Money:
            """What is paid back."""

        def __init__(self, *, whole: Placed | None = ..., refund: Money | None = ...) -> None: ...
        def HasField(self, field_name: _typing.Literal["whole", "refund"]) -> bool: ...
        def ClearField(self, field_name: _typing.Literal["whole", "refund"]) -> None: ...

        WHOLE_FIELD_NUMBER: _typing.Final = 1
        REFUND_FIELD_NUMBER: _typing.Final = 2

@_typing_extensions.deprecated("order_events.Lost is deprecated")
@_typing.final
class Lost(_message.Message):
    """Was in use once.

    Deprecated.
    """

    why: str
    """Deprecated."""

    def __init__(self, *, why: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["why"]) -> None: ...

    WHY_FIELD_NUMBER: _typing.Final = 1
