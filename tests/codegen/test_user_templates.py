"""A user's own templates take the place of single ones, and what is wrong in them is said with its line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from protoc_gen_micro.rendering.templating import FUNCTIONS, TEMPLATES, template_folder
from protoc_gen_micro.run.generate import respond
from protoc_gen_micro.schema import model as schema
from tests.codegen.tools import NAMES, PROTOS, ROOT, SCRIPTS, protoc, request, run, tree, write

EXAMPLE = ROOT / "examples" / "custom_template"


def test_copies_of_the_built_in_templates_write_the_same(generated: Path, tmp_path: Path) -> None:
    templates = {name: (template_folder() / name).read_text() for name in TEMPLATES}
    write(tmp_path / "templates", templates)
    protoc(tmp_path / "out", [PROTOS, ROOT], NAMES, f"--micro_opt=templates={tmp_path / 'templates'}")
    assert tree(tmp_path / "out") == tree(generated)


def test_one_template_is_replaced_and_the_others_stay(generated: Path, tmp_path: Path) -> None:
    own = '{% include "_head.j2" %}\n{% for s in file.services %}\n{{ s.full_name | upper }}\n{% endfor %}\n'
    write(tmp_path / "templates", {"stubs.py.j2": own, "_head.j2": "# {{ file.path }}\n"})
    protoc(tmp_path / "out", [PROTOS], ["greeter.proto"], f"--micro_opt=templates={tmp_path / 'templates'}")
    out = tree(tmp_path / "out")
    assert out["greeter_micro.py"] == "# greeter.proto\nGREETER.GREETER\n"
    assert out["greeter_pb2.pyi"] == tree(generated)["greeter_pb2.pyi"]


@pytest.mark.parametrize(
    ("template", "line", "problem"),
    [
        ("a\n{{ file.packag }}", 2, "'protoc_gen_micro.schema.model.File object' has no attribute 'packag'"),
        ("a\n\n{% for x in file.services %}\n{{ y }}{% endfor %}", 4, "'y' is undefined"),
        ("a\n{% for x in %}", 2, "Expected an expression, got 'end of statement block'"),
        ("{{ 1 / 0 }}", 1, "ZeroDivisionError: division by zero"),
        ("a\n{% include 'there' %}", 2, "there is no template 'there' to include"),
        ("a\n{{ file.path | nothing }}", 2, "No filter named 'nothing'."),
        ("{% macro m() %}\n{{ literal(1, 2) }}\n{% endmacro %}\n\n{{ m() }}", 2, "TypeError: literal() takes 1 "),
    ],
)
def test_errors_name_the_line(template: str, line: int, problem: str, tmp_path: Path) -> None:
    write(tmp_path, {"own/stubs.py.j2": template})
    said = protoc(tmp_path, [PROTOS], ["greeter.proto"], f"--micro_opt=templates={tmp_path}/own", check=False)
    assert said.startswith(f"--micro_out: {tmp_path}/own/stubs.py.j2:{line}: {problem}")
    assert said.count("\n") == 1


def test_errors_in_what_is_included_name_its_line(tmp_path: Path) -> None:
    write(tmp_path, {"own/stubs.py.j2": '\n{% include "_part.j2" %}', "own/_part.j2": "\n\n{{ nothing }}"})
    said = protoc(tmp_path, [PROTOS], ["greeter.proto"], f"--micro_opt=templates={tmp_path}/own", check=False)
    assert said == f"--micro_out: {tmp_path}/own/_part.j2:3: 'nothing' is undefined\n"


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"stub.py.j2": ""}, "own/stub.py.j2: replaces no template: did you mean stubs.py.j2? one that others include"),
        ({"_only.j2": ""}, "option 'templates': own has none of "),
        ({}, "option 'templates' is 'own', which is not a folder (seen from "),
    ],
)
def test_a_folder_without_templates(files: dict[str, str], problem: str, tmp_path: Path) -> None:
    write(tmp_path, {f"own/{name}": text for name, text in files.items()})
    command = [SCRIPTS / "protoc", f"-I{PROTOS}", "--micro_out=.", "--micro_opt=templates=own", "greeter.proto"]
    assert run(*command, cwd=tmp_path, check=False).stderr.startswith(f"--micro_out: {problem}")


def test_without_jinja(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for name in ("protoc_gen_micro.rendering.user_templates", "protoc_gen_micro.rendering.templating"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    response = respond(request([PROTOS], ["bare.proto"], f"templates={tmp_path}"))
    assert response.error == "option 'templates' needs Jinja2: pip install \"micro-rt[templates]\""


def test_what_templates_see_is_documented() -> None:
    text = (ROOT / "docs" / "generator.md").read_text()
    rows = {row.split("`")[1]: set(row.split("`")[3::2]) for row in text.splitlines() if row.startswith("| `")}
    for name in schema.__all__:
        fields = set(getattr(schema, name)._fields)
        assert rows[name] == (fields | {"kind"} if name == "Method" else fields), name
    for name, variables in TEMPLATES.items():
        assert rows[name] > {f"{variable}: {kind}" for variable, kind in variables.items()}
    assert all(f"`{function}`" in text for function in FUNCTIONS)
    assert all(f"`{option}" in text for option in ("messages=", "package=", "map=", "templates="))


def test_the_example(tmp_path: Path) -> None:
    said = run(sys.executable, "-W", "error", EXAMPLE / "demo.py", cwd=tmp_path).stdout
    assert said == "order 42 costs 19.99\nthe service was asked for ['42']\n"
    options = [f"--micro_opt=templates={EXAMPLE / 'templates'}"]
    protoc(tmp_path, [EXAMPLE], ["orders.proto"], *options)
    run("ruff", "format", "--isolated", "--check", "--line-length", "120", tmp_path)
    run(SCRIPTS / "mypy", "--strict", "orders_micro.py", cwd=tmp_path)
