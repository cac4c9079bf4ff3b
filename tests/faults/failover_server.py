"""A server in a process of its own: notes the id of every call it runs, then takes a moment, then answers with its name.

python -m tests.faults.failover_server NAME LOG TTL
"""

from __future__ import annotations

import asyncio
import os
import random
import sys

import micro_rt as micro
from tests.protos.lab_micro import LabBase
from tests.protos.lab_pb2 import Text


class Noting(LabBase):
    def __init__(self, name: str, log: str) -> None:
        self.name = name
        # Without a buffer: what a process wrote before it was killed is there.
        self.log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def act(self, request: Text, context: micro.Context) -> Text:
        os.write(self.log, f"{request.value}\n".encode())
        await asyncio.sleep(random.uniform(0, 0.02))
        return Text(value=self.name)

    async def look(self, request: Text, context: micro.Context) -> Text:
        return await self.act(request, context)


if __name__ == "__main__":
    name, log, ttl = sys.argv[1:]
    service = micro.Service(name, ttl=float(ttl))
    service.handle(Noting(name, log))
    service.run()
