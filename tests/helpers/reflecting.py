"""A service that answers with what it was asked, and a client that asks it for its .proto files."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.method import ServiceInfo
from micro_rt.node import Node
from micro_rt.reflection.handler import ReflectionAlphaHandler, ReflectionHandler
from micro_rt.reflection.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse
from micro_rt.registry.base import Registration
from tests.protos.atlas_micro import AtlasBase
from tests.protos.atlas_pb2 import Finding, Query

__all__ = ["AlphaReflectionClient", "Atlas", "Connect", "ReflectionClient", "connected", "request"]

Connect = Callable[[micro.Service], AbstractAsyncContextManager["ReflectionClient"]]
"""Makes a client that asks a service for its .proto files."""

request = ServerReflectionRequest


class Atlas(AtlasBase):
    """Answers with what it was asked."""

    async def find(self, request: Query, context: micro.Context) -> Finding:
        return Finding(map=request.map, extra=request.extra)


class ReflectionClient(micro.Client):
    """Asks a server for its .proto files."""

    target = "grpc.reflection.v1"
    _info_: ClassVar[ServiceInfo] = ReflectionHandler._info_  # pyright: ignore[reportPrivateUsage]

    def talk(
        self, requests: micro.Messages[ServerReflectionRequest] | None = None
    ) -> micro.BidiStreamCall[ServerReflectionRequest, ServerReflectionResponse]:
        """Begins a stream."""
        return self._bidi_stream(self._info_.methods[0], requests, None, None, None)

    async def ask(self, *requests: ServerReflectionRequest) -> list[ServerReflectionResponse]:
        """Returns the answers to requests on one stream."""
        return [reply async for reply in self.talk(requests)]


class AlphaReflectionClient(ReflectionClient):
    """Does the same in the protocol's older version."""

    target = "grpc.reflection.v1alpha"
    _info_ = ReflectionAlphaHandler._info_  # pyright: ignore[reportPrivateUsage]


@asynccontextmanager
async def connected(service: micro.Service, kind: type[ReflectionClient]) -> AsyncGenerator[ReflectionClient]:
    """Connects a client to a service by its address: no registry lists reflection.

    Args:
        service: to ask. It has been started.
        kind: of the client.
    """
    assert service.node is not None
    name = f"memory:{uuid.uuid4()}"
    registry = MemoryRegistry(name)
    await registry.open()
    node = Node("by-hand", service.node.address, transport=service.node.transport)
    await registry.register(Registration(node, (kind.target,)), ttl=3600)
    async with micro.Service("client", registry=name) as client:
        yield kind(client)
    await registry.close()
