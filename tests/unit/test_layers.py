"""The layers of docs/architecture.md: which package may import which, and what no package may do.

The check is closed: a package, a module or a third-party library that it does not know is an error. Whoever adds one says
here where it belongs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
RUNTIME = ROOT / "micro_rt"

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__main__"}),
    frozenset({"cli", "testing"}),
    frozenset({"backends"}),
    frozenset({"service", "http", "interceptors"}),
    frozenset({"dynamic"}),
    frozenset({"client", "server", "health", "reflection", "events"}),
    frozenset({"transport", "listener", "auth", "telemetry", "validation"}),
    frozenset({"broker", "registry", "selector", "store", "config", "sync", "codec"}),
    frozenset({"go_micro", "http2", "dialects"}),
    frozenset({"kit"}),
    frozenset(
        {
            "annotations_pb2",
            "context",
            "detail_names",
            "details",
            "details_pb2",
            "errors",
            "event",
            "fence",
            "handler",
            "interceptor",
            "logs",
            "metadata",
            "method",
            "node",
            "status",
            "status_pb2",
            "text",
            "version",
        }
    ),
)
"""The packages and modules of the runtime, from top to bottom. A package imports itself and what is below it."""

VOCABULARY = LAYERS[-1]
"""The one layer whose modules import each other."""

LIBRARIES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("backends/consul",),
    "aiokafka": ("backends/kafka",),
    "asyncpg": ("backends/postgresql",),
    "betterproto": ("dialects",),
    "consul": ("backends/consul",),
    "google": (
        "annotations_pb2",
        "backends/etcd",
        "cli",
        "client",
        "codec",
        "details_pb2",
        "dialects",
        "dynamic",
        "errors",
        "events",
        "go_micro",
        "health",
        "reflection",
        "server",
        "status",
        "status_pb2",
        "testing",
        "transport",
        "validation",
    ),
    "grpc_tools": ("cli",),
    "grpclib": ("backends/grpclib",),
    "h2": ("backends/grpclib",),
    "hyperframe": ("backends/grpclib",),
    "ifaddr": ("backends/mdns",),
    "protoc_gen_micro": ("cli",),
    "protovalidate": ("validation",),
    "pytest": ("testing",),
    "ruamel": ("config",),
    "sqlite3": ("backends/local",),
    "typing_extensions": ("interceptor", "method"),
    "uvloop": ("service",),
    "watchfiles": ("kit",),
    "yarl": ("backends/consul",),
    "zeroconf": ("backends/mdns",),
}
"""The folders that may import a library. ``sqlite3`` is in it because it is the library of one backend."""

KIT_ONLY = frozenset({"random", "secrets", "time", "uuid"})
"""Modules of Python that only the kit uses: clocks, randomness and ids have one source."""

KIT_CALLS = frozenset(
    {"datetime.now", "datetime.today", "datetime.utcnow", "date.today", "os.getrandom", "os.urandom", "SystemRandom"}
)
"""Calls that read a clock or draw randomness without one of those modules."""

MODULES = sorted(path.relative_to(RUNTIME) for path in RUNTIME.rglob("*.py"))


def package_of(path: Path) -> str:
    """Returns the package or module directly below ``micro_rt`` that a file belongs to."""
    return path.parts[0] if len(path.parts) > 1 else path.stem


def layer_of(package: str) -> int:
    """Returns the number of a package's layer, counted from the top.

    Raises:
        AssertionError: no layer holds the package.
    """
    for number, packages in enumerate(LAYERS):
        if package in packages:
            return number
    raise AssertionError(f"micro_rt/{package} is in no layer: add it to LAYERS, where docs/architecture.md has it")


def imports(source: str, path: Path) -> Iterator[tuple[str, int]]:
    """Yields every module that a file imports, also inside functions, with its line."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports relatively"
            assert node.module
            if node.module == "micro_rt":
                yield from ((f"micro_rt.{alias.name}", node.lineno) for alias in node.names)
            else:
                yield node.module, node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ("optional", "import_module"):
            for name in node.args[:1]:
                if isinstance(name, ast.Constant):
                    yield str(name.value), node.lineno


def faults(path: Path, source: str) -> Iterator[str]:
    """Yields what is wrong with the imports of a file of the runtime."""
    own = package_of(path)
    if path == Path("__init__.py"):
        return  # the public names, from wherever they are
    layer = layer_of(own)
    for module, line in imports(source, path):
        top, _, rest = module.partition(".")
        where = f"{path}:{line}: imports {module}"
        if top == "micro_rt":
            yield from (f"{where}, {why}" for why in _downwards(path, own, layer, rest))
        elif top in KIT_ONLY and own != "kit":
            yield f"{where}, which only the kit may: take it from micro_rt.kit"
        elif top == "sqlite3" or top not in sys.stdlib_module_names:
            folders = LIBRARIES.get(top)
            if folders is None:
                yield f"{where}, which LIBRARIES does not know"
            elif not any(path.as_posix().startswith(f"{folder}/") or own == folder for folder in folders):
                yield f"{where}, which only {', '.join(folders)} may"

    if own not in {"kit", "testing"}:
        yield from (f"{path}:{line}: calls {name}, which only the kit may" for name, line in _kit_calls(source))


