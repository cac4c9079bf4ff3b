"""The servers that are measured, each a process of its own: ``python -m benchmarks.servers micro 127.0.0.1:50051``.

It prints READY, tells its CPU time when asked, and ends when its standard input does. All of them do the same:
they give back what they are sent.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.children import answer, run
from benchmarks.protos.bench_pb2 import Item

__all__ = ["CERT", "ECHO", "KEY", "PING_PONG", "REPEAT", "ROOTS", "of_file", "tls"]

CERT, KEY, ROOTS = "BENCH_TLS_CERT", "BENCH_TLS_KEY", "BENCH_TLS_ROOTS"
"""Environment variables that name files: where they are set, connections have TLS."""

ECHO, REPEAT, PING_PONG = "/bench.Bench/Echo", "/bench.Bench/Repeat", "/bench.Bench/PingPong"


@asynccontextmanager
async def micro(address: str, transport: str = "grpc", streams: int = 0) -> AsyncGenerator[None]:
    """Serves with micro-rt, registered as any service is; with a limit of calls of one connection, if that is not 0."""
    import micro_rt
    from benchmarks.protos.bench_micro import BenchBase

    class Bench(BenchBase):
        async def echo(self, request: Item, context: micro_rt.Context) -> Item:
            return request

        async def repeat(self, request: Item, context: micro_rt.Context) -> AsyncIterator[Item]:
            for _ in range(request.number):
                yield request

        async def ping_pong(self, requests: AsyncIterator[Item], context: micro_rt.Context) -> AsyncIterator[Item]:
            async for request in requests:
                yield request

    limits = micro_rt.Limits(streams=streams) if streams else None
    service = micro_rt.Service(
        "bench", registry="local:", transport=transport, address=address, limits=limits, tls=tls(serves=True)
    )
    service.handle(Bench())
    async with service:
        yield


@asynccontextmanager
async def grpclib(address: str) -> AsyncGenerator[None]:
    """Serves with grpclib alone, as its generated code would."""
    from grpclib.const import Cardinality, Handler
    from grpclib.server import Server, Stream

    async def echo(stream: Stream[Item, Item]) -> None:
        request = await stream.recv_message()
        assert request is not None
        await stream.send_message(request)

    async def repeat(stream: Stream[Item, Item]) -> None:
        request = await stream.recv_message()
        assert request is not None
        for _ in range(request.number):
            await stream.send_message(request)

    async def ping_pong(stream: Stream[Item, Item]) -> None:
        async for request in stream:
            await stream.send_message(request)

    class Bench:
        def __mapping__(self) -> Mapping[str, Handler]:
            return {
                ECHO: Handler(echo, Cardinality.UNARY_UNARY, Item, Item),
                REPEAT: Handler(repeat, Cardinality.UNARY_STREAM, Item, Item),
                PING_PONG: Handler(ping_pong, Cardinality.STREAM_STREAM, Item, Item),
            }

    server = Server([Bench()])
    host, _, port = address.rpartition(":")
    await server.start(host, int(port))
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def grpcio(address: str) -> AsyncGenerator[None]:
    """Serves with grpcio's asyncio server, as its generated code would."""
    grpc: Any = import_module("grpc")  # it comes without types

    async def echo(request: Item, context: Any) -> Item:
        return request

    async def repeat(request: Item, context: Any) -> AsyncIterator[Item]:
        for _ in range(request.number):
            yield request

    async def ping_pong(requests: AsyncIterator[Item], context: Any) -> AsyncIterator[Item]:
        async for request in requests:
            yield request

    codec = {"request_deserializer": Item.FromString, "response_serializer": Item.SerializeToString}
    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(echo, **codec),
        "Repeat": grpc.unary_stream_rpc_method_handler(repeat, **codec),
        "PingPong": grpc.stream_stream_rpc_method_handler(ping_pong, **codec),
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("bench.Bench", methods),))
    if CERT in os.environ:
        server.add_secure_port(address, grpc.ssl_server_credentials([(of_file(KEY), of_file(CERT))]))
    else:
        server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)


def tls(*, serves: bool = False) -> Any:
    """Returns the ``micro.Tls`` of a service; None if connections have none."""
    import micro_rt

    if CERT not in os.environ:
        return None
    return micro_rt.Tls(cert=os.environ[CERT], key=os.environ[KEY]) if serves else micro_rt.Tls(roots=os.environ[ROOTS])


def of_file(variable: str) -> bytes:
    """Returns what the file holds that an environment variable names."""
    return Path(os.environ[variable]).read_bytes()


STACKS: Mapping[str, Callable[[str], AbstractAsyncContextManager[None]]] = {
    "micro": micro,
    "micro_grpclib": partial(micro, transport="grpclib"),
    "micro_100": partial(micro, streams=100),
    "grpclib": grpclib,
    "grpcio": grpcio,
}


async def main(stack: str, address: str) -> None:
    """Serves until the run asks no more."""
    async with STACKS[stack](address):
        await answer(usage)


async def usage(_: dict[str, Any]) -> float:
    """Tells the CPU seconds that this process has used, in all its threads."""
    return time.process_time()


if __name__ == "__main__":
    run(main(sys.argv[1], sys.argv[2]))
