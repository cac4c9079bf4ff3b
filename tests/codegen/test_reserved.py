"""Folders in which Python would not find generated modules, because it has a package called so itself."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from protoc_gen_micro.schema import reserved
from protoc_gen_micro.schema.names import module_name
from tests.codegen.tools import PURELIB, generate, protoc, run, tree, write

NAMES = sorted(reserved.STANDARD_MODULES | reserved.LIBRARIES)


def test_every_package_of_every_supported_python_is_known() -> None:
    # typeshed knows what each version of Python has, the newest one too.
    versions = (PURELIB / "mypy" / "typeshed" / "stdlib" / "VERSIONS").read_text().splitlines()
    known: set[str] = set()
    for line in versions:
        name, _, span = line.partition("#")[0].partition(":")
        last = span.partition("-")[2].strip()
        if name and (not last or tuple(map(int, last.split("."))) >= (3, 11)):
            known.add(name.split(".")[0])
    known -= {"_typeshed", "typing_extensions"}  # these are no modules of Python
    assert known - reserved.STANDARD_MODULES == set()
    assert set(sys.stdlib_module_names) - reserved.STANDARD_MODULES == set()
    assert "test" in reserved.STANDARD_MODULES


def _sources(names: list[str]) -> dict[str, str]:
    return {
        f"{name}/a.proto": f'syntax = "proto3"; package p{number}; message M {{}}' for number, name in enumerate(names)
    }


def test_every_such_folder_can_be_imported(tmp_path: Path) -> None:
    names = [*NAMES, "io_", "google/protobuf", "google/type", "shop/test"]
    response = generate(tmp_path, _sources(names))
    assert response.error == ""
    out = tmp_path / "out"
    write(out, {file.name: file.content for file in response.file})
    modules = [file.name.removesuffix(".py").replace("/", ".") for file in response.file if file.name.endswith(".py")]
    assert len(set(modules)) == len(names)
    script = f"import importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
    run(sys.executable, "-W", "error", "-c", script, cwd=out)


def test_only_folders_that_cannot_be_imported_are_moved(tmp_path: Path) -> None:
    here = {*sys.builtin_module_names, *(name for name in NAMES if _exists(name))}
    response = generate(tmp_path, _sources(sorted(here & {*NAMES})), "package=inside")
    out = tmp_path / "out"
    write(out, {file.name: file.content for file in response.file})
    script = (
        "import importlib\n"
        f"for name in {sorted(here & {*NAMES})!r}:\n"
        "    try:\n"
        "        importlib.import_module(name + '.a_pb2')\n"
        "    except ImportError:\n"
        "        continue\n"
        "    print(name)\n"
    )
    assert len(here) > 200
    # Some of these print or warn when they are imported.
    said = run(sys.executable, "-W", "ignore", "-c", script, cwd=out).stdout
    assert [line for line in said.split() if line in NAMES] == []
    for name in ("google", "google/type", "google/rpc", "protobuf", "tests", "orders"):
        assert module_name(f"{name}/a.proto", "") == f"{name}.a".replace("/", ".")


def _exists(name: str) -> bool:
    # These do more than to be imported: a browser opens, a poem or a greeting is printed.
    if name in ("__main__", "antigravity", "idlelib", "this", "turtledemo"):
        return False
    return importlib.util.find_spec(name) is not None


@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
@pytest.mark.parametrize("place", ["", "nest/acme"])
def test_such_folders_are_served_and_typed_like_others(dialect: str, place: str, tmp_path: Path) -> None:
    write(
        tmp_path / "protos",
        {
            "test/test.proto": 'syntax = "proto3"; package test; message Run { string id = 1; }',
            "grpc/health/v1/health.proto": 'syntax = "proto3"; package own.health; import "test/test.proto"; '
            "service Health { rpc Check(test.Run) returns (test.Run); }",
            "top.proto": 'syntax = "proto3"; package top; import "test/test.proto"; message Top { test.Run run = 1; }',
        },
    )
    names = ["test/test.proto", "grpc/health/v1/health.proto", "top.proto"]
    out = tmp_path / place
    assert protoc(out, [tmp_path / "protos"], names, f"--micro_opt=messages={dialect}") == ""
    suffix = "_pb" if dialect == "betterproto" else "_pb2"
    base = "".join(f"{part}." for part in Path(place).parts)
    script = (
        f"import {base}grpc_.health.v1.health_micro as stubs, {base}top{suffix} as top, test, grpc\n"
        "assert stubs.HealthClient._info_.methods[0].request_type is type(top.Top().run)\n"
    )
    run(sys.executable, "-W", "error", "-c", script, cwd=tmp_path)


def test_a_package_that_has_a_name_keeps_the_folders(tmp_path: Path) -> None:
    response = generate(tmp_path, _sources(["test", "grpc", "google/protobuf", "micro_rt/own"]), "package=acme")
    assert [file.name for file in response.file if file.name.endswith(".py")] == [
        "test/a_pb2.py",
        "grpc/a_pb2.py",
        "google/protobuf/a_pb2.py",
        "micro_rt/own/a_pb2.py",
    ]


def test_map_keeps_the_old_place(tmp_path: Path) -> None:
    write(
        tmp_path / "protos",
        {
            "test/a.proto": 'syntax = "proto3"; package test; message M {}',
            "b.proto": 'syntax = "proto3"; package b; import "test/a.proto"; message B { test.M m = 1; }',
        },
    )
    roots = [tmp_path / "protos"]
    protoc(tmp_path / "acme", roots, ["test/a.proto"], "--micro_opt=package=acme")
    protoc(tmp_path / "acme", roots, ["b.proto"], "--micro_opt=map=test=acme.test")
    assert "acme/test/a_pb2.py" in tree(tmp_path)
    run(sys.executable, "-W", "error", "-c", "import acme.b_pb2; acme.b_pb2.B().m.SetInParent()", cwd=tmp_path)


def test_folders_that_differ_by_underscores_stay_different(tmp_path: Path) -> None:
    sources = {
        "test/a.proto": 'syntax = "proto3"; package a;',
        "test_/a.proto": 'syntax = "proto3"; package b;',
        "test__/a.proto": 'syntax = "proto3"; package c;',
    }
    response = generate(tmp_path, sources)
    assert [file.name for file in response.file if file.name.endswith(".py")] == [
        "test_/a_pb2.py",
        "test__/a_pb2.py",
        "test___/a_pb2.py",
    ]


@pytest.mark.parametrize(
    ("name", "option", "package"),
    [
        ("hypothesis/a.proto", "", "hypothesis"),  # an installed package
        ("hypothesis/strategies/deep/a.proto", "", "hypothesis"),
        ("test/a.proto", "messages=none", "test"),  # protoc writes the messages there
        ("hypothesis/a.proto", "package=acme", ""),
        ("test/a.proto", "", ""),
        ("google/type/a.proto", "", ""),
        ("orders/a.proto", "", ""),
    ],
)
def test_a_package_that_hides_the_modules_is_reported(name: str, option: str, package: str, tmp_path: Path) -> None:
    write(tmp_path / "protos", {name: 'syntax = "proto3"; package a; message M {}'})
    options = [f"--micro_opt={option}"] if option else []
    said = protoc(tmp_path / "out", [tmp_path / "protos"], [name], *options)
    module = name.replace("/", ".").replace(".proto", "_pb2")
    assert said == (
        f"protoc-gen-micro: warning: {name}: Python has a package {package!r} of its own, so it finds the module "
        f"{module!r} only inside another package: name the one that holds the output with package=, or rename the folder\n"
        if package
        else ""
    )


FINDER = "import sys, types; finder = types.ModuleType('__editable___acme_finder'); finder.MAPPING = {!r}; sys.modules[finder.__name__] = finder\n"


@pytest.mark.parametrize(
    ("pth", "warns"),
    [
        ("# a comment\n\n{project}/src\n", True),
        ("../../project/src\r\n", True),
        ("import sys; sys.path.append('{project}/src')\n", False),  # a line of code is not run
        ("{project}/gone\n{project}\n", False),
        ("FINDER", True),
    ],
)
def test_a_package_that_is_installed_in_place_is_reported(pth: str, warns: bool, tmp_path: Path) -> None:
    project, site = tmp_path / "project", tmp_path / "venv" / "site-packages"
    write(project, {"src/acme/__init__.py": "", "pyproject.toml": ""})
    finder = FINDER.format({"acme": str(project / "src" / "acme")})
    write(site, {"acme.pth": finder if pth == "FINDER" else pth.format(project=project)})
    write(tmp_path / "protos", {"acme/shop/a.proto": 'syntax = "proto3"; message M {}'})
    script = (
        f"import site, sys; sys.path[:0] = {sys.path!r}; site.addsitedir({str(site)!r})\n"
        "from pathlib import Path\n"
        "from protoc_gen_micro.run.generate import respond\n"
        "from tests.codegen.tools import request\n"
        f"respond(request([Path({str(tmp_path / 'protos')!r})], ['acme/shop/a.proto']), warn=print)\n"
    )
    said = run(sys.executable, "-c", script, cwd=tmp_path).stdout
    assert said.startswith("acme/shop/a.proto: Python has a package 'acme' of its own") is warns
    # In the project itself, the package may be where the output goes.
    write(project, {"protos/x.proto": ""})
    assert run(sys.executable, "-c", script, cwd=project / "protos").stdout == ""


def test_a_pth_file_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    from protoc_gen_micro.python.installed import editable_folders

    (tmp_path / "folder.pth").mkdir()
    (tmp_path / "bytes.pth").write_bytes(b"\xff\x00\n" + b"x" * 100_000 + b"\n.\n")
    assert editable_folders([str(tmp_path), str(tmp_path / "gone")]) == editable_folders([])


def test_an_installed_copy_of_the_same_code_hides_nothing(tmp_path: Path) -> None:
    from protoc_gen_micro.python.installed import hidden_by

    write(tmp_path, {"acme/__init__.py": "", "acme/shop/order_pb2.py": "", "single.py": ""})
    folders = [str(tmp_path)]
    assert hidden_by("acme.shop.order_pb2", folders) == ""
    assert hidden_by("acme.shop.other_pb2", folders) == "acme"
    assert hidden_by("single.a_pb2", folders) == "single"
    assert hidden_by("acme_pb2", folders) == ""
