"""Clients, service bases and events of order_events.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found, deprecated"
# pyright: reportDeprecated=false

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import micro_rt as _micro

if TYPE_CHECKING:
    from order_events_pb2 import *  # pyright: ignore[reportMissingImports]
    from .order_events_pb2 import *
    from shop.order_pb2 import *  # pyright: ignore[reportMissingImports]
    from .shop.order_pb2 import *
elif __package__:
    from .order_events_pb2 import Lost, Placed
    from .shop.order_pb2 import Order
else:
    from order_events_pb2 import Lost, Placed
    from shop.order_pb2 import Order

__all__ = ["OrderEventsPublisher", "OrderEventsSubscriberBase", "OrdersBase", "OrdersClient"]

_ORDERS_PLACE = _micro.Method("order_events.Orders", "Place", "place", _micro.Kind.UNARY, Order, Placed)
_ORDERS = _micro.ServiceInfo("order_events.Orders", "order_events", (_ORDERS_PLACE,))


class OrdersClient(_micro.Client):
    """Orders, by rpc and by event."""

    _info_ = _ORDERS

    async def place(
        self,
        request: Order,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Placed:
        """Places an order."""
        return await self._unary(_ORDERS_PLACE, request, timeout, metadata, info)


class OrdersBase(_micro.Handler):
    """Orders, by rpc and by event."""

    _info_ = _ORDERS

    async def place(self, request: Order, context: _micro.Context) -> Placed:
        """Places an order."""
        raise self._unimplemented(_ORDERS_PLACE)


_PLACED = _micro.Event(
    "order_events.Placed",
    "placed",
    "orders.placed",
    Placed,
    key="order_id",
    version="2.1",
    retention=86400.5,
    partitions=12,
)
_PLACED_PART = _micro.Event(
    "order_events.Placed.Part",
    "placed_part",
    "orders.placed",
    Placed.Part,
    key="whole.order_id",
    version="2.10",
    partitions=3,
    type="com.example.order.part-returned",
)
_LOST = _micro.Event("order_events.Lost", "lost", "orders.lost", Lost)
_ORDER_EVENTS_EVENTS = _micro.EventsInfo("order_events.proto", (_PLACED, _PLACED_PART, _LOST))


class OrderEventsPublisher(_micro.Publisher):
    """Publishes the events of order_events.proto."""

    _info_ = _ORDER_EVENTS_EVENTS

    async def placed(
        self,
        event: Placed,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """An order was placed."""
        return await self._publish(_PLACED, event, key, headers, time, timeout)

    async def placed_part(
        self,
        event: Placed.Part,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """A part of it was taken back."""
        return await self._publish(_PLACED_PART, event, key, headers, time, timeout)

    @_micro.deprecated("order_events.Lost is deprecated")
    async def lost(
        self,
        event: Lost,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """Was in use once.

        Deprecated.
        """
        return await self._publish(_LOST, event, key, headers, time, timeout)

    async def publish_all(
        self,
        events: Iterable[Placed | Placed.Part | Lost],
        *,
        headers: _micro.HeadersLike | None = None,
        timeout: float | None = None,
    ) -> list[_micro.Published]:
        """Publishes many events of this file at once; what comes back is in their order."""
        return await self._publish_all(events, headers, timeout)


class OrderEventsSubscriberBase(_micro.Subscriber):
    """Handles the events of order_events.proto; a method that is left out is not subscribed."""

    _info_ = _ORDER_EVENTS_EVENTS

    async def placed(self, event: Placed, context: _micro.EventContext) -> None:
        """An order was placed."""
        raise self._not_subscribed(_PLACED)

    async def placed_part(self, event: Placed.Part, context: _micro.EventContext) -> None:
        """A part of it was taken back."""
        raise self._not_subscribed(_PLACED_PART)

    async def lost(self, event: Lost, context: _micro.EventContext) -> None:
        """Was in use once.

        Deprecated.
        """
        raise self._not_subscribed(_LOST)
