"""A connection of our server without a network: frames in, frames out, and a transport that keeps what is written."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from micro_rt.backends.grpc.server import GrpcListener
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.backends.grpc.server_link import ServerLink
from micro_rt.errors import EndOfStream
from micro_rt.http2.frames import PREFACE
from micro_rt.http2.hpack import Decoder
from micro_rt.transport.base import Dispatch, ServerStream
from tests.unit.http2.peers import frames_of, headers, raw, settings

__all__ = [
    "ACK",
    "DATA",
    "GOAWAY",
    "HEADERS",
    "PING",
    "REQUEST",
    "RST_STREAM",
    "SETTINGS",
    "WINDOW_UPDATE",
    "Answer",
    "Client",
    "FakeTransport",
    "changed",
    "data",
    "echo",
    "message",
    "never",
    "request",
    "turns",
    "unary",
]

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
ACK = raw(SETTINGS, 1)
REQUEST: Sequence[tuple[bytes, bytes]] = (
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/test.Test/Call"),
    (b":authority", b"localhost"),
    (b"te", b"trailers"),
    (b"content-type", b"application/grpc"),
)


def changed(**fields: bytes) -> list[tuple[bytes, bytes]]:
    """Returns the usual fields with others, or others in place of some: ``path=``, ``grpc_timeout=``."""
    named = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    usual = [(name, named.pop(name.lstrip(b":"), value)) for name, value in REQUEST]
    return [*usual, *named.items()]


def message(content: bytes) -> bytes:
    """Returns a message with its prefix."""
    return b"\0" + len(content).to_bytes(4, "big") + content


def request(stream: int, fields: Sequence[tuple[bytes, bytes]] = REQUEST, ended: bool = False) -> bytes:
    """Returns the HEADERS of a request."""
    return headers(stream, fields, ended)


def data(stream: int, content: bytes, ended: bool = False) -> bytes:
    """Returns DATA in frames that are small enough."""
    pieces = [content[start : start + 16_384] for start in range(0, len(content), 16_384)] or [b""]
    last = len(pieces) - 1
    return b"".join([raw(DATA, int(ended and each == last), stream, piece) for each, piece in enumerate(pieces)])


def unary(stream: int, content: bytes = b"hi", fields: Sequence[tuple[bytes, bytes]] = REQUEST) -> bytes:
    """Returns all frames of a unary request."""
    return request(stream, fields) + data(stream, message(content), True)


async def turns(count: int = 6) -> None:
    """Lets the event loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def echo(stream: ServerStream) -> None:
    try:
        while True:
            await stream.send(await stream.receive())
    except EndOfStream:
        await stream.finish(None)


async def never(stream: ServerStream) -> None:
    await asyncio.Event().wait()


class FakeTransport(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self, peername: Any = ("192.0.2.1", 1234)) -> None:
        super().__init__({"peername": peername})
        self.protocol: asyncio.BaseProtocol | None = None
        self.written: list[bytes] = []
        self.size = 0
        self.closing = self.aborted = self.ended = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self.closing, "writes to a transport that is closing"
        assert not self.ended, "writes after the end"
        self.written.append(bytes(data))

    def write_eof(self) -> None:
        self.ended = True

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self._end()

    def abort(self) -> None:
        self.aborted = True
        self._end()

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return self.size

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def _end(self) -> None:
        if not self.closing:
            self.closing = True
            if self.protocol is not None:
                asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)


@dataclass
class Answer:
    """What came on one stream."""

    headers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    data: bytes = b""
    trailers: dict[bytes, bytes] = field(default_factory=dict[bytes, bytes])
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> int:
        """The status of gRPC; -1 if there is none."""
        return int((self.trailers or self.headers).get(b"grpc-status", b"-1"))


class Client:
    """The client's end of one connection to a server of ours.

    Args:
        dispatch: serves the calls.
        limits: of the server.
        first: what the client begins with.
    """

    def __init__(
        self,
        dispatch: Dispatch = echo,
        limits: ServerLimits | None = None,
        *,
        first: bytes = PREFACE + settings() + ACK,
        listener: GrpcListener | None = None,
    ) -> None:
        self.listener = listener or GrpcListener(dispatch, limits or ServerLimits())
        self.link = ServerLink(self.listener)
        self.transport = FakeTransport()
        self.transport.protocol = self.link
        self.answers: dict[int, Answer] = {}
        self.others: list[tuple[int, int, int, bytes]] = []
        """Frames that belong to no answer."""
        self._decoder = Decoder()
        self.link.connection_made(self.transport)
        if first:
            self.link.data_received(first)

    def send(self, *frames: bytes) -> None:
        """Has the server read frames at once."""
        self.link.data_received(b"".join(frames))

    async def ask(self, *frames: bytes, turns_after: int = 6) -> dict[int, Answer]:
        """Has the server read frames, and returns all answers so far."""
        self.send(*frames)
        await turns(turns_after)
        return self.read()

    async def until(self, holds: Callable[[], object]) -> None:
        """Waits, for as long as tests wait, until something holds."""
        async with asyncio.timeout(60):
            while not holds():
                await asyncio.sleep(0.001)
                self.read()

    def read(self) -> dict[int, Answer]:
        """Takes what the server has written; returns all answers so far."""
        written, self.transport.written = b"".join(self.transport.written), []
        for kind, flags, number, payload in frames_of(written):
            answer = self.answers.setdefault(number, Answer()) if kind in (DATA, HEADERS, RST_STREAM) else Answer()
            if kind == HEADERS:
                found = {each.name: each.value for each in self._decoder.decode(payload)}
                if answer.headers:
                    answer.trailers = found
                else:
                    answer.headers = found
            elif kind == DATA:
                answer.data += payload
            elif kind == RST_STREAM:
                answer.reset = int.from_bytes(payload, "big")
            else:
                self.others.append((kind, flags, number, payload))
            if kind in (DATA, HEADERS):
                answer.ended = bool(flags & 1)
        return self.answers

    def goaways(self) -> list[tuple[int, int, bytes]]:
        """Returns last stream, code and text of each GOAWAY so far."""
        self.read()
        return [
            (int.from_bytes(payload[:4], "big"), int.from_bytes(payload[4:8], "big"), payload[8:])
            for kind, _, _, payload in self.others
            if kind == GOAWAY
        ]
