"""``messages``: what constructing, encoding, decoding and reading messages costs, in each dialect and with the peers.

Each subject is a process of its own, because betterproto2 wants an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from benchmarks.generate import plugin, tool
from benchmarks.measure import Plan, Rounds, take_turns
from benchmarks.table import Table

__all__ = ["run"]

HERE = Path(__file__).parent
PROTO = HERE / "protos" / "messages.proto"
CHILD = HERE / "message_child.py"
MICRO = "micro, messages=betterproto"
PROTOBUF = "micro, messages=protobuf (upb)"
PEER = "betterproto2"
OLD = "betterproto 2.0.0b7"
TARGET = 8.0
"""How many times faster than betterproto2 the dialect is to be, for each job."""
JOBS = (
    "small, construct and encode",
    "small, decode and read",
    "reply, construct and encode",
    "reply, decode and read",
)
SPEEDS = {MICRO: 1.0, PROTOBUF: 1.0, PEER: 0.1, OLD: 0.03}
"""How many times a subject does a job, in proportion, so that all take about as long."""

VARIABLE = "MICRO_BENCH_BETTERPROTO2"
ABSENT = (
    f"{PEER} is not measured: it needs an environment of its own. python -m venv ENV; "
    f"ENV/bin/pip install betterproto2 betterproto2_compiler; {VARIABLE}=ENV/bin/python make bench"
)


@dataclass(frozen=True, slots=True)
class Subject:
    """One subject: a process that measures what it is told to."""

    process: subprocess.Popen[str]
    sizes: tuple[int, int]

    def nanoseconds(self, job: str, count: int) -> float:
        """Returns the CPU time of a job."""
        print(f"{job} {count}", file=_pipe(self.process.stdin), flush=True)
        return float(_pipe(self.process.stdout).readline())


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives one table for each job."""
    with TemporaryDirectory(prefix="micro-rt-bench-") as folder, ExitStack() as stack:
        subjects = {name: start(command, stack) for name, command in commands(Path(folder)).items()}
        sizes = {subject.sizes for subject in subjects.values()}
        if len(sizes) != 1:
            raise RuntimeError(f"the subjects do not encode the same messages: {sizes}")
        small, reply = sizes.pop()
        plan.progress(f"messages of {small} and {reply:,} bytes: {', '.join(subjects)}")
        for job in JOBS:
            usual = 20_000 if job.startswith("small") else 1_000

            def measure(name: str, job: str = job, usual: int = usual) -> float:
                count = int(usual * SPEEDS[name] * plan.seconds(1, 0.2))
                return subjects[name].nanoseconds(job, max(count, 5))

            rounds = take_turns(list(subjects), plan.count(15, 5), measure, lambda text: None)
            yield tabulate(job, small if job.startswith("small") else reply, rounds)


def commands(out: Path) -> dict[str, list[str]]:
    """Generates the code of all subjects; returns the commands that run them, by name."""
    protoc = [
        tool("protoc"),
        f"-I{PROTO.parent}",
        plugin("micro", "protoc-gen-micro"),
        f"--micro_out={out}",
        str(PROTO),
    ]
    subprocess.run(protoc, check=True)
    subprocess.run([*protoc, "--micro_opt=messages=betterproto"], check=True)
    found = {
        MICRO: [sys.executable, str(CHILD), "betterproto", str(out), "messages_pb"],
        PROTOBUF: [sys.executable, str(CHILD), "protobuf", str(out), "messages_pb2"],
        OLD: [sys.executable, str(CHILD), "betterproto", str(HERE), "message_b7"],
    }
    python = os.environ.get(VARIABLE)
    if python:
        theirs = out / "theirs"
        theirs.mkdir()
        compiler = Path(python).parent / "protoc-gen-python_betterproto2"
        command = [tool("protoc"), f"-I{PROTO.parent}", f"--plugin=protoc-gen-theirs={compiler}"]
        environment = {**os.environ, "PATH": f"{compiler.parent}{os.pathsep}{os.environ['PATH']}"}
        command += [f"--theirs_out={theirs}", str(PROTO)]
        subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
        found[PEER] = [python, str(CHILD), PEER, str(out), "theirs.messages"]
    return found


def start(command: list[str], stack: ExitStack) -> Subject:
    """Starts a subject, which ends with the stack."""
    process = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    stack.callback(_pipe(process.stdin).close)
    small, reply = map(int, _pipe(process.stdout).readline().split())
    return Subject(process, (small, reply))


def tabulate(job: str, size: int, rounds: Rounds[float]) -> Table:
    """Makes the table of one job."""
    rows: list[list[str]] = []
    for name in rounds.results:
        spread = rounds.spread(name, microseconds)
        ratio = "1" if name == MICRO else rounds.ratio(name, MICRO, float).text(1)
        rows.append([name, spread.text(2), ratio])
    notes = [ABSENT]
    if PEER in rounds.results:
        times = rounds.ratio(PEER, MICRO, float).middle
        verdict = "it holds" if times >= TARGET else "MISSED"
        notes = [f"Target: {TARGET:g} times the speed of {PEER}. It is {times:.1f} times: {verdict}."]
    return Table(f"{job}: a message of {size:,} bytes", ["", "CPU µs [least-most]", f"x {MICRO}"], rows, notes)


def microseconds(nanoseconds: float) -> float:
    """Returns a time as it is told."""
    return nanoseconds / 1e3


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise RuntimeError("the process has no such pipe")
    return pipe
