"""What the dialect writes: as the snapshots show it, formatted, typed, importable anywhere; and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pytest_snapshot.plugin import Snapshot

from protoc_gen_micro.run.generate import respond
from tests.codegen.dialect.tree import DIALECT, NAMES, PROTOS
from tests.codegen.test_messages import BUNDLED, GOOGLEAPIS, GRPC_TOOLS
from tests.codegen.tools import HERE, PURELIB, ROOT, generate, protoc, request, run, tree, write
from tests.codegen.tools import NAMES as ALL
from tests.generated import without_version

OTHERS = HERE / "protos"
MODULES = [name.removesuffix(".proto").replace("/", ".") + "_pb" for name in NAMES]


def test_snapshots(dialect: Path, snapshot: Snapshot) -> None:
    snapshot.snapshot_dir = HERE / "snapshots"
    chosen = ("names_pb.py", "names_micro.py", "twin_pb.py", "twin_pb_codec.py", "editions_pb.py", "old_pb.py")
    files: dict[str, Any] = {name: without_version(text) for name, text in tree(dialect).items() if name in chosen}
    snapshot.assert_match_dir(files, "dialect")


@pytest.mark.parametrize(("other", "imported"), [("string", False), ("repeated string", True)])
def test_builtins_are_imported_only_where_a_field_hides_one_that_a_hint_needs(
    other: str, imported: bool, tmp_path: Path
) -> None:
    source = f'syntax = "proto3"; message Page {{ string list = 1; {other} lines = 2; }}'
    written = generate(tmp_path, {"page.proto": source}, "messages=betterproto")
    (text,) = [file.content for file in written.file if file.name == "page_pb.py"]
    assert ("import builtins as _builtins" in text) == imported
    assert ("_builtins.list[str]" in text) == imported


def test_what_is_written(dialect: Path) -> None:
    modules = {name.removesuffix(".proto") + "_pb.py" for name in NAMES}
    codecs = {name.removesuffix(".py") + "_codec.py" for name in modules}
    assert set(tree(dialect)) == {*modules, *codecs, "names_micro.py", "till/till_micro.py"}


def test_output_is_formatted(dialect: Path) -> None:
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", dialect)


def test_output_is_the_same_in_any_company(dialect: Path, tmp_path: Path) -> None:
    protoc(tmp_path, [PROTOS], NAMES[::-1], DIALECT)
    assert tree(tmp_path) == tree(dialect)


def test_modules_work_at_the_import_root_and_inside_a_package(dialect: Path, tmp_path: Path) -> None:
    deep = tmp_path / "inside" / "deep"
    write(deep, tree(dialect))
    script = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    names = [*MODULES, "till.till_micro", "names_micro"]
    run(sys.executable, "-W", "error", "-c", script, *names, cwd=dialect)
    run(sys.executable, "-W", "error", "-c", script, *(f"inside.deep.{name}" for name in names), cwd=tmp_path)


def test_messages_of_other_files_are_handed_on(dialect: Path) -> None:
    script = "import editions_pb, till.money_pb; assert editions_pb.Money is till.money_pb.Money"
    run(sys.executable, "-W", "error", "-c", script, cwd=dialect)


USER = """
from datetime import datetime, timedelta

import betterproto
from everything_pb import Color, Known, Lists, Maps, Oneofs, Optionals, Outer, OuterInnerKind, Scalars
from till.money_pb import Money, MoneyCurrency


def use(oneofs: Oneofs) -> None:
    number: int = oneofs.number
    flag: bool | None = oneofs.flag
    again: Oneofs = Oneofs.FromString(bytes(oneofs)).parse(b"").from_json("{}")
    read: Oneofs = Oneofs.from_dict(again.to_dict(), ignore_unknown_fields=True)
    name, value = betterproto.which_one_of(read, "choice")
    text: str | None = Optionals(a_string=name).a_string
    moment: datetime = Known().moment
    span: timedelta = Known().span
    messages: dict[str, Scalars] = Maps().messages
    color: Color = Lists(messages=[Scalars(1.0, color=Color.RED)]).messages[0].color
    outer = Outer(money=Money(MoneyCurrency.USD, units=3))
    outer.inner.kind = OuterInnerKind.SOME
    print(number, flag, value, text, moment, span, messages, color, outer.money)
