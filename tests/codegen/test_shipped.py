"""What comes with a library is left out, exactly that, and never silently; everything else is generated."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from protoc_gen_micro.python import shipped
from tests.codegen.tools import PURELIB, ROOT, SCRIPTS, generate, protoc, request, run, tree, write

INCLUDE = Path(sys.prefix) / "include"
"""Protobuf's own files, as its compiler brings them."""

MODULES = """\
import json, pathlib, google.protobuf
folder = pathlib.Path(google.protobuf.__file__).parent
names = [path.relative_to(folder.parent.parent).as_posix() for path in folder.rglob("*_pb2.py")]
print(json.dumps([google.protobuf.__version__, names]))
"""


@pytest.mark.parametrize("runtime", ["floor", "newest"])
def test_the_list_is_what_the_runtime_has(
    runtime: str, pytestconfig: pytest.Config, request: pytest.FixtureRequest
) -> None:
    python = request.getfixturevalue("floor") if runtime == "floor" else Path(sys.executable)
    output = subprocess.run([str(python), "-c", MODULES], capture_output=True, text=True, check=True).stdout
    found, names = json.loads(output)
    known = tuple(int(part) for part in found.split(".")[:2])
    later = {path for path, first in shipped.FIRST_RUNTIMES.items() if first > known}
    assert {name.replace("_pb2.py", ".proto") for name in names} == shipped.PROTOBUF - later
    assert (runtime == "floor") == bool(later)


def test_the_list_of_micro_rt_is_what_it_has() -> None:
    tracked = {path.relative_to(ROOT).as_posix() for path in (ROOT / "micro_rt").rglob("*.proto")}
    assert tracked == shipped.MICRO_RT.keys()
    files = request([ROOT], sorted(tracked)).proto_file
    assert {file.name: file.package for file in files if file.name in tracked} == shipped.MICRO_RT


def test_the_list_of_betterproto_is_what_it_has() -> None:
    import betterproto.lib.std.google.protobuf as protobuf
    import betterproto.lib.std.google.protobuf.compiler as compiler

    from protoc_gen_micro.betterproto.dialect import Dialect
    from protoc_gen_micro.schema.reader import Reader

    files = request([INCLUDE], sorted(shipped.BETTERPROTO)).proto_file
    exports = Dialect(files, Reader(files), lambda path: "").exports
    for path in shipped.BETTERPROTO:
        module = compiler if "/compiler/" in path else protobuf
        assert [name for name in exports[path] if not hasattr(module, name)] == []
    assert [name for name in shipped.NOT_IN_BETTERPROTO if hasattr(protobuf, name)] == []


FEATURES = """\
edition = "2023";
package shop;
import "google/protobuf/go_features.proto";
import "google/protobuf/cpp_features.proto";
import "google/protobuf/java_features.proto";
import "google/protobuf/timestamp.proto";
option features.(pb.go).legacy_unmarshal_json_enum = true;
option features.(pb.cpp).string_type = VIEW;
option features.(pb.java).utf8_validation = VERIFY;
message Order { google.protobuf.Timestamp at = 1; pb.GoFeatures features = 2; }
"""

USE = """\
import importlib, sys
module = importlib.import_module(sys.argv[1])
module.Order(features=type(module.Order().features)(legacy_unmarshal_json_enum=True))
"""


