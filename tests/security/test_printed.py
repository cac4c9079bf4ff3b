"""What a command, or a service that cannot start, prints of foreign text: no line is forged, and no terminal controlled."""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

import micro_rt as micro
from micro_rt.backends.memory.registry import MemoryRegistry
from micro_rt.cli.main import main
from tests.helpers.handlers import Lab

ROOT = Path(__file__).parent.parent.parent
FORGED = "micro-rt generate: all is well"
HOSTILE = f"a\n{FORGED}\r\x1b[2J\x9b1m\u202e\u2028\x85\x7f"
COMMANDS = {
    "generate": ["generate", "--out", "out", "."],
    "check": ["events", "check", "--all", ".", "."],
}
BROKER = """
from micro_rt.errors import Unavailable
from tests.security.test_printed import HOSTILE

class Broker:
    loopback = True
    def __init__(self, address):
        self.address = address
    async def open(self):
        raise OSError(HOSTILE) if self.address == "acme:os" else Unavailable(HOSTILE)
    async def close(self): ...
"""


def run(line: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a command that fails; returns what it printed."""
    try:
        status = main(line)
    except SystemExit as end:
        status = int(end.code or 0)
    printed = capsys.readouterr()
    assert status in (1, 2)
    assert printed.err
    return check(printed.out + printed.err)


def check(text: str) -> str:
    assert all(line.isprintable() for line in text.split("\n")), text
    assert not any(line.startswith(FORGED) for line in text.split("\n")), text
    return text


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "hostile"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


def test_commands_print_to_standard_error_in_one_module() -> None:
    """That module escapes."""
    for path in sorted((ROOT / "micro_rt" / "cli").glob("*.py")):
        if path.name == "messages.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                assert not [word for word in node.keywords if word.arg == "file"], f"{path}:{node.lineno}"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("text", ["mistake", 'syntax = "proto3";'], ids=["broken", "good"])
def test_the_name_of_a_proto_file(command: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / f"{HOSTILE}.proto").write_text(text)
    (folder / "b.proto").write_text(text)
    assert f"\\n{FORGED}" in run(COMMANDS[command], capsys)
    assert not (folder / "out").exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_the_name_of_a_proto_file_that_is_not_utf8(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/a\xff.proto")).write_text('syntax = "proto3";')
    except OSError as error:
        pytest.skip(f"this file system has no such names: {error}")
    assert "a\\udcff.proto: has characters that cannot be printed in its name; rename it" in run(
        COMMANDS[command], capsys
    )


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "text",
    [
        'message A { string y = 1 [json_name = "TEXT"]; string z = 2 [json_name = "TEXT"]; }',
        'import "TEXT.proto";',
        'import "TEXT";',
        'message A { Nope x = 1; string y = 2 [(TEXT) = "TEXT"]; }',
        'enum E { A = 0; } message A { E e = 1 [default = "TEXT"]; }',
        "message A { TEXT }",
    ],
)
def test_texts_in_a_proto_file_that_the_compiler_repeats(
    command: str, text: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    escaped = json.dumps(HOSTILE)[1:-1].replace("\x7f", "\\177")
    (folder / "shop.proto").write_text(f'syntax = "proto3";\n{text.replace("TEXT", escaped)}\n')
    assert "shop.proto:2:" in run(COMMANDS[command], capsys)


def test_a_line_of_the_compiler_about_no_place_names_the_compiler(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = f'message A {{ string y = 1 [json_name = "a\\n{FORGED}"]; string z = 2 [json_name = "a\\n{FORGED}"]; }}'
    (folder / "shop.proto").write_text(f'syntax = "proto3";\n{text}\n')
    lines = run(COMMANDS["generate"], capsys).splitlines()
    assert lines[0].startswith("shop.proto:2:")
    assert lines[1].startswith(f"protoc: {FORGED}")


@pytest.mark.parametrize("option", ["topic", "key", "version", "type"])
@pytest.mark.parametrize("command", COMMANDS)
def test_options_in_a_proto_file(command: str, option: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"topic": '"orders"', option: json.dumps(HOSTILE).replace("\x7f", "\\177")}
    said = ", ".join(f"{name}: {value}" for name, value in options.items())
    (folder / "shop.proto").write_text(
        'syntax = "proto3";\npackage shop;\nimport "micro_rt/annotations.proto";\n'
        f"message A {{ option (micro.event) = {{{said}}}; string id = 1; }}\n"
    )
    status = main(COMMANDS[command])
    printed = capsys.readouterr()
    check(printed.out + printed.err)
    assert status in (0, 1, 2)


def test_each_mistake_of_a_schema_is_a_line_of_the_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = 'syntax = "proto3";\npackage shop;\nimport "micro_rt/annotations.proto";\n'
    for name in "AB":
        text += f'message {name} {{ option (micro.event) = {{topic: "a b"}}; string id = 1; }}\n'
    (folder / "shop.proto").write_text(text)
    lines = run(COMMANDS["check"], capsys).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("micro-rt events check: OLD (.): shop.proto:") for line in lines)


@pytest.mark.parametrize("name", [HOSTILE, f"{HOSTILE}.proto"])
def test_names_in_a_descriptor_set(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = descriptor_pb2.FileDescriptorSet()
    made.file.add(name="shop.proto", syntax="proto3", dependency=[name])
    (folder / "lacks.bin").write_bytes(made.SerializeToString())
    made.file.add(name=name, syntax="proto3", package=HOSTILE)
    (folder / "has.bin").write_bytes(made.SerializeToString())
    for file in ("lacks.bin", "has.bin"):
        run(["events", "check", file, file], capsys)
        run(["events", "tail", "orders", "--broker", "memory:", "--no-follow", "--descriptors", file], capsys)
        run(["events", "publish", "orders", "{}", "--broker", "memory:", "--descriptors", file], capsys)


@pytest.mark.parametrize("text", [HOSTILE, "a\udcff"], ids=["hostile", "not UTF-8"])
@pytest.mark.parametrize(
    "line",
    [
        ["generate", HOSTILE],
        ["generate", "--out", f"out{HOSTILE}", "-I", HOSTILE, "."],
        ["generate", "-I", HOSTILE, f"{HOSTILE}/shop.proto"],
        ["generate", "--opt", HOSTILE, "shop.proto"],
        ["proto", "export", f"shop.proto/{HOSTILE}"],
        ["events", "check", HOSTILE, "."],
        ["events", "check", ".", HOSTILE],
        ["events", "tail", "orders", "--broker", "memory:", "--no-follow", "--descriptors", HOSTILE],
        ["events", "tail", "orders", "--broker", "memory:", "--no-follow", "--module", HOSTILE],
        ["events", "tail", HOSTILE, "--broker", "memory:", "--no-follow"],
        ["events", "tail", "orders", "--from", HOSTILE],
        ["events", "tail", "orders", HOSTILE],
        ["events", "lag", HOSTILE, "--group", HOSTILE, "--broker", "memory:"],
        ["events", "replay", HOSTILE, "--group", HOSTILE, "--broker", "memory:"],
        ["events", HOSTILE],
        [HOSTILE],
        [f"--{HOSTILE}"],
    ],
)
def test_arguments(line: list[str], text: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop.proto").write_text('syntax = "proto3";\n')
    (folder / "a\udcff").mkdir()
    (folder / "a\udcff" / "shop.proto").write_text('syntax = "proto3";\n')
    run([each.replace(HOSTILE, text) for each in line], capsys)


def test_the_path_of_a_file_that_is_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "shop.proto").write_text('syntax = "proto3";\npackage shop;\nmessage A {}\n')
    for line in (["generate", "--out", HOSTILE, "shop.proto"], ["proto", "export", HOSTILE]):
        assert main(line) == 0
        assert f"\\n{FORGED}" in check(capsys.readouterr().out)


@pytest.mark.parametrize("kind", ["os", "unavailable"])
@pytest.mark.parametrize(
    "line",
    [
        ["tail", "orders", "--no-follow"],
        ["lag", "--group", "billing"],
        ["replay", "orders", "--group", "billing"],
        ["publish", "OrderPlaced", "{}", "--module", "tests.protos.shop_micro"],
    ],
    ids=lambda line: line[0],
)
def test_the_errors_of_a_broker(
    line: list[str],
    kind: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    info = folder / "acme_micro-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-micro\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[micro_rt.broker]\nacme = acme_backend:Broker\n")
    (folder / "acme_backend.py").write_text(BROKER)
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    printed = run(["events", *line, "--broker", f"acme:{kind}"], capsys)
    assert FORGED in printed
    assert "\\u001b[2J" in printed


class _Registry(MemoryRegistry):
    async def open(self) -> None:
        raise micro.Unavailable(f"the agent says {HOSTILE}, see kafka://me:Canary7@h")


def test_why_a_service_does_not_start() -> None:
    service = micro.Service("lab", registry=_Registry("memory:"))
    service.handle(Lab())
    with pytest.raises(SystemExit) as caught:
        service.run()
    assert isinstance(caught.value.code, str)  # Python prints it to standard error.
    text = check(caught.value.code)
    assert "\\u001b[2J" in text
    assert "Canary7" not in text
