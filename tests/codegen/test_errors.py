"""What is wrong is said in one line: where, which symbol, and what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.compiler import plugin_pb2

from protoc_gen_micro.run import generate as generate_module
from protoc_gen_micro.run.generate import respond
from tests.codegen.tools import KNOWN, ROOT, SCRIPTS, generate, protoc, run, write

SERVICE = """\
syntax = "proto3";
package clash;
message M {}
service S {
  rpc _Hidden(M) returns (M);
  rpc rpc_Hidden(M) returns (M);
}
"""


def test_two_methods_with_one_python_name(tmp_path: Path) -> None:
    response = generate(tmp_path, {"clash.proto": SERVICE})
    assert response.error == (
        "clash.proto:6:3: clash.S.rpc_Hidden: would be the method 'rpc_Hidden' in Python, as clash.S._Hidden is; "
        "rename one of the two"
    )
    assert not response.file


def test_protoc_shows_the_error_and_writes_nothing(tmp_path: Path) -> None:
    write(tmp_path, {"clash.proto": SERVICE})
    said = protoc(tmp_path / "out", [tmp_path], ["clash.proto"], check=False)
    assert said.splitlines()[0].startswith("--micro_out: clash.proto:6:3: clash.S.rpc_Hidden: ")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("parameter", "error"),
    [
        ("message=none", f"unknown option 'message' in 'message=none'; {KNOWN}"),
        ("messages=dataclass", f"option 'messages' cannot be 'dataclass'; {KNOWN}"),
        ("messages", f"option 'messages' cannot be ''; {KNOWN}"),
        (
            "messages=none,messages=none",
            "option 'messages' is given twice in 'messages=none,messages=none'; give it once",
        ),
        ("package=shop.import", "option 'package' cannot be 'shop.import': it is not a name of a Python package"),
        ("package=", f"option 'package' cannot be ''; {KNOWN}"),
        *(
            (
                f"map={value}",
                (
                    f"option 'map' cannot be {value!r}; write map=google/rpc=google.rpc for a folder and its Python "
                    "package, or map=money.proto=bank.money_pb2 for a file and its module"
                ),
            )
            for value in ("", "=x", "a=", "a=b c", "a/class")
        ),
        ("map=a=b,map=a/=c", "option 'map' is given twice for 'a' in 'map=a=b,map=a/=c'; give it once"),
    ],
)
def test_options(parameter: str, error: str, tmp_path: Path) -> None:
    response = generate(tmp_path, {"a.proto": 'syntax = "proto3";'}, parameter)
    assert response.error == error


def test_the_options_are_listed() -> None:
    assert KNOWN.startswith("known options: messages=protobuf|")
    assert KNOWN.endswith("|none, package=PACKAGE, map=FOLDER[=PACKAGE], templates=FOLDER")


def test_two_files_for_one_module(tmp_path: Path) -> None:
    sources = {"a-b.proto": 'syntax = "proto3"; package x;', "a_b.proto": 'syntax = "proto3"; package y;'}
    assert generate(tmp_path, sources).error == (
        "a_b.proto: would write the Python module 'a_b_pb2', as a-b.proto does; rename one of the two files"
    )


@pytest.mark.parametrize(
    ("name", "part"), [("a b/c.proto", "a b"), ("c+.proto", "c+_pb2"), ("a/.b/c.proto", "a..b.c_pb2")]
)
def test_a_file_that_no_import_can_name(name: str, part: str, tmp_path: Path) -> None:
    response = generate(tmp_path, {name: 'syntax = "proto3";'})
    assert response.error == (
        f"{name}: cannot be a Python module: {part!r} is not a name that import can be written with; rename it"
    )


@pytest.mark.parametrize(
    ("name", "part", "module"),
    [("import/a.proto", "import", "import_/a_pb2.py"), ("v1.0/a.proto", "0", "v1/_0/a_pb2.py")],
)
def test_a_file_that_only_our_own_module_can_be_named_for(name: str, part: str, module: str, tmp_path: Path) -> None:
    response = generate(tmp_path, {name: 'syntax = "proto3";'})
    assert response.file[0].name == module
    response = generate(tmp_path, {name: 'syntax = "proto3";'}, "messages=none")
    assert response.error == (
        f"{name}: cannot be a Python module: {part!r} is not a name that import can be written with; rename it"
    )


@pytest.mark.parametrize(
    ("option", "problem"),
    [
        ("timeout: {}", "timeout of option (micro.method) is 0 s; it must be more than 0"),
        ("timeout: { seconds: -1 }", "timeout of option (micro.method) is -1 s; it must be more than 0"),
        (
            "retry: { attempt_timeout: { seconds: 0 } }",
            "attempt_timeout of option (micro.method) is 0 s; it must be more than 0",
        ),
        ("retry: { attempts: 0 }", "attempts of option (micro.method) is 0; the least is 1, which means no retry"),
        (
            "retry: { backoff: { seconds: 3 } }",
            (
                "backoff of option (micro.method) is 3 s, more than max_backoff, which is 2 s; "
                "set both so that backoff <= max_backoff"
            ),
        ),
        (
            "retry: { codes: CODE_UNSPECIFIED }",
            "codes of option (micro.method) holds 0, after which no call can be sent again",
        ),
        (
            'auth: { public: true scopes: "a" }',
            "auth of option (micro.method) is public, and asks for scopes; give one of the two",
        ),
        (
            "limits: { max_request_bytes: 1 max_reply_bytes: 0 }",
            "max_reply_bytes of option (micro.method) is 0; leave it out for the limit of the service",
        ),
        (
            "limits: { max_request_bytes: 2147483648 }",
            "max_request_bytes of option (micro.method) is 2147483648; protobuf has room for 2147483647 bytes",
        ),
    ],
)
def test_a_policy_that_cannot_be(option: str, problem: str, tmp_path: Path) -> None:
    source = (
        'syntax = "proto3";\npackage p;\nimport "micro_rt/annotations.proto";\nmessage M {}\nservice S {\n'
        f"  rpc Do(M) returns (M) {{\n    option (micro.method) = {{ {option} }};\n  }}\n}}\n"
    )
    assert generate(tmp_path, {"p.proto": source}).error == f"p.proto:7:5: p.S.Do: {problem}"


def test_a_timeout_of_a_service_that_cannot_be(tmp_path: Path) -> None:
    source = (
        'syntax = "proto3";\npackage p;\nimport "micro_rt/annotations.proto";\nmessage M {}\nservice S {\n'
        "  option (micro.service) = { timeout: {} };\n  rpc Do(M) returns (M);\n}\n"
    )
    problem = "p.proto:6:3: p.S: timeout of option (micro.service) is 0 s; it must be more than 0"
    assert generate(tmp_path, {"p.proto": source}).error == problem


def test_annotations_of_another_version(tmp_path: Path) -> None:
    annotations = (ROOT / "micro_rt/annotations.proto").read_text()
    source = (
        'syntax = "proto3"; package p; import "micro_rt/annotations.proto"; message M {} '
        'service S { option (micro.service) = { name: "n" }; rpc Do(M) returns (M) { OPTION } }'
    )
    newer = annotations.replace("message MethodOptions {", "message MethodOptions { bool hedge = 99;")
    option = "option (micro.method) = { hedge: true };"
    sources = {"p.proto": source.replace("OPTION", option), "micro_rt/annotations.proto": newer}
    assert (
        "option (micro.method) has 'hedge', which this protoc-gen-micro does not know"
        in generate(tmp_path, sources).error
    )
    older = annotations[: annotations.index("extend google.protobuf.MethodOptions")] + (
        "message ServiceOptions { string name = 1; }"
    )
    sources = {"p.proto": source.replace("OPTION", ""), "micro_rt/annotations.proto": older}
    response = generate(tmp_path, sources)
    assert response.error == ""
    other = annotations.replace("google.protobuf.Duration timeout", "string timeout")
    option = 'option (micro.method) = { timeout: "1s" };'
    write(tmp_path, {"p.proto": source.replace("OPTION", option), "micro_rt/annotations.proto": other})
    # In a process of its own: one that has loaded the real annotations cannot even read these.
    said = protoc(tmp_path / "out", [tmp_path], ["p.proto"], check=False)
    assert "micro_rt/annotations.proto: is not the file that comes with micro-rt (" in said


def test_what_the_plugin_understands_is_declared() -> None:
    response = respond(plugin_pb2.CodeGeneratorRequest())
    assert response.error == ""
    assert response.supported_features == 3
    assert (response.minimum_edition, response.maximum_edition) == (998, 1002)


def test_a_bug_of_ours_is_no_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("oh no")

    monkeypatch.setattr(generate_module, "render", broken)
    assert generate(tmp_path, {"a.proto": 'syntax = "proto3";'}).error == (
        "this is a bug in protoc-gen-micro, please report it with the .proto file: ZeroDivisionError: oh no"
    )


@pytest.mark.parametrize("damage", [b"\xff\xff\xff", b"not a request"])
def test_a_request_that_is_none(damage: bytes) -> None:
    command = [sys.executable, "-m", "protoc_gen_micro"]
    result = subprocess.run(command, input=damage, capture_output=True, check=True)
    response = plugin_pb2.CodeGeneratorResponse.FromString(result.stdout)
    assert response.error.startswith("the request is not a CodeGeneratorRequest: ")
    assert result.stderr == b""


def test_a_file_that_the_request_does_not_hold() -> None:
    response = respond(plugin_pb2.CodeGeneratorRequest(file_to_generate=["missing.proto"]))
    assert response.error == "missing.proto: is to be generated, but the request does not hold it"


def test_questions_on_the_command_line() -> None:
    plugin = SCRIPTS / "protoc-gen-micro"
    assert run(plugin, "--version").stdout.startswith("protoc-gen-micro 0.")
    assert Path(run(plugin, "--include").stdout.strip(), "micro_rt/annotations.proto").is_file()
    assert Path(run(plugin, "--include").stdout.strip()) == ROOT
    assert "--micro_out" in run(plugin, "--help").stdout
    refused = run(plugin, "--what", check=False)
    assert refused.returncode == 2
    assert "--micro_out" in refused.stderr