def _kit_calls(source: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ".".join(ast.unparse(node.func).split(".")[-2:])
            if name in KIT_CALLS or name.rpartition(".")[2] in KIT_CALLS:
                yield name, node.lineno


def _downwards(path: Path, own: str, layer: int, rest: str) -> Iterator[str]:
    other, _, inside = rest.partition(".")
    if generated(path) and not other[:1].islower():
        return  # a generated stub imports the public names
    if other == own:
        technology = path.parts[1] if own == "backends" and len(path.parts) > 2 else ""
        if technology and inside.partition(".")[0] != technology:
            yield "a backend of another technology"
        return
    below = layer_of(other)
    if below < layer:
        yield "which is above it"
    elif below == layer and own not in VOCABULARY:
        yield "which is beside it"


def generated(path: Path) -> bool:
    """Whether the generator wrote a file."""
    return path.stem.endswith(("_pb2", "_micro"))


IMMUTABLE_CALLS = frozenset(
    {
        "Command",
        "ContextVar",
        "Group",
        "Limits",
        "Metadata",
        "Method",
        "Path",
        "RetryPolicy",
        "MessageRules",
        "NodeFilter",
        "Struct",
        "TypeVar",
        "_NoSecrets",
        "_Nothing",
        "_TopicPartition",
        "cast",
        "datetime",
        "float",
        "frame",  # of micro_rt.http2.frames: bytes
        "frozenset",
        "getattr",
        "goaway",  # of micro_rt.http2.frames: bytes
        "logger",  # of micro_rt.logs: what it keeps is in the logging module
        "object",
        "re.compile",
        "tuple",
    }
)
"""What a module may call to make a global: each gives a value that nothing fills."""

READ_ONLY = ("Mapping[", "Sequence[", "frozenset[")
"""How the type of a global begins that is written as a dict, list or set: the type checkers then let nobody change it."""

STATEFUL = {"kit/shared.py": {"_slots"}, "dialects/betterproto.py": {"Message.__annotations__"}}
"""Globals that are filled: one engine for each address and event loop, which is what ``memory:`` means, and what betterproto
reads of a base class."""


def global_faults(path: Path, source: str) -> Iterator[str]:
    """Yields the globals of a file that something could fill. What the check does not know counts as one."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign):
            targets, value, annotation = node.targets, node.value, ""
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            targets, value, annotation = [node.target], node.value, ast.unparse(node.annotation)
        else:
            continue
        names = {ast.unparse(target) for target in targets}
        if names == {"__all__"} or names & STATEFUL.get(path.as_posix(), set()):
            continue
        if not annotation.startswith(READ_ONLY) and not immutable(value):
            yield f"{path}:{node.lineno}: a mutable global: {ast.unparse(node)[:60]}"


def immutable(value: ast.expr) -> bool:
    """Whether an expression makes a value that nothing can fill."""
    if isinstance(value, ast.Constant | ast.Name | ast.Attribute | ast.Lambda | ast.JoinedStr | ast.Compare):
        return True
    if isinstance(value, ast.Tuple):
        return all(immutable(each) for each in value.elts)
    if isinstance(value, ast.Starred):
        return immutable(value.value)
    if isinstance(value, ast.Subscript):
        return True  # a type, or one value of a table
    if isinstance(value, ast.BinOp):
        return immutable(value.left) and immutable(value.right)
    if isinstance(value, ast.UnaryOp):
        return immutable(value.operand)
    if isinstance(value, ast.Call):
        name = value.func.attr if isinstance(value.func, ast.Attribute) else ""
        return ast.unparse(value.func) in IMMUTABLE_CALLS or name in {"encode", "join"}
    return False


def reported(path: Path, source: str) -> bool:
    """Whether the check of imports fails for a file."""
    try:
        return bool(list(faults(path, source)))
    except AssertionError:
        return True


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_run_downwards(path: Path) -> None:
    assert not list(faults(path, (RUNTIME / path).read_text()))


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_module_keeps_state(path: Path) -> None:
    if not generated(path):
        assert not list(global_faults(path, (RUNTIME / path).read_text()))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("plugins/new.py", "import asyncio"),
        ("new.py", "import asyncio"),
        ("client/new.py", "import requests"),
        ("client/new.py", "import time"),
        ("client/new.py", "from random import choice"),
        ("client/new.py", "def f():\n    import uuid"),
        ("backends/local/new.py", "from secrets import token_hex"),
        ("client/new.py", "import os\nos.urandom(4)"),
        ("client/new.py", "from datetime import datetime\ndatetime.now()"),
        ("testing/new.py", "from time import sleep"),
        ("client/new.py", "import sqlite3"),
        ("client/new.py", "from micro_rt.service.parts import backend"),
        ("client/new.py", "from micro_rt.server.dispatch import Dispatcher"),
        ("client/new.py", "def f():\n    import micro_rt.backends.local.registry"),
        ("registry/new.py", "from micro_rt.broker.base import Broker"),
        ("backends/consul/new.py", "from micro_rt.backends.etcd.client import EtcdClient"),
        ("errors.py", "from micro_rt.kit.net import join"),
        ("kit/new.py", "from micro_rt.go_micro.nodes import decode_node"),
        ("client/new.py", "optional('watchfiles')"),
        ("client/new.py", "importlib.import_module('ruamel.yaml')"),
    ],
)
def test_the_layer_check_reports(path: str, source: str) -> None:
    assert reported(Path(path), source)


@pytest.mark.parametrize(
    "source",
    [
        "a = []",
        "a = {}",
        "a = {1: 2}",
        "a: dict[int, int] = {1: 2}",
        "a = [1]",
        "a = {1}",
        "a = set()",
        "a = list(b)",
        "a = defaultdict(list)",
        "a = collections.deque()",
        "a = WeakSet()",
        "a = asyncio.Lock()",
        "a = [each for each in b]",
        "a = {each: 1 for each in b}",
        "a = count(1)",
        "a = ([], 1)",
        "a = Cache()",
        "a.b = {}",
        "a = b = {}",
    ],
)
def test_the_check_of_globals_reports(source: str) -> None:
    assert list(global_faults(Path("client/new.py"), source))
