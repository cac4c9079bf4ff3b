"""``connections``: what one hostile client costs the others, what connections without a call cost, and calls that wait.

The hostile client is a process of its own, which builds its frames by hand (``connections_child``). A good client makes
one call after another meanwhile, on a connection of its own.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.children import Child, allow_files, free_address, loop_name
from benchmarks.measure import Plan, Spread, take_turns
from benchmarks.servers import CERT, KEY, ROOTS
from benchmarks.table import Table
from tests.servers.certificates import Certificates

__all__ = ["run", "run_tls"]

NAMES = {"micro": "micro-rt", "micro_grpclib": "micro-rt on grpclib"}
TLS = "micro_tls"
TLS_NAMES = {"micro": "micro-rt, clear text", TLS: "micro-rt"}
ATTACKS: Mapping[str, str] = {
    "resets": "calls that are reset at once (rapid reset)",
    "announced": "a message announced as 4 GiB",
    "streams": "20,000 calls at once",
    "unfinished": "40 unfinished messages of 4 MiB",
}
KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """What an attack cost.

    Attributes:
        longest: seconds of the longest good call.
        failed: good calls that failed.
        memory: bytes that the server took more, at the most.
    """

    longest: float
    failed: int
    memory: int


@dataclass(frozen=True, slots=True)
class Idle:
    """What connections without a call cost.

    Attributes:
        memory: bytes for each.
        cpu: seconds of CPU in a second, of all of them.
    """

    memory: float
    cpu: float


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table for each of the three."""
    yield _hostile(plan)
    yield _idle(plan, NAMES, "")
    yield _waiting(plan)


def run_tls(plan: Plan) -> Iterator[Table]:
    """Measures connections with TLS, and gives a table."""
    yield _idle(plan, TLS_NAMES, ", with TLS")


@contextmanager
def _served(name: str, *others: str) -> Generator[tuple[Child, ...]]:
    """Starts a server, and for each role a process that connects to it."""
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
        address, tls = free_address(), dict[str, str]()
        if name == TLS:
            files = Certificates(Path(home) / "tls")
            tls = {CERT: str(files.certificate), KEY: str(files.key), ROOTS: str(files.ca)}
        stack_name = "micro" if name == TLS else name
        server = stack.enter_context(Child("benchmarks.servers", stack_name, address, home=home, environment=tls))
        clients = [Child("benchmarks.connections_child", role, address, home=home, environment=tls) for role in others]
        yield (server, *map(stack.enter_context, clients))


def _hostile(plan: Plan) -> Table:
    rows: list[list[str]] = []
    seconds = plan.seconds(5.0, 1.0)

    def measure(name: str, attack: str) -> Cost:
        with _served(name, "good", "hostile") as (server, good, hostile), ThreadPoolExecutor(1) as thread:
            good.ask(seconds=min(seconds, 1.0))
            before = server.memory
            server.forget_most_memory()
            attacking = thread.submit(hostile.ask, attack=attack, seconds=seconds)
            done = good.ask(seconds=seconds)
            attacking.result()
            return Cost(done["longest"], done["failed"], server.most_memory - before)

    for attack, title in ATTACKS.items():
        plan.progress(f"a hostile client: {title}")

        def once(name: str, attack: str = attack) -> Cost:
            return measure(name, attack)

        found = take_turns(tuple(NAMES), plan.count(3, 1), once, lambda _: None)
        rows.append([title, "", "", ""])
        rows += [
            [
                f"  {NAMES[name]}",
                Spread.of([cost.longest * 1e3 for cost in found.results[name]]).text(0),
                f"{sum(cost.failed for cost in found.results[name]):,}",
                Spread.of([cost.memory / MIB for cost in found.results[name]]).text(0),
            ]
            for name in found.results
        ]
    columns = ["", "longest good call, ms", "good calls that failed", "memory, MiB"]
    notes = [
        f"All on {loop_name()}. The attack lasts {seconds:g} s, or until the server ends it. Goals: 200 ms, 60 MiB."
    ]
    return Table("one hostile client, and a good one beside it", columns, rows, notes)


def _idle(plan: Plan, names: Mapping[str, str], suffix: str) -> Table:
    count = 500 if plan.quick else 10_000
    count = min(count, allow_files(count + 1_000) - 1_000)
    seconds = plan.seconds(5.0, 0.5)
    plan.progress(f"{count:,} connections without a call")

    def measure(name: str) -> Idle:
        with _served(name, "idle") as (server, idle):
            before = server.memory
            idle.ask(count=count)
            after, cpu = server.memory, server.ask()
            idle.ask(seconds=seconds)
            return Idle((after - before) / count, (server.ask() - cpu) / seconds)

    found = take_turns(tuple(names), plan.count(3, 1), measure, plan.progress)
    rows = [
        [
            names[name],
            found.spread(name, lambda idle: idle.memory / KIB).text(1),
            found.spread(name, lambda idle: idle.cpu * 100).text(2),
        ]
        for name in found.results
    ]
    columns = ["", "KiB each", "% of a core, all"]
    notes = [f"All on {loop_name()}. Goal: 8 KiB of clear text."]
    return Table(f"{count:,} connections without a call{suffix}", columns, rows, notes)


def _waiting(plan: Plan) -> Table:
    few, many = 100, 400 if plan.quick else 2_000
    plan.progress(f"calls beyond the limit of 100 of a connection: {few} and {many} that wait")
    with ExitStack() as stack:
        home = stack.enter_context(TemporaryDirectory(prefix="micro-rt-bench-"))
        address = free_address()
        stack.enter_context(Child("benchmarks.servers", "micro_100", address, home=home))
        clients = {name: stack.enter_context(Child("benchmarks.clients", name, address, home=home)) for name in NAMES}

        def measure(subject: str) -> float:
            name, _, waiting = subject.partition("/")
            done = clients[name].ask(kind="echo", concurrency=100 + int(waiting), seconds=plan.seconds(1.0, 0.3))
            return float(done["cpu"] / done["count"] * 1e6)

        subjects = [f"{name}/{waiting}" for name in NAMES for waiting in (few, many)]
        for subject in subjects:
            measure(subject)
        found = take_turns(subjects, plan.count(5, 1), measure, plan.progress)
    rows = [
        [
            NAMES[name],
            *(found.spread(f"{name}/{waiting}", float).text(1) for waiting in (few, many)),
            found.ratio(f"{name}/{many}", f"{name}/{few}", float).text(),
        ]
        for name in NAMES
    ]
    columns = ["", f"{few} wait, µs CPU", f"{many:,} wait, µs CPU", "ratio"]
    notes = [f"CPU time of the client for each call, all on {loop_name()}. Goal: a ratio of 1."]
    return Table("calls that wait for their turn: the server allows 100 of a connection at once", columns, rows, notes)
