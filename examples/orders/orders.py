"""The order service: takes orders over rpc, keeps them in the store, and follows what becomes of them by events."""

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
    Status,
)

import micro_rt as micro


def book() -> micro.TypedStore[Order]:
    """The orders by their numbers. They outlive this process, and every process of this service sees them."""
    return micro.TypedStore(service.store, Order, prefix="orders/")


class Orders(OrdersBase):
    def __init__(self, events: OrdersPublisher) -> None:
        self._events = events

    async def place(self, request: PlaceRequest, context: micro.Context) -> Order:
        if not request.order_id:
            raise micro.InvalidArgument("an order needs a number", id="orders.no_number")
        await self._events.order_placed(OrderPlaced(order_id=request.order_id, total_cents=request.total_cents))

        def placed(order: Order | None) -> Order:
            order = order or Order(order_id=request.order_id, status=STATUS_PLACED)
            order.total_cents = request.total_cents
            return order

        return (await book().update(request.order_id, placed)).value

    async def get(self, request: GetRequest, context: micro.Context) -> Order:
        try:
            return (await book().read(request.order_id)).value
        except micro.NotFound:
            raise micro.NotFound(f"there is no order {request.order_id}", id="orders.not_found") from None


class Follows(OrdersSubscriberBase):
    """At least once: an event may come again, so that setting a status twice must be as good as once."""

    async def order_paid(self, event: OrderPaid, context: micro.EventContext) -> None:
        await self._reached(event.order_id, STATUS_PAID)

    async def order_shipped(self, event: OrderShipped, context: micro.EventContext) -> None:
        await self._reached(event.order_id, STATUS_SHIPPED)

    async def _reached(self, order_id: str, status: Status) -> None:
        def changed(order: Order | None) -> Order:
            order = order or Order(order_id=order_id)
            order.status = max(order.status, status)
            return order

        await book().update(order_id, changed)


service = micro.Service("orders")
service.handle(Orders(OrdersPublisher(service)))
service.subscribe(Follows(), group="orders")

if __name__ == "__main__":
    service.run()
