"""Servers that know nothing of each other, a registry that lists what the test says, and a client."""

from __future__ import annotations

import uuid
from contextlib import AsyncExitStack
from typing import Any

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.node import Node
from micro_rt.registry.base import Lease, Registration
from tests.helpers.waiting import eventually

__all__ = ["Site"]


class Site:
    """Everything ends with the stack.

    Args:
        stack: ends what is started here.
        transport: of the servers.

    Attributes:
        registry: what the client looks at; open.
        client: a service without handlers, to make clients from.
    """

    registry: MemoryRegistry
    client: micro.Service

    def __init__(self, stack: AsyncExitStack, transport: str = "grpc") -> None:
        self.stack = stack
        self.transport = transport

    async def open(self) -> None:
        """Opens the registry and starts the client."""
        address = f"memory:{uuid.uuid4()}"
        self.registry = MemoryRegistry(address)
        await self.registry.open()
        self.stack.push_async_callback(self.registry.close)
        self.client = await self.stack.enter_async_context(micro.Service("client", registry=address))

    async def serve(self, handler: Any, *, name: str = "lab", **options: Any) -> Node:
        """Starts a server in a registry of its own; returns its node, which the client does not know yet."""
        service = micro.Service(name, registry=f"memory:{uuid.uuid4()}", transport=self.transport, grace=0, **options)
        service.handle(handler)
        await self.stack.enter_async_context(service)
        assert service.node is not None
        return service.node

    async def list(self, node: Node) -> Lease:
        """Lists a node under the name ``lab``."""
        return await self.registry.register(Registration(node, ("lab",)), ttl=3600)

    async def nodes(self, count: int) -> None:
        """Waits until the client knows so many nodes."""
        service_nodes = self.client.nodes.service_nodes("lab", "lab.Lab")
        await eventually(lambda: len(service_nodes.nodes), equals=count)
