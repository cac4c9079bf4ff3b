"""From the schema to text: which files a .proto file becomes, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from protoc_gen_micro.errors import GenerateError
from protoc_gen_micro.python.hints import Hints
from protoc_gen_micro.python.imports import Imports, plan_modules
from protoc_gen_micro.python.modules import Modules
from protoc_gen_micro.python.stubs import Stubs
from protoc_gen_micro.rendering import compiled
from protoc_gen_micro.run.parameters import Parameters
from protoc_gen_micro.schema.model import File

if TYPE_CHECKING:
    from protoc_gen_micro.betterproto.classes import Classes
    from protoc_gen_micro.betterproto.codecs import Codecs

__all__ = ["Templates", "render"]


class Templates(Protocol):
    """The templates as functions: those compiled ahead, or the user's own in front of them."""

    def messages_py(self, file: File, imports: Imports) -> str:
        """Renders ``messages.py.j2``."""
        ...

    def messages_pyi(self, file: File, use: Hints) -> str:
        """Renders ``messages.pyi.j2``."""
        ...

    def codecs_py(self, file: File, use: Codecs) -> str:
        """Renders ``codecs.py.j2``."""
        ...

    def dataclasses_py(self, file: File, use: Classes) -> str:
        """Renders ``dataclasses.py.j2``."""
        ...

    def stubs_py(self, file: File, imports: Imports, stubs: Stubs) -> str:
        """Renders ``stubs.py.j2``."""
        ...


def render(
    file: File, modules: Modules, parameters: Parameters, templates: Templates = compiled
) -> Iterator[tuple[str, str]]:
    """Yields the path and the text of each file that a .proto file becomes.

    Args:
        file: the .proto file.
        modules: where the modules of the run are.
        parameters: the options of the run.
        templates: what writes the text.
    """
    if parameters.messages == "protobuf":
        imports = plan_modules(file.path, file.dependencies, file.public_dependencies, modules)
        messages = modules.name(file.path).replace(".", "/")
        yield f"{messages}.py", templates.messages_py(file, imports)
        yield f"{messages}.pyi", templates.messages_pyi(file, Hints(file, modules))
    elif parameters.messages == "betterproto":
        from protoc_gen_micro.betterproto.classes import Classes
        from protoc_gen_micro.betterproto.codecs import SUFFIX, Codecs

        messages = modules.name(file.path).replace(".", "/")
        classes = Classes(file, modules)
        yield f"{messages}.py", templates.dataclasses_py(file, classes)
        if file.messages:
            yield f"{messages}{SUFFIX}.py", templates.codecs_py(file, Codecs(file, modules, classes))
    if file.services or file.events:
        if parameters.messages == "none":
            _check_names(file)
        stubs = Stubs(file, modules)
        path = modules.name(file.path, "_micro").replace(".", "/")
        yield f"{path}.py", templates.stubs_py(file, stubs.imports, stubs)


def _check_names(file: File) -> None:
    """Refuses messages that only our own modules have a name for that Python can write."""
    used = [
        (method.full_name, message)
        for service in file.services
        for method in service.methods
        for message in (method.request, method.reply)
    ]
    used += [(event.full_name, event.type_name) for event in file.events]
    for symbol, message in used:
        name = ".".join(message.names)
        if not f".{message.full_name}".endswith(f".{name}"):
            raise GenerateError(
                f"its message {message.full_name} has a keyword for a name, which only messages of this plugin can "
                "be used with; rename it, or leave out messages=none",
                path=file.path,
                symbol=symbol,
            )
