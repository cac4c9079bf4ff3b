"""A member of a group in a process of its own; writes a line for each event that it has handled.

python -m tests.faults.events_worker BROKER MARK GROUP LOG SECONDS

The line is one write to a file that all members append to, so that it is there whole or not at all, whatever happens to
the process, and the order of lines is the order in which events were handled.
"""

from __future__ import annotations

import asyncio
import os
import sys

import micro_rt as micro
from tests.helpers.shop import Shop
from tests.protos.shop_pb2 import OrderPlaced


def main() -> None:
    broker, mark, group, path, seconds = sys.argv[1:]
    log = os.open(path, os.O_WRONLY | os.O_APPEND)

    async def handle(event: OrderPlaced, context: micro.EventContext) -> None:
        await asyncio.sleep(float(seconds))
        os.write(log, f"{event.order_id} {event.total_cents} {os.getpid()}\n".encode())

    service = micro.Service("worker", registry="memory:", broker=broker, grace=10.0)
    service.subscribe(Shop(mark).subscriber(order_placed=handle), group=group)
    service.run()


if __name__ == "__main__":
    main()
