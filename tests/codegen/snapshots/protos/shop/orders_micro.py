"""Clients and service bases of shop/orders.proto, written by protoc-gen-micro: change the .proto instead."""
# mypy: disable-error-code="import-not-found"

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import micro_rt as _micro

from .common.money_pb2 import Money
from .order_pb2 import Order

if TYPE_CHECKING:
    from top_pb2 import *  # pyright: ignore[reportMissingImports]
    from ..top_pb2 import *
elif (__package__ or "").count(".") >= 1:
    from ..top_pb2 import Label
else:
    from top_pb2 import Label

__all__ = ["OrdersBase", "OrdersClient"]

_ORDERS_PLACE = _micro.Method("shop.Orders", "Place", "place", _micro.Kind.UNARY, Order, Order)
_ORDERS_TOTAL = _micro.Method("shop.Orders", "Total", "total", _micro.Kind.CLIENT_STREAM, Order, Money)
_ORDERS_LABELS = _micro.Method("shop.Orders", "Labels", "labels", _micro.Kind.SERVER_STREAM, Label, Label)
_ORDERS = _micro.ServiceInfo("shop.Orders", "shop", (_ORDERS_PLACE, _ORDERS_TOTAL, _ORDERS_LABELS))


class OrdersClient(_micro.Client):
    """Where orders are kept."""

    _info_ = _ORDERS

    async def place(
        self,
        request: Order,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Order:
        return await self._unary(_ORDERS_PLACE, request, timeout, metadata, info)

    def total(
        self,
        requests: _micro.Messages[Order] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ClientStreamCall[Order, Money]:
        return self._client_stream(_ORDERS_TOTAL, requests, timeout, metadata, info)

    def labels(
        self,
        request: Label,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.ServerStreamCall[Label]:
        return self._server_stream(_ORDERS_LABELS, request, timeout, metadata, info)


class OrdersBase(_micro.Handler):
    """Where orders are kept."""

    _info_ = _ORDERS

    async def place(self, request: Order, context: _micro.Context) -> Order:
        raise self._unimplemented(_ORDERS_PLACE)

    async def total(self, requests: AsyncIterator[Order], context: _micro.Context) -> Money:
        raise self._unimplemented(_ORDERS_TOTAL)

    def labels(self, request: Label, context: _micro.Context) -> AsyncIterator[Label]:
        raise self._unimplemented(_ORDERS_LABELS)
