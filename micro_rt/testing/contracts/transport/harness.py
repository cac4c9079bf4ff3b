"""What the tests of transports are made of: handlers, callers, and a listener with a connection to it."""

# ruff: noqa: D102, D103 - for the suite's own use, and named for what they do

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any, ClassVar

import pytest

from micro_rt.context import CallInfo
from micro_rt.errors import (
    EndOfStream,
    Error,
)
from micro_rt.metadata import EMPTY, Metadata, MetadataLike
from micro_rt.testing.contracts.suite import Contract, eventually
from micro_rt.transport.base import ClientStream, Connection, Dispatch, Listener, ServerStream, Transport

__all__ = [
    "BUSY_ROUNDS",
    "Endless",
    "MEBIBYTE",
    "METADATA",
    "OTHER",
    "PATH",
    "Sender",
    "TransportHarness",
    "all_replies",
    "all_requests",
    "beside_echo",
    "count",
    "count_kibibytes",
    "echo",
    "ends",
    "failing",
    "grouped",
    "length_of_traceback",
    "open_call",
    "patiently",
    "seconds_from_now",
    "unary",
    "variable",
]

MEBIBYTE = 1 << 20
BUSY_ROUNDS = 25
"""Calls that go by while nothing moves, until a sender counts as blocked."""


