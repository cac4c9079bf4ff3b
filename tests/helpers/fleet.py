"""Servers of one name that differ, and a client that chooses among them."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from contextlib import AsyncExitStack, suppress
from typing import Any

import micro_rt as micro
from micro_rt.client.remote import RemoteNode
from tests.helpers.handlers import Lab
from tests.protos.lab_micro import LabClient
from tests.protos.lab_pb2 import Text

__all__ = ["Fleet"]


class Fleet:
    """Everything ends with the stack.

    Args:
        stack: ends what is started here.

    Attributes:
        handlers: of the servers, by their names here.
        servers: by their names here.
        client: a service without handlers, once ``connect`` has started it.
    """

    client: micro.Service

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.registry = f"memory:{uuid.uuid4()}"
        self.handlers: dict[str, Lab] = {}
        self.servers: dict[str, micro.Service] = {}

    async def serve(self, name: str, handler: Lab | None = None, *, transport: str = "memory", **options: Any) -> None:
        """Starts a server; its name is known here only."""
        service = micro.Service("lab", registry=self.registry, transport=transport, grace=0, **options)
        self.handlers[name] = service.handle(handler or Lab())
        self.servers[name] = await self.stack.enter_async_context(service)

    async def connect(self, **options: Any) -> None:
        """Starts the client."""
        self.client = await self.stack.enter_async_context(micro.Service("client", registry=self.registry, **options))

    async def calls(self, lab: LabClient, count: int, *, clients: int = 1, **options: Any) -> Counter[str]:
        """Makes calls, and returns how many each server has got, by the names of the servers."""
        numbers, got = iter(range(count)), Counter[str]()

        async def call() -> None:
            for _ in numbers:
                info = micro.CallInfo()
                with suppress(micro.Unknown):  # what a handler raised
                    await lab.look(Text(), info=info, **options)
                got[self.name_of(info.node)] += 1

        await asyncio.gather(*(call() for _ in range(clients)))
        return got

    def name_of(self, node_id: str | None) -> str:
        """Returns the name of the server that has a node."""
        return next(name for name, server in self.servers.items() if server.node and server.node.id == node_id)

    def remote(self, name: str, wanted: micro.NodeFilter | None = None) -> RemoteNode:
        """Returns what the client knows of a server."""
        node = self.servers[name].node
        assert node is not None
        return self.client.nodes.service_nodes("lab", "lab.Lab", wanted)._view.remotes[node.id]