"""
WRONG = [
    "Scalars(a_string=1)",
    "Scalars(nothing=1)",
    "Scalars().a_string = 3",
    "Oneofs().nothing",
    "Outer(money=Scalars())",
    "Color.PURPLE",
]


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_types(checker: str, dialect: Path, tmp_path: Path) -> None:
    write(tmp_path, tree(dialect))
    write(tmp_path, {"user.py": USER})
    said = _check(checker, tmp_path)
    assert said.returncode == 0, said.stdout
    head = "from everything_pb import Color, Oneofs, Outer, Scalars\n"
    write(tmp_path, {"user.py": head + "".join(f"{line}\n" for line in WRONG)})
    said = _check(checker, tmp_path)
    for number in range(2, len(WRONG) + 2):
        assert f"user.py:{number}:" in said.stdout, (WRONG[number - 2], said.stdout)


def _check(checker: str, folder: Path) -> subprocess.CompletedProcess[str]:
    if checker == "mypy":
        return run(
            "mypy",
            "--strict",
            "--explicit-package-bases",
            "--cache-dir",
            folder / "cache",
            ".",
            cwd=folder,
            check=False,
        )
    config = f'{{"typeCheckingMode": "strict", "venvPath": "{ROOT}", "venv": ".venv", "pythonVersion": "3.11"}}'
    write(folder, {"pyrightconfig.json": config})
    return run("pyright", "--pythonpath", sys.executable, cwd=folder, check=False)


REFUSED = {
    "a group": (
        'syntax = "proto2";\nmessage A {\n  optional group Part = 1 { optional int32 x = 1; }\n}\n',
        (
            "a.proto:3:3: A.part: is a group, which betterproto cannot hold; "
            "make it a field of a message type, or generate this file with messages=protobuf"
        ),
    ),
    "delimited encoding": (
        'edition = "2023";\nmessage A {\n  A a = 1 [features.message_encoding = DELIMITED];\n}\n',
        (
            "a.proto:3:3: A.a: is encoded as a group (message_encoding = DELIMITED), which betterproto cannot hold; "
            "encode it LENGTH_PREFIXED, or generate this file with messages=protobuf"
        ),
    ),
    "delimited encoding of a whole file": (
        'edition = "2023";\noption features.message_encoding = DELIMITED;\nmessage A {\n  map<string, A> m = 1;\n  A a = 2;\n}\n',
        (
            "a.proto:5:3: A.a: is encoded as a group (message_encoding = DELIMITED), which betterproto cannot hold; "
            "encode it LENGTH_PREFIXED, or generate this file with messages=protobuf"
        ),
    ),
    "a message set": (
        'syntax = "proto2";\nmessage A {\n  option message_set_wire_format = true;\n  extensions 4 to max;\n}\n',
        "a.proto:2:1: A: is a message set, which betterproto cannot hold; generate this file with messages=protobuf",
    ),
}


@pytest.mark.parametrize(("source", "said"), REFUSED.values(), ids=REFUSED)
def test_what_betterproto_cannot_hold_is_refused_by_name(source: str, said: str, tmp_path: Path) -> None:
    assert generate(tmp_path, {"a.proto": source}, "messages=betterproto").error == said
    assert generate(tmp_path, {"a.proto": source}, "messages=protobuf").error == ""


def test_protoc_shows_the_refusal(tmp_path: Path) -> None:
    write(tmp_path, {"a.proto": REFUSED["a group"][0]})
    assert REFUSED["a group"][1] in protoc(tmp_path, [tmp_path], ["a.proto"], DIALECT, check=False)


def test_options_that_a_file_defines_are_no_obstacle(tmp_path: Path) -> None:
    source = (
        'syntax = "proto3";\nimport "google/protobuf/descriptor.proto";\n'
        'extend google.protobuf.FieldOptions { string unit = 50000; }\nmessage A { int32 x = 1 [(unit) = "m"]; }\n'
    )
    assert generate(tmp_path, {"a.proto": source}, "messages=betterproto").error == ""


def test_what_is_generated_elsewhere_has_the_dialects_modules(tmp_path: Path) -> None:
    sources = {
        "bank/money.proto": 'syntax = "proto3";\npackage bank;\nmessage Money {}\n',
        "a.proto": 'syntax = "proto3";\nimport "bank/money.proto";\nmessage A { bank.Money money = 1; }\n',
    }
    for option, line in (
        ("map=bank=their.bank", "from their.bank.money_pb import Money"),
        ("map=bank/money.proto", "from bank.money_pb import Money"),
        ("package=ours.api", "from ours.api.bank.money_pb import Money"),
    ):
        files = generate(tmp_path, sources, f"{option},messages=betterproto").file
        assert line in next(file.content for file in files if file.name == "a_pb.py")


def test_every_proto_of_the_other_tests_generates_or_is_refused(tmp_path: Path) -> None:
    whole = request([OTHERS, ROOT], ALL, "messages=betterproto")
    refused: list[str] = []
    for name in ALL:
        del whole.file_to_generate[:]
        whole.file_to_generate.append(name)
        response = respond(whole)
        if response.error:
            assert "which betterproto " in response.error
            refused.append(name)
        write(tmp_path, {file.name: file.content for file in response.file})
    modules = [path.removesuffix(".py").replace("/", ".") for path in tree(tmp_path) if path.endswith(".py")]
    assert len(refused) < len(ALL) // 2 < len(modules)
    script = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
    run(sys.executable, "-W", "error", "-c", script, *modules, cwd=tmp_path)


def test_public_protos_generate_and_import(tmp_path: Path) -> None:
    roots = [PURELIB, GRPC_TOOLS]
    names = [name for name in sorted({*GOOGLEAPIS, *BUNDLED}) if not name.startswith("google/protobuf/")]
    refused: dict[str, str] = {}
    for name in names:
        said = protoc(tmp_path, roots, [name], DIALECT, check=False)
        if said and "protoc-gen-micro: warning: " not in said:
            refused[name] = said
    modules = [path for path in tree(tmp_path) if path.endswith("_pb.py")]
    script = (
        "import importlib, sys\n"
        "for name in sys.argv[1:]:\n"
        "    importlib.import_module(name.removesuffix('.py').replace('/', '.'))\n"
    )
    print(f"{len(names)} .proto files: {len(modules)} generated, {len(refused)} refused")
    assert all("betterproto cannot hold" in said for said in refused.values()), refused
    assert len(modules) == len(names) - len(refused) >= 55
    run(sys.executable, "-W", "error", "-c", script, *modules, cwd=tmp_path)
