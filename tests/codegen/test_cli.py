"""``micro-rt generate``: what it writes, finds and says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from micro_rt.cli.main import main
from tests.codegen.tools import KNOWN, ROOT, run, tree, write

PING = 'syntax = "proto3";\npackage ping;\nmessage Ping {}\n'


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"protos/ping.proto": PING, "ping.proto": PING})
    return tmp_path


def test_writes_beside_the_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "ping.proto"]) == 0
    assert capsys.readouterr().out == "ping_pb2.py\nping_pb2.pyi\n"
    assert {"ping_pb2.py", "ping_pb2.pyi"} < set(tree(here))


def test_roots_output_and_options(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    service = (
        PING + 'import "google/protobuf/empty.proto";\nservice S { rpc Go(Ping) returns (google.protobuf.Empty); }'
    )
    write(here, {"protos/go.proto": service.replace("Ping", "Pong").replace("ping", "go")})
    assert main(["generate", "-I", "protos", "--out", "new/folder", "--opt", "messages=none", "protos/go.proto"]) == 0
    assert capsys.readouterr().out == "new/folder/go_micro.py\n"
    assert [name for name in tree(here) if name.startswith("new/")] == ["new/folder/go_micro.py"]


def test_a_folder_means_the_files_in_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = ("all/a.proto", "all/deep/b.proto", "all/.hidden/c.proto", "all/env/d.proto")
    write(here, {path: PING.replace("package ping", f"package p{number}") for number, path in enumerate(files)})
    write(here, {"all/env/pyvenv.cfg": "", "all/notes.txt": ""})
    assert main(["generate", "all", "all/a.proto", "--opt", "messages=protobuf"]) == 0
    assert capsys.readouterr().out.split() == [
        "all/a_pb2.py",
        "all/a_pb2.pyi",
        "all/deep/b_pb2.py",
        "all/deep/b_pb2.pyi",
    ]
    assert main(["generate", "-I", "all", "--out", "new", "all"]) == 0
    assert "new/deep/b_pb2.py" in capsys.readouterr().out.split()


def test_a_name_is_looked_for_below_the_roots(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {"protos/shop/order.proto": PING.replace("package ping", "package shop")})
    assert main(["generate", "-I", "protos", "--out", "new", "shop/order.proto", "ping.proto"]) == 0
    assert capsys.readouterr().out.split()[::2] == ["new/shop/order_pb2.py", "new/ping_pb2.py"]
    assert main(["generate", "-I", "protos", "--out", "other", "shop"]) == 0
    assert capsys.readouterr().out.split()[::2] == ["other/shop/order_pb2.py"]


def test_all_mistakes_of_a_run_are_said(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    broken = 'syntax = "proto3";\npackage {0};\nmessage M {{ Nothing n = 1; }}\n'
    shared = 'import "common.proto";\n'
    write(
        here,
        {
            "common.proto": broken.format("common"),
            "one.proto": broken.format("one"),
            "two.proto": broken.format("two"),
            "three.proto": PING.replace("package ping;", f"package three;\n{shared}"),
            "four.proto": PING.replace("package ping;", f"package four;\n{shared}"),
        },
    )
    arguments = ["one.proto", "ping.proto", "two.proto", "three.proto", "four.proto", "none.proto", "nothing"]
    assert main(["generate", *arguments]) == 1
    lines = capfd.readouterr().err.splitlines()
    assert [line for line in lines if line.endswith('"Nothing" is not defined.')] == [
        'one.proto:3:13: "Nothing" is not defined.',
        'two.proto:3:13: "Nothing" is not defined.',
        'common.proto:3:13: "Nothing" is not defined.',
    ]
    assert lines[-2:] == ["micro-rt generate: none.proto is not a file", "micro-rt generate: nothing is not a file"]
    assert len(lines) == len(set(lines))
    assert not list(here.glob("*_pb2.py"))


def test_all_mistakes_that_the_generator_finds_are_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = (
        'syntax = "proto3";\npackage {0};\nimport "micro_rt/annotations.proto";\n'
        'message M {{ option (micro.event) = {{ key: "nothing" }}; }}\n'
    )
    write(here, {f"{name}.proto": source.format(name) for name in ("a", "b")})
    assert main(["generate", "a.proto", "b.proto"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(".proto:")[0] for line in lines] == ["micro-rt generate: a", "micro-rt generate: b"]


@pytest.mark.parametrize("messages", ["protobuf", "betterproto"])
def test_all_mistakes_of_one_file_are_said(here: Path, capsys: pytest.CaptureFixture[str], messages: str) -> None:
    source = (
        'syntax = "proto2";\npackage p;\nimport "micro_rt/annotations.proto";\n'
        'message M { option (micro.event) = { topic: "m" key: "nothing" }; }\n'
        "message N { option (micro.event) = {}; required int32 n = 1; }\n"
        "service S {\n"
        "  rpc _Hidden(M) returns (M);\n"
        "  rpc rpc_Hidden(M) returns (M);\n"
        "  rpc Late(M) returns (M) { option (micro.method) = { timeout: {} }; }\n"
        "}\n"
    )
    write(here, {"a.proto": source})
    assert main(["generate", f"--opt=messages={messages}", "a.proto"]) == 1
    lines = capsys.readouterr().err.splitlines()
    places = sorted(int(line.split(":")[2]) for line in lines)
    assert places == [4, 5, 8, 9], lines
    assert not list(here.glob("a_*"))


def test_finds_the_annotations(here: Path) -> None:
    source = PING + (
        'import "micro_rt/annotations.proto";\n'
        'service S { option (micro.service) = { name: "far" }; rpc Go(Ping) returns (Ping); }\n'
    )
    write(here, {"far.proto": source.replace("package ping", "package far")})
    assert main(["generate", "far.proto"]) == 0
    assert '"far"' in (here / "far_micro.py").read_text()


def test_exports_the_protos_of_the_runtime(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        assert main(["proto", "export", "new/folder"]) == 0
        assert capsys.readouterr().out == "new/folder/micro_rt/annotations.proto\n"
    exported = tree(here / "new" / "folder")
    assert exported == {"micro_rt/annotations.proto": (ROOT / "micro_rt" / "annotations.proto").read_text()}
    assert main(["proto", "export", "ping.proto"]) == 1
    assert capsys.readouterr().err == "micro-rt proto export: cannot write ping.proto/micro_rt: Not a directory\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.proto"], "nothing.proto is not a file"),
        (["empty"], "empty is a folder without .proto files"),
        (["-I", "nowhere", "ping.proto"], "-I nowhere is not a folder"),
        (
            ["-I", "protos", "outside.proto"],
            "outside.proto is outside the folders that imports start from (protos); add -I .",
        ),
        (
            ["-I", "protos", "other"],
            "other is outside the folders that imports start from (protos); add -I other",
        ),
        (
            ["-I", "protos", "-I", ".", "ping.proto"],
            "ping.proto is hidden by protos/ping.proto: of several -I, the first that has a file counts",
        ),
        (["--opt", "x=y", "ping.proto"], f"unknown option 'x' in 'x=y'; {KNOWN}"),
        (["--out", "ping.proto", "ping.proto"], "cannot write ping.proto: File exists"),
    ],
)
def test_errors(arguments: list[str], said: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {"outside.proto": PING, "other/one.proto": PING, "empty/text.txt": ""})
    before = tree(here)
    assert main(["generate", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.err == f"micro-rt generate: {said}\n"
    assert captured.out == ""
    assert tree(here) == before


def test_errors_of_protoc_are_shown(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(here, {"broken.proto": 'syntax = "proto3";\nmessage M { Nothing n = 1; }\n'})
    assert main(["generate", "broken.proto", "ping.proto"]) == 1
    assert capfd.readouterr().err == 'broken.proto:2:13: "Nothing" is not defined.\n'
    assert not (here / "ping_pb2.py").exists()


def test_nothing_is_written_when_one_file_cannot_be(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(here, {"first.proto": PING.replace("package ping", "package first")})
    (here / "ping_pb2.pyi").mkdir()
    before = tree(here)
    assert main(["generate", "first.proto", "ping.proto"]) == 1
    assert capsys.readouterr().err.startswith("micro-rt generate: cannot write ping_pb2.pyi: ")
    assert tree(here) == before


def test_without_grpcio_tools(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "grpc_tools.protoc", None)
    assert main(["generate", "ping.proto"]) == 1
    assert 'pip install "micro-rt[tools]"' in capsys.readouterr().err


def test_output_that_cannot_be_written_is_said_in_a_line(here: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    with full.open("w") as output:
        done = subprocess.run(
            [sys.executable, "-m", "micro_rt.cli.main", "generate", "ping.proto"],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "micro-rt: [Errno 28] No space left on device\n")


def test_a_reader_that_leaves_ends_the_command_silently(here: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "micro_rt.cli.main", "generate", "ping.proto"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_version_and_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("micro-rt", "--version").stdout.startswith("micro-rt 0.")
    for arguments, listed in (
        ([], ["generate", "events"]),
        (["events"], ["check", "lag", "publish", "replay", "tail"]),
        (["proto"], ["export"]),
    ):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        shown = capsys.readouterr()
        assert "COMMAND" in shown.err
        assert shown.out == ""
        assert all(f"    {command}  " in shown.err for command in listed)


def test_the_package_runs_as_the_command() -> None:
    assert run(sys.executable, "-m", "micro_rt", "--version").stdout.startswith("micro-rt 0.")


@pytest.mark.parametrize(
    ("arguments", "loaded"),
    [
        (["--version"], set()),
        (["proto", "export", "out"], set()),
        (["events", "replay", "--help"], set()),
        (["events", "tail", "--help"], set()),
        (["generate", "--help"], {"google.protobuf.compiler.plugin_pb2", "protoc_gen_micro"}),
    ],
    ids=["version", "proto", "events replay", "events tail", "generate"],
)
def test_a_command_loads_nothing_that_only_others_need(here: Path, arguments: list[str], loaded: set[str]) -> None:
    program = f"""
import sys
from micro_rt.cli.main import main
try:
    main({arguments})
except SystemExit:
    pass
heavy = {{"google.protobuf.compiler.plugin_pb2", "grpc_tools", "protoc_gen_micro", "micro_rt.backends.grpclib.transport"}}
print(sorted(heavy & set(sys.modules)))
"""
    assert run(sys.executable, "-c", program).stdout.splitlines()[-1] == str(sorted(loaded))
