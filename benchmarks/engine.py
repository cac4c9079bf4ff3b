"""``engine``: servers under a load of grpc-go's client, and clients against grpc-go's server.

Two processes of Python wait for each other, and hide what each of them costs. So the other side is grpc-go here, on one core,
and faster than what is measured. It is measured in its own place too, which says what there is to reach.

Each number of calls at a time has two rows: headers that are the same on each call; and a deadline with a fresh
``traceparent`` on each call, as traced clients send them, which shifts the whole table of a header block's indexes.

``tls`` is the same with TLS on all connections, but for those of one row, which says what TLS costs.
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
from benchmarks.servers import CERT, KEY, ROOTS
from benchmarks.table import Table
from tests.servers.cache import Unobtainable
from tests.servers.certificates import Certificates
from tests.servers.obtain import go_binary

__all__ = ["run", "run_tls"]

GO = "go"
NAMES = {"micro": "micro-rt", "micro_grpclib": "micro-rt on grpclib", "grpcio": "grpcio.aio", GO: "grpc-go, one core"}
"""What is measured, and what it is called in tables."""
CLEAR = "micro_clear"
TLS_NAMES = {
    "micro": "micro-rt",
    CLEAR: "micro-rt, clear text",
    "grpcio": "grpcio.aio",
    GO: "grpc-go, one core",
}
"""The same of ``tls``."""
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


@dataclass(frozen=True, slots=True)
class Subjects:
    """What is measured, and how it connects.

    Attributes:
        names: what each is called in tables.
        tls: environment variables that name the files of TLS.
    """

    names: Mapping[str, str]
    tls: Mapping[str, str]

    def environment(self, name: str) -> Mapping[str, str]:
        """Returns the variables that one is started with."""
        return {} if name == CLEAR else self.tls


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table for servers and one for clients."""
    yield from _both(plan, Subjects(NAMES, {}), JOBS, "")


def run_tls(plan: Plan) -> Iterator[Table]:
    """Measures with TLS, and gives a table for servers and one for clients."""
    with TemporaryDirectory(prefix="micro-rt-bench-") as folder:
        files = Certificates(Path(folder))
        tls = {CERT: str(files.certificate), KEY: str(files.key), ROOTS: str(files.ca)}
        yield from _both(plan, Subjects(TLS_NAMES, tls), [job for job in JOBS if job.kind != "ping_pong"], ", with TLS")


def _both(plan: Plan, subjects: Subjects, jobs: Sequence[Job], suffix: str) -> Iterator[Table]:
    try:
        program = go_binary(Path(__file__).parent / "go_grpc")
    except Unobtainable as reason:
        plan.progress(f"no grpc-go, so nothing is measured: {reason}")
        return
    yield _servers(plan, program, subjects, jobs, suffix)
    yield _clients(plan, program, subjects, jobs, suffix)


def _servers(plan: Plan, program: Path, subjects: Subjects, jobs: Sequence[Job], suffix: str) -> Table:
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
        pairs: dict[str, tuple[Child, Child]] = {}
        for name in subjects.names:
            address, tls = free_address(), subjects.environment(name)
            arguments = ("server", address) if name == GO else (_stack(name), address)
            own = program if name == GO else None
            child = Child("benchmarks.servers", *arguments, home=home, program=own, environment=tls)
            server = stack.enter_context(child)
            load = stack.enter_context(Child("", "client", address, home=home, program=program, environment=tls))
            pairs[name] = server, load

        def measure(name: str, job: Job, seconds: float) -> Sample:
            server, load = pairs[name]
            before = server.ask()
            done = load.ask(kind=job.kind, concurrency=job.concurrency, seconds=seconds, vary=job.vary)
            return Sample(done["count"], done["seconds"], server.ask() - before, done["p99"])

        return _measured(f"servers under a load of grpc-go's client{suffix}", plan, subjects, jobs, measure)


def _clients(plan: Plan, program: Path, subjects: Subjects, jobs: Sequence[Job], suffix: str) -> Table:
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
        addresses: dict[bool, str] = {}
        clients: dict[str, Child] = {}
        for name in subjects.names:
            tls = subjects.environment(name)
            if bool(tls) not in addresses:
                address = addresses[bool(tls)] = free_address()
                stack.enter_context(Child("", "server", address, home=home, program=program, environment=tls))
            address = addresses[bool(tls)]
            # Each has a registry of its own, where it registers the server.
            own = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
            if name == GO:
                child = Child("", "client", address, home=own, program=program, environment=tls)
            else:
                register = ("register",) if name.startswith("micro") else ()
                child = Child("benchmarks.clients", _stack(name), address, *register, home=own, environment=tls)
            clients[name] = stack.enter_context(child)

        def measure(name: str, job: Job, seconds: float) -> Sample:
            kind = "traced" if job.vary and name != GO else job.kind
            asked: Mapping[str, Any] = {"kind": kind, "concurrency": job.concurrency, "seconds": seconds}
            done = clients[name].ask(**asked, **({"vary": job.vary} if name == GO else {}))
            return Sample(done["count"], done["seconds"], done["cpu"], done["p99"])

        return _measured(f"clients against grpc-go's server{suffix}", plan, subjects, jobs, measure)


def _stack(name: str) -> str:
    """Returns what a child measures."""
    return "micro" if name == CLEAR else name


def _measured(
    title: str, plan: Plan, subjects: Subjects, jobs: Sequence[Job], measure: Callable[[str, Job, float], Sample]
) -> Table:
    rows: list[list[str]] = []
    names = list(subjects.names)
    rounds, seconds = plan.count(5, 2), plan.seconds(1.0, 0.3)
    for job in jobs:
        plan.progress(f"{title}: {job.title}")
        for name in names:
            measure(name, job, min(0.3, seconds))

        def once(name: str, job: Job = job) -> Sample:
            return measure(name, job, seconds)

        rows += _rows(job, subjects, take_turns(names, rounds, once, lambda _: None))
    columns = ["", "a second", *(f"x {base}" for base in BASES.values()), "µs CPU", "p99 ms"]
    notes = [f"All Python on {loop_name()}. CPU time of what is measured alone, for each call or message."]
    return Table(title, columns, rows, notes)


def _rows(job: Job, subjects: Subjects, found: Rounds[Sample]) -> Iterator[list[str]]:
    yield [job.title, *[""] * (len(BASES) + 3)]
    for name in found.results:
        row = [f"  {subjects.names[name]}", f"{found.median(name, lambda sample: sample.rate):,.0f}"]
        row += ["1" if base == name else found.ratio(name, base, lambda sample: sample.rate).text() for base in BASES]
        row.append(found.spread(name, lambda sample: sample.microseconds).text(1))
        row.append(f"{found.median(name, lambda sample: sample.p99) * 1e3:.2f}" if job.unit == "calls" else "")
        yield row
