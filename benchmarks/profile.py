"""``profile``: where the CPU of a unary call of micro-rt goes, on either side."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.calls import Pair
from benchmarks.children import Child, free_address
from benchmarks.measure import Plan
from benchmarks.table import Table

__all__ = ["run"]

CONCURRENCY = 16

PARTS: Sequence[tuple[str, Sequence[str]]] = (
    ("header compression: micro_rt/http2/hpack", ("/micro_rt/http2/hpack/",)),
    ("HTTP/2: micro_rt/http2", ("/micro_rt/http2/",)),
    (
        "gRPC, and socket writes: micro_rt/backends/grpc",
        ("/micro_rt/backends/grpc/", "/micro_rt/transport/", "/micro_rt/listener/"),
    ),
    ("our server path: micro_rt/server", ("/micro_rt/server/",)),
    ("codec and protobuf", ("/micro_rt/codec/", "/google/protobuf/")),
    ("registry: its poll and heartbeat", ("/micro_rt/backends/local/", "/micro_rt/registry/")),
    ("our call path: stub, client, selector, context", ("/micro_rt/", "/benchmarks/protos/")),
    ("event loop", ("/asyncio/", "/uvloop/")),
    ("the benchmark", ("/benchmarks/",)),
)
"""What time is told of, and by which folders it is known; the first that fits counts."""
STARTING = "frozen importlib"


def run(plan: Plan) -> Iterator[Table]:
    """Samples both sides under load, and gives a table."""
    plan.progress(f"sampling a server and a client under {CONCURRENCY} calls at a time")
    with TemporaryDirectory(prefix="micro-rt-bench-") as folder:
        sides = {side: Path(folder) / side for side in ("client", "server")}
        with ExitStack() as stack:
            address = free_address()
            server, client = (
                stack.enter_context(
                    Child("benchmarks.sampler", str(sides[side]), f"benchmarks.{side}s", "micro", address, home=folder)
                )
                for side in ("server", "client")
            )
            done = Pair(server, client).measure("echo", CONCURRENCY, plan.seconds(15.0, 3.0))
        shares = {side: share(json.loads(path.read_text())) for side, path in sides.items()}
    microseconds = {"client": done.client_microseconds, "server": done.server_microseconds}
    yield tabulate(shares, microseconds)


def share(stacks: Sequence[tuple[int, Sequence[str]]]) -> Counter[str]:
    """Returns how many samples each part has, starting the process left out."""
    counts: Counter[str] = Counter()
    for count, files in stacks:
        if not any(STARTING in file for file in files):
            counts[part(files)] += count
    return counts


def part(files: Sequence[str]) -> str:
    """Returns what a sample belongs to: the innermost file of a known part, so that others' helpers count for their user."""
    for file in files:
        for name, folders in PARTS:
            if any(folder in file for folder in folders):
                return name
    return "other"


def tabulate(shares: Mapping[str, Counter[str]], microseconds: Mapping[str, float]) -> Table:
    """Makes the table."""
    rows: list[list[str]] = []
    names = [name for name, _ in PARTS] + ["other"]
    for name in sorted(names, key=lambda name: -sum(counts[name] / counts.total() for counts in shares.values())):
        row = [name]
        for side, counts in shares.items():
            part_of = counts[name] / counts.total()
            row += [f"{part_of:.1%}", f"{part_of * microseconds[side]:,.1f}"]
        rows.append(row)
    columns = ["", *(column for side in shares for column in (f"{side} %", "µs"))]
    samples = ", ".join(f"{counts.total():,} samples of the {side}" for side, counts in shares.items())
    return Table(
        f"where the CPU of a unary call of micro-rt goes, {CONCURRENCY} calls at a time",
        columns,
        rows,
        [f"{samples}. C code, such as uvloop's and protobuf's, counts for the Python code around it."],
    )
