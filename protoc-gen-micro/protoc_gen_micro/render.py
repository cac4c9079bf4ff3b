"""From the schema to text: which files a .proto file becomes, and what is in them."""

from __future__ import annotations

from collections.abc import Iterator

from protoc_gen_micro import compiled
from protoc_gen_micro.hints import Hints
from protoc_gen_micro.imports import plan_modules
from protoc_gen_micro.modules import Modules
from protoc_gen_micro.parameters import Parameters
from protoc_gen_micro.schema import File
from protoc_gen_micro.stubs import Stubs

__all__ = ["render"]


def render(file: File, modules: Modules, parameters: Parameters) -> Iterator[tuple[str, str]]:
    """Yields the path and the text of each file that a .proto file becomes.

    Args:
        file: the .proto file.
        modules: where the modules of the run are.
        parameters: the options of the run.
    """
    if parameters.messages == "protobuf":
        imports = plan_modules(file.path, file.dependencies, file.public_dependencies, modules)
        messages = modules.name(file.path).replace(".", "/")
        yield f"{messages}.py", compiled.messages_py(file, imports)
        yield f"{messages}.pyi", compiled.messages_pyi(file, Hints(file, modules))
    elif parameters.messages == "betterproto":
        from protoc_gen_micro.classes import Classes

        yield f"{modules.name(file.path).replace('.', '/')}.py", compiled.dataclasses_py(file, Classes(file, modules))
    if file.services:
        stubs = Stubs(file, modules)
        path = modules.name(file.path, "_micro").replace(".", "/")
        yield f"{path}.py", compiled.stubs_py(file, stubs.imports, stubs)
