"""The order service: takes orders over rpc, and follows what becomes of them by events."""

from __future__ import annotations

from orders_micro import OrdersBase, OrdersPublisher, OrdersSubscriberBase
from orders_pb2 import (
    STATUS_PAID,
    STATUS_PLACED,
    STATUS_SHIPPED,
    GetRequest,
    Order,
    OrderPaid,
    OrderPlaced,
    OrderShipped,
    PlaceRequest,
)

import micro_rt as micro


class Orders(OrdersBase):
    def __init__(self, book: dict[str, Order], events: OrdersPublisher) -> None:
        self._book = book
        self._events = events

    async def place(self, request: PlaceRequest, context: micro.Context) -> Order:
        if not request.order_id:
            raise micro.InvalidArgument("an order needs a number", id="orders.no_number")
        await self._events.order_placed(OrderPlaced(order_id=request.order_id, total_cents=request.total_cents))
        order = Order(order_id=request.order_id, total_cents=request.total_cents, status=STATUS_PLACED)
        return self._book.setdefault(request.order_id, order)

    async def get(self, request: GetRequest, context: micro.Context) -> Order:
        try:
            return self._book[request.order_id]
        except KeyError:
            raise micro.NotFound(f"there is no order {request.order_id}", id="orders.not_found") from None


class Follows(OrdersSubscriberBase):
    """At least once: an event may come again, so that setting a status twice must be as good as once."""

    def __init__(self, book: dict[str, Order]) -> None:
        self._book = book

    async def order_paid(self, event: OrderPaid, context: micro.EventContext) -> None:
        self._reached(event.order_id, STATUS_PAID)

    async def order_shipped(self, event: OrderShipped, context: micro.EventContext) -> None:
        self._reached(event.order_id, STATUS_SHIPPED)

    def _reached(self, order_id: str, status: int) -> None:
        order = self._book.setdefault(order_id, Order(order_id=order_id))
        order.status = max(order.status, status)  # type: ignore[assignment]


book: dict[str, Order] = {}
service = micro.Service("orders")
service.handle(Orders(book, OrdersPublisher(service)))
service.subscribe(Follows(book), group="orders")

if __name__ == "__main__":
    service.run()
