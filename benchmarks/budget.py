"""``budget``: what each part of a unary call costs, in one process and without sockets.

A conversation of 16 calls at a time is recorded first, with the whole stack on both sides. Then each side is measured alone: it
gets what the other side said in the recording, so only its own CPU time is counted. Each row adds a part to the one before
it. What the kernel costs, and the event loop's part in that, is what a whole call costs more (``engine``).
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import micro_rt
from benchmarks.children import loop_name
from benchmarks.children import run as run_loop
from benchmarks.measure import Plan, Rounds
from benchmarks.protos.bench_micro import BenchBase, BenchClient
from benchmarks.protos.bench_pb2 import Item
from benchmarks.servers import ECHO
from benchmarks.table import Table
from micro_rt.backends.grpc.client import GrpcConnection
from micro_rt.backends.grpc.client_link import ClientLink
from micro_rt.backends.grpc.server import GrpcListener
from micro_rt.backends.grpc.server_limits import ServerLimits
from micro_rt.backends.grpc.server_link import ServerLink
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.codec.codecs import Codecs
from micro_rt.context import CallInfo
from micro_rt.kit.ordered import OrderedSet
from micro_rt.metadata import EMPTY
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.server.dispatch import Dispatcher
from micro_rt.service.parts import codec_named, names_of
from micro_rt.transport.base import Connection, Dispatch, Listener, ServerStream
from micro_rt.transport.silence import Pace

__all__ = ["run"]

AT_ONCE = 16
"""Calls at a time."""
TURNS = 300
"""Calls that each of them is, one after the other."""
ADDRESS = "127.0.0.1:1"
SLACK = 60.0
"""Seconds until the deadline of a call that has one."""

ITEM = Item(text="benchmark, 24 bytes.", number=1)

Call: TypeAlias = Callable[[], Awaitable[object]]
"""Makes one call."""

LOOP = "the event loop: a future for each call, and its turn"
PARTS = {
    "client": (LOOP, "HTTP/2 and gRPC", "stub, codec, selection, retries ready", "a deadline"),
    "server": (LOOP, "HTTP/2, gRPC, and a task for each call", "dispatch, codec, handler", "a deadline"),
}
"""What the rows of each side are called; each adds to those before it."""
COMING = {"calls": 2_000, "identity": 1_000, "metrics": 1_000}
"""Nanoseconds that coming parts may take, both sides together (docs/architecture.md)."""


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives the table."""
    found: list[Rounds[float]] = []

    async def measured() -> None:
        found.append(await _measure(plan))

    plan.progress("what each part of a call costs")
    run_loop(measured())
    yield _tabulate(found[0])


