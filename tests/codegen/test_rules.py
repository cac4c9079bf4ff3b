"""Files with rules of ``buf.validate``: the note about ``protovalidate``, and where the file of the rules comes from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.compiler import plugin_pb2

from micro_rt.cli.compiling import compile_protos
from micro_rt.cli.main import main
from protoc_gen_micro.python.installed import has_package
from protoc_gen_micro.run import files
from protoc_gen_micro.run.generate import respond
from tests.codegen.tools import PURELIB, run, tree, write

HEAD = 'syntax = "proto3";\npackage {package};\nimport "buf/validate/validate.proto";\n'
RULE = "(buf.validate.field).string.min_len = 1"
OWN = """\
syntax = "proto2";
package buf.validate;
import "google/protobuf/descriptor.proto";
message FieldRules { optional bool required = 25; }
extend google.protobuf.FieldOptions { optional FieldRules field = 1159; }
"""
"""The file as a user may have it."""


def proto(body: str, package: str = "ruled") -> str:
    return HEAD.format(package=package) + body


def absent(name: str, folders: Any) -> bool:
    return name != "protovalidate" and has_package(name, folders)


def warnings_for(folder: Path, contents: dict[str, str], parameter: str = "") -> list[str]:
    """Returns what a run that writes these files warns of."""
    write(folder, contents)
    found = compile_protos(list(contents), [folder]).file
    request = plugin_pb2.CodeGeneratorRequest(file_to_generate=contents, proto_file=found, parameter=parameter)
    warnings: list[str] = []
    response = respond(request, warn=warnings.append)
    assert not response.error
    assert response.file
    return warnings


RULED = {
    "field": f"message A {{ string a = 1 [{RULE}]; }}",
    "nested": f"message A {{ message B {{ string a = 1 [{RULE}]; }} }}",
    "message": "message A { option (buf.validate.message).cel_expression = 'true'; }",
    "oneof": "message A { oneof b { option (buf.validate.oneof).required = true; string c = 1; } }",
}


@pytest.mark.parametrize("what", RULED)
@pytest.mark.parametrize("parameter", ["", "messages=betterproto", "messages=none"])
def test_the_run_says_that_rules_need_protovalidate(
    what: str, parameter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = RULED[what] + "\nservice S { rpc Go(A) returns (A); }"
    assert not warnings_for(tmp_path, {"a.proto": proto(body)}, parameter)
    monkeypatch.setattr(files, "has_package", absent)
    [warning] = warnings_for(tmp_path, {"a.proto": proto(body)}, parameter)
    assert warning.startswith("a.proto: has rules of buf.validate")
    assert warning.endswith("pip install 'micro-rt[validate]'")


def test_one_line_names_the_first_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "has_package", absent)
    contents = {f"f{number}.proto": proto(RULED["field"], f"p{number}") for number in range(7)}
    [warning] = warnings_for(tmp_path, contents)
    assert warning.startswith("f0.proto, f1.proto, f2.proto, f3.proto, f4.proto and 2 more: ")
    assert "\n" not in warning


def test_files_without_rules_need_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "has_package", absent)
    body = "message A { string a = 1 [deprecated = true]; repeated int32 b = 2 [packed = false]; }"
    assert not warnings_for(tmp_path, {"a.proto": proto(body)})
    assert not warnings_for(tmp_path, {"b.proto": f'syntax = "proto3";\npackage plain;\n{body}'})


def test_the_rules_of_files_that_are_not_written_are_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "has_package", absent)
    write(tmp_path, {"a.proto": proto(RULED["field"])})
    other = 'syntax = "proto3";\npackage other;\nimport "a.proto";\nmessage B { ruled.A a = 1; }'
    assert not warnings_for(tmp_path, {"b.proto": other})


def test_a_package_is_looked_for_as_python_does() -> None:
    assert has_package("protovalidate", ["", "no such folder", str(PURELIB)])
    assert not has_package("protovalidate", ["", "no such folder"])


def test_the_command_brings_the_file_of_the_rules_and_its_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"a.proto": proto(RULED["field"])})
    assert main(["generate", "--out", "new", "a.proto"]) == 0
    written = ["a_pb2.py", "a_pb2.pyi", "buf/validate/validate_pb2.py", "buf/validate/validate_pb2.pyi"]
    said = capsys.readouterr()
    assert said.out.split() == [f"new/{path}" for path in written]
    assert not said.err
    run(sys.executable, "-W", "error", "-c", "import a_pb2; a_pb2.A(a='')", cwd=tmp_path / "new")


def test_the_command_says_what_the_rules_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "has_package", absent)
    write(tmp_path, {"a.proto": proto(RULED["field"])})
    assert main(["generate", "a.proto"]) == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "warning: a.proto: has rules of buf.validate" in said


def test_the_dialect_betterproto_needs_no_module_of_the_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"a.proto": proto(RULED["field"])})
    assert main(["generate", "--out", "new", "--opt", "messages=betterproto", "a.proto"]) == 0
    assert not [path for path in tree(tmp_path) if "validate" in path]


def test_a_file_of_the_rules_that_the_user_has_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"buf/validate/validate.proto": OWN, "a.proto": proto(RULED["field"])})
    assert main(["generate", "--out", "new", "a.proto"]) == 1
    assert '.string" unknown' in capsys.readouterr().err
    write(tmp_path, {"a.proto": proto("message A { string a = 1 [(buf.validate.field).required = true]; }")})
    assert main(["generate", "--out", "new", "a.proto"]) == 0
    assert capsys.readouterr().out.split() == ["new/a_pb2.py", "new/a_pb2.pyi"]


def test_without_protovalidate_the_file_of_the_rules_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "protovalidate", None)
    write(tmp_path, {"a.proto": proto(RULED["field"])})
    assert main(["generate", "a.proto"]) == 1
    assert "buf/validate/validate.proto: File not found" in capsys.readouterr().err


def test_each_file_with_a_mistake_is_named_once_beside_the_rules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"a.proto": proto(RULED["field"]), "b.proto": 'syntax = "proto3";\nmessage B { Nope n = 1; }'})
    assert main(["generate", "a.proto", "b.proto"]) == 1
    said = capsys.readouterr().err
    assert said.count('"Nope" is not defined') == 1
    assert "validate" not in said
