"""Calls between two processes over loopback: what ``unary`` and ``streams`` have in common."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory

from benchmarks.children import Child, free_address
from benchmarks.measure import Plan, Rounds, take_turns
from benchmarks.table import Table

__all__ = ["BASES", "NAMES", "Pair", "Sample", "measure", "pairs", "tabulate"]

NAMES = {"micro": "micro-rt", "grpclib": "grpclib", "grpcio": "grpcio.aio"}
"""The stacks, and what they are called in tables."""
BASES = ("grpclib", "grpcio")
"""What the others are compared with."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one stack did in one round.

    Attributes:
        count: calls, or messages of streams.
        client_cpu: seconds, of the client's process.
        server_cpu: seconds, of the server's process.
    """

    count: float
    seconds: float
    client_cpu: float
    server_cpu: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.count / self.seconds

    @property
    def client_microseconds(self) -> float:
        """CPU microseconds of the client for each call."""
        return self.client_cpu / self.count * 1e6

    @property
    def server_microseconds(self) -> float:
        """CPU microseconds of the server for each call."""
        return self.server_cpu / self.count * 1e6

    @property
    def cpu_microseconds(self) -> float:
        """CPU microseconds of both for each call."""
        return self.client_microseconds + self.server_microseconds


class Pair:
    """A server and a client of one stack, running."""

    def __init__(self, server: Child, client: Child) -> None:
        self._server = server
        self._client = client

    def measure(self, kind: str, concurrency: int, seconds: float) -> Sample:
        """Keeps that many calls going for that many seconds."""
        before = self._server.ask()
        done = self._client.ask(kind=kind, concurrency=concurrency, seconds=seconds)
        used = self._server.ask() - before
        return Sample(done["count"], done["seconds"], done["cpu"], used, done["p50"], done["p99"])


@contextmanager
def pairs(stacks: Sequence[str] = tuple(NAMES)) -> Generator[dict[str, Pair]]:
    """Starts a server and a client of each stack, with a registry of their own; ends them all."""
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
        running: dict[str, Pair] = {}
        for name in stacks:
            address = free_address()
            server = stack.enter_context(Child("benchmarks.servers", name, address, home=home))
            client = stack.enter_context(Child("benchmarks.clients", name, address, home=home))
            running[name] = Pair(server, client)
        yield running


def measure(
    running: dict[str, Pair], kind: str, concurrency: int, plan: Plan, rounds: int, seconds: float
) -> Rounds[Sample]:
    """Measures one kind of call on every stack, after a moment to warm up."""
    for pair in running.values():
        pair.measure(kind, concurrency, min(0.3, seconds))
    return take_turns(
        list(running), rounds, lambda name: running[name].measure(kind, concurrency, seconds), plan.progress
    )


def tabulate(title: str, unit: str, rounds: Rounds[Sample], *, latency: bool) -> Table:
    """Makes the table of one kind of call."""
    columns = ["", f"{unit}s/s", *(f"x {NAMES[base]}" for base in BASES), "client µs CPU", "server µs CPU"]
    if latency:
        columns += ["p50 ms", "p99 ms"]
    rows: list[list[str]] = []
    for name in rounds.results:
        row = [NAMES[name], f"{rounds.median(name, lambda sample: sample.rate):,.0f}"]
        row += ["1" if base == name else rounds.ratio(name, base, lambda sample: sample.rate).text() for base in BASES]
        row.append(f"{rounds.median(name, lambda sample: sample.client_microseconds):,.1f}")
        row.append(f"{rounds.median(name, lambda sample: sample.server_microseconds):,.1f}")
        if latency:
            row.append(f"{rounds.median(name, lambda sample: sample.p50) * 1e3:.2f}")
            row.append(f"{rounds.median(name, lambda sample: sample.p99) * 1e3:.2f}")
        rows.append(row)
    return Table(title, columns, rows)
