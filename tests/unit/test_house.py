"""The rules of the house, as docs/architecture.md has them: who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parent.parent.parent / "micro_rt"
PARTS = {"broker", "codec", "dialects", "health", "registry", "selector", "telemetry", "transport"}
SIDES = {"client", "events", "server"}
TOP = {"cli", "service", "testing"}
MODULES = sorted(path.relative_to(RUNTIME) for path in RUNTIME.rglob("*.py") if not path.stem.endswith("_pb2"))


def imported(path: Path) -> Iterator[str]:
    """Every module that a file imports, also within functions."""
    for node in ast.walk(ast.parse((RUNTIME / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports relatively"
            yield node.module or ""


def room(path: Path) -> str:
    return path.parts[0] if len(path.parts) > 1 else path.stem


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_run_downwards(path: Path) -> None:
    own = room(path)
    if own in TOP or path.stem == "__init__":
        return
    for module in imported(path):
        if not module.startswith("micro_rt."):
            continue
        _, other, *rest = module.split(".")
        if other == own:
            continue
        assert other not in TOP, f"{path} imports {module}, which is above it"
        if own in SIDES:
            assert other not in SIDES, f"{path} imports {module}, which is beside it"
            assert other not in PARTS or rest == ["base"], f"{path} imports {module}: of a part, only the interface"
        elif own in PARTS:
            if (own, module) == ("health", "micro_rt.server.handler"):
                continue  # it answers calls, with a handler like any user's
            assert other not in PARTS | SIDES, f"{path} imports {module}: parts do not know each other"
        elif path.parts[:2] == ("engines", "etcd"):
            # It is a client of its own: what services call others with, it calls etcd with.
            assert other not in SIDES - {"client"}, f"{path} imports {module}, which is above it"
        elif own == "engines":
            assert other not in PARTS | SIDES, f"{path} imports {module}, which is above it"
        else:
            assert other not in PARTS | SIDES | {"engines"}, f"{path} imports {module}, which is above it"


@pytest.mark.parametrize(
    ("library", "files"),
    [
        ("betterproto", {f"dialects/{name}.py" for name in ("betterproto", "fields", "known", "proto_json")}),
        ("aiohttp", {"engines/consul_http.py"}),
        ("aiokafka", {f"broker/kafka_{name}.py" for name in ("client", "consumer", "producer")}),
        ("consul", {"engines/consul_http.py"}),
        ("grpclib", {"transport/grpc.py"}),
        ("h2", {"transport/grpc.py"}),
        ("ifaddr", {"registry/mdns_link.py"}),
        ("sqlite3", {"engines/sqlite.py", "registry/local.py"}),
        ("zeroconf", {"registry/mdns_records.py"}),
    ],
)
def test_a_library_is_known_in_one_room(library: str, files: set[str]) -> None:
    found = {str(path) for path in MODULES for module in imported(path) if module.split(".")[0] == library}
    assert found == files


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_no_module_keeps_state(path: Path) -> None:
    """Only ``engines/shared.py`` may; what is empty at first is there to be filled."""
    if str(path) == "engines/shared.py":
        return
    for node in ast.parse((RUNTIME / path).read_text()).body:
        if not isinstance(node, ast.Assign | ast.AnnAssign):
            continue
        if not isinstance(node.targets[0] if isinstance(node, ast.Assign) else node.target, ast.Name):
            continue
        value = node.value
        empty = (isinstance(value, ast.Dict) and not value.keys) or (isinstance(value, ast.List) and not value.elts)
        called = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and not value.args
        assert not empty, f"{path}:{node.lineno}: a mutable global"
        assert not (called and value.func.id in {"dict", "list", "set", "count", "WeakKeyDictionary"}), (
            f"{path}:{node.lineno}"
        )  # type: ignore[union-attr]
