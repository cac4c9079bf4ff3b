"""Shipping: sends what was paid for."""

from __future__ import annotations

from orders_micro import OrdersPublisher, OrdersSubscriberBase
from orders_pb2 import OrderPaid, OrderShipped

import micro_rt as micro


class Shipping(OrdersSubscriberBase):
    def __init__(self, events: OrdersPublisher) -> None:
        self._events = events

    async def order_paid(self, event: OrderPaid, context: micro.EventContext) -> None:
        await self._events.order_shipped(OrderShipped(order_id=event.order_id, parcel=f"parcel-{event.order_id}"))


service = micro.Service("shipping")
service.subscribe(Shipping(OrdersPublisher(service)), group="shipping")

if __name__ == "__main__":
    service.run()
