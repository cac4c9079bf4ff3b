"""Billing: charges for what was placed, and says so. Run as many as you like: they share the orders."""

from __future__ import annotations

import asyncio

from orders_micro import OrdersPublisher, OrdersSubscriberBase
from orders_pb2 import OrderPaid, OrderPlaced

import micro_rt as micro


class Billing(OrdersSubscriberBase):
    def __init__(self, events: OrdersPublisher) -> None:
        self._events = events

    async def order_placed(self, event: OrderPlaced, context: micro.EventContext) -> None:
        if event.total_cents < 0:
            raise micro.InvalidArgument(f"order {event.order_id} has a total of {event.total_cents} cents")
        await asyncio.sleep(0.01)  # the bank thinks
        await self._events.order_paid(OrderPaid(order_id=event.order_id))


service = micro.Service("billing")
service.subscribe(Billing(OrdersPublisher(service)), group="billing", attempts=3, backoff=0.1)

if __name__ == "__main__":
    service.run()
