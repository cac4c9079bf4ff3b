"""Counts what clients ask a registry, on the wire: ``python -m benchmarks.discovery_proxy 127.0.0.1:8500 127.0.0.1:8500``.

Each target gets a port of its own. HTTP/1.1 is counted in requests; gRPC in messages of the client, since a stream has many.
"""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import AsyncExitStack, suppress
from typing import Any, Self

from benchmarks.children import answer, run

__all__ = ["Counter"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME = 9
"""Bytes of the head of a frame of HTTP/2."""
DATA = 0
REQUEST = re.compile(rb"(?:^|\n|})(?:GET|PUT|POST|DELETE) /\S* HTTP/1\.1\r\n")
"""A request begins where the head or the body, which is JSON, of the one before ends."""


class Counter:
    """Counts requests in the bytes of one connection, however they are cut."""

    def __init__(self) -> None:
        self.requests = 0
        self._rest = b""
        self._http2: bool | None = None
        self._skip = 0

    def feed(self, data: bytes) -> None:
        """Takes the next bytes of the client."""
        self._rest += data
        if self._http2 is None:
            if len(self._rest) < len(PREFACE) and PREFACE.startswith(self._rest):
                return
            self._http2 = self._rest.startswith(PREFACE)
            self._skip = len(PREFACE) if self._http2 else 0
        if self._http2:
            self._frames()
        else:
            self._heads()

    def _heads(self) -> None:
        end = 0
        for match in REQUEST.finditer(self._rest):
            self.requests += 1
            end = match.end()
        # The line that a head ends with may be the one that the next begins after.
        self._rest = self._rest[max(end - 1, len(self._rest) - 16_384, 0) :]

    def _frames(self) -> None:
        while True:
            used = min(self._skip, len(self._rest))
            self._rest = self._rest[used:]
            self._skip -= used
            if self._skip or len(self._rest) < FRAME:
                return
            length, kind = int.from_bytes(self._rest[:3]), self._rest[3]
            if kind == DATA and length:
                self.requests += 1
            self._skip = FRAME + length


class CountingProxy:
    """Stands between one client and a registry."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = host, int(port)
        self._links = set[asyncio.Task[None]]()
        self._counters = list[Counter]()
        self.address = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for link in self._links:
            link.cancel()
        if self._links:
            await asyncio.wait(self._links)

    def counts(self) -> dict[str, Any]:
        """Returns its port and what has been counted."""
        requests = sum(counter.requests for counter in self._counters)
        return {"address": self.address, "requests": requests, "connections": len(self._links)}

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        counter = Counter()
        self._counters.append(counter)
        try:
            with suppress(OSError, asyncio.CancelledError):  # Cancelled with the proxy: its server would report that.
                far_reader, far_writer = await asyncio.open_connection(*self._target)
                try:
                    back = asyncio.create_task(_pass(far_reader, writer, None))
                    await _pass(reader, far_writer, counter)
                    await back
                finally:
                    far_writer.close()
        finally:
            writer.close()
            self._links.discard(task)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, counter: Counter | None) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            if counter is not None:
                counter.feed(data)
            writer.write(data)
            await writer.drain()
        if not writer.is_closing():
            writer.write_eof()


async def main(targets: list[str]) -> None:
    """Forwards and counts until the run asks no more."""
    async with AsyncExitStack() as stack:
        proxies = [await stack.enter_async_context(CountingProxy(target)) for target in targets]

        async def counts(_: dict[str, Any]) -> list[dict[str, Any]]:
            return [proxy.counts() for proxy in proxies]

        await answer(counts)


if __name__ == "__main__":
    run(main(sys.argv[1:]))
