"""The clients that are measured, each a process of its own: ``python -m benchmarks.clients micro 127.0.0.1:50051``.

It prints READY, makes calls for as long as it is told to, tells how many it made, and ends when its standard
input does. With a third argument, ``register``, it registers the server itself: so micro-rt finds a foreign one.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from statistics import quantiles
from typing import Any

from benchmarks.children import answer, run
from benchmarks.protos.bench_pb2 import Item
from benchmarks.servers import CERT, ECHO, PING_PONG, REPEAT, ROOTS, of_file, tls

LARGE = 1 << 20
"""Bytes of a large message."""
REPEATED = 500
"""Messages of one server stream."""
SLACK = 5.0
"""Seconds until the deadline of a call that has one."""

SMALL = Item(text="benchmark, 24 bytes.", number=1)
"""What a small call sends."""

clock = time.perf_counter


@dataclass(frozen=True)
class Calls:
    """What a client can do."""

    echo: Callable[[Item], Awaitable[Item]]
    """Makes a unary call."""
    traced: Callable[[Item], Awaitable[Item]]
    """Makes a unary call with a deadline and a fresh ``traceparent``, as traced clients do."""
    repeat: Callable[[Item], Awaitable[int]]
    """Reads a server stream to its end, and counts its messages."""
    ping_pong: Callable[[Item, float], Awaitable[int]]
    """Sends and receives in turn on one stream until a time, and counts."""


@asynccontextmanager
async def micro(_: str, transport: str = "grpc") -> AsyncGenerator[Calls]:
    """Calls with micro-rt, which finds the server by its name."""
    import micro_rt
    from benchmarks.protos.bench_micro import BenchClient

    caller = micro_rt.Service("caller", registry="local:", transport=transport, selector="round_robin", tls=tls())
    async with caller as service:
        client = BenchClient(service, target="bench")

        def traced(item: Item) -> Awaitable[Item]:
            return client.echo(item, timeout=SLACK, metadata={"traceparent": traceparent()})

        async def repeat(item: Item) -> int:
            count = 0
            async for _ in client.repeat(item):
                count += 1
            return count

        async def ping_pong(item: Item, until: float) -> int:
            count = 0
            async with client.ping_pong() as call:
                while clock() < until:
                    await call.send(item)
                    await call.receive()
                    count += 1
                await call.end()
            return count

        yield Calls(client.echo, traced, repeat, ping_pong)


@asynccontextmanager
async def grpclib(address: str) -> AsyncGenerator[Calls]:
    """Calls with grpclib alone, as its generated code would."""
    from grpclib.client import Channel, StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod

    host, _, port = address.rpartition(":")
    channel = Channel(host, int(port))
    echo = UnaryUnaryMethod(channel, ECHO, Item, Item)
    repeating = UnaryStreamMethod(channel, REPEAT, Item, Item)
    playing = StreamStreamMethod(channel, PING_PONG, Item, Item)

    def traced(item: Item) -> Awaitable[Item]:
        return echo(item, timeout=SLACK, metadata={"traceparent": traceparent()})

    async def repeat(item: Item) -> int:
        count = 0
        async with repeating.open() as stream:
            await stream.send_message(item, end=True)
            async for _ in stream:
                count += 1
        return count

    async def ping_pong(item: Item, until: float) -> int:
        count = 0
        async with playing.open() as stream:
            while clock() < until:
                await stream.send_message(item)
                await stream.recv_message()
                count += 1
            await stream.end()
        return count

    try:
        yield Calls(echo, traced, repeat, ping_pong)
    finally:
        channel.close()


@asynccontextmanager
async def grpcio(address: str) -> AsyncGenerator[Calls]:
    """Calls with grpcio's asyncio client, as its generated code would."""
    grpc: Any = import_module("grpc")  # it comes without types
    codec = {"request_serializer": Item.SerializeToString, "response_deserializer": Item.FromString}

    if CERT in os.environ:
        connected = grpc.aio.secure_channel(address, grpc.ssl_channel_credentials(of_file(ROOTS)))
    else:
        connected = grpc.aio.insecure_channel(address)
    async with connected as channel:
        echo = channel.unary_unary(ECHO, **codec)
        repeating = channel.unary_stream(REPEAT, **codec)
        playing = channel.stream_stream(PING_PONG, **codec)

        def traced(item: Item) -> Awaitable[Item]:
            call: Awaitable[Item] = echo(item, timeout=SLACK, metadata=(("traceparent", traceparent()),))
            return call

        async def repeat(item: Item) -> int:
            count = 0
            async for _ in repeating(item):
                count += 1
            return count

        async def ping_pong(item: Item, until: float) -> int:
            count = 0
            call = playing()
            while clock() < until:
                await call.write(item)
                await call.read()
                count += 1
            await call.done_writing()
            await call.read()
            return count

        yield Calls(echo, traced, repeat, ping_pong)


