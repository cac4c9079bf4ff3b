"""Declarations of the betterproto dialect are what the formatters write, however long their names are."""

from __future__ import annotations

from pathlib import Path

import pytest

from protoc_gen_micro.betterproto.declarations import declaration
from protoc_gen_micro.python.text import indented
from tests.codegen.tools import generate, run, write

HINTS = ("{}", "{} | None", "list[{}]", "dict[str, {}]")
ARGUMENTS = (("1", '"message"', "lambda: {}"), ("1", '"message"', "lambda: {}", "repeated=True", 'json="some"'))


def test_a_declaration_is_what_the_formatters_write(tmp_path: Path) -> None:
    parts: list[str] = []
    for hint in HINTS:
        for arguments in ARGUMENTS:
            for size in (1, 10, 31):
                for length in range(30, 125):
                    name = "X" * length
                    given = [argument.format(name) for argument in arguments]
                    line = declaration("n" * size, hint.format(name), "_betterproto.field(", given)
                    parts.append(f"class A:\n    {indented(line)}\n")
    write(tmp_path, {"all.py": "\n\n".join(parts)})
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", tmp_path)


@pytest.mark.parametrize("length", [30, 93, 94, 95, 100, 120])
def test_classes_with_long_names_are_what_the_formatters_write(length: int, tmp_path: Path) -> None:
    name = "X" * length
    source = f'syntax = "proto3";\nmessage {name} {{\n  int32 a = 1;\n}}\nenum E{name} {{\n  A = 0;\n}}\n'
    response = generate(tmp_path / "protos", {"long.proto": source}, "messages=betterproto")
    assert not response.error
    write(tmp_path / "out", {file.name: file.content for file in response.file})
    said = run("ruff", "format", "--isolated", "--diff", "--line-length", "120", tmp_path / "out", check=False)
    assert not said.stdout
