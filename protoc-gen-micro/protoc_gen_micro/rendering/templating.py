"""The templates as Jinja2 sees them: where they are, and what they may call. Not loaded in a normal run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from protoc_gen_micro.python import aliases, header, text

__all__ = ["FUNCTIONS", "TEMPLATES", "environment", "template_folder", "user_environment"]

FUNCTIONS: dict[str, Any] = {
    "alias_lines": aliases.alias_lines,
    "annotated": text.annotated,
    "builtins_of": aliases.builtins_of,
    "bytes_literal": text.bytes_literal,
    "docstring": text.docstring,
    "globals_of": aliases.globals_of,
    "header": header.header,
    "indented": text.indented,
    "layout": text.layout,
    "literal": text.literal,
    "private_name": aliases.private_name,
    "protobuf_guard": header.protobuf_guard,
    "protobuf_needed": header.protobuf_needed,
    "returned": text.returned,
    "runtime_guard": header.runtime_guard,
    "signature": text.signature,
    "str": str,
}
"""What templates may call, as functions or as filters."""

TEMPLATES = {
    "codecs.py.j2": {"file": "File", "use": "Codecs"},
    "dataclasses.py.j2": {"file": "File", "use": "Classes"},
    "messages.py.j2": {"file": "File", "imports": "Imports"},
    "messages.pyi.j2": {"file": "File", "use": "Hints"},
    "stubs.py.j2": {"file": "File", "imports": "Imports", "stubs": "Stubs"},
}
"""The built-in templates, and the variables that each is given, with their types."""


def template_folder() -> Path:
    """Returns the folder of the built-in templates: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent.parent
    installed = package / "templates"
    return installed if installed.is_dir() else package.parent.parent / "templates"


def environment(folder: Path | None = None) -> jinja2.Environment:
    """Returns the environment in which the built-in templates are parsed and rendered.

    Args:
        folder: where the templates are, if not the built-in ones.
    """
    result = _environment(jinja2.FileSystemLoader(folder or template_folder()))
    result.globals.clear()
    result.globals.update(FUNCTIONS)
    result.filters.clear()
    result.filters.update(FUNCTIONS)
    return result


def user_environment(folder: Path) -> jinja2.Environment:
    """Returns the environment of a user's own templates: all that Jinja2 has, and what the built-in ones may call.

    They include the built-in ones as ``{% include "built-in/stubs.py.j2" %}``.

    Args:
        folder: where the templates are.
    """
    built_in = jinja2.PrefixLoader({"built-in": jinja2.FileSystemLoader(template_folder())})
    result = _environment(jinja2.ChoiceLoader([jinja2.FileSystemLoader(folder), built_in]))
    result.globals.update(FUNCTIONS)
    result.filters.update(FUNCTIONS)
    return result


def _environment(loader: jinja2.BaseLoader) -> jinja2.Environment:
    return jinja2.Environment(
        loader=loader,
        autoescape=False,  # noqa: S701  # the output is Python, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