STACKS: Mapping[str, Callable[[str], AbstractAsyncContextManager[Calls]]] = {
    "micro": micro,
    "micro_grpclib": partial(micro, transport="grpclib"),
    "grpclib": grpclib,
    "grpcio": grpcio,
}


class Load:
    """Keeps a number of calls going.

    Args:
        calls: how they are made.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def __call__(self, question: dict[str, Any]) -> dict[str, float]:
        """Does what the run asks for: a kind of call, that many at a time, for that many seconds."""
        work = {
            "echo": self._echo,
            "large": self._large,
            "traced": self._traced,
            "repeat": self._repeat,
            "ping_pong": self._ping_pong,
        }[question["kind"]]
        latencies: list[float] = []
        cpu, start = time.process_time(), clock()
        until = start + question["seconds"]
        counts = await asyncio.gather(*(work(until, latencies) for _ in range(question["concurrency"])))
        seconds, cpu = clock() - start, time.process_time() - cpu
        return {"count": sum(counts), "seconds": seconds, "cpu": cpu, **_percentiles(latencies)}

    async def _echo(self, until: float, latencies: list[float]) -> int:
        return await self._unary(self._calls.echo, until, latencies)

    async def _large(self, until: float, latencies: list[float]) -> int:
        return await self._unary(self._calls.echo, until, latencies, Item(text="x" * LARGE))

    async def _traced(self, until: float, latencies: list[float]) -> int:
        return await self._unary(self._calls.traced, until, latencies)

    async def _unary(
        self, echo: Callable[[Item], Awaitable[Item]], until: float, latencies: list[float], item: Item = SMALL
    ) -> int:
        count = 0
        end = clock()
        while end < until:
            start = end
            await echo(item)
            end = clock()
            latencies.append(end - start)
            count += 1
        return count

    async def _repeat(self, until: float, latencies: list[float]) -> int:
        item = Item(text="benchmark, 24 bytes", number=REPEATED)
        count = 0
        while clock() < until:
            count += await self._calls.repeat(item)
        return count

    async def _ping_pong(self, until: float, latencies: list[float]) -> int:
        return await self._calls.ping_pong(Item(text="benchmark, 24 bytes.", number=1), until)


def _percentiles(latencies: list[float]) -> dict[str, float]:
    if len(latencies) < 2:
        return {"p50": 0.0, "p99": 0.0}
    cuts = quantiles(latencies, n=100)
    return {"p50": cuts[49], "p99": cuts[98]}


def traceparent() -> str:
    """Returns a fresh one (https://www.w3.org/TR/trace-context/)."""
    return f"00-{random.getrandbits(128):032x}-{random.getrandbits(64):016x}-01"


@asynccontextmanager
async def registered(address: str) -> AsyncGenerator[None]:
    """Keeps a server registered that does not do so itself."""
    from micro_rt.node import Node
    from micro_rt.registry.base import LEASE_TTL, Registration
    from micro_rt.service.parts import backend

    registry = backend("registry", "local", "registry")("local:")
    await registry.open()
    try:
        node = Node("bench-foreign", address, services=frozenset({"bench.Bench"}))
        lease = await registry.register(Registration(node, ("bench",)))

        async def renew() -> None:
            while True:
                await asyncio.sleep(LEASE_TTL / 3)
                await lease.renew()

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            await lease.revoke()
    finally:
        await registry.close()


async def main(stack: str, address: str, register: str = "") -> None:
    """Makes calls until the run asks no more."""
    async with registered(address) if register else nullcontext(), STACKS[stack](address) as calls:
        await answer(Load(calls))


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
