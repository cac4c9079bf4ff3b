"""A node of a chain of processes: it does what it is asked for by asking the next node, and says what it has seen.

python -m tests.faults.chain_node NAME [NEXT]
"""

from __future__ import annotations

import asyncio
import json
import math
import sys
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager

import micro_rt as micro
from tests.protos.lab_micro import LabBase, LabClient
from tests.protos.lab_pb2 import Number, Text


class Node(LabBase):
    """Passes everything on to the next node; the last one hangs where the text says so."""

    def __init__(self, service: micro.Service, following: str | None) -> None:
        self._service = service
        # The node itself sets no limit: what bounds its calls comes from the call that it serves.
        self._next = None if following is None else LabClient(service, target=following, timeout=math.inf)
        self._running = 0
        self._most = 0

    async def act(self, request: Text, context: micro.Context) -> Text:
        with self._noted():
            seen = [self._seen(context)]
            if self._next is not None:
                seen += json.loads((await self._next.act(request)).value)
            elif request.value == "hang":
                await asyncio.sleep(3600)
            return Text(value=json.dumps(seen))

    async def talk(self, requests: AsyncIterator[Text], context: micro.Context) -> AsyncIterator[Text]:
        with self._noted():
            if self._next is None:
                async for request in requests:
                    if request.value == "hang":
                        await asyncio.sleep(3600)
                    yield Text(value=json.dumps([self._seen(context)]))
                return
            async for reply in self._next.talk(requests):
                yield Text(value=json.dumps([self._seen(context), *json.loads(reply.value)]))

    async def look(self, request: Text, context: micro.Context) -> Text:
        """Says how many handlers run here, and how many did at once at most."""
        return Text(value=json.dumps([self._running, self._most]))

    async def sum(self, requests: AsyncIterator[Number], context: micro.Context) -> Number:
        with self._noted():
            if self._next is not None:
                return await self._next.sum(requests)
            total = 0
            async for request in requests:
                total += request.value
            return Number(value=total)

    def _seen(self, context: micro.Context) -> dict[str, object]:
        return {
            "node": self._service.name,
            "remaining": context.remaining(),
            "metadata": {key: value for key, value in context.metadata.items() if isinstance(value, str)},
        }

    @contextmanager
    def _noted(self) -> Generator[None]:
        self._running += 1
        self._most = max(self._most, self._running)
        try:
            yield
        finally:
            self._running -= 1


def main() -> None:
    name, *following = sys.argv[1:]
    service = micro.Service(name, flow=["x-tenant"], grace=1.0)
    service.handle(Node(service, following[0] if following else None))
    service.run()


if __name__ == "__main__":
    main()
