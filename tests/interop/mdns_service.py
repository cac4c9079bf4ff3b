"""Services on ``mdns:``, or a client of it, as a program: it says in lines of JSON what becomes of it.

mdns_service.py serve NAME[=ADVERTISE] …   prints the address and the problems of each, when they change, each line of the log,
                                           and at each look at the interfaces the address that leads outside
mdns_service.py call NAME                  makes a call for each line of its input, and prints the reply or the error
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from contextlib import AsyncExitStack

import micro_rt as micro
from micro_rt.kit.interfaces import InterfaceWatch
from micro_rt.kit.net import own_host
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Text


class Lab(LabBase):
    async def look(self, request: Text, context: micro.Context) -> Text:
        return Text(value=f"saw {request.value}")


class Printed(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        show(log=record.getMessage())


def show(**what: object) -> None:
    print(json.dumps(what), flush=True)


async def serve(*names: str) -> None:
    async with AsyncExitStack() as stack:
        services: list[micro.Service] = []
        for each in names:
            name, _, advertise = each.partition("=")
            service = micro.Service(name, advertise=advertise or None, ttl=float(os.environ.get("TTL", "30")))
            service.handle(Lab())
            services.append(await stack.enter_async_context(service))
        # Opened last, so it is called when the services have looked.
        watch = InterfaceWatch(lambda: show(outside=own_host("0.0.0.0")))
        await watch.open()
        stack.push_async_callback(watch.close)
        ended = asyncio.ensure_future(asyncio.to_thread(sys.stdin.read))
        shown: list[object] = [None] * len(services)
        while not ended.done():
            for number, service in enumerate(services):
                assert service.node is not None
                state = service.node.address, dict(service.health.problems)
                if state != shown[number]:
                    shown[number] = state
                    show(service=service.name, address=state[0], problems=state[1])
            await asyncio.sleep(0.01)


async def call(name: str) -> None:
    async with micro.Service("caller") as service:
        client = LabClient(service, target=name)
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                show(reply=(await client.look(Text(value=line.strip()), timeout=5)).value)
            except micro.Error as error:
                show(error=str(error))


logging.getLogger("micro_rt").addHandler(Printed())
logging.getLogger("micro_rt").setLevel(logging.INFO)
asyncio.run({"serve": serve, "call": call}[sys.argv[1]](*sys.argv[2:]))
