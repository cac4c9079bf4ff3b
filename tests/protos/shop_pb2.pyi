"""Messages of shop.proto, written by protoc-gen-micro: change the .proto instead."""

import collections.abc as _abc
import typing as _typing
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enums
from google.protobuf.timestamp_pb2 import Timestamp

__all__ = [
    "Blob",
    "CHANNEL_PHONE",
    "CHANNEL_UNSPECIFIED",
    "CHANNEL_WEB",
    "Channel",
    "Line",
    "OrderPaid",
    "OrderPlaced",
    "Ping",
    "Shipment",
    "Shipped",
]

DESCRIPTOR: _descriptor.FileDescriptor

class Channel(int, metaclass=_enums.EnumTypeWrapper):
    """Where orders come from."""

    CHANNEL_UNSPECIFIED: _typing.ClassVar[Channel]
    """Nobody said."""
    CHANNEL_WEB: _typing.ClassVar[Channel]
    CHANNEL_PHONE: _typing.ClassVar[Channel]

    @classmethod
    def Value(cls, name: str) -> Channel: ...
    @classmethod
    def values(cls) -> list[Channel]: ...
    @classmethod
    def items(cls) -> list[tuple[str, Channel]]: ...

CHANNEL_UNSPECIFIED: Channel
CHANNEL_WEB: Channel
CHANNEL_PHONE: Channel

@_typing.final
class OrderPlaced(_message.Message):
    """An order that the customer has placed."""

    order_id: str
    """The number of the order."""
    total_cents: int
    """What it costs."""
    @property
    def lines(self) -> _containers.RepeatedCompositeFieldContainer[Line]: ...
    @property
    def placed_at(self) -> Timestamp: ...
    channel: Channel
    """Where it came from."""

    def __init__(
        self,
        *,
        order_id: str | None = ...,
        total_cents: int | None = ...,
        lines: _abc.Iterable[Line] | None = ...,
        placed_at: Timestamp | None = ...,
        channel: Channel | None = ...,
    ) -> None: ...
    def HasField(self, field_name: _typing.Literal["placed_at"]) -> bool: ...
    def ClearField(
        self, field_name: _typing.Literal["order_id", "total_cents", "lines", "placed_at", "channel"]
    ) -> None: ...

    ORDER_ID_FIELD_NUMBER: _typing.Final = 1
    TOTAL_CENTS_FIELD_NUMBER: _typing.Final = 2
    LINES_FIELD_NUMBER: _typing.Final = 3
    PLACED_AT_FIELD_NUMBER: _typing.Final = 4
    CHANNEL_FIELD_NUMBER: _typing.Final = 5

@_typing.final
class OrderPaid(_message.Message):
    """An order that the customer has paid for."""

    order_id: str
    paid_cents: int

    def __init__(self, *, order_id: str | None = ..., paid_cents: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["order_id", "paid_cents"]) -> None: ...

    ORDER_ID_FIELD_NUMBER: _typing.Final = 1
    PAID_CENTS_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Shipped(_message.Message):
    """What has left the house."""

    @property
    def shipment(self) -> Shipment: ...
    carrier: str

    def __init__(self, *, shipment: Shipment | None = ..., carrier: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Literal["shipment"]) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["shipment", "carrier"]) -> None: ...

    SHIPMENT_FIELD_NUMBER: _typing.Final = 1
    CARRIER_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Ping(_message.Message):
    """Somebody is there. In no order."""

    text: str

    def __init__(self, *, text: str | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["text"]) -> None: ...

    TEXT_FIELD_NUMBER: _typing.Final = 1

@_typing.final
class Blob(_message.Message):
    """Bytes that belong together."""

    id: bytes
    data: bytes

    def __init__(self, *, id: bytes | None = ..., data: bytes | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id", "data"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    DATA_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Line(_message.Message):
    """One line of an order."""

    article: str
    count: int

    def __init__(self, *, article: str | None = ..., count: int | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["article", "count"]) -> None: ...

    ARTICLE_FIELD_NUMBER: _typing.Final = 1
    COUNT_FIELD_NUMBER: _typing.Final = 2

@_typing.final
class Shipment(_message.Message):
    """A parcel."""

    id: int
    @property
    def articles(self) -> _containers.ScalarMap[str, int]: ...
    def __init__(self, *, id: int | None = ..., articles: _abc.Mapping[str, int] | None = ...) -> None: ...
    def HasField(self, field_name: _typing.Never) -> bool: ...
    def ClearField(self, field_name: _typing.Literal["id", "articles"]) -> None: ...

    ID_FIELD_NUMBER: _typing.Final = 1
    ARTICLES_FIELD_NUMBER: _typing.Final = 2
