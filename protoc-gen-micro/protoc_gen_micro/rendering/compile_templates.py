"""Compiles the built-in templates to plain Python: ``python -m protoc_gen_micro.rendering.compile_templates [--check]``.

Loading Jinja2 costs a run more than generating a small file does. So the templates are translated ahead, into
functions that do what Jinja2 would do, and are typed besides: mypy checks the templates with them. Only a part of
the language is understood, and anything else is refused with its place.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from jinja2 import nodes

from protoc_gen_micro.rendering.templating import FUNCTIONS, TEMPLATES, environment, template_folder

__all__ = ["TemplateError", "compile_template", "compile_templates", "main"]

MACRO_ARGUMENTS = {
    "enum": "Enum",
    "field": "Field",
    "file": "File",
    "levels": "int",
    "message": "Message",
    "method": "Method",
    "service": "Service",
}
"""The types of macro arguments: an argument is called like what it is."""


class TemplateError(Exception):
    """A template uses something that is not understood."""

    def __init__(self, template: str, line: int, message: str) -> None:
        super().__init__(f"{template}:{line}: {message}")


def compile_templates(folder: Path | None = None) -> str:
    """Returns the module of all built-in templates.

    Raises:
        TemplateError: a template uses something that is not understood.
    """
    sources = environment(folder)
    functions: list[str] = []
    for name, variables in TEMPLATES.items():
        path = (folder or template_folder()) / name
        tree = sources.parse(path.read_text(encoding="utf-8"), name)
        functions.append(compile_template(name, tree, variables))
    names = ", ".join(f'"{_function_name(name)}"' for name in TEMPLATES)
    return _HEAD.replace("NAMES", names) + "".join(f"\n\n{function}" for function in functions)


def compile_template(name: str, tree: nodes.Template, variables: dict[str, str]) -> str:
    """Returns the function that a template becomes.

    Args:
        name: the template's file name.
        tree: the template, as Jinja2 parses it.
        variables: the variables that it is given, and their types.

    Raises:
        TemplateError: the template uses something that is not understood.
    """
    parameters = ", ".join(f"{variable}: {kind}" for variable, kind in variables.items())
    compiler = _Compiler(name)
    lines = [f"def {_function_name(name)}({parameters}) -> str:", f'    """Renders ``{name}``."""']
    lines += compiler.body(tree.body)
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Writes the compiled templates, or with ``--check`` says whether they are what they should be."""
    arguments = sys.argv[1:] if arguments is None else arguments
    target = Path(__file__).with_name("compiled.py")
    text = compile_templates()
    if "--check" in arguments:
        if target.read_text(encoding="utf-8") == text:
            return 0
        print(
            f"{target.name} is out of date: run python -m protoc_gen_micro.rendering.compile_templates", file=sys.stderr
        )
        return 1
    target.write_text(text, encoding="utf-8")
    return 0


_HEAD = '''"""The built-in templates as Python: written by ``python -m protoc_gen_micro.rendering.compile_templates``, not by hand."""

# fmt: off

from __future__ import annotations

from typing import TYPE_CHECKING

from protoc_gen_micro.python.aliases import alias_lines, builtins_of, globals_of, private_name
from protoc_gen_micro.python.header import header, protobuf_guard, protobuf_needed, runtime_guard
from protoc_gen_micro.python.hints import Hints
from protoc_gen_micro.python.imports import Imports
from protoc_gen_micro.python.stubs import Stubs
from protoc_gen_micro.python.text import (
    annotated,
    bytes_literal,
    docstring,
    indented,
    layout,
    literal,
    returned,
    signature,
)
from protoc_gen_micro.schema.model import Enum, Field, File, Message

if TYPE_CHECKING:
    from protoc_gen_micro.betterproto.classes import Classes
    from protoc_gen_micro.betterproto.codecs import Codecs

__all__ = [NAMES]
'''

_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in", "notin": "not in"}


def _function_name(template: str) -> str:
    return template.removesuffix(".j2").replace(".", "_")


