"""``path``: what resolving, selecting and interceptors cost, with nothing but memory at the other end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any

import micro_rt
from benchmarks.calls import Sample
from benchmarks.measure import Plan, Rounds, take_turns
from benchmarks.protos.bench_micro import BenchClient
from benchmarks.protos.bench_pb2 import Item
from benchmarks.table import Table
from benchmarks.unary import whole_call
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.client.bound import BoundMethod
from micro_rt.context import CallInfo, ClientCall
from micro_rt.metadata import EMPTY, Metadata
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from micro_rt.transport.base import ClientStream, Connection, Dispatch, Listener

__all__ = ["run"]

CALLS = 2_000
"""Calls that are timed together."""
CONCURRENCY = 16
"""How many calls at a time the whole call is measured with: a busy client, whose calls are the cheapest."""
TARGET = 3.0
"""Per cent of a call that resolving and selecting may cost (docs/architecture.md)."""

ITEM = Item(text="benchmark, 24 bytes.", number=1)
ECHO = micro_rt.Method(
    "bench.Bench", "Echo", "echo", micro_rt.Kind.UNARY, Item, Item, micro_rt.Idempotency.NO_SIDE_EFFECTS
)


class InstantConnection(Connection):
    """Answers every unary call at once with what it was sent."""

    async def connect(self) -> None:
        """There is nothing to connect to."""

    async def open(
        self, path: str, content_subtype: str, metadata: Metadata, deadline: float | None, info: CallInfo
    ) -> ClientStream:
        """Is not measured."""
        raise micro_rt.Unimplemented("no streams here")

    async def unary(
        self,
        path: str,
        content_subtype: str,
        metadata: Metadata,
        deadline: float | None,
        info: CallInfo,
        message: bytes,
    ) -> bytes:
        """Answers."""
        return message

    async def close(self) -> None:
        """There is nothing to close."""


class InstantTransport:
    """A transport to no other process."""

    name = "instant"

    def connection(self, address: str) -> Connection:
        """Makes a connection."""
        return InstantConnection()

    async def listen(self, address: str, dispatch: Dispatch) -> Listener:
        """Is not measured."""
        raise micro_rt.Unimplemented("nothing listens here")


class Little(micro_rt.Interceptor):
    """Does what the smallest useful interceptor does: it counts calls and answers."""

    def __init__(self) -> None:
        self.calls = 0
        self.answers = 0

    async def unary(self, request: Any, call: micro_rt.Call, proceed: micro_rt.UnaryNext) -> Any:
        """Counts."""
        self.calls += 1
        reply = await proceed(request, call)
        self.answers += 1
        return reply


DIRECT = "encode, connection.unary, decode: called directly"
PATHS = {f"client, {nodes:,} nodes, {count} interceptors": (nodes, count) for nodes in (3, 1_000) for count in (0, 3)}
PICKS = {f"resolve and select alone, {nodes:,} nodes": nodes for nodes in (3, 1_000)}
LOOP = "the loop around them"

Block = Callable[[], Coroutine[Any, Any, None]]
"""Does one thing ``CALLS`` times."""


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives the table and what it means for the target."""
    plan.progress(f"a whole unary call of micro-rt, {CONCURRENCY} at a time")
    whole = whole_call(plan, CONCURRENCY)
    plan.progress("the path of a call, over memory")
    yield tabulate(asyncio.run(measure(plan)), whole)


async def measure(plan: Plan) -> Rounds[float]:
    """Returns the CPU nanoseconds of each thing, for one call."""
    async with service_of(3) as few, service_of(1_000) as many:
        services = {3: few, 1_000: many}
        blocks: dict[str, Block] = {DIRECT: direct(few), LOOP: nothing}
        for name, (nodes, count) in PATHS.items():
            blocks[name] = await client(services[nodes], count)
        for name, nodes in PICKS.items():
            blocks[name] = await picks(services[nodes])
        return take_turns(list(blocks), plan.count(60, 20), lambda name: timed(blocks[name]), lambda text: None)


