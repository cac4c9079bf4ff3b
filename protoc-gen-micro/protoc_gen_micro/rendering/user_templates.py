"""A user's own templates, rendered by Jinja2 in place of the built-in ones. Loaded only with ``templates=``."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

import jinja2

from protoc_gen_micro.betterproto.classes import Classes
from protoc_gen_micro.betterproto.codecs import Codecs
from protoc_gen_micro.errors import GenerateError
from protoc_gen_micro.python.hints import Hints
from protoc_gen_micro.python.imports import Imports
from protoc_gen_micro.python.stubs import Stubs
from protoc_gen_micro.rendering import compiled
from protoc_gen_micro.rendering.templating import TEMPLATES, user_environment
from protoc_gen_micro.schema.model import File

__all__ = ["UserTemplates"]


class UserTemplates:
    """The templates of a folder, and the built-in ones where it has none.

    Args:
        folder: the folder; what begins with an underscore in it is for its templates to include.

    Raises:
        GenerateError: the folder has no template, or one that is called like none, or that cannot be read.
    """

    def __init__(self, folder: str) -> None:
        place = Path(folder)
        if not place.is_dir():
            raise GenerateError(f"option 'templates' is {folder!r}, which is not a folder (seen from {Path.cwd()})")
        self._folder = place
        names = [path.name for path in sorted(place.glob("*.j2")) if not path.name.startswith("_")]
        for name in names:
            if name not in TEMPLATES:
                near = get_close_matches(name, TEMPLATES, n=1)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(TEMPLATES)};"
                raise GenerateError(
                    f"replaces no template: {hint} one that others include begins with an underscore",
                    path=str(place / name),
                )
        if not names:
            raise GenerateError(f"option 'templates': {folder} has none of {', '.join(TEMPLATES)}")
        environment = user_environment(place)
        self._own: dict[str, jinja2.Template] = {}
        for name in names:
            try:
                self._own[name] = environment.get_template(name)
            except (jinja2.TemplateError, UnicodeDecodeError) as error:
                raise self._error(name, error) from error

    def messages_py(self, file: File, imports: Imports) -> str:
        """Renders ``messages.py.j2``."""
        return self._render("messages.py.j2", compiled.messages_py, file=file, imports=imports)

    def messages_pyi(self, file: File, use: Hints) -> str:
        """Renders ``messages.pyi.j2``."""
        return self._render("messages.pyi.j2", compiled.messages_pyi, file=file, use=use)

    def codecs_py(self, file: File, use: Codecs) -> str:
        """Renders ``codecs.py.j2``."""
        return self._render("codecs.py.j2", compiled.codecs_py, file=file, use=use)

    def dataclasses_py(self, file: File, use: Classes) -> str:
        """Renders ``dataclasses.py.j2``."""
        return self._render("dataclasses.py.j2", compiled.dataclasses_py, file=file, use=use)

    def stubs_py(self, file: File, imports: Imports, stubs: Stubs) -> str:
        """Renders ``stubs.py.j2``."""
        return self._render("stubs.py.j2", compiled.stubs_py, file=file, imports=imports, stubs=stubs)

    def _render(self, name: str, built_in: Callable[..., str], **variables: object) -> str:
        template = self._own.get(name)
        if template is None:
            return built_in(**variables)
        try:
            return template.render(**variables)
        except Exception as error:  # whatever a template does, its line is what the user has to know
            raise self._error(name, error) from error

    def _error(self, name: str, error: Exception) -> GenerateError:
        """Returns the error with the template's file and line."""
        path, line = str(self._folder / name), 0
        if isinstance(error, jinja2.TemplateSyntaxError):
            path, line = error.filename or path, error.lineno
        else:
            for frame, number in traceback.walk_tb(error.__traceback__):
                if frame.f_code.co_filename.endswith(".j2"):
                    path, line = frame.f_code.co_filename, number
        if isinstance(error, jinja2.TemplateNotFound):
            message = f"there is no template {error.name!r} to include"
        elif isinstance(error, jinja2.TemplateError):
            message = error.message or type(error).__name__
        else:
            message = f"{type(error).__name__}: {error}"
        return GenerateError(message, path=path, line=line)
