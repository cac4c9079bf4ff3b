"""A server of our own gRPC that is attacked, and a good client beside the attackers.

Each attacker has a connection of its own, on which anything can be sent. The good client calls on another one, and each
of its calls must succeed.
"""

# pyright: reportPrivateUsage=false
from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from statistics import quantiles
from time import perf_counter

import pytest

from micro_rt.backends.grpc.server import GrpcListener, listen
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.backends.grpc.server_link import ServerLink
from micro_rt.backends.grpclib.transport import GrpclibTransport
from micro_rt.context import CallInfo
from micro_rt.errors import EndOfStream
from micro_rt.http2.frames import PREFACE
from micro_rt.kit.net import join
from micro_rt.metadata import EMPTY
from micro_rt.transport.base import Connection, ServerStream
from tests.helpers.waiting import eventually, soon
from tests.unit.http2.peers import Block, frames_of, raw, settings

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
ENDED = 1
WINDOW_SETTING = 4
REQUEST = Block.of(
    [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b"content-type", b"application/grpc"),
    ]
)


def request(stream: int) -> bytes:
    """Returns a request, as small as can be."""
    return raw(HEADERS, 4, stream, REQUEST)


def reset(stream: int) -> bytes:
    return raw(RST_STREAM, 0, stream, bytes([0, 0, 0, 8]))


class Attacker:
    """A connection to the server on which anything can be sent."""

    def __init__(self, site: Site, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.site, self._reader, self._writer = site, reader, writer
        self.received = bytearray()
        self.gone = False
        self._reading = asyncio.create_task(self._read())

    async def send(self, data: bytes, *, piece: int = 1 << 18) -> None:
        """Sends data, as far as the server takes it; a good call is made after each piece."""
        for start in range(0, len(data), piece):
            with suppress(ConnectionError, TimeoutError):  # Whether the server reads on is not known.
                self._writer.write(data[start : start + piece])
                async with asyncio.timeout(0.5):
                    await self._writer.drain()
            await self.site.good_call()

    def frames(self, kind: int) -> list[tuple[int, int, bytes]]:
        """Returns flags, stream and payload of all frames of a type that have come."""
        whole, position = bytes(self.received), 0
        while position + 9 <= len(whole):
            size = 9 + int.from_bytes(whole[position : position + 3], "big")
            if position + size > len(whole):
                break
            position += size
        return [(flags, stream, data) for each, flags, stream, data in frames_of(whole[:position]) if each == kind]

    @property
    def link(self) -> ServerLink:
        """The server's end of this connection."""
        name = self._writer.get_extra_info("sockname")
        return next(link for link in self.site.listener._links if link.peer == join(*name[:2]))

    async def goaway(self) -> tuple[int, bytes]:
        """Waits until the server ends the connection; returns code and text of its GOAWAY."""
        await eventually(lambda: self.frames(GOAWAY) or self.gone)
        _, _, payload = self.frames(GOAWAY)[-1]
        await eventually(lambda: self.gone)
        return int.from_bytes(payload[4:8], "big"), payload[8:]

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.wait([self._reading])
        self._writer.transport.abort()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _read(self) -> None:
        with suppress(ConnectionError):
            while data := await self._reader.read(1 << 16):
                self.received += data
        self.gone = True


class Site:
    """A server, a good client, and attackers."""

    def __init__(self, listener: GrpcListener, handler: Handler, connection: Connection) -> None:
        self.listener, self.handler, self._connection = listener, handler, connection
        self.attackers: list[Attacker] = []
        self.calls = 0

    @property
    def links(self) -> list[ServerLink]:
        """The server's ends of the attackers' connections: the first one is the good client's."""
        return list(self.listener._links)[1:]

    @property
    def link(self) -> ServerLink:
        return self.links[0]

    async def good_call(self) -> None:
        reply = await soon(self._connection.unary("/good", "proto", EMPTY, None, CallInfo(), b"good"))
        assert reply == b"good"
        self.calls += 1

    async def calls_beside(self, attack: Callable[[Site], Awaitable[None]] | None, calls: int) -> float:
        """Makes good calls, one after another, while an attack is made again and again.

        Args:
            attack: made until the calls have been made, and at least twice; None for no attack.
            calls: how many calls are made.

        Returns:
            The 99th percentile of how long a good call takes, in milliseconds.
        """
        took: list[float] = []
        attacks = 2 if attack else 0

        async def call() -> None:
            while len(took) < calls or attacks > 0:
                begin = perf_counter()
                await self.good_call()
                took.append(1_000 * (perf_counter() - begin))

        good = asyncio.create_task(call())
        try:
            while attack is not None and not good.done():
                await attack(self)
                attacks -= 1
                await self.end_attacks()
            await good
        finally:
            good.cancel()
            await asyncio.wait([good])
        return quantiles(took, n=100)[98]

    async def end_attacks(self) -> None:
        """Closes the connections of all attackers, and waits until the server has let go of them."""
        for attacker in self.attackers:
            await attacker.close()
        self.attackers.clear()
        await eventually(lambda: len(self.listener._links) <= 1)

    async def attack(self, first: bytes = PREFACE + settings() + raw(SETTINGS, 1)) -> Attacker:
        host, _, port = self.listener.address.rpartition(":")
        attacker = Attacker(self, *(await asyncio.open_connection(host, int(port))))
        self.attackers.append(attacker)
        await attacker.send(first)
        return attacker


class Handler:
    """Echoes, and counts what runs."""

    def __init__(self, reply: Callable[[bytes], bytes] = bytes) -> None:
        self.running = self.most = self.begun = 0
        self._reply = reply

    async def __call__(self, stream: ServerStream) -> None:
        if stream.path == "/good":
            await stream.send(await stream.receive())
            await stream.finish(None)
            return
        self.begun += 1
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            while True:
                await stream.send(self._reply(await stream.receive()))
        except EndOfStream:
            await stream.finish(None)
        finally:
            self.running -= 1


class Deaf(Handler):
    """Reads nothing of an attacker's calls."""

    async def __call__(self, stream: ServerStream) -> None:
        if stream.path == "/good":
            await super().__call__(stream)
            return
        self.running += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.running -= 1


@asynccontextmanager
async def site(handler: Handler, limits: ServerLimits | None = None) -> AsyncIterator[Site]:
    listener = await listen("127.0.0.1:0", handler, limits)
    connection = GrpclibTransport().connection(listener.address)
    made = Site(listener, handler, connection)
    try:
        await made.good_call()
        yield made
        await made.good_call()
    finally:
        for attacker in made.attackers:
            await attacker.close()
        await connection.close()
        await listener.close()
    assert not handler.running


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Returns what our engine has logged, without addresses."""
    return [
        re.sub(r"^[^:]* of 127\.0\.0\.1:\d+ [^:]*: ", "", record.getMessage())
        for record in caplog.records
        if record.name.startswith(("micro_rt.backends.grpc", "micro_rt.listener")) and "grpclib" not in record.name
    ]
