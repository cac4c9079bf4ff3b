"""The templates as Jinja2 sees them: where they are, and what they may call. Not loaded in a normal run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from protoc_gen_micro import text

__all__ = ["FUNCTIONS", "TEMPLATES", "environment", "template_folder"]

FUNCTIONS: dict[str, Any] = {
    "bytes_literal": text.bytes_literal,
    "docstring": text.docstring,
    "indented": text.indented,
    "layout": text.layout,
    "literal": text.literal,
    "str": str,
}
"""What templates may call, as functions or as filters."""

TEMPLATES = {
    "dataclasses.py.j2": {"file": "File", "use": "Classes"},
    "messages.py.j2": {"file": "File", "imports": "Imports"},
    "messages.pyi.j2": {"file": "File", "use": "Hints"},
    "stubs.py.j2": {"file": "File", "imports": "Imports", "stubs": "Stubs"},
}
"""The built-in templates, and the variables that each is given, with their types."""


def template_folder() -> Path:
    """Returns the folder of the built-in templates: inside the package when installed, beside it in a checkout."""
    here = Path(__file__).parent
    installed = here / "templates"
    return installed if installed.is_dir() else here.parent.parent / "templates"


def environment(folder: Path | None = None) -> jinja2.Environment:
    """Returns the environment in which templates are parsed and rendered.

    Args:
        folder: where the templates are, if not the built-in ones.
    """
    result = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder or template_folder()),
        autoescape=False,  # the output is Python, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    result.globals.clear()
    result.globals.update(FUNCTIONS)
    result.filters.clear()
    result.filters.update(FUNCTIONS)
    return result