def timed(block: Block) -> float:
    """Runs a block to its end, and returns the CPU nanoseconds of one call.

    Nothing in it may wait, for there is nothing to wait for: the path from stub to transport does not suspend.
    """
    coroutine = block()
    start = time.process_time_ns()
    try:
        coroutine.send(None)
    except StopIteration:
        return (time.process_time_ns() - start) / CALLS
    coroutine.close()
    raise RuntimeError("a call suspended on its way to the transport")


@asynccontextmanager
async def service_of(nodes: int) -> AsyncGenerator[micro_rt.Service]:
    """Gives a service that knows that many nodes."""
    registry = MemoryRegistry(f"memory:{nodes}")
    await registry.open()
    try:
        for number in range(nodes):
            node = Node(f"bench-{number}", f"instant:{number}", "instant", services=frozenset({ECHO.service}))
            await registry.register(Registration(node, ("bench",)))
        async with micro_rt.Service("caller", registry=f"memory:{nodes}", transport=InstantTransport()) as service:
            yield service
    finally:
        await registry.close()


async def client(service: micro_rt.Service, interceptors: int) -> Block:
    """Returns calls through a generated client."""
    echo = BenchClient(service, interceptors=[Little() for _ in range(interceptors)]).echo
    await echo(ITEM)  # watches the name

    async def block() -> None:
        for _ in range(CALLS):
            await echo(ITEM)

    return block


def direct(service: micro_rt.Service) -> Block:
    """Returns the same without a client."""
    encode, decode = service.codec.encoder(Item), service.codec.decoder(Item)
    unary, path, info = InstantConnection().unary, ECHO.path, CallInfo()

    async def block() -> None:
        for _ in range(CALLS):
            decode(await unary(path, "proto", EMPTY, None, info, encode(ITEM)))

    return block


async def picks(service: micro_rt.Service) -> Block:
    """Returns the two steps that find the node of a call."""
    bound = BoundMethod(service, ECHO, "bench", (), micro_rt.RetryPolicy(), None, EMPTY)
    await bound.unary(ITEM, None, None, None)
    call = ClientCall(ECHO, EMPTY, None, CallInfo(), "bench")

    async def block() -> None:
        for _ in range(CALLS):
            bound.service_nodes(call).pick()

    return block


async def nothing() -> None:
    """Is what every block has beside what it measures."""
    for _ in range(CALLS):
        pass


def tabulate(rounds: Rounds[float], whole: Rounds[Sample]) -> Table:
    """Makes the table: what each thing costs more than its base, and which part of a whole call that is."""
    client_cpu = whole.median("micro", lambda sample: sample.client_microseconds) * 1e3
    both_cpu = whole.median("micro", lambda sample: sample.cpu_microseconds) * 1e3
    rows = [[DIRECT, f"{rounds.median(DIRECT, same):,.0f}", "", "", ""]]
    for names, base in ((PATHS, DIRECT), (PICKS, LOOP)):
        for name in names:
            added = rounds.difference(name, base, same)
            row = [name, f"{rounds.median(name, same):,.0f}", added.text(0)]
            rows.append([*row, f"{added.middle / client_cpu:.1%}", f"{added.middle / both_cpu:.1%}"])
    worst = max(rounds.difference(name, LOOP, same).middle for name in PICKS) / client_cpu * 100
    return Table(
        "the path of a unary call, with a transport that answers from memory",
        ["", "ns", "ns added [least-most]", "of the client's CPU", "of both sides' CPU"],
        rows,
        [
            f"A whole call, {CONCURRENCY} at a time: {client_cpu / 1e3:,.1f} µs of CPU in the client, {both_cpu / 1e3:,.1f} on both sides.",
            f"Target: resolving and selecting cost less than {TARGET:g} % of a call.",
            f"They cost {worst:.2f} % of its client side alone: {'it holds' if worst < TARGET else 'MISSED'}.",
        ],
    )


def same(figure: float) -> float:
    """Returns a figure that is one number."""
    return figure
