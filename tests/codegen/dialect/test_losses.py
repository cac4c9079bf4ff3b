"""What betterproto leaves out of a .proto: a warning names all places, and the code works without it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from micro_rt.cli.main import main
from protoc_gen_micro.run.generate import respond
from tests.codegen.dialect.tree import DIALECT
from tests.codegen.tools import ROOT, generate, protoc, request, run, write

REQUIRED = "messages=betterproto treats required fields as optional: a message without them is encoded and decoded without an error"
EXTENSIONS = "messages=betterproto leaves extensions out: they have no attribute, and stay among the unknown fields"
OLD = """\
syntax = "proto2";
package p;
message Inner { optional int32 z = 1; }
message A {
  message B { required int32 x = 1; }
  required string name = 1;
  required Inner inner = 2;
  extensions 100 to 200;
  extend A { optional int32 within = 101; }
}
extend A { optional string outside = 100; }
"""
EDITION = """\
edition = "2023";
message E {
  int32 x = 1 [features.field_presence = LEGACY_REQUIRED];
  repeated int32 many = 2;
}
"""
OPTIONS = """\
syntax = "proto2";
import "google/protobuf/descriptor.proto";
extend google.protobuf.FieldOptions { optional int32 mine = 50001; }
message O { optional int32 x = 1 [(mine) = 3]; }
"""


def warnings(folder: Path, sources: dict[str, str], parameter: str = "messages=betterproto") -> list[str]:
    """Returns the warnings of a run that succeeds."""
    write(folder, sources)
    found: list[str] = []
    response = respond(request([folder, ROOT], list(sources), parameter), warn=found.append)
    assert response.error == ""
    assert response.file
    return found


def test_a_warning_names_all_places_of_all_files(tmp_path: Path) -> None:
    required, extensions = warnings(tmp_path, {"old.proto": OLD, "edition.proto": EDITION})
    assert required.splitlines() == [
        REQUIRED,
        "  old.proto:6:3: p.A.name",
        "  old.proto:7:3: p.A.inner",
        "  old.proto:5:15: p.A.B.x",
        "  edition.proto:3:3: E.x",
    ]
    assert extensions.splitlines() == [EXTENSIONS, "  old.proto:11:12: p.outside", "  old.proto:9:14: p.A.within"]


def test_no_other_run_warns(tmp_path: Path) -> None:
    assert warnings(tmp_path, {"old.proto": OLD}, "messages=protobuf") == []
    assert warnings(tmp_path, {"options.proto": OPTIONS}) == []


def test_only_the_files_that_are_generated_are_examined(tmp_path: Path) -> None:
    write(
        tmp_path,
        {"old.proto": OLD, "new.proto": 'syntax = "proto2"; import "old.proto"; message N { optional p.A a = 1; }'},
    )
    found: list[str] = []
    assert respond(request([tmp_path], ["new.proto"], "messages=betterproto"), warn=found.append).error == ""
    assert found == []


def test_a_warning_is_bounded(tmp_path: Path) -> None:
    fields = "".join(f"  required int32 f{number} = {number};\n" for number in range(1, 53))
    (found,) = warnings(tmp_path, {"many.proto": f'syntax = "proto2";\nmessage M {{\n{fields}}}\n'})
    lines = found.splitlines()
    assert lines[1] == "  many.proto:3:3: M.f1"
    assert lines[20:] == ["  many.proto:22:3: M.f20", "  and 32 more"]


def test_groups_of_all_files_are_refused_at_once(tmp_path: Path) -> None:
    source = 'syntax = "proto2";\nmessage {0} {{\n  optional group G = 1 {{}}\n  repeated group H = 2 {{}}\n  required int32 x = 3;\n}}\n'
    sources = {f"{name}.proto": source.format(name.upper()) for name in ("a", "b")}
    response = generate(tmp_path, sources, "messages=betterproto")
    assert [line.partition(" is a group")[0] for line in response.error.splitlines()] == [
        "a.proto:3:3: A.g:",
        "a.proto:4:3: A.h:",
        "b.proto:3:3: B.g:",
        "b.proto:4:3: B.h:",
    ]


def test_protoc_shows_the_warning(tmp_path: Path) -> None:
    write(tmp_path, {"old.proto": OLD})
    said = protoc(tmp_path, [tmp_path], ["old.proto"], DIALECT)
    assert said.splitlines()[:2] == [f"protoc-gen-micro: warning: {REQUIRED}", "  old.proto:6:3: p.A.name"]
    assert (tmp_path / "old_pb.py").exists()


def test_the_command_shows_the_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, {"old.proto": OLD})
    monkeypatch.chdir(tmp_path)
    assert main(["generate", "--opt=messages=betterproto", "old.proto"]) == 0
    assert capsys.readouterr().err.startswith(f"micro-rt generate: warning: {REQUIRED}\n  old.proto:6:3: p.A.name\n")


USE = """
import old_pb, old_pb2
a = old_pb.A()
assert a.name is None and bytes(a) == b""
assert a.to_dict() == {} and old_pb.A.from_dict({}) == a
a = old_pb.A(name="", inner=old_pb.Inner(z=1))
theirs = old_pb2.A.FromString(bytes(a))
assert theirs.HasField("name") and theirs.inner.z == 1
theirs.Extensions[old_pb2.outside] = "kept"
theirs.Extensions[old_pb2.A.within] = 7
again = old_pb.A.FromString(theirs.SerializeToString())
assert again.name == "" and not hasattr(again, "outside")
back = old_pb2.A.FromString(bytes(again))
assert back == theirs and back.Extensions[old_pb2.outside] == "kept"
"""


def test_the_code_encodes_optional_fields_and_keeps_extensions(tmp_path: Path) -> None:
    write(tmp_path, {"old.proto": OLD})
    for options in ([DIALECT], []):
        protoc(tmp_path, [tmp_path], ["old.proto"], *options)
    run(sys.executable, "-W", "error", "-c", USE, cwd=tmp_path)
