"""Imports of files that this run does not generate: what an installed distribution has is imported from there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from protoc_gen_micro.python.installed import installed_modules
from tests.codegen.tools import PURELIB, ROOT, SCRIPTS, generate, protoc, run, tree, write

PRICE = """\
syntax = "proto3";
package shop;
import "google/api/annotations.proto";
import "google/type/money.proto";
message Price { google.type.Money money = 1; }
service Prices {
  rpc Get(Price) returns (google.type.Money) { option (google.api.http) = { get: "/price" }; }
}
"""
INSIDE = "google/shop/price.proto"
"""A file that shares its top folder with what is installed."""

USER = """\
from {module} import Price
from google.type.money_pb2 import Money

price = Price(money=Money(units=3))
units: int = price.money.units
"""


@pytest.mark.parametrize("name", ["price.proto", "shop/price.proto", INSIDE])
@pytest.mark.parametrize("place", ["", "nest/acme"])
def test_what_is_installed_is_imported_from_there(name: str, place: str, tmp_path: Path) -> None:
    write(tmp_path / "protos", {name: PRICE})
    assert protoc(tmp_path / place, [tmp_path / "protos", PURELIB], [name]) == ""
    base = ".".join([*Path(place).parts, *name.removesuffix(".proto").split("/")])
    user = USER.format(module=f"{base}_pb2")
    check = f"import {base}_micro\nassert {base}_micro.PricesClient._info_.methods[0].reply_type is Money\n"
    run(sys.executable, "-W", "error", "-c", user + check, cwd=tmp_path)
    settings = {"typeCheckingMode": "strict", "venvPath": str(ROOT), "venv": ".venv", "extraPaths": [str(ROOT)]}
    write(tmp_path, {"user.py": user, "pyrightconfig.json": json.dumps(settings)})
    run(SCRIPTS / "pyright", "-p", tmp_path, cwd=tmp_path)
    write(tmp_path, {"mypy.ini": "[mypy]\nstrict = true\nexplicit_package_bases = true\n"})
    files = [path for path in tree(tmp_path) if path.endswith((".py", ".pyi"))]
    files = [path for path in files if not path.endswith(".py") or f"{path}i" not in files]
    # The distribution does not say that it has types, so mypy does not look at them unless its user asks it to.
    run(SCRIPTS / "mypy", *(path for path in files if path != "user.py"), cwd=tmp_path)
    run(SCRIPTS / "mypy", "--follow-untyped-imports", *files, cwd=tmp_path)


def test_what_the_run_generates_is_not_taken_from_there(tmp_path: Path) -> None:
    write(tmp_path / "protos", {"shop/price.proto": PRICE})
    names = ["shop/price.proto", "google/type/money.proto", "google/api/annotations.proto", "google/api/http.proto"]
    protoc(tmp_path / "nest", [tmp_path / "protos", PURELIB], names)
    text = (tmp_path / "nest" / "shop" / "price_pb2.py").read_text()
    assert "..google.type import money_pb2" in text
    run(sys.executable, "-W", "error", "-c", "import nest.shop.price_pb2", cwd=tmp_path)


def test_map_goes_before_what_is_installed(tmp_path: Path) -> None:
    write(tmp_path / "protos", {"shop/price.proto": PRICE})
    protoc(tmp_path, [tmp_path / "protos", PURELIB], ["shop/price.proto"], "--micro_opt=map=google/type=bank.money")
    text = (tmp_path / "shop" / "price_pb2.py").read_text()
    assert "import bank.money.money_pb2" in text
    assert "import google.api.annotations_pb2" in text


def test_with_a_package_what_is_installed_is_imported_from_there_too(tmp_path: Path) -> None:
    write(tmp_path / "protos", {"shop/price.proto": PRICE})
    protoc(tmp_path / "acme", [tmp_path / "protos", PURELIB], ["shop/price.proto"], "--micro_opt=package=acme")
    run(sys.executable, "-W", "error", "-c", "import acme.shop.price_micro", cwd=tmp_path)


def test_the_betterproto_dialect_names_what_it_has_no_classes_of(tmp_path: Path) -> None:
    write(tmp_path / "protos", {"shop/price.proto": PRICE})
    roots = [tmp_path / "protos", PURELIB]
    said = protoc(tmp_path / "out", roots, ["shop/price.proto"], "--micro_opt=messages=betterproto")
    assert said == (
        "protoc-gen-micro: warning: google/type/money.proto: not generated in this run, and what is installed has no "
        "classes for messages=betterproto: generate it too, or name its module with map=\n"
    )
    options = "--micro_opt=messages=betterproto"
    assert protoc(tmp_path / "out", roots, ["shop/price.proto", "google/type/money.proto"], options) == ""
    options += ",map=google/type=bank"
    assert protoc(tmp_path / "out", roots, ["shop/price.proto"], options) == ""


@pytest.mark.parametrize("kind", ["public", "request"])
def test_the_betterproto_dialect_names_every_module_that_it_would_not_find(kind: str, tmp_path: Path) -> None:
    sources = {
        "public": 'import public "google/type/money.proto"; message M {}',
        "request": 'import "google/type/money.proto"; service S { rpc Get(google.type.Money) returns (google.type.Money); }',
    }
    write(tmp_path, {"a.proto": f'syntax = "proto3"; {sources[kind]}'})
    said = protoc(tmp_path / "out", [tmp_path, PURELIB], ["a.proto"], "--micro_opt=messages=betterproto")
    assert said.startswith("protoc-gen-micro: warning: google/type/money.proto: not generated in this run")
    # A file that hands on nothing is not imported.
    write(tmp_path, {"a.proto": 'syntax = "proto3"; import public "google/api/annotations.proto"; message M {}'})
    assert protoc(tmp_path / "out", [tmp_path, PURELIB], ["a.proto"], "--micro_opt=messages=betterproto") == ""
    run(sys.executable, "-W", "error", "-c", "import a_pb", cwd=tmp_path / "out")


def test_files_that_nobody_has_installed_are_imported_as_before(tmp_path: Path) -> None:
    sources = {
        "shop/order.proto": 'syntax = "proto3"; import "bank/money.proto"; message Order { bank.Money total = 1; }',
        "bank/money.proto": 'syntax = "proto3"; package bank; message Money {}',
    }
    write(tmp_path, sources)
    assert protoc(tmp_path / "out", [tmp_path], ["shop/order.proto"]) == ""
    text = (tmp_path / "out" / "shop" / "order_pb2.py").read_text()
    assert "    import bank.money_pb2\n" in text


def test_only_folders_of_distributions_count(tmp_path: Path) -> None:
    write(tmp_path, {"google/type/money_pb2.py": "", "io/a_pb2.py": "", "x-y/a_b_pb2.py": "", "top_pb2.py": ""})
    paths = ["google/type/money.proto", "google/type/date.proto", "top.proto", "../x/a.proto", "x y/a.proto"]
    assert installed_modules(paths, "_pb2", [str(tmp_path)]) == {"google/type/money.proto": "google.type.money_pb2"}
    assert installed_modules(paths, "_pb2", []) == {}
    assert installed_modules(paths, "_pb", [str(tmp_path)]) == {}


def test_nothing_is_imported_to_find_out(tmp_path: Path) -> None:
    # A file is called like a module that does something when it is imported.
    response = generate(
        tmp_path,
        {
            "this/s.proto": 'syntax = "proto3"; package zen; message M {}',
            "a.proto": 'syntax = "proto3"; import "this/s.proto"; message A { zen.M m = 1; }',
        },
    )
    assert response.error == ""
    assert "this" not in sys.modules
