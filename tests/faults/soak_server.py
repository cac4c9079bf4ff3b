"""A server of the soak test: notes when each handler begins and ends, and does what the request says.

python -m tests.faults.soak_server NAME ADDRESS LOG

A line of the log is ``+ID`` when the handler of a call begins, and ``-ID`` when it has ended, however it ended. The id is the
metadata ``call``.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import micro_rt as micro
from tests.protos.lab_micro import LabBase
from tests.protos.lab_pb2 import Number, Text

LONGEST = 0.02
"""Seconds that a handler takes at most, unless it is asked to hang."""


class Soaked(LabBase):
    def __init__(self, log: str) -> None:
        # Without a buffer: what a process wrote before it was killed is there.
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    @contextmanager
    def _noted(self, context: micro.Context) -> Iterator[None]:
        id = str(context.metadata["call"])
        os.write(self._log, f"+{id}\n".encode())
        try:
            yield
        finally:
            os.write(self._log, f"-{id}\n".encode())

    async def act(self, request: Text, context: micro.Context) -> Text:
        with self._noted(context):
            if request.value == "hang":
                await asyncio.Event().wait()
            await _work()
            return request

    async def look(self, request: Text, context: micro.Context) -> Text:
        return await self.act(request, context)

    async def count(self, request: Number, context: micro.Context) -> AsyncIterator[Number]:
        with self._noted(context):
            for value in range(abs(request.value)):
                yield Number(value=value)
                if not value % 7:
                    await _work()
            if request.value < 0:
                await asyncio.Event().wait()

    async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
        with self._noted(context):
            return Number(value=sum([request.value async for request in requests]))

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        with self._noted(context):
            async for request in requests:
                await _work()
                yield request


async def _work() -> None:
    await asyncio.sleep(random.uniform(0, LONGEST))


if __name__ == "__main__":
    name, address, log = sys.argv[1:]
    service = micro.Service(name, address=address)
    service.handle(Soaked(log))
    service.run()
