"""A TCP proxy that misbehaves when told to, for tests of what happens when the network does."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self, TypeAlias

from micro_rt.errors import FailedPrecondition
from micro_rt.kit.net import split

__all__ = ["FaultProxy"]

_CHUNK = 64 * 1024
_HELD = 64  # Chunks on their way in one direction of a connection; more are left to the sender's socket.
_SHARE_PORT: int = getattr(socket, "SO_REUSEPORT", socket.SO_REUSEADDR)

_Piece: TypeAlias = tuple[float, bytes | None]
"""When something was sent, in the loop's time, and what: nothing at the end, None for a reset."""


class FaultProxy:
    """Stands between a client and a server, and cuts, silences or delays what passes; listens on loopback.

        async with FaultProxy("127.0.0.1:8500") as proxy:
            registry = ConsulRegistry(f"consul://{proxy.address}")
            ...
            await proxy.cut()        # as if the server's process had died
            await proxy.restore()

    One fault holds at a time: each replaces the one before. The address stays the same through all of them. While the
    server itself is not there, connections are accepted and reset.

    Args:
        target: host and port of the server, which need not run yet, as in ``"127.0.0.1:8500"`` or ``"[::1]:8500"``.

    Raises:
        ValueError: the target is not an address.
    """

    def __init__(self, target: str) -> None:
        try:
            self._target = split(target)
        except FailedPrecondition:
            problem = f"FaultProxy needs host and port, as in '127.0.0.1:8500', not {target!r}"
            raise ValueError(problem) from None
        self._holder: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._closing: asyncio.Task[None] | None = None
        self._links: set[_Link] = set()
        self._network = _Network()

    @property
    def address(self) -> str:
        """Host and port for the client to connect to.

        Raises:
            RuntimeError: the proxy is not entered.
        """
        if self._holder is None:
            raise RuntimeError("a FaultProxy has an address only within its block")
        host, port = self._holder.getsockname()
        return f"{host}:{port}"

    @property
    def connections(self) -> int:
        """How many connections of clients are open, among them those that are held."""
        return len(self._links)

    async def cut(self) -> None:
        """Resets every connection, and has new ones refused: a process that died."""
        self._network.deliver(0.0)
        await self._close()

    async def black_hole(self) -> None:
        """Accepts connections and forwards nothing, in either direction: a partition, or a process that is stopped.

        Connections stay, and neither side hears of the other, not even that it closed. What is under way is held, and goes
        on when the fault ends.
        """
        self._network.hold()
        await self._listen()

    async def delay(self, seconds: float) -> None:
        """Delivers everything that much later, in each direction: a round trip takes twice as long.

        How much passes at a time stays the same, up to what fits on the way (4 MiB).

        Raises:
            ValueError: it is negative.
        """
        if seconds < 0:
            raise ValueError(f"a delay cannot be negative, as {seconds} is")
        self._network.deliver(seconds)
        await self._listen()

    async def restore(self) -> None:
        """Ends the fault: what was held goes on, and connections are accepted and forwarded."""
        await self.delay(0.0)

    async def __aenter__(self) -> Self:
        # It listens on nothing, and keeps the port while nothing else does: connections are refused meanwhile.
        self._holder = _bound("127.0.0.1", 0)
        await self._listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    async def _listen(self) -> None:
        if self._holder is None:
            raise RuntimeError("a FaultProxy works only within its block")
        await self._closed()
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=_bound(*self._holder.getsockname()))

    async def _close(self) -> None:
        await self._closed()
        if self._server is not None:
            self._closing = asyncio.create_task(self._end(self._server))
            self._server = None
            await self._closed()

    async def _closed(self) -> None:
        """Waits until the last listener is closed, which goes on although whoever waits is cancelled."""
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _end(self, server: asyncio.Server) -> None:
        await _settle(server)
        server.close()
        for link in self._links:
            link.reset()
        if self._links:
            await asyncio.wait([link.task for link in self._links])
        await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(reader, writer, self._target, self._network, self._links.discard)
        self._links.add(link)
        if self._server is None:  # It was under way when the listener was closed.
            link.reset()


class _Network:
    """The fault that holds now; those who wait for something to pass hear when it changes."""

    def __init__(self) -> None:
        self._seconds: float | None = 0.0
        self._changed = asyncio.Event()

    def hold(self) -> None:
        self._change(None)

    def deliver(self, seconds: float) -> None:
        self._change(seconds)

    async def passing(self, since: float) -> None:
        """Returns when what was sent at that time of the loop may arrive."""
        loop = asyncio.get_running_loop()
        while True:
            left = None if self._seconds is None else since + self._seconds - loop.time()
            if left is not None and left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._changed.wait()

    def _change(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._changed.set()
        self._changed = asyncio.Event()


class _Link:
    """A client's connection, and the one to the server that goes with it."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        target: tuple[str, int],
        network: _Network,
        done: Callable[[_Link], None],
    ) -> None:
        self._network = network
        self._writers = [writer]
        self._begun = False
        self._over = False
        self.task = asyncio.create_task(self._run(reader, target))
        self.task.add_done_callback(lambda _: done(self))

    def reset(self) -> None:
        """Ends both connections with a reset."""
        self._over = True
        if self._begun:  # A task that is cancelled before it begins closes nothing.
            self.task.cancel()

    async def _run(self, reader: asyncio.StreamReader, target: tuple[str, int]) -> None:
        whole = False
        self._begun = True
        try:
            if self._over:
                raise ConnectionResetError
            await self._network.passing(asyncio.get_running_loop().time())
            far_reader, far_writer = await asyncio.open_connection(*target)
            self._writers.append(far_writer)
            async with asyncio.TaskGroup() as group:
                for source, sink in ((reader, far_writer), (far_reader, self._writers[0])):
                    under_way = asyncio.Queue[_Piece](_HELD)
                    group.create_task(_receive(source, under_way))
                    group.create_task(self._send(sink, under_way))
            whole = True
        except* OSError:
            pass  # The server cannot be reached, or one side was reset: so is the other.
        finally:
            for writer in self._writers:
                if whole:
                    writer.close()
                else:
                    _reset(writer)
            for writer in self._writers:
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _send(self, writer: asyncio.StreamWriter, under_way: asyncio.Queue[_Piece]) -> None:
        while True:
            since, data = await under_way.get()
            await self._network.passing(since)
            if data is None:
                raise ConnectionResetError
            if not data:
                writer.write_eof()
                return
            if not writer.is_closing():  # If it is, its own direction brings the end, when that is due.
                writer.write(data)
                with contextlib.suppress(OSError):
                    await writer.drain()


async def _receive(reader: asyncio.StreamReader, under_way: asyncio.Queue[_Piece]) -> None:
    loop = asyncio.get_running_loop()
    data: bytes | None = b"more"
    while data:
        try:
            data = await reader.read(_CHUNK)
        except OSError:
            data = None
        await under_way.put((loop.time(), data))


def _reset(writer: asyncio.StreamWriter) -> None:
    own = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # Without lingering, closing sends a reset at once, and drops what was not sent.
        own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _settle(server: asyncio.Server) -> None:
    """Has a server accept nothing more, and waits until what it has accepted has its transport.

    asyncio drops a connection without closing it if its server is closed between the two (CPython 3.11).
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        with contextlib.suppress(NotImplementedError):  # Some loops accept by other means.
            loop.remove_reader(listening.fileno())
    for _ in range(3):
        await asyncio.sleep(0)


def _bound(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, _SHARE_PORT, 1)
        made.bind((host, port))
    except BaseException:
        made.close()
        raise
    return made