class TransportHarness(Contract):
    """Makes transports, and waits for what must happen."""

    address: ClassVar[str] = "127.0.0.1:0"
    """What to listen on to get an address that is free."""
    settle: ClassVar[float] = 20.0
    """Seconds within which something must happen, however busy the machine is; not waited for if it happens earlier."""
    flood: ClassVar[int] = 200
    """Messages of one mebibyte that are sent to who does not read: far more than all buffers on the way hold."""
    unread: ClassVar[int] = 12
    """Messages of 256 KiB that a server can send, and end the call, while the client does not read: no more than what the
    buffers on the way hold, and at least one."""
    unsendable: ClassVar[int] = 32 * MEBIBYTE
    """Bytes of a message that cannot be sent whole to who does not read; 0 if a message of any size can."""

    def make(self) -> Transport:
        """Returns a transport."""
        raise NotImplementedError

    @contextlib.asynccontextmanager
    async def listening(self, dispatch: Dispatch) -> AsyncGenerator[tuple[Listener, Connection]]:
        """Listens, gives a connection to it, and checks that nothing is left behind."""
        before = asyncio.all_tasks()
        transport = self.make()
        listener = await transport.listen(self.address, dispatch)
        connection = transport.connection(listener.address)
        try:
            yield listener, connection
        finally:
            await self.soon(connection.close())
            await self.soon(listener.close())
        await self.until(lambda: not asyncio.all_tasks() - before)

    @contextlib.asynccontextmanager
    async def serving(self, dispatch: Dispatch) -> AsyncGenerator[Connection]:
        """Listens, and gives a connection to it."""
        async with self.listening(dispatch) as (_, connection):
            yield connection

    async def listening_again(self, transport: Transport, address: str) -> Listener:
        """Listens where a listener was a moment ago."""
        async with asyncio.timeout(self.settle):
            while True:
                try:
                    return await transport.listen(address, echo)
                except Error:
                    await asyncio.sleep(0.05)

    async def soon(self, waiting: Awaitable[Any]) -> Any:
        """Awaits what must come to an end."""
        async with asyncio.timeout(self.settle):
            return await waiting

    async def wait(self, event: asyncio.Event) -> None:
        """Waits for an event that must happen."""
        await self.soon(event.wait())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until something holds that must come to hold."""
        await eventually(holds, within=self.settle)

    async def blocked(self, connection: Connection, progress: Callable[[], int]) -> None:
        """Waits until nothing moves while other calls on the connection go by."""
        seen, rounds = progress(), 0
        while rounds < BUSY_ROUNDS:
            assert await self.soon(unary(connection, b"by the way")) == b"by the way"
            await asyncio.sleep(0.002)
            seen, rounds = (seen, rounds + 1) if progress() == seen else (progress(), 0)

    async def unharmed(self) -> None:
        """Checks that the present task can be timed out and can hold a group of tasks, as before."""
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            child = group.create_task(asyncio.sleep(0, "done"))
        assert child.result() == "done"
        assert task.cancelling() == 0


PATH = "/test.Test/Call"
OTHER = "/test.Test/Other"
METADATA = Metadata(
    [
        ("text", "printable ASCII: ~!@#$%^&*()_+`-={}|[]\\:\";'<>?,./"),
        ("repeated", "1"),
        ("other", "between"),
        ("repeated", "2"),
        ("repeated", "1"),
        ("empty", ""),
        ("every.byte-bin", bytes(range(256))),
        ("repeated-bin", b"\0"),
        ("repeated-bin", b""),
        ("repeated-bin", b"\xff\xfe\xfd\xfc"),
        ("with_under-score.and.dot", "x" * 2000),
    ]
)
variable: ContextVar[str] = ContextVar("variable", default="nobody's")


class Endless:
    """A handler that waits until it is cancelled."""

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.calls = 0

    async def __call__(self, stream: ServerStream) -> None:
        self.calls += 1
        self.started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


class Sender:
    """Sends messages of one mebibyte, and counts those that went."""

    def __init__(self, stream: ClientStream, count: int) -> None:
        self.stream = stream
        self.count = count
        self.sent = 0

    async def run(self) -> None:
        for number in range(self.count):
            await self.stream.send(number.to_bytes(4, "big") + bytes(MEBIBYTE - 4))
            self.sent += 1
        await self.stream.end()

    def progress(self) -> int:
        return self.sent


def beside_echo(handler: Dispatch) -> Dispatch:
    """Serves one path with a handler, and echoes on every other."""

    async def serve(stream: ServerStream) -> None:
        await (handler(stream) if stream.path == OTHER else echo(stream))

    return serve


def failing(error: Error, trailers: Metadata = EMPTY) -> Dispatch:
    async def fail(stream: ServerStream) -> None:
        await stream.finish(error, trailers)

    return fail


async def echo(stream: ServerStream) -> None:
    try:
        while True:
            await stream.send(await stream.receive())
    except EndOfStream:
        await stream.finish(None)


async def count(stream: ServerStream) -> None:
    for number in range(int(await stream.receive())):
        await stream.send(b"%d" % number)
    await stream.finish(None)


async def count_kibibytes(stream: ServerStream) -> None:
    for _ in range(int(await stream.receive())):
        await stream.send(bytes(1024))
    await stream.finish(None)


async def all_requests(stream: ServerStream) -> list[bytes]:
    requests: list[bytes] = []
    try:
        while True:
            requests.append(await stream.receive())
    except EndOfStream:
        return requests


async def open_call(
    connection: Connection,
    *,
    path: str = PATH,
    content_subtype: str = "proto",
    metadata: Metadata = EMPTY,
    deadline: float | None = None,
    info: CallInfo | None = None,
) -> ClientStream:
    return await connection.open(path, content_subtype, metadata, deadline, info or CallInfo())


async def unary(
    connection: Connection,
    message: bytes,
    *,
    path: str = PATH,
    content_subtype: str = "proto",
    metadata: Metadata = EMPTY,
    deadline: float | None = None,
    info: CallInfo | None = None,
) -> bytes:
    return await connection.unary(path, content_subtype, metadata, deadline, info or CallInfo(), message)


async def all_replies(stream: ClientStream) -> list[bytes]:
    messages: list[bytes] = []
    try:
        while True:
            messages.append(await stream.receive())
    except EndOfStream:
        return messages


async def ends(stream: ClientStream) -> None:
    with pytest.raises(EndOfStream):
        await stream.receive()


async def patiently(receive: Callable[[], Coroutine[Any, Any, bytes]]) -> bytes:
    """Receives a message, and gives the wait up again and again until it is there."""
    while True:
        task = asyncio.create_task(receive())
        for _ in range(3):
            await asyncio.sleep(0)
        if task.cancel():
            with contextlib.suppress(asyncio.CancelledError):
                return await task
        else:
            return task.result()


def length_of_traceback(error: BaseException) -> int:
    return sum(1 for _ in traceback.walk_tb(error.__traceback__))


def seconds_from_now(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


def grouped(metadata: MetadataLike) -> dict[str, list[object]]:
    """The values of each key, in order: how keys are ordered among each other is not promised."""
    pairs = metadata if isinstance(metadata, Metadata) else Metadata(metadata)
    return {key: list(pairs.all(key)) for key in pairs}
