"""``trees``: how long it takes to generate the code of whole trees, and to import it, against the peers."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.generate import Process, every, measure, plugin, tabulate, tool
from benchmarks.measure import Plan, Rounds, take_turns
from benchmarks.table import Table

__all__ = ["run", "write_tree"]

PYTHON = "python -c pass"
PROTOC = "protoc: messages, types"
MICRO = "protoc, protoc-gen-micro: messages, types, stubs"
GRPCLIB = "protoc, grpclib's plugin: messages, types, stubs"
MYPY = "protoc, protoc-gen-mypy: messages, types"
BASES, SHORT = (PROTOC, GRPCLIB, MYPY), ("protoc", "grpclib's", "mypy's")
SMALL, LARGE = 100, 800
"""How many files our own trees have: what is linear takes eight times as long for the larger one."""


def run(plan: Plan) -> Iterator[Table]:
    """Measures, and gives a table for each tree and one for the imports."""
    with TemporaryDirectory(prefix="micro-rt-bench-") as folder:
        place = Path(folder)
        public = sorted((packages() / "google").rglob("*.proto"))
        trees = {"googleapis-common-protos": (packages(), public)}
        for size in (SMALL, LARGE):
            root = place / f"tree{size}"
            trees[f"a tree of {size} files"] = root, write_tree(root, size)
        for name, (root, files) in trees.items():
            out = place / name.replace(" ", "_")
            commands = whole_runs(root, files, out)
            plan.progress(f"generating {name}, {len(files)} files: {len(commands)} ways")
            rounds = compare(commands, plan)
            yield tabulate(f"generating {name}: {len(files)} files, whole processes", rounds, BASES, SHORT)

        root, files = trees[f"a tree of {SMALL} files"]
        plan.progress(f"importing the messages of {SMALL} files")
        rounds = compare(imports(root, files, place / "imports"), plan)
        yield tabulate(
            f"importing the messages of {SMALL} files, whole processes", rounds, (PYTHON, PROTOC), ("python", "protoc")
        )


def packages() -> Path:
    """Returns the folder of installed packages, which has the .proto files of some."""
    return Path(sysconfig.get_path("purelib"))


def whole_runs(root: Path, files: Sequence[Path], out: Path) -> dict[str, list[str]]:
    """Returns the commands that generate a tree, by name; each writes into a folder of its own."""
    commands: dict[str, list[str]] = {}
    protoc = [tool("protoc"), f"-I{root}", *map(str, files)]
    for name, options in {
        PROTOC: ["--python_out={}", "--pyi_out={}"],
        MICRO: [plugin("micro", "protoc-gen-micro"), "--micro_out={}"],
        GRPCLIB: ["--python_out={}", "--pyi_out={}", plugin("stubs", "protoc-gen-grpclib_python"), "--stubs_out={}"],
        MYPY: ["--python_out={}", plugin("types", "protoc-gen-mypy"), "--types_out=quiet:{}"],
    }.items():
        target = out / str(len(commands))
        target.mkdir(parents=True)
        commands[name] = [*protoc, *(option.format(target) for option in options)]
    return commands


def imports(root: Path, files: Sequence[Path], out: Path) -> dict[str, list[str]]:
    """Returns the commands that import the messages of a tree, as protoc and as we write them, by name."""
    modules = [str(path.relative_to(root)).removesuffix(".proto").replace("/", ".") + "_pb2" for path in files]
    script = "import importlib, sys\nsys.path.insert(0, sys.argv[1])\nfor name in sys.argv[2:]: importlib.import_module(name)"
    commands = {PYTHON: [sys.executable, "-c", "pass"]}
    for name, command in whole_runs(root, files, out).items():
        if name in (PROTOC, MICRO):
            subprocess.run(command, check=True)
            target = next(option for option in command if "_out=" in option).partition("=")[2]
            commands[name] = [sys.executable, "-c", script, target, *modules]
    return commands


def compare(commands: Mapping[str, Sequence[str]], plan: Plan) -> Rounds[Process]:
    """Runs each command once to warm up, and once in every round."""
    for command in commands.values():
        measure(command, b"")
    rounds = plan.count(9, 3)
    return take_turns(list(commands), rounds, lambda name: measure(commands[name], b""), every(3, plan.progress))


def write_tree(root: Path, size: int) -> list[Path]:
    """Writes a tree of .proto files, and returns them: ten folders, each file using the messages of others."""
    files: list[Path] = []
    for number in range(size):
        folder = f"area{number % 10}"
        path = root / folder / f"part{number}.proto"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(proto(folder, number), encoding="utf-8")
        files.append(path)
    return files


def proto(folder: str, number: int) -> str:
    """Returns the text of one file, about as long and as mixed as those of public trees."""
    used = sorted({number // 2, number // 3} - {number})
    lines = ['syntax = "proto3";', f"package {folder}.part{number};", 'import "google/protobuf/timestamp.proto";']
    lines += [f'import "area{other % 10}/part{other}.proto";' for other in used]
    lines += ["// What state a thing is in.", "enum State {", "  STATE_UNSPECIFIED = 0;"]
    lines += [f"  // The state number {value}.\n  STATE_{value} = {value};" for value in range(1, 8)]
    lines.append("}")
    for index in range(10):
        lines += [
            f"// The message number {index}.",
            "//",
            "// It has fields of many kinds.",
            f"message Thing{index} {{",
        ]
        lines += ["  // Its name.", "  string name = 1;", "  optional int64 count = 2;", "  repeated string tags = 3;"]
        lines += ["  map<string, double> weights = 4;", "  State state = 5;", "  google.protobuf.Timestamp made = 6;"]
        lines += ["  oneof choice {", "    bytes raw = 7;", f"    Thing{index} thing = 8;", "  }"]
        lines += [f"  area{other % 10}.part{other}.Thing{index} from_{other} = {9 + other};" for other in used]
        lines.append("}")
    lines += ["// Keeps things.", f"service Things{number} {{"]
    lines += [
        f"  // Does the thing number {index}.\n  rpc Do{index}(Thing{index}) returns (Thing{index});"
        for index in range(5)
    ]
    lines += ["  rpc Follow(Thing0) returns (stream Thing1);", "}"]
    return "\n".join(lines) + "\n"
