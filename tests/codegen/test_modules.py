"""Where modules are: package=, map=, and folders with names that Python keeps for itself."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

from protoc_gen_micro.python.modules import Modules
from tests.codegen.tools import NAMES, PROTOS, ROOT, generate, protoc, run, tree, write


def test_the_longest_entry_wins() -> None:
    modules = Modules({}, "ours", (("google", "g"), ("google/rpc", "rpc.all"), ("google/rpc/code.proto", "codes_pb2")))
    assert modules.absolute("google/type/date.proto") == "g.type.date_pb2"
    assert modules.absolute("google/rpc/status.proto") == "rpc.all.status_pb2"
    assert modules.absolute("google/rpc/code.proto") == "codes_pb2"
    assert modules.absolute("google/rpcs/x-y.proto") == "g.rpcs.x_y_pb2"
    assert modules.absolute("googles.proto") == "ours.googles_pb2"
    assert modules.absolute("google/protobuf/any.proto") == "google.protobuf.any_pb2"
    assert Modules({}).absolute("googles.proto") == ""


def test_in_a_package_that_has_a_name_all_imports_are_absolute(tmp_path: Path) -> None:
    protoc(tmp_path / "acme" / "api", [PROTOS, ROOT], NAMES, "--micro_opt=package=acme.api")
    modules = [path for path in tree(tmp_path) if path.endswith(".py")]
    for path in modules:
        text = (tmp_path / path).read_text()
        assert "__package__" not in text
        assert "import-not-found" not in text
        assert "\nfrom ." not in text
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    names = [path.removesuffix(".py").replace("/", ".") for path in modules]
    run(sys.executable, "-W", "error", "-c", script, *names, cwd=tmp_path)


USES = """\
syntax = "proto3";
package shop;
import "google/api/annotations.proto";
import "google/type/money.proto";
message Price { google.type.Money money = 1; }
service Prices {
  rpc Get(Price) returns (google.type.Money) { option (google.api.http) = { get: "/price" }; }
}
"""


def test_what_was_generated_elsewhere_is_imported_from_there_and_not_generated(tmp_path: Path) -> None:
    write(tmp_path, {"protos/shop/price.proto": USES})
    out = tmp_path / "inside" / "deep"
    options = ["--micro_opt=map=google/api,map=google/type=google.type"]
    googleapis = Path(sys.modules["google"].__path__[0]).parent
    protoc(out, [tmp_path / "protos", googleapis], ["shop/price.proto", "google/type/money.proto"], *options)
    assert sorted(tree(out)) == ["shop/price_micro.py", "shop/price_pb2.py", "shop/price_pb2.pyi"]
    script = (
        "from inside.deep.shop import price_micro, price_pb2\n"
        "from google.type.money_pb2 import Money\n"
        "assert price_micro.PricesClient._info_.methods[0].reply_type is Money\n"
    )
    run(sys.executable, "-W", "error", "-c", script, cwd=tmp_path)


@pytest.mark.parametrize("parameter", ["", "package=here.there"])
def test_folders_with_names_that_python_keeps_for_itself(parameter: str, tmp_path: Path) -> None:
    head = 'syntax = "proto3"; package {}; '.format
    sources = {
        "class/v1.0/3d.proto": head("a") + "message A {}",
        "class/import.proto": head("b") + 'import "class/v1.0/3d.proto"; message B { a.A a = 1; }',
        "io/io.proto": head("io") + "message io { io i = 1; }",
        "top.proto": head("top")
        + 'import "class/import.proto"; import "io/io.proto"; message T { b.B b = 1; io.io i = 2; } '
        "service S { rpc Do(b.B) returns (io.io); }",
    }
    response = generate(tmp_path, sources, parameter)
    assert response.error == ""
    here = tmp_path / "out" / "here" / "there"
    write(here, {file.name: file.content for file in response.file})
    assert (here / "class_/v1/_0/_3d_pb2.py").is_file()
    assert (here / ("io/io_pb2.py" if parameter else "io_/io_pb2.py")).is_file()
    script = "import top_pb2 as t, top_micro\nt.T().b.a.SetInParent()\nt.T().i.i.SetInParent()\n"
    inside = script.replace("import", "from here.there import", 1)
    run(sys.executable, "-W", "error", "-c", inside, cwd=tmp_path / "out")
    if not parameter:
        run(sys.executable, "-W", "error", "-c", script, cwd=here)


@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
def test_inside_a_package_there_is_one_relative_import_of_each_module(dialect: str, tmp_path: Path) -> None:
    names = [name for name in NAMES if dialect == "protobuf" or name in ("greeter.proto", "shop/orders.proto")]
    names += [] if dialect == "protobuf" else ["shop/order.proto", "shop/common/money.proto", "top.proto"]
    protoc(tmp_path / "acme" / "api", [PROTOS, ROOT], names, f"--micro_opt=package=.,messages={dialect}")
    modules = [path for path in tree(tmp_path) if path.endswith((".py", ".pyi"))]
    for path in modules:
        text = (tmp_path / path).read_text()
        assert "__package__" not in text
        assert "import-not-found" not in text
        assert _imported_twice(text) == []
    script = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
    imports = [path.removesuffix(".py").replace("/", ".") for path in modules if path.endswith(".py")]
    run(sys.executable, "-W", "error", "-c", script, *imports, cwd=tmp_path)


KNOWN = ("any", "api", "duration", "empty", "struct", "timestamp", "type", "wrappers")
PUBLIC = {
    "shop/a.proto": "message A { google.protobuf.Api api = 1; google.protobuf.Any any = 2; google.protobuf.Struct struct = 3; "
    "google.protobuf.Type type = 4; google.protobuf.Empty empty = 5; }",
    "shop/b.proto": 'import public "shop/a.proto"; import "bank/one.proto"; import "bank/two.proto"; '
    "message B { A a = 1; google.protobuf.Any any = 2; bank.One one = 3; bank.Two two = 4; }",
    "c.proto": 'import public "shop/b.proto"; message C { B b = 1; A a = 2; } '
    "service S { rpc Get(google.protobuf.Struct) returns (google.protobuf.Any); rpc Set(google.protobuf.Empty) returns (A); }",
    "bank/one.proto": "package bank; message One {}",
    "bank/two.proto": "package bank; message Two {}",
}


@pytest.mark.parametrize("dialect", ["protobuf", "betterproto"])
@pytest.mark.parametrize("package", [".", "acme", ""])
def test_each_module_is_imported_once(package: str, dialect: str, tmp_path: Path) -> None:
    suffix = "_pb2" if dialect == "protobuf" else "_pb"
    head = "".join(f'import {{}}"google/protobuf/{name}.proto"; ' for name in KNOWN)
    texts = {
        name: f'syntax = "proto3"; {"" if "bank" in name else head.format(*[public] * len(KNOWN))}{text}'
        for (name, text), public in zip(PUBLIC.items(), ["public ", "", "", "", ""], strict=True)
    }
    write(tmp_path / "protos", texts)
    options = f"--micro_opt=messages={dialect}{f',package={package}' if package else ''}"
    options += f",map=bank/one.proto=bank.all{suffix},map=bank/two.proto=bank.all{suffix}"
    out = tmp_path / "acme" if package else tmp_path
    protoc(out, [tmp_path / "protos"], [name for name in PUBLIC if "bank" not in name], options)
    generated = {path: text for path, text in tree(tmp_path).items() if path.endswith((".py", ".pyi"))}
    assert len(generated) == 7
    assert [(path, twice) for path, text in generated.items() if (twice := _imported_twice(text))] == []
    bank = "class One:\n    pass\n\n\nclass Two:\n    pass\n"
    if dialect == "betterproto":
        write(tmp_path, {f"bank/all{suffix}.py": bank})
        script = f"import {'acme.' if package else ''}c_micro as c; assert c.SClient._info_.methods[1].reply_type.__name__ == 'A'"
        run(sys.executable, "-W", "error", "-c", script, cwd=tmp_path)


def _imported_twice(text: str) -> list[str]:
    """Returns the modules with messages that a module imports more than once at its top level."""
    counted: Counter[str] = Counter()
    for line in ast.parse(text).body:
        if isinstance(line, ast.Import):
            counted.update(alias.name for alias in line.names)
        elif isinstance(line, ast.ImportFrom):
            module = "." * line.level + (line.module or "")
            dot = "" if module.endswith(".") else "."
            modules = [f"{module}{dot}{alias.name}" for alias in line.names if alias.name.endswith("_pb2")]
            counted.update(modules or [module])
    return [
        module
        for module, count in counted.items()
        if count > 1 and ("_pb" in module or module.startswith("betterproto"))
    ]


def test_the_command_writes_relative_imports_into_a_package(tmp_path: Path) -> None:
    from micro_rt.cli.generate import generate as command

    out = tmp_path / "acme"
    command([PROTOS / "greeter.proto"], [PROTOS], out)
    assert "if TYPE_CHECKING:" in (out / "greeter_micro.py").read_text()
    (out / "__init__.py").touch()
    command([PROTOS / "greeter.proto", PROTOS / "io" / "io.proto"], [PROTOS], out)
    text = (out / "greeter_micro.py").read_text()
    (line,) = (line for line in text.splitlines() if "greeter_pb2" in line)
    assert line.startswith("from .greeter_pb2 import ")
    assert "TYPE_CHECKING" not in text
    assert (out / "io" / "io_pb2.py").is_file()
    command([PROTOS / "greeter.proto"], [PROTOS], out, "package=acme")
    assert "\nfrom acme.greeter_pb2 import " in (out / "greeter_micro.py").read_text()