class Wire(asyncio.Transport):
    """A transport that hands over what is written.

    Args:
        sink: takes it.
    """

    def __init__(self, sink: Callable[[bytes], object]) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self._sink = sink

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Hands data over."""
        self._sink(bytes(data))

    def is_closing(self) -> bool:
        """It never closes."""
        return False

    def get_write_buffer_size(self) -> int:
        """It holds nothing."""
        return 0

    def can_write_eof(self) -> bool:
        """Nothing ends."""
        return False

    def close(self) -> None:
        """There is nothing to close."""

    def abort(self) -> None:
        """There is nothing to close."""


class Bench(BenchBase):
    """Gives an item back."""

    async def echo(self, request: Item, context: micro_rt.Context) -> Item:
        """Gives it back."""
        return request

    def repeat(self, request: Item, context: micro_rt.Context) -> AsyncIterator[Item]:
        """Is not measured."""
        raise NotImplementedError

    def ping_pong(self, requests: AsyncIterator[Item], context: micro_rt.Context) -> AsyncIterator[Item]:
        """Is not measured."""
        raise NotImplementedError


async def _bare(stream: ServerStream) -> None:
    """Serves a call without a dispatcher."""
    await stream.send(await stream.receive())
    await stream.finish(None)


def _dispatcher() -> Dispatcher:
    codec = codec_named("proto")
    dispatcher = Dispatcher(Codecs(codec, lambda: names_of("codec"), codec_named), ())
    dispatcher.add(Bench(), (), None)
    return dispatcher


class Replay:
    """A conversation: what each side wrote, after each time that the other wrote."""

    def __init__(self) -> None:
        self.client: list[list[bytes]] = [[]]
        self.server: list[list[bytes]] = [[]]

    def client_wrote(self, data: bytes) -> None:
        """Notes what the client wrote."""
        self.client[-1].append(data)
        self.server.append([])

    def server_wrote(self, data: bytes) -> None:
        """Notes what the server wrote."""
        self.server[-1].append(data)
        self.client.append([])


class Transport:
    """Gives the one connection that there is."""

    name = "grpc"

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def connection(self, address: str) -> Connection:
        """Returns it."""
        return self._connection

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        """Is not measured."""
        raise micro_rt.Unimplemented("nothing listens here")


def _connected(sink: Callable[[bytes], object]) -> tuple[Any, ClientLink]:
    """Returns a connection whose link writes to a sink, before the server has said anything."""
    connection: Any = GrpcConnection(ADDRESS)
    link = ClientLink(OrderedSet(), ADDRESS, Pace())
    link.connection_made(Wire(sink))
    connection._link = link
    return connection, link


@asynccontextmanager
async def _client_of(connection: Connection) -> AsyncGenerator[BenchClient]:
    """Gives a client of a service that knows one node."""
    registry = MemoryRegistry("memory:budget")
    await registry.open()
    try:
        node = Node("bench-1", ADDRESS, services=frozenset({"bench.Bench"}))
        await registry.register(Registration(node, ("bench",)))
        async with micro_rt.Service("caller", registry="memory:budget", transport=Transport(connection)) as service:
            yield BenchClient(service, target="bench")
    finally:
        await registry.close()


async def _calls(call: Call) -> None:
    """Makes all calls."""

    async def one_after_the_other() -> None:
        for _ in range(TURNS):
            await call()

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


async def _recorded(timeout: float) -> Replay:
    """Records a conversation of the whole stack."""
    loop, replay = asyncio.get_running_loop(), Replay()
    listener = GrpcListener(_dispatcher(), ServerLimits())
    server = ServerLink(listener)

    def to_server(data: bytes) -> None:
        replay.client_wrote(data)
        loop.call_soon(server.data_received, data)

    connection, client = _connected(to_server)

    def to_client(data: bytes) -> None:
        replay.server_wrote(data)
        loop.call_soon(client.data_received, data)

    server.connection_made(Wire(to_client))
    await client.ready
    async with _client_of(connection) as stub:
        await _calls(lambda: stub.echo(ITEM, timeout=timeout))
    server.connection_lost(None)
    await listener.close()
    return replay


async def _client(replay: Replay, kind: int) -> float:
    """Returns the CPU nanoseconds of a call on the client.

    Args:
        replay: what the server says.
        kind: 1 for a call of the connection, 2 for one of the stub, 3 for one with a deadline.
    """
    loop = asyncio.get_running_loop()
    said = deque(replay.server)

    def answer(_: bytes) -> None:
        for data in said.popleft():
            loop.call_soon(link.data_received, data)

    first = said.popleft()
    connection, link = _connected(lambda data: loop.call_soon(answer, data))
    for data in first:
        link.data_received(data)
    await link.ready
    async with _client_of(connection) as stub:
        message, path = ITEM.SerializeToString(), ECHO
        calls: dict[int, Call] = {
            1: lambda: connection.unary(path, "proto", EMPTY, None, CallInfo(), message),
            2: lambda: stub.echo(ITEM, timeout=math.inf),
            3: lambda: stub.echo(ITEM),
        }
        start = time.process_time_ns()
        await _calls(calls[kind])
        return (time.process_time_ns() - start) / (AT_ONCE * TURNS)


async def _server(replay: Replay, kind: int) -> float:
    """Returns the CPU nanoseconds of a call on the server.

    Args:
        replay: what the client says; with deadlines for kind 3.
        kind: 1 without a dispatcher.
    """
    loop = asyncio.get_running_loop()
    said = deque(replay.client)
    over: asyncio.Future[None] = loop.create_future()

    def go_on(_: bytes) -> None:
        for data in said.popleft():
            loop.call_soon(server.data_received, data)
        if not said and not over.done():
            over.set_result(None)

    listener = GrpcListener(_bare if kind == 1 else _dispatcher(), ServerLimits())
    server = ServerLink(listener)
    start = time.process_time_ns()
    server.connection_made(Wire(go_on))
    for data in said.popleft():
        server.data_received(data)
    await over
    used = time.process_time_ns() - start
    server.connection_lost(None)
    await listener.close()
    return used / (AT_ONCE * TURNS)


async def _nothing() -> float:
    """Returns the CPU nanoseconds of a call that only waits for its turn."""
    loop = asyncio.get_running_loop()
    waiting: list[asyncio.Future[None]] = []

    def answer() -> None:
        some, waiting[:] = waiting[:], []
        for future in some:
            future.set_result(None)

    def call() -> asyncio.Future[None]:
        future = loop.create_future()
        if not waiting:
            loop.call_soon(answer)
        waiting.append(future)
        return future

    start = time.process_time_ns()
    await _calls(call)
    return (time.process_time_ns() - start) / (AT_ONCE * TURNS)


async def _measure(plan: Plan) -> Rounds[float]:
    plain, late = await _recorded(math.inf), await _recorded(SLACK)
    subjects = [f"{side}/{kind}" for side in PARTS for kind in range(4)]
    results: dict[str, list[float]] = {subject: [] for subject in subjects}
    rounds = plan.count(40, 3)
    for number in range(rounds):
        first = number % len(subjects)
        for subject in (*subjects[first:], *subjects[:first]):
            side, _, kind = subject.partition("/")
            if kind == "0":
                took = await _nothing()
            else:
                measure = _client if side == "client" else _server
                took = await measure(late if kind == "3" else plain, int(kind))
            results[subject].append(took)
    return Rounds(results)


def _tabulate(rounds: Rounds[float]) -> Table:
    rows: list[list[str]] = []
    for side, parts in PARTS.items():
        whole = f"{side}/{len(parts) - 1}"
        rows.append([f"the {side}", f"{rounds.median(whole, float):,.0f}", ""])
        for kind, part in enumerate(parts):
            subject = f"{side}/{kind}"
            added = (
                rounds.spread(subject, float) if not kind else rounds.difference(subject, f"{side}/{kind - 1}", float)
            )
            rows.append([f"  {part}", "", added.text(0)])
    rows.append(["coming, both sides together", f"{sum(COMING.values()):,}", ""])
    rows += [[f"  {part}", "", f"{most:,} at most"] for part, most in COMING.items()]
    return Table(
        f"what a unary call costs, {AT_ONCE} at a time, without sockets",
        ["", "ns", "ns added [least-most]"],
        rows,
        [f"CPU time, on {loop_name()}. The kernel's part is what a whole call costs more: see engine."],
    )
