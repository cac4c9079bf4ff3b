"""Calls on every transport."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from tests.helpers.handlers import Serve


@pytest.fixture(params=["memory", "grpc"])
def serve(request: pytest.FixtureRequest) -> Serve:
    """Serves handlers, and gives another service to make clients from."""

    @asynccontextmanager
    async def serving(
        *handlers: Any,
        interceptors: Any = (),
        client_interceptors: Any = (),
        **options: Any,
    ) -> AsyncIterator[micro.Service]:
        address = f"memory:{uuid.uuid4()}"
        server = micro.Service(
            "lab", registry=MemoryRegistry(address), transport=request.param, interceptors=interceptors, **options
        )
        for handler in handlers:
            server.handle(handler)
        client = micro.Service("client", registry=MemoryRegistry(address), client_interceptors=client_interceptors)
        async with server, client:
            yield client

    return serving
