"""Events of shop.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import micro_rt as _micro

from .shop_pb2 import Blob, OrderPaid, OrderPlaced, Ping, Shipped

__all__ = ["ShopPublisher", "ShopSubscriberBase"]

_ORDER_PLACED = _micro.Event(
    "shop.OrderPlaced",
    "order_placed",
    "orders",
    OrderPlaced,
    key="order_id",
    version="1.2.0",
    retention=604800.0,
    partitions=6,
)
_ORDER_PAID = _micro.Event("shop.OrderPaid", "order_paid", "orders", OrderPaid, key="order_id")
_SHIPPED = _micro.Event("shop.Shipped", "shipped", "shipments", Shipped, key="shipment.id")
_PING = _micro.Event("shop.Ping", "ping", "pings", Ping)
_BLOB = _micro.Event("shop.Blob", "blob", "blobs", Blob, key="id")
_SHOP_EVENTS = _micro.EventsInfo("shop.proto", (_ORDER_PLACED, _ORDER_PAID, _SHIPPED, _PING, _BLOB))


class ShopPublisher(_micro.Publisher):
    """Publishes the events of shop.proto."""

    _info_ = _SHOP_EVENTS

    async def order_placed(
        self,
        event: OrderPlaced,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """An order that the customer has placed."""
        return await self._publish(_ORDER_PLACED, event, key, headers, time, timeout)

    async def order_paid(
        self,
        event: OrderPaid,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """An order that the customer has paid for."""
        return await self._publish(_ORDER_PAID, event, key, headers, time, timeout)

    async def shipped(
        self,
        event: Shipped,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """What has left the house."""
        return await self._publish(_SHIPPED, event, key, headers, time, timeout)

    async def ping(
        self,
        event: Ping,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """Somebody is there. In no order."""
        return await self._publish(_PING, event, key, headers, time, timeout)

    async def blob(
        self,
        event: Blob,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """Bytes that belong together."""
        return await self._publish(_BLOB, event, key, headers, time, timeout)

    async def publish_all(
        self,
        events: Iterable[OrderPlaced | OrderPaid | Shipped | Ping | Blob],
        *,
        headers: _micro.HeadersLike | None = None,
        timeout: float | None = None,
    ) -> list[_micro.Published]:
        """Publishes many events of this file at once; what comes back is in their order."""
        return await self._publish_all(events, headers, timeout)


class ShopSubscriberBase(_micro.Subscriber):
    """Handles the events of shop.proto; a method that is left out is not subscribed."""

    _info_ = _SHOP_EVENTS

    async def order_placed(self, event: OrderPlaced, context: _micro.EventContext) -> None:
        """An order that the customer has placed."""
        raise self._not_subscribed(_ORDER_PLACED)

    async def order_paid(self, event: OrderPaid, context: _micro.EventContext) -> None:
        """An order that the customer has paid for."""
        raise self._not_subscribed(_ORDER_PAID)

    async def shipped(self, event: Shipped, context: _micro.EventContext) -> None:
        """What has left the house."""
        raise self._not_subscribed(_SHIPPED)

    async def ping(self, event: Ping, context: _micro.EventContext) -> None:
        """Somebody is there. In no order."""
        raise self._not_subscribed(_PING)

    async def blob(self, event: Blob, context: _micro.EventContext) -> None:
        """Bytes that belong together."""
        raise self._not_subscribed(_BLOB)
