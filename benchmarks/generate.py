"""``generate``: how long it takes to generate the code of one small file, as a whole process, against the peers."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from shutil import which
from tempfile import TemporaryDirectory

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

from benchmarks.measure import Plan, Rounds, take_turns
from benchmarks.table import Table

__all__ = ["run"]

PROTO = Path(__file__).parent / "protos" / "bench.proto"
PYTHON = "python -c pass"
PROTOC = "protoc: messages, types"
MICRO = "protoc, protoc-gen-micro: messages, types, stubs"
GRPCLIB = "protoc, grpclib's plugin: messages, types, stubs"
MYPY = "protoc, protoc-gen-mypy: messages, types"
COMMAND = "micro-rt generate: messages, types, stubs"
MICRO_ALONE = "protoc-gen-micro"
GRPCLIB_ALONE = "grpclib's plugin"
MYPY_ALONE = "protoc-gen-mypy"


@dataclass(frozen=True, slots=True)
class Process:
    """What one process took, with those that it started.

    Attributes:
        wall: seconds from start to end.
        cpu: seconds of CPU.
    """

    wall: float
    cpu: float


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table of whole runs and one of the plugins alone."""
    with TemporaryDirectory(prefix="micro-rt-bench-") as folder:
        out = Path(folder)
        commands = whole_runs(out)
        plan.progress(f"generating {PROTO.name}: {len(commands)} ways")
        rounds = compare(commands, b"", plan)
        bases = (PROTOC, GRPCLIB, MYPY)
        yield tabulate("generating one small file, whole processes", rounds, bases, ("protoc", "grpclib's", "mypy's"))

        plan.progress("the plugins alone, on a recorded request")
        rounds = compare(plugins(), recorded_request(out), plan)
        bases = (PYTHON, GRPCLIB_ALONE, MYPY_ALONE)
        yield tabulate("the plugins alone, fed the request", rounds, bases, ("python", "grpclib's", "mypy's"))


def whole_runs(out: Path) -> dict[str, list[str]]:
    """Returns the commands that generate, by name."""
    protoc = [tool("protoc"), f"-I{PROTO.parent}", str(PROTO)]
    official = [*protoc, f"--python_out={out}", f"--pyi_out={out}"]
    return {
        PYTHON: [sys.executable, "-c", "pass"],
        PROTOC: official,
        MICRO: [*protoc, plugin("micro", "protoc-gen-micro"), f"--micro_out={out}"],
        GRPCLIB: [*official, plugin("stubs", "protoc-gen-grpclib_python"), f"--stubs_out={out}"],
        MYPY: [*protoc, f"--python_out={out}", plugin("types", "protoc-gen-mypy"), f"--types_out=quiet:{out}"],
        COMMAND: [tool("micro-rt"), "generate", f"-I{PROTO.parent}", "--out", str(out), str(PROTO)],
    }


def plugins() -> dict[str, list[str]]:
    """Returns the commands of the plugins, by name."""
    return {
        PYTHON: [sys.executable, "-c", "pass"],
        MICRO_ALONE: [tool("protoc-gen-micro")],
        GRPCLIB_ALONE: [tool("protoc-gen-grpclib_python")],
        MYPY_ALONE: [tool("protoc-gen-mypy")],
    }


def recorded_request(out: Path) -> bytes:
    """Returns what protoc sends to a plugin for the file."""
    target = out / "descriptors"
    subprocess.run(
        [tool("protoc"), f"-I{PROTO.parent}", "--include_imports", "--include_source_info", f"-o{target}", str(PROTO)],
        check=True,
    )
    files = descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file
    return plugin_pb2.CodeGeneratorRequest(file_to_generate=[PROTO.name], proto_file=files).SerializeToString()


def tool(name: str) -> str:
    """Returns the path of a command, from this environment if it is there."""
    found = which(name, path=sysconfig.get_path("scripts")) or which(name)
    if found is None:
        raise SystemExit(f"{name} is not installed: `make bench` sets up all that the benchmarks need")
    return found


def plugin(name: str, command: str) -> str:
    """Returns the argument that tells protoc where a plugin is."""
    return f"--plugin=protoc-gen-{name}={tool(command)}"


def compare(commands: Mapping[str, Sequence[str]], input: bytes, plan: Plan) -> Rounds[Process]:
    """Runs each command once to warm up, and once in every round."""
    for command in commands.values():
        measure(command, input)
    rounds = plan.count(15, 5)
    return take_turns(list(commands), rounds, lambda name: measure(commands[name], input), every(5, plan.progress))


def measure(command: Sequence[str], input: bytes) -> Process:
    """Runs a command and times it.

    Python may keep what it has compiled, as it does for whatever pip installs: else our own modules, which a
    checkout holds as sources, would be compiled anew in each run, and those of the peers would not.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = getrusage(RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, input=input, capture_output=True, check=False, env=environment)
    wall, after = time.perf_counter() - start, getrusage(RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr.decode(errors='replace')}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Process(wall, cpu)


def every(step: int, progress: Callable[[str], None]) -> Callable[[str], None]:
    """Passes on the first of a number of progress lines."""
    count = 0

    def some(text: str) -> None:
        nonlocal count
        if count % step == 0:
            progress(text)
        count += 1

    return some


def tabulate(title: str, rounds: Rounds[Process], bases: Sequence[str], short: Sequence[str]) -> Table:
    """Makes a table with the ratios to some of its rows."""
    rows: list[list[str]] = []
    for name in rounds.results:
        wall = rounds.spread(name, milliseconds)
        cpu = rounds.spread(name, lambda process: process.cpu * 1e3)
        row = [name, wall.text(0), f"{cpu.middle:,.0f}"]
        row += ["1" if base == name else rounds.ratio(name, base, milliseconds).text(2) for base in bases]
        rows.append(row)
    return Table(title, ["", "ms [least-most]", "CPU ms", *(f"x {name}" for name in short)], rows)


def milliseconds(process: Process) -> float:
    """Returns the wall time of a process."""
    return process.wall * 1e3
