"""Sells tickets. What may be ordered is in its settings, which may change while it runs.

MICRO_CONFIG=file:conf/,env:TICKETS python server.py
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tickets_micro import TicketsBase
from tickets_pb2 import OrderReply, OrderRequest

import micro_rt as micro


@dataclass(frozen=True)
class Limits:
    per_order: int = 4
    sold_out: tuple[str, ...] = ()


class Tickets(TicketsBase):
    limits: micro.Live[Limits]

    async def order(self, request: OrderRequest, context: micro.Context) -> OrderReply:
        limits = self.limits.value  # Of one revision, for the whole call.
        if request.show in limits.sold_out:
            raise micro.FailedPrecondition(f"{request.show} is sold out")
        if request.count > limits.per_order:
            raise micro.InvalidArgument(f"at most {limits.per_order} tickets in one order")
        return OrderReply(message=f"{request.count} tickets for {request.show}")


tickets = Tickets()


@asynccontextmanager
async def lifespan(service: micro.Service) -> AsyncGenerator[None]:
    # Settings that do not fit keep the service from starting; later they change nothing, and the log says what is wrong.
    tickets.limits = service.config.bind("limits", Limits)
    yield


if __name__ == "__main__":
    service = micro.Service("tickets", lifespan=lifespan)
    service.handle(tickets)
    service.run()
