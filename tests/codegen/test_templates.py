"""The templates compiled ahead do what Jinja2 does, and refuse what they cannot do."""

from __future__ import annotations

from types import SimpleNamespace

import jinja2
import pytest

from protoc_gen_micro.python.hints import Hints
from protoc_gen_micro.python.imports import plan_modules
from protoc_gen_micro.python.modules import Modules
from protoc_gen_micro.python.stubs import Stubs
from protoc_gen_micro.rendering import compile_templates, compiled
from protoc_gen_micro.rendering.templating import TEMPLATES, environment
from protoc_gen_micro.schema.reader import Reader
from tests.codegen.tools import NAMES, PROTOS, ROOT, request


def test_compiled_templates_are_up_to_date() -> None:
    assert compile_templates.main(["--check"]) == 0


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader(request([PROTOS, ROOT], NAMES).proto_file)


@pytest.mark.parametrize("name", NAMES)
def test_compiled_templates_render_as_jinja_does(name: str, reader: Reader) -> None:
    templates = environment()
    file = reader.read(name)
    modules = Modules(reader.exports)
    imports = plan_modules(file.path, file.dependencies, file.public_dependencies, modules)
    hints = Hints(file, modules)
    rendered = templates.get_template("messages.py.j2").render(file=file, imports=imports)
    assert compiled.messages_py(file, imports) == rendered
    rendered = templates.get_template("messages.pyi.j2").render(file=file, use=hints)
    assert compiled.messages_pyi(file, hints) == rendered
    if file.services:
        stubs = Stubs(file, modules)
        rendered = templates.get_template("stubs.py.j2").render(file=file, imports=stubs.imports, stubs=stubs)
        assert compiled.stubs_py(file, stubs.imports, stubs) == rendered


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("\n{% for x in file.services recursive %}{% endfor %}", "a loop with else, if or recursive"),
        ("\n{% for x in file.services %}{% else %}none{% endfor %}", "a loop with else, if or recursive"),
        ("\n{{ file.path | upper }}", "the filter 'upper'"),
        ("\n{{ file.path[1] }}", "Getitem"),
        ("\n{{ indented(text=file.path) }}", "a call with keywords or stars"),
        ("\n{% macro m(x) %}{% endmacro %}", "a macro's argument 'x'"),
        ("\n{% macro m(enum=1) %}{% endmacro %}", "a macro with defaults"),
        ("\n{% include 'x' %}", "Include"),
        ("\n{{ 1 + 2 }}", "Add"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(source: str, what: str) -> None:
    sources = environment()
    sources.filters["upper"] = str.upper
    with pytest.raises(compile_templates.TemplateError) as caught:
        compile_templates.compile_template("some.py.j2", sources.parse(source), {"file": "File"})
    assert str(caught.value).startswith("some.py.j2:2: ")
    assert what in str(caught.value)


def test_compiled_expressions_mean_what_jinja_means() -> None:
    source = """\
{% set word = "a" ~ file.b %}
{% for x, y in file.pairs %}
{{ x }}{{ "," if x != "1" and not y else ";" }}{% if x == "1" or (y and x in ["2"]) %}!{% elif y %}?{% else %}.{% endif %}

{% endfor %}
{{ word | indented }} {{ 'quotes "both" \\'kinds\\'' }}
"""
    tree = environment().parse(source)
    function = compile_templates.compile_template("some.py.j2", tree, {"file": "File"})

    file = SimpleNamespace(b="b\nc", pairs=[("1", ""), ("2", "y"), ("3", ""), ("4", "y")])
    namespace: dict[str, object] = {"File": SimpleNamespace, **environment().globals}
    exec(function, namespace)
    expected = environment().from_string(source).render(file=file)
    assert namespace["some_py"](file) == expected  # type: ignore[operator]
    assert "!" in expected and "?" in expected and "." in expected


def test_every_template_is_compiled() -> None:
    names = {name.removesuffix(".j2").replace(".", "_") for name in TEMPLATES}
    assert names == set(compiled.__all__)
    assert isinstance(environment().get_template("stubs.py.j2"), jinja2.Template)
