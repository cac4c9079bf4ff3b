"""Clients of ``connections``, each a process of its own: ``python -m benchmarks.connections_child hostile 127.0.0.1:50051``.

``good`` makes one call after another; ``hostile`` does what no client should; ``idle`` opens connections, and does nothing
with them. The last two write their frames themselves: no library would.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import struct
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from typing import Any

from benchmarks.children import allow_files, answer, run
from benchmarks.protos.bench_pb2 import Item
from benchmarks.servers import CERT, ECHO, ROOTS

DATA, HEADERS, RST_STREAM, SETTINGS, WINDOW_UPDATE = 0, 1, 3, 4, 8
FIRST_WINDOW = 65_535
PIECE = 16_384
"""Bytes of one DATA frame."""
MESSAGE = 4 << 20
"""Bytes of a message that is never finished."""

clock = time.perf_counter

Answer = Callable[[dict[str, Any]], Awaitable[Any]]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Returns a frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _fields(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Returns fields as literals that are not indexed (RFC 7541, 6.2.2); none is longer than 126 bytes."""
    return b"".join(b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value for name, value in pairs)


HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0) + frame(SETTINGS, 1, 0)
REQUEST = _fields(
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", ECHO.encode()),
        (b":authority", b"bench"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ]
)


def request(stream: int) -> bytes:
    """Returns the headers of a call."""
    return frame(HEADERS, 4, stream, REQUEST)


class Hostile:
    """A connection that does what no client should.

    Args:
        address: of the server.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._windows: dict[int, int] = {}
        """What the server lets each stream send."""

    async def __call__(self, question: dict[str, Any]) -> bool:
        """Attacks until a time, or until the server ends it."""
        host, _, port = self._address.rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        reading = asyncio.create_task(self._read(reader))
        attack = getattr(self, f"_{question['attack']}")
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(question["seconds"]):
                writer.write(HELLO)
                await attack(writer)
                await reading
        reading.cancel()
        writer.transport.abort()
        return True

    async def _resets(self, writer: asyncio.StreamWriter) -> None:
        cancel = struct.pack(">I", 8)
        for start in range(1, 1 << 20, 2_000):
            some = range(start, start + 2_000, 2)
            writer.write(b"".join([request(stream) + frame(RST_STREAM, 0, stream, cancel) for stream in some]))
            await writer.drain()

    async def _announced(self, writer: asyncio.StreamWriter) -> None:
        writer.write(request(1))
        await self._send(writer, 1, b"\0\xff\xff\xff\xff", 1 << 32)

    async def _streams(self, writer: asyncio.StreamWriter) -> None:
        for start in range(1, 40_000, 2_000):
            writer.write(b"".join([request(stream) for stream in range(start, start + 2_000, 2)]))
            await writer.drain()

    async def _unfinished(self, writer: asyncio.StreamWriter) -> None:
        streams = range(1, 80, 2)
        writer.write(b"".join([request(stream) for stream in streams]))
        prefix = b"\0" + struct.pack(">I", MESSAGE)
        await asyncio.gather(*(self._send(writer, stream, prefix, MESSAGE - 1) for stream in streams))

    async def _send(self, writer: asyncio.StreamWriter, stream: int, first: bytes, size: int) -> None:
        """Sends so many bytes on a stream, as far as the server lets it; their end never comes."""
        self._windows[stream] = FIRST_WINDOW
        data = first + bytes(PIECE - len(first))
        while size > 0:
            piece = min(size, self._windows[stream], PIECE)
            if piece:
                self._windows[stream] -= piece
                size -= piece
                writer.write(frame(DATA, 0, stream, data[:piece]))
                data = bytes(PIECE)
                await writer.drain()
            else:
                await asyncio.sleep(0.001)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Reads what the server sends until it ends the connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readexactly(9)
                payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
                stream = int.from_bytes(head[5:], "big")
                if head[3] == WINDOW_UPDATE and stream in self._windows:
                    self._windows[stream] += int.from_bytes(payload, "big")


class Idle:
    """Connections that do nothing.

    Args:
        address: of the server.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def __call__(self, question: dict[str, Any]) -> bool:
        """Opens connections, or waits for a while."""
        host, _, port = self._address.rpartition(":")
        count = question.get("count", 0)
        allow_files(count + 1_000)
        tls = None
        if CERT in os.environ:
            tls = ssl.create_default_context(cafile=os.environ[ROOTS])
            tls.set_alpn_protocols(["h2"])
        for _ in range(count):
            reader, writer = await asyncio.open_connection(host, int(port), ssl=tls)
            writer.write(HELLO)
            await reader.readexactly(9)  # The server's SETTINGS begin.
            self._open.append((reader, writer))
        await asyncio.sleep(question.get("seconds", 0.5))
        return True


@asynccontextmanager
async def good(_: str) -> AsyncGenerator[Answer]:
    """Gives what makes one call after another until a time."""
    import micro_rt
    from benchmarks.protos.bench_micro import BenchClient

    item = Item(text="benchmark, 24 bytes.", number=1)

    async def call(question: dict[str, Any]) -> dict[str, float]:
        longest, failed = 0.0, 0
        until = clock() + question["seconds"]
        while (start := clock()) < until:
            try:
                await client.echo(item)
            except micro_rt.Error:
                failed += 1
            longest = max(longest, clock() - start)
            await asyncio.sleep(0.001)  # The server is not to be busy with this.
        return {"longest": longest, "failed": failed}

    async with micro_rt.Service("good", registry="local:", transport="grpc") as service:
        client = BenchClient(service, target="bench", timeout=60.0)
        yield call


async def main(role: str, address: str) -> None:
    """Does what the run asks for."""
    roles: Mapping[str, Callable[[str], AbstractAsyncContextManager[Answer]]] = {
        "good": good,
        "hostile": lambda address: nullcontext(Hostile(address)),
        "idle": lambda address: nullcontext(Idle(address)),
    }
    async with roles[role](address) as client:
        await answer(client)


if __name__ == "__main__":
    run(main(sys.argv[1], sys.argv[2]))