@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
@pytest.mark.parametrize("place", ["", "nest/acme"])
def test_features_of_other_languages_are_generated_and_typed(dialect: str, place: str, tmp_path: Path) -> None:
    write(tmp_path / "protos", {"shop/order.proto": FEATURES})
    out = tmp_path / place
    protoc(out, [tmp_path / "protos"], ["shop/order.proto"], f"--micro_opt=messages={dialect}")
    suffix = "_pb" if dialect == "betterproto" else "_pb2"
    assert {path for path in tree(tmp_path) if path.endswith(".py")} == {
        (Path(place) / f"{name}{end}.py").as_posix()
        for end in ([suffix, f"{suffix}_codec"] if dialect == "betterproto" else [suffix])
        for name in (
            "shop/order",
            "google_/protobuf/cpp_features",
            "google_/protobuf/go_features",
            "google_/protobuf/java_features",
        )
    }
    module = ".".join([*Path(place).parts, "shop", f"order{suffix}"])
    run(sys.executable, "-W", "error", "-c", USE, module, cwd=tmp_path)
    write(
        tmp_path,
        {
            "user.py": f"from {module} import Order\n\n\ndef go(order: Order) -> bool:\n"
            "    return bool(order.features.legacy_unmarshal_json_enum)\n",
            "pyrightconfig.json": json.dumps(
                {"typeCheckingMode": "strict", "venvPath": str(ROOT), "venv": ".venv", "extraPaths": [str(ROOT)]}
            ),
        },
    )
    run(SCRIPTS / "pyright", "-p", tmp_path, cwd=tmp_path)
    said = run(SCRIPTS / "mypy", "--strict", "--explicit-package-bases", "user.py", cwd=tmp_path)
    assert said.stdout.startswith("Success")


def test_a_named_file_of_protobuf_is_generated_unless_the_runtime_has_it(tmp_path: Path) -> None:
    names = ["google/protobuf/go_features.proto", "google/protobuf/timestamp.proto", "google/protobuf/api.proto"]
    said = protoc(tmp_path / "out", [INCLUDE], names)
    assert sorted(tree(tmp_path / "out")) == [
        "google_/protobuf/go_features_pb2.py",
        "google_/protobuf/go_features_pb2.pyi",
    ]
    assert said == (
        "protoc-gen-micro: warning: google/protobuf/timestamp.proto, google/protobuf/api.proto: not written, because "
        "the runtime of the messages has the modules; map= names others\n"
    )


@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
@pytest.mark.parametrize(
    ("entry", "features", "timestamp"),
    [
        ("google/protobuf=acme.pb", "acme.pb.go_features", "acme.pb.timestamp"),
        ("google/protobuf/go_features.proto=acme.go{}", "acme.go", ""),
        ("google/protobuf=google.protobuf", "google.protobuf.go_features", "google.protobuf.timestamp"),
        ("google=acme.google", "acme.google.protobuf.go_features", ""),
    ],
)
def test_map_is_honoured_for_files_of_protobuf(
    entry: str, features: str, timestamp: str, dialect: str, tmp_path: Path
) -> None:
    suffix = "_pb" if dialect == "betterproto" else "_pb2"
    used = FEATURES.replace("message Order {", "message Order { google.protobuf.Any any = 3;").replace(
        'import "google/protobuf/timestamp.proto";',
        'import "google/protobuf/timestamp.proto"; import "google/protobuf/any.proto";',
    )
    response = generate(tmp_path, {"order.proto": used}, f"messages={dialect},map={entry.format(suffix)}")
    assert response.error == ""
    texts = {file.name: file.content for file in response.file}
    assert "google_/protobuf/go_features" not in "".join(texts)
    text = texts[f"order{suffix}.py"]
    assert f"{features}{suffix}" in text
    if dialect == "protobuf":
        assert f"import {timestamp or 'google.protobuf.timestamp'}_pb2" in text
    else:
        assert f"from {'acme.pb.any_pb' if timestamp == 'acme.pb.timestamp' else ''}" in text


def test_a_users_own_file_below_micro_rt_is_generated(tmp_path: Path) -> None:
    write(
        tmp_path / "protos",
        {
            "micro_rt/orders/order.proto": 'syntax = "proto3"; package orders; message Order { string id = 1; }',
            "shop.proto": 'syntax = "proto3"; package shop; import "micro_rt/orders/order.proto"; '
            "message Shop { orders.Order order = 1; }",
        },
    )
    assert protoc(tmp_path / "out", [tmp_path / "protos"], ["micro_rt/orders/order.proto", "shop.proto"]) == ""
    assert "micro_rt_/orders/order_pb2.py" in tree(tmp_path / "out")
    script = "import shop_pb2, micro_rt; shop_pb2.Shop().order.id = 'a'"
    run(sys.executable, "-W", "error", "-c", script, cwd=tmp_path / "out")


