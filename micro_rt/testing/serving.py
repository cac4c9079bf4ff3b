"""A service and its clients in one process, for tests."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Literal

from micro_rt.handler import Handler
from micro_rt.interceptor import Interceptor
from micro_rt.kit.ids import new_id
from micro_rt.service.service import Lifespan, Service

__all__ = ["serve"]


@asynccontextmanager
async def serve(
    *handlers: Handler,
    name: str = "test",
    interceptors: Sequence[Interceptor] = (),
    client_interceptors: Sequence[Interceptor] = (),
    auth: Literal["off"] | None = None,
    lifespan: Lifespan | None = None,
) -> AsyncGenerator[Service]:
    """Serves handlers in this process, without a port or a file, and gives the service to make clients from.

        async with micro_rt.testing.serve(Greeter()) as service:
            reply = await GreeterClient(service).say_hello(HelloRequest(name="Ada"))

    Each one is a world of its own: it sees no other service, and no other sees it.

    Args:
        handlers: what to serve.
        name: of the service.
        interceptors: run around every call that is served.
        client_interceptors: run around every call that clients of the service make.
        auth: ``"off"`` to serve methods whose ``auth`` policy no interceptor enforces.
        lifespan: runs around the life of the service.
    """
    service = Service(
        name,
        registry=f"memory:{new_id()}",
        transport="memory",
        interceptors=interceptors,
        client_interceptors=client_interceptors,
        auth=auth,
        lifespan=lifespan,
        grace=1.0,
    )
    for handler in handlers:
        service.handle(handler)
    async with service:
        yield service
