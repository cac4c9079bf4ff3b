"""``engine``: servers under a load of grpc-go's client, and clients against grpc-go's server.

Two processes of Python wait for each other, and hide what each of them costs. So the other side is grpc-go here, on one core,
and faster than what is measured. It is measured in its own place too, which says what there is to reach.

Each number of calls at a time has two rows: headers that are the same on each call; and a deadline with a fresh
``traceparent`` on each call, as traced clients send them, which shifts the whole table of a header block's indexes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.children import Child, free_address, loop_name
from benchmarks.measure import Plan, Rounds, take_turns
from benchmarks.table import Table
from tests.servers.cache import Unobtainable
from tests.servers.obtain import go_binary

__all__ = ["run"]

GO = "go"
NAMES = {"micro": "micro-rt", "micro_grpclib": "micro-rt on grpclib", "grpcio": "grpcio.aio", GO: "grpc-go, one core"}
"""What is measured, and what it is called in tables."""
BASES = {"grpcio": "grpcio.aio", GO: "grpc-go"}
"""What the others are compared with."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is asked for at a time."""

    title: str
    kind: str
    concurrency: int
    vary: bool = False
    unit: str = "calls"


JOBS = (
    *(
        Job(f"{concurrency} at a time, {headers} headers", "echo", concurrency, headers == "varying")
        for concurrency in (1, 16, 128)
        for headers in ("constant", "varying")
    ),
    *(Job(f"1 MiB, {concurrency} at a time", "large", concurrency) for concurrency in (1, 4)),
    Job("server streaming, one stream", "repeat", 1, unit="messages"),
    Job("ping-pong on 16 streams", "ping_pong", 16, unit="messages"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one subject did in one round.

    Attributes:
        count: calls, or messages of streams.
        cpu: seconds, of the subject's process.
    """

    count: float
    seconds: float
    cpu: float
    p99: float

    @property
    def rate(self) -> float:
        """Calls per second."""
        return self.count / self.seconds

    @property
    def microseconds(self) -> float:
        """CPU microseconds for each call."""
        return self.cpu / self.count * 1e6


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table for servers and one for clients."""
    try:
        program = go_binary(Path(__file__).parent / "go_grpc")
    except Unobtainable as reason:
        plan.progress(f"no grpc-go, so nothing is measured: {reason}")
        return
    yield from _servers(plan, program)
    yield from _clients(plan, program)


def _servers(plan: Plan, program: Path) -> Iterator[Table]:
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
        pairs: dict[str, tuple[Child, Child]] = {}
        for name in NAMES:
            address = free_address()
            arguments = ("server", address) if name == GO else (name, address)
            child = Child("benchmarks.servers", *arguments, home=home, program=program if name == GO else None)
            server = stack.enter_context(child)
            load = stack.enter_context(Child("", "client", address, home=home, program=program))
            pairs[name] = server, load

        def measure(name: str, job: Job, seconds: float) -> Sample:
            server, load = pairs[name]
            before = server.ask()
            done = load.ask(kind=job.kind, concurrency=job.concurrency, seconds=seconds, vary=job.vary)
            return Sample(done["count"], done["seconds"], server.ask() - before, done["p99"])

        yield _measured("servers under a load of grpc-go's client", plan, list(pairs), measure)


def _clients(plan: Plan, program: Path) -> Iterator[Table]:
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
        address = free_address()
        stack.enter_context(Child("", "server", address, home=home, program=program))
        clients: dict[str, Child] = {}
        for name in NAMES:
            # Each has a registry of its own, where it registers the server.
            own = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
            if name == GO:
                child = Child("", "client", address, home=own, program=program)
            else:
                register = ("register",) if name.startswith("micro") else ()
                child = Child("benchmarks.clients", name, address, *register, home=own)
            clients[name] = stack.enter_context(child)

        def measure(name: str, job: Job, seconds: float) -> Sample:
            kind = "traced" if job.vary and name != GO else job.kind
            asked: Mapping[str, Any] = {"kind": kind, "concurrency": job.concurrency, "seconds": seconds}
            done = clients[name].ask(**asked, **({"vary": job.vary} if name == GO else {}))
            return Sample(done["count"], done["seconds"], done["cpu"], done["p99"])

        yield _measured("clients against grpc-go's server", plan, list(clients), measure)


def _measured(title: str, plan: Plan, names: Sequence[str], measure: Callable[[str, Job, float], Sample]) -> Table:
    rows: list[list[str]] = []
    rounds, seconds = plan.count(5, 2), plan.seconds(1.0, 0.3)
    for job in JOBS:
        plan.progress(f"{title}: {job.title}")
        for name in names:
            measure(name, job, min(0.3, seconds))

        def once(name: str, job: Job = job) -> Sample:
            return measure(name, job, seconds)

        rows += _rows(job, take_turns(names, rounds, once, lambda _: None))
    columns = ["", "a second", *(f"x {base}" for base in BASES.values()), "µs CPU", "p99 ms"]
    notes = [f"All Python on {loop_name()}. CPU time of what is measured alone, for each call or message."]
    return Table(title, columns, rows, notes)


def _rows(job: Job, found: Rounds[Sample]) -> Iterator[list[str]]:
    yield [job.title, *[""] * (len(BASES) + 3)]
    for name in found.results:
        row = [f"  {NAMES[name]}", f"{found.median(name, lambda sample: sample.rate):,.0f}"]
        row += ["1" if base == name else found.ratio(name, base, lambda sample: sample.rate).text() for base in BASES]
        row.append(found.spread(name, lambda sample: sample.microseconds).text(1))
        row.append(f"{found.median(name, lambda sample: sample.p99) * 1e3:.2f}" if job.unit == "calls" else "")
        yield row
