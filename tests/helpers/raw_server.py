"""A server that says what a test wants: whatever the test does, none of its connections outlives it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable

from micro_rt.testing.proxy import _settle

__all__ = ["raw_server"]

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def raw_server(
    serve: Serve, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[str]:
    """Listens, and yields host and port.

    When the block ends, what still serves is cancelled, and every connection is closed, also one that is accepted at that moment.

    Args:
        serve: serves one connection, which is closed afterwards; that the other side is gone is no error.
        host: where it listens.
        port: any that is free if not given.
        tls: for servers that speak TLS.

    Raises:
        Exception: what ``serve`` raised.
    """
    tasks: list[asyncio.Task[None]] = []
    writers: list[asyncio.StreamWriter] = []

    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        tasks.append(asyncio.create_task(served(reader, writer)))

    server = await asyncio.start_server(accept, host, port, ssl=tls)
    try:
        yield "{}:{}".format(*server.sockets[0].getsockname()[:2])
    finally:
        await _settle(server)
        server.close()
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for writer in writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
    for result in ended:
        if isinstance(result, Exception):
            raise result
