"""``discovery``: picking a node, what a registry is asked, and a node that is killed; beside go-micro in the same run."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time_ns

import micro_rt
from benchmarks import path
from benchmarks.children import Child
from benchmarks.discovery_killed import killed
from benchmarks.discovery_rest import at_rest
from benchmarks.measure import Plan, Rounds, take_turns
from benchmarks.table import Table
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.node import Node
from micro_rt.registry.base import Registration
from tests.servers.cache import Unobtainable
from tests.servers.consul import Consul
from tests.servers.etcd import Etcd
from tests.servers.obtain import Found, go_binary
from tests.servers.shared import Servers

__all__ = ["run"]

SIZES = (1, 100, 10_000)
"""Nodes of a service."""
CHANGES = 10
"""Changes of a view that are timed together."""

MICRO, GO, CHANGE = "micro-rt", "go-micro", "one change"


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives the tables; beside go-micro where it can be built, on the registries that can be had."""
    try:
        program: Path | None = go_binary(Path(__file__).parent / "go_micro")
    except Unobtainable as reason:
        plan.progress(f"no go-micro, so nothing is measured of it: {reason}")
        program = None
    plan.progress("resolving and selecting")
    yield _tabulate(asyncio.run(_pick(plan, program)), bool(program))
    with _registries(plan) as urls, TemporaryDirectory(prefix="micro-rt-bench-") as home:
        if urls:
            yield at_rest(plan, urls, program, home)
        yield killed(plan, {**urls, "local": "local:"}, program, home)


@contextmanager
def _registries(plan: Plan) -> Generator[dict[str, str]]:
    """Starts the registries that can be had, and ends them."""
    servers, urls = Servers(), dict[str, str]()
    with ExitStack() as stack:
        for kind, make in (("consul", _consul), ("etcd", Etcd)):
            try:
                server = make(servers.program(kind))
            except Unobtainable as reason:
                plan.progress(f"no {kind}, so nothing is measured there: {reason}")
                continue
            stack.callback(server.close)
            server.start_now()
            urls[kind] = server.url
        yield urls


def _consul(found: Found) -> Consul:
    """Makes a Consul that takes more connections from one machine than it usually does: all clients are on this one."""
    return Consul(found, config={"limits": {"http_max_conns_per_client": 1_000}})


async def _pick(plan: Plan, program: Path | None) -> dict[int, Rounds[float]]:
    """Returns the CPU nanoseconds of a pick, of either, and of a change of the view, by the number of nodes."""
    seconds, rounds = plan.seconds(0.3, 0.1), plan.count(15, 5)
    found = dict[int, Rounds[float]]()
    with ExitStack() as stack:
        go = stack.enter_context(Child("", "client", "memory", "", home="", program=program)) if program else None
        for size in SIZES:
            async with path.service_of(size) as service:
                block = await path.picks(service)

                def measure(subject: str, size: int = size, block: path.Block = block) -> float:
                    if subject == GO:
                        assert go is not None
                        return float(go.ask(do="pick", nodes=size, seconds=seconds))
                    return path.timed(block)

                turns = take_turns([MICRO, GO] if go else [MICRO], rounds, measure, lambda _: None)
                changes = [await _change(service, size) for _ in range(rounds)]
                found[size] = Rounds({**turns.results, CHANGE: changes})
    return found


async def _change(service: micro_rt.Service, size: int) -> float:
    """Returns the CPU nanoseconds from a change in the registry's memory to calls that go by it."""
    nodes = service.nodes.service_nodes("bench", path.ECHO.service)
    registry = MemoryRegistry(f"memory:{size}")
    await registry.open()
    try:
        node = Node("another", "instant:another", "instant", services=frozenset({path.ECHO.service}))
        start = process_time_ns()
        for _ in range(CHANGES):
            lease = await registry.register(Registration(node, ("bench",)))
            while len(nodes.nodes) == size:  # noqa: ASYNC110 - the loop's turns are what is measured
                await asyncio.sleep(0)
            await lease.revoke()
            while len(nodes.nodes) > size:  # noqa: ASYNC110
                await asyncio.sleep(0)
        return (process_time_ns() - start) / (2 * CHANGES)
    finally:
        await registry.close()


def _tabulate(found: dict[int, Rounds[float]], beside: bool) -> Table:
    rows: list[list[str]] = []
    for size, rounds in found.items():
        row = [f"{size:,} node{'s' if size > 1 else ''}", rounds.spread(MICRO, path.same).text(0)]
        if beside:
            go = rounds.spread(GO, path.same)
            row += [go.text(0), f"{go.middle / rounds.median(MICRO, path.same):,.1f}"]
        rows.append([*row, f"{rounds.median(CHANGE, path.same) / 1e3:,.0f}"])
    columns = ["", "micro-rt ns", *(["go-micro ns", "go-micro x"] if beside else []), "a change of the view, µs"]
    notes = [
        "CPU time of resolving a name that is known and selecting a node of it; go-micro's with its garbage collector.",
        "A change of the view: one node more or less in memory:, until calls go by it; without what a registry's server sends.",
    ]
    return Table("a node for a call, out of many", columns, rows, notes)
