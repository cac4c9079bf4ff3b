"""No name of a .proto file in a folder that is compiled is read as an option."""

from __future__ import annotations

from pathlib import Path

import pytest

from micro_rt.cli.main import main

SHOP = 'syntax = "proto3";\npackage shop;\nmessage Basket { string id = 1; }\n'


def commands(folder: Path) -> dict[str, list[str]]:
    """Returns the command lines that compile every file of a folder."""
    good = folder.parent / "good"
    good.mkdir(exist_ok=True)
    (good / "shop.proto").write_text(SHOP)
    return {
        "generate": ["generate", "-I", str(folder), "--out", str(folder.parent / "out"), str(folder)],
        "generate file": ["generate", "--out", str(folder.parent / "out"), *_files(folder)],
        "check old": ["events", "check", "--all", str(folder), str(good)],
        "check new": ["events", "check", "--all", str(good), str(folder)],
    }


def _files(folder: Path) -> list[str]:
    """Returns the files as an argument can name them, the working folder being theirs."""
    return [f"./{file.relative_to(folder)}" for file in sorted(folder.rglob("*.proto")) if file.is_file()]


COMMANDS = ("generate", "generate file", "check old", "check new")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "hostile"
    made.mkdir()
    (made / "shop.proto").write_text(SHOP)
    monkeypatch.chdir(made)
    return made


def _below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("broken", [False, True])
def test_no_file_gives_the_compiler_a_list_of_options(
    command: str, broken: bool, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = folder / "run.sh"
    program.write_text("#!/bin/sh\necho planted > PLANTED\n")
    program.chmod(0o755)
    (folder / "args.proto").write_text(f"--plugin=protoc-gen-x={program}\n--x_out=.\nshop.proto\n")
    (folder / "@args.proto").write_text("")
    if broken:  # Files are then compiled one by one.
        (folder / "a.proto").write_text("mistake")
    _check_refused(command, "@args.proto", folder, capsys)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", ["--python_out=victim.proto", "-x.proto", "--x.proto", "-Ivictim.proto", "@a/b.proto"])
def test_no_file_is_an_option_of_the_compiler(
    command: str, name: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "victim.proto").mkdir()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(SHOP.replace("shop", "other"))
    _check_refused(command, name, folder, capsys)


def _check_refused(command: str, name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Checks that a command refuses the name of a file, says so, and writes nothing anywhere."""
    line = commands(folder)[command]
    before = _below(folder.parent)
    status = main(line)
    printed = capsys.readouterr()
    assert _below(folder.parent) == before
    assert status == (1 if command.startswith("generate") else 2)
    assert f"{name}: protoc takes a name that begins with {name[0]} for an option; rename it" in printed.err
    if command.startswith("check"):
        assert command.partition(" ")[2].upper() in printed.err


def test_such_a_name_in_a_folder_below_is_a_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "-other.proto").write_text(SHOP.replace("shop", "other"))
    assert main(commands(folder)["check new"]) == 0
    assert main(commands(folder)["generate"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "sub/_other_pb2.py" in printed.out
