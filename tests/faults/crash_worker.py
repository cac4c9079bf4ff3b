"""A member of a group in a process of its own, whose handler ends the process when it gets a certain event.

python -m tests.faults.crash_worker BROKER MARK GROUP LOG CRASH_ATTEMPTS

An event ends the process if its number is below 0: -1 with ``os._exit``, -2 with SIGKILL after a moment in which the loop runs. Each
other event takes as many milliseconds as its number modulo 1000 says. LOG gets a line when a handler begins, and one when it is done.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import micro_rt as micro
from tests.helpers.shop import Shop
from tests.protos.shop_pb2 import OrderPaid, OrderPlaced


def main() -> None:
    broker, mark, group, path, crash_attempts = sys.argv[1:]
    log = os.open(path, os.O_WRONLY | os.O_APPEND)

    async def placed(event: OrderPlaced, context: micro.EventContext) -> None:
        os.write(log, f"begin {event.order_id} {os.getpid()}\n".encode())
        if event.total_cents == -1:
            os._exit(17)
        if event.total_cents == -2:
            await asyncio.sleep(0.05)
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(event.total_cents % 1000 / 1000)
        os.write(log, f"done {event.order_id} {os.getpid()}\n".encode())

    async def paid(event: OrderPaid, context: micro.EventContext) -> None:
        await asyncio.sleep(event.paid_cents / 1000)
        os.write(log, f"done {event.order_id} {os.getpid()}\n".encode())

    service = micro.Service("worker", registry="memory:", broker=broker, grace=10.0)
    service.subscribe(Shop(mark).subscriber(order_placed=placed), group=group, crash_attempts=int(crash_attempts))
    service.subscribe(Shop(mark).subscriber(order_paid=paid), group=f"{group}-paid", crash_attempts=int(crash_attempts))
    service.run()


if __name__ == "__main__":
    main()