def test_the_files_of_micro_rt_are_not_written(tmp_path: Path) -> None:
    write(tmp_path / "protos", {"a.proto": 'syntax = "proto3"; message A {}'})
    roots, out = [tmp_path / "protos", ROOT], tmp_path / "out"
    assert protoc(out, roots, ["micro_rt/annotations.proto", "a.proto"]) == ""
    said = protoc(out, roots, ["micro_rt/annotations.proto", "micro_rt/status.proto", "a.proto"])
    assert said == (
        "protoc-gen-micro: warning: micro_rt/status.proto: not written, because micro-rt has the modules; "
        "map= names others\n"
    )
    assert sorted(tree(out)) == ["a_pb2.py", "a_pb2.pyi"]


MAPPED = "not written, because map= says where the modules are: leave out that entry to generate them"


@pytest.mark.parametrize(
    ("names", "option", "said"),
    [
        (
            ["micro_rt/annotations.proto"],
            "",
            "micro_rt/annotations.proto: not written, because micro-rt has the modules; map= names others",
        ),
        (
            ["shop/a.proto", "shop/b.proto"],
            "map=shop=acme.shop",
            f"shop/a.proto, shop/b.proto: {MAPPED}",
        ),
        (
            ["google/protobuf/any.proto"],
            "messages=betterproto,map=google/protobuf=acme.pb",
            f"google/protobuf/any.proto: {MAPPED}",
        ),
    ],
)
def test_a_run_that_writes_nothing_says_why(names: list[str], option: str, said: str, tmp_path: Path) -> None:
    write(tmp_path / "protos", {f"shop/{name}.proto": f'syntax = "proto3"; message {name} {{}}' for name in "ab"})
    options = [f"--micro_opt={option}"] if option else []
    roots = [tmp_path / "protos", ROOT, INCLUDE]
    assert protoc(tmp_path / "out", roots, names, *options) == f"protoc-gen-micro: warning: {said}\n"
    assert tree(tmp_path / "out") == {}
    # In a run that writes something, the user's own entry needs no mention.
    write(tmp_path / "protos", {"c.proto": 'syntax = "proto3"; message C {}'})
    if "map=" in option:
        assert protoc(tmp_path / "out", roots, [*names, "c.proto"], *options) == ""


@pytest.mark.parametrize("name", ["annotations", "status"])
def test_another_file_with_the_name_of_ours_is_refused(name: str, tmp_path: Path) -> None:
    write(tmp_path, {f"micro_rt/{name}.proto": 'syntax = "proto3"; package mine; message M {}'})
    said = protoc(tmp_path / "out", [tmp_path], [f"micro_rt/{name}.proto"], check=False)
    assert said == (
        f"--micro_out: micro_rt/{name}.proto: micro-rt has another file of this name, and protobuf takes one of them "
        "in a process; rename it\n"
    )


def test_the_command_shows_warnings_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from micro_rt.cli.main import main

    assert main(["generate", "-I", str(INCLUDE), "--out", str(tmp_path), "google/protobuf/any.proto"]) == 0
    assert capfd.readouterr().err.startswith("micro-rt generate: warning: google/protobuf/any.proto: not written")


def test_files_that_import_each_other_in_all_ways_are_found_in_time(tmp_path: Path) -> None:
    from google.protobuf.compiler import plugin_pb2

    from protoc_gen_micro.run.generate import respond

    files = [descriptor_pb2.FileDescriptorProto(name="google/protobuf/x0.proto", syntax="proto3")]
    for number in range(1, 60):
        earlier = [file.name for file in files]
        files.append(
            descriptor_pb2.FileDescriptorProto(
                name=f"google/protobuf/x{number}.proto", syntax="proto3", dependency=earlier
            )
        )
    names = [files[-1].name]
    response = respond(plugin_pb2.CodeGeneratorRequest(file_to_generate=names, proto_file=files))
    assert response.error == ""
    assert len(response.file) == 2 * 60


def test_the_newest_protobuf_is_tested() -> None:
    assert int(version("protobuf").split(".")[0]) >= 7
    assert PURELIB.is_dir()
