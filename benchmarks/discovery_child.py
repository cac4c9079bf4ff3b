"""The processes of ``discovery``: ``python -m benchmarks.discovery_child server consul://127.0.0.1:8500 NAME 10``.

A ``client`` calls without end, or watches; a ``server`` has one handler; ``nodes`` registers nodes that nobody calls, and keeps
them registered. ``benchmarks/go_micro`` is the same client of go-micro's.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Any

import micro_rt
from benchmarks.children import answer, run
from benchmarks.protos.bench_micro import BenchBase, BenchClient
from benchmarks.protos.bench_pb2 import Item
from micro_rt.client.nodes import ServiceNodes
from micro_rt.context import CallInfo
from micro_rt.kit.address import scheme_of
from micro_rt.metadata import Metadata
from micro_rt.node import Node
from micro_rt.registry.base import LEASE_TTL, Lease, Registration, Registry
from micro_rt.service.parts import backend
from micro_rt.transport.base import ClientStream, Connection, Dispatch, Listener

SERVICE = "bench.Bench"
ITEM = Item(text="benchmark, 24 bytes.")
PATIENCE = 30.0
"""Seconds that a call may take: go-micro's default."""
LOOK = 0.01
"""Seconds between two looks at which nodes are known."""

now = time.time  # which other processes have as well


class Bench(BenchBase):
    """Gives back what it is sent."""

    async def echo(self, request: Item, context: micro_rt.Context) -> Item:
        return request


class NotingConnection(Connection):
    """Tells of each attempt to bring a call to a node."""

    def __init__(self, inner: Connection, note: Callable[[], None]) -> None:
        self._inner = inner
        self._note = note

    async def connect(self) -> None:
        """Connects."""
        await self._inner.connect()

    async def open(
        self, path: str, content_subtype: str, metadata: Metadata, deadline: float | None, info: CallInfo
    ) -> ClientStream:
        """Starts a call."""
        self._note()
        return await self._inner.open(path, content_subtype, metadata, deadline, info)

    async def unary(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        message: bytes,
    ) -> bytes:
        """Makes a call."""
        self._note()
        return await self._inner.unary(path, content_subtype, metadata, deadline, info, message)

    async def close(self) -> None:
        """Closes it."""
        await self._inner.close()


class NotingTransport:
    """gRPC's, whose connections tell where each attempt goes."""

    name = "grpc"

    def __init__(self) -> None:
        self._inner = backend("transport", "grpc", "transport")()
        self.attempts: dict[str, list[float]] = {}
        """When calls went to each address."""

    def connection(self, address: str) -> Connection:
        """Makes a connection."""
        attempts = self.attempts.setdefault(address, [])
        return NotingConnection(self._inner.connection(address), lambda: attempts.append(now()))

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        """Is not used."""
        raise micro_rt.Unimplemented("nothing listens here")


class Load:
    """Calls one service without end, and notes which nodes the client knows."""

    def __init__(self, service: micro_rt.Service, transport: NotingTransport, asked: dict[str, Any]) -> None:
        self._nodes = service.nodes.service_nodes(asked["name"], SERVICE)
        self._echo = BenchClient(service, target=asked["name"]).echo
        self._pause: float = asked["pause"]
        self._transport = transport
        self._calls: list[tuple[float, bool]] = []
        self._seen: dict[str, float] = {}
        self._done = False
        workers = [self._call() for _ in range(asked["workers"])]
        self._tasks = [asyncio.create_task(work) for work in (*workers, self._look())]

    def view(self) -> list[str]:
        """Returns the addresses of the nodes that are known."""
        return [node.address for node in self._nodes.nodes]

    async def stop(self, dead: str, since: float) -> dict[str, Any]:
        """Ends, and returns what has happened since a node died."""
        self._done = True
        await asyncio.gather(*self._tasks)
        failures = [failed for ended, failed in self._calls if ended > since]
        return {
            "attempts": [at - since for at in self._transport.attempts[dead] if at > since],
            "gone": self._seen[dead] - since,
            "calls": len(failures),
            "failed": sum(failures),
            "seconds": now() - since,
        }

    async def _call(self) -> None:
        while not self._done:
            failed = False
            try:
                await self._echo(ITEM, timeout=PATIENCE)
            except micro_rt.Error as error:
                failed = True
                print(f"a call failed: {error}", file=sys.stderr)
            self._calls.append((now(), failed))
            await asyncio.sleep(self._pause)

    async def _look(self) -> None:
        while not self._done:
            self._seen |= dict.fromkeys(self.view(), now())
            await asyncio.sleep(LOOK)


async def client(url: str) -> None:
    """Calls or watches, as it is told."""
    transport = NotingTransport()
    tasks: list[asyncio.Task[None]] = []
    load: Load | None = None
    async with micro_rt.Service("caller", registry=url, transport=transport) as service:

        async def obey(asked: dict[str, Any]) -> Any:
            nonlocal load
            match asked["do"]:
                case "watch":
                    services = [service.nodes.service_nodes(name, SERVICE) for name in asked["names"]]
                    tasks.extend(asyncio.create_task(pick(service_nodes)) for service_nodes in services)
                case "load":
                    load = Load(service, transport, asked)
                case "view" if load:
                    return load.view()
                case "stop" if load:
                    return await load.stop(asked["address"], asked["since"])
                case other:
                    raise ValueError(f"what is {other!r}?")
            return None

        await answer(obey)
        for task in tasks:
            task.cancel()


async def pick(nodes: ServiceNodes) -> None:
    """Picks a node every second, as a client does whose calls are few."""
    while True:
        if nodes.pick() is None:
            await nodes.wait(None)
        await asyncio.sleep(1.0)


async def server(url: str, name: str, ttl: str) -> None:
    """Serves one handler."""
    service = micro_rt.Service(name, registry=url, transport="grpc", address="127.0.0.1:0", ttl=float(ttl))
    service.handle(Bench())
    async with service:
        node = service.node
        assert node is not None

        async def tell(_: dict[str, Any]) -> dict[str, Any]:
            return {"pid": os.getpid(), "address": node.address}

        await answer(tell)


async def nodes(url: str) -> None:
    """Registers nodes that do not exist, and renews their leases as the processes that they stand for would."""
    registry: Registry = backend("registry", scheme_of(url, "registry"), "registry")(url)
    await registry.open()
    try:
        async with AsyncExitStack() as stack:

            async def renew(lease: Lease) -> None:
                await asyncio.sleep(random.uniform(0, LEASE_TTL / 3))
                while True:
                    await lease.renew()
                    await asyncio.sleep(LEASE_TTL / 3)

            async def register(asked: dict[str, Any]) -> None:
                for name in asked["names"]:
                    for number in range(asked["nodes"]):
                        node = Node(f"{name}-{number}", f"127.0.0.1:{number + 1}", services=frozenset({SERVICE}))
                        lease = await registry.register(Registration(node, (name,)))
                        stack.callback(asyncio.create_task(renew(lease)).cancel)

            await answer(register)
    finally:
        await registry.close()


ROLES: Mapping[str, Callable[..., Coroutine[Any, Any, None]]] = {"client": client, "server": server, "nodes": nodes}

if __name__ == "__main__":
    run(ROLES[sys.argv[1]](*sys.argv[2:]))