class _Compiler:
    """Translates the nodes of one template."""

    def __init__(self, template: str) -> None:
        self._template = template

    def body(self, body: Iterable[nodes.Node]) -> list[str]:
        """Returns the lines of a function that collects text and returns it."""
        lines = ["out: list[str] = []", *self._statements(body), 'return "".join(out)']
        return [f"    {line}" if line else line for line in lines]

    def _statements(self, body: Iterable[nodes.Node]) -> list[str]:
        lines: list[str] = []
        for node in body:
            if isinstance(node, nodes.Output):
                lines += self._output(node)
            elif isinstance(node, nodes.For):
                lines += self._for(node)
            elif isinstance(node, nodes.If):
                lines += self._if(node)
            elif isinstance(node, nodes.Assign):
                lines.append(f"{self._target(node.target)} = {self._expression(node.node)}")
            elif isinstance(node, nodes.Macro):
                lines += self._macro(node)
            else:
                raise self._refused(node)
        return lines

    def _output(self, node: nodes.Output) -> list[str]:
        lines: list[list[str]] = [[]]
        for child in node.nodes:
            if isinstance(child, nodes.TemplateData):
                for text in child.data.splitlines(keepends=True):
                    lines[-1].append(_quoted(text))
                    if text.endswith("\n"):
                        lines.append([])
            else:
                lines[-1].append(self._expression(child))
        joined = [", ".join(line) for line in lines if line]
        if len(joined) == 1:
            return [f"out += ({joined[0]},)"]
        return ["out += (", *(f"    {line}," for line in joined), ")"]

    def _for(self, node: nodes.For) -> list[str]:
        if node.else_ or node.test or node.recursive:
            raise self._refused(node, "a loop with else, if or recursive")
        head = f"for {self._target(node.target)} in {self._expression(node.iter)}:"
        return [head, *_block(self._statements(node.body))]

    def _if(self, node: nodes.If) -> list[str]:
        lines = [f"if {self._expression(node.test)}:", *_block(self._statements(node.body))]
        for branch in node.elif_:
            lines += [f"elif {self._expression(branch.test)}:", *_block(self._statements(branch.body))]
        if node.else_:
            lines += ["else:", *_block(self._statements(node.else_))]
        return lines

    def _macro(self, node: nodes.Macro) -> list[str]:
        if node.defaults:
            raise self._refused(node, "a macro with defaults")
        for argument in node.args:
            if argument.name not in MACRO_ARGUMENTS:
                raise self._refused(node, f"a macro's argument {argument.name!r}, not one of {sorted(MACRO_ARGUMENTS)}")
        parameters = ", ".join(f"{argument.name}: {MACRO_ARGUMENTS[argument.name]}" for argument in node.args)
        return ["", f"def {node.name}({parameters}) -> str:", *self.body(node.body), ""]

    def _target(self, node: nodes.Node) -> str:
        if isinstance(node, nodes.Name):
            return node.name
        if isinstance(node, nodes.Tuple):
            return ", ".join(self._target(item) for item in node.items)
        raise self._refused(node)

    def _expression(self, node: nodes.Node) -> str:
        match node:
            case nodes.Name():
                return node.name
            case nodes.Const():
                return _quoted(node.value) if isinstance(node.value, str) else repr(node.value)
            case nodes.Getattr():
                return f"{self._expression(node.node)}.{node.attr}"
            case nodes.List():
                return f"[{', '.join(self._expression(item) for item in node.items)}]"
            case nodes.Filter() if node.node is not None:
                return self._call(node, node.name, [node.node, *node.args])
            case nodes.Call():
                return self._call(node, self._expression(node.node), node.args)
            case nodes.Concat():
                return " + ".join(self._expression(part) for part in node.nodes)
            case nodes.Not():
                return f"not {self._nested(node.node)}"
            case nodes.And():
                return f"{self._nested(node.left)} and {self._nested(node.right)}"
            case nodes.Or():
                return f"{self._nested(node.left)} or {self._nested(node.right)}"
            case nodes.Compare() if len(node.ops) == 1:
                operator = _COMPARISONS[node.ops[0].op]
                return f"{self._nested(node.expr)} {operator} {self._nested(node.ops[0].expr)}"
            case nodes.CondExpr() if node.expr2 is not None:
                test, first, second = (self._nested(part) for part in (node.test, node.expr1, node.expr2))
                return f"{first} if {test} else {second}"
            case _:
                raise self._refused(node)

    def _nested(self, node: nodes.Node) -> str:
        text = self._expression(node)
        return f"({text})" if isinstance(node, nodes.And | nodes.Or | nodes.Not | nodes.CondExpr) else text

    def _call(self, node: nodes.Call | nodes.Filter, function: str, arguments: list[nodes.Expr]) -> str:
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise self._refused(node, "a call with keywords or stars")
        if isinstance(node, nodes.Filter) and function not in FUNCTIONS:
            raise self._refused(node, f"the filter {function!r}, not one of {sorted(FUNCTIONS)}")
        return f"{function}({', '.join(self._expression(argument) for argument in arguments)})"

    def _refused(self, node: nodes.Node, what: str = "") -> TemplateError:
        what = what or type(node).__name__
        return TemplateError(self._template, node.lineno, f"{what} is not understood by compile_templates")


def _block(lines: list[str]) -> list[str]:
    return [f"    {line}" if line else line for line in lines or ["pass"]]


def _quoted(text: str) -> str:
    quoted = repr(text)
    return f'"{quoted[1:-1]}"' if quoted.startswith("'") and '"' not in quoted else quoted


if __name__ == "__main__":
    sys.exit(main())
