"""The message modules: the same descriptors as protoc's, for every .proto that can be had, wherever they are put."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from protoc_gen_micro.schema.names import module_name, protoc_module_name
from tests.codegen.tools import NAMES, PROTOS, PURELIB, ROOT, SCRIPTS, protoc, run, tree, write

GRPC_TOOLS = PURELIB / "grpc_tools" / "_proto"
GOOGLEAPIS = [path.relative_to(PURELIB).as_posix() for path in sorted((PURELIB / "google").rglob("*.proto"))]
BUNDLED = [path.relative_to(GRPC_TOOLS).as_posix() for path in sorted(GRPC_TOOLS.rglob("*.proto"))]


def test_descriptors_are_those_of_protoc(generated: Path, tmp_path: Path) -> None:
    assert _compare([PROTOS, ROOT], NAMES, generated, tmp_path) == len(NAMES)


def test_public_protos_generate_and_import(tmp_path: Path) -> None:
    out = tmp_path / "out"
    roots = [PURELIB, GRPC_TOOLS]
    names = sorted({*GOOGLEAPIS, *BUNDLED})
    protoc(out, roots, names)
    modules = [path for path in tree(out) if path.endswith(".py")]
    imported = int(_import(out, modules))
    compared = _compare(roots, names, out, tmp_path / "protoc")
    print(f"{len(names)} .proto files: {len(modules)} modules imported, {compared} descriptors as protoc writes them")
    assert imported == len(modules)
    assert len(names) >= 70
    assert len(modules) >= 60
    assert compared >= 60


def test_modules_work_at_the_import_root_and_inside_a_package(generated: Path, tmp_path: Path) -> None:
    deep = tmp_path / "inside" / "deep"
    write(deep, tree(generated))
    modules = [path for path in tree(generated) if path.endswith(".py")]
    assert int(_import(generated, modules)) == len(modules)
    assert int(_import(tmp_path, [f"inside/deep/{path}" for path in modules])) == len(modules)


def test_modules_stand_beside_those_of_protoc(generated: Path, tmp_path: Path) -> None:
    _protoc_python(tmp_path / "theirs", [PROTOS, ROOT], ["presence.proto"])
    script = (
        "import sys, importlib.util as u\n"
        "messages = []\n"
        "for place in sys.argv[1:]:\n"
        "    spec = u.spec_from_file_location('presence_pb2', place + '/presence_pb2.py')\n"
        "    module = u.module_from_spec(spec)\n"
        "    spec.loader.exec_module(module)\n"
        "    messages.append(module.Presence(maybe='x', first=3))\n"
        "ours, theirs = messages\n"
        "assert ours.SerializeToString() == theirs.SerializeToString()\n"
        "assert ours.DESCRIPTOR.full_name == theirs.DESCRIPTOR.full_name\n"
    )
    run(sys.executable, "-W", "error", "-c", script, generated, tmp_path / "theirs")


def test_messages_none_works_with_the_modules_of_protoc(tmp_path: Path) -> None:
    roots = [PROTOS, ROOT]
    names = ["greeter.proto", "shop/orders.proto", "shop/order.proto", "shop/common/money.proto", "top.proto"]
    options = [f"--python_out={tmp_path}", f"--pyi_out={tmp_path}", "--micro_opt=messages=none"]
    protoc(tmp_path, roots, names, *options)
    written = tree(tmp_path)
    assert "# plugin: protoc-gen-micro" not in written["greeter_pb2.py"]
    assert "# plugin: protoc-gen-micro" in written["greeter_micro.py"]
    assert int(_import(tmp_path, [path for path in written if path.endswith(".py")])) == 7


def test_what_the_runtime_brings_is_not_generated_again(tmp_path: Path) -> None:
    protoc(tmp_path, [PROTOS], ["google/protobuf/timestamp.proto", "bare.proto"])
    assert set(tree(tmp_path)) == {"bare_pb2.py", "bare_pb2.pyi", "bare_micro.py"}


@pytest.mark.parametrize("command", ["protoc", "buf"])
def test_python_out_beside_ours_is_refused_by_the_compiler(command: str, tmp_path: Path) -> None:
    write(tmp_path, {"a.proto": 'syntax = "proto3"; message A {}'})
    if command == "protoc":
        said = protoc(tmp_path, [tmp_path], ["a.proto"], f"--python_out={tmp_path}", check=False)
    else:
        plugin = "  - {}: {}\n    out: out\n".format
        plugins = plugin("protoc_builtin", "python") + plugin("local", "protoc-gen-micro")
        write(tmp_path, {"buf.gen.yaml": f"version: v2\nplugins:\n{plugins}"})
        said = run("buf", "generate", cwd=tmp_path, check=False).stderr
    assert "a_pb2.py" in said


def test_a_runtime_that_does_not_know_the_edition_is_named(generated: Path) -> None:
    script = "import google.protobuf as p; p.__version__ = '6.31.1'; import edition2023_pb2"
    assert run(sys.executable, "-c", script.replace("2023", ""), cwd=generated).stderr == ""
    said = run(sys.executable, "-c", script.replace("2023", "2024"), cwd=generated, check=False).stderr
    assert said.splitlines()[-1] == (
        "ImportError: edition2024.proto is of edition 2024, which needs protobuf 6.32 or newer, and protobuf 6.31.1 is "
        'installed: pip install --upgrade "protobuf>=6.32"'
    )


def test_pickle_finds_the_classes(generated: Path) -> None:
    script = (
        "import pickle, nested_pb2\n"
        "message = nested_pb2.Outer.Inner(state=nested_pb2.STATE_GOOD)\n"
        "assert pickle.loads(pickle.dumps(message)) == message\n"
    )
    run(sys.executable, "-W", "error", "-c", script, cwd=generated)


def _compare(roots: list[Path], names: Iterable[str], ours: Path, theirs: Path) -> int:
    """Compares the descriptors that modules hold with those of protoc's own; returns how many were compared."""
    _protoc_python(theirs, roots, names)
    compared = 0
    for name in names:
        path = ours / f"{module_name(name, '_pb2').replace('.', '/')}.py"
        if path.exists():
            other = theirs / f"{protoc_module_name(name, '_pb2').replace('.', '/')}.py"
            assert list(_descriptors(path)) == list(_descriptors(other)), name
            compared += 1
    return compared


def _descriptors(path: Path) -> Iterator[object]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.Call(func=ast.Attribute(attr="AddSerializedFile"), args=[ast.Constant(value=value)]):
                yield value


def _protoc_python(out: Path, roots: Iterable[Path], names: Iterable[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    run(SCRIPTS / "protoc", *(f"-I{root}" for root in roots), f"--python_out={out}", *names)


def _import(root: Path, modules: Iterable[str]) -> str:
    """Imports modules in a process of their own, warnings being errors; returns how many came from the folder."""
    script = (
        "import importlib, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "names = [path.removesuffix('.py').replace('/', '.') for path in sys.stdin.read().split()]\n"
        "modules = [importlib.import_module(name) for name in names]\n"
        "print(sum(module.__file__.startswith(sys.argv[1]) for module in modules))\n"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(root)]
    result = subprocess.run(command, input="\n".join(modules), capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout
