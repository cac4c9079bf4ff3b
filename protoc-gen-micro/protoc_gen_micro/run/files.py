"""Which files of a request a run generates, what is wrong with them, and what their modules may meet in Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from google.protobuf import __version__ as _runtime_version
from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

from protoc_gen_micro.errors import GenerateError
from protoc_gen_micro.python.installed import editable_folders, has_package, hidden_by, installed_modules
from protoc_gen_micro.python.modules import Modules, unimportable
from protoc_gen_micro.python.shipped import MICRO_RT, WELL_KNOWN
from protoc_gen_micro.schema.model import File
from protoc_gen_micro.schema.options import ANNOTATIONS
from protoc_gen_micro.schema.reserved import moved
from protoc_gen_micro.schema.rules import RULES_FILE, has_rules

__all__ = [
    "EditionError",
    "MAXIMUM_EDITION",
    "MINIMUM_EDITION",
    "check_editions",
    "check_modules",
    "files_to_write",
    "find_installed",
    "hidden",
    "left_out",
    "replacing",
    "unchecked",
    "used_by",
    "without_classes",
]


class EditionError(GenerateError):
    """A file is of an edition that this plugin, or the protobuf that it runs on, does not know."""


_NEWEST_EDITION = 1002
"""Edition 2026, which ``descriptor_pb2`` names only from protobuf 7.35 on."""

MINIMUM_EDITION = descriptor_pb2.EDITION_PROTO2
MAXIMUM_EDITION = max(number for number in descriptor_pb2.Edition.values() if number <= _NEWEST_EDITION)
"""The newest edition that this plugin knows, and the protobuf that it runs on too."""


def check_editions(request: plugin_pb2.CodeGeneratorRequest) -> None:
    """Refuses files to generate that are not in the request, or of an edition that nobody here knows.

    Raises:
        GenerateError: there is such a file; an ``EditionError`` if its edition is what is wrong.
    """
    files = {file.name: file for file in request.proto_file}
    for path in request.file_to_generate:
        if path not in files:
            raise GenerateError("is to be generated, but the request does not hold it", path=path)
        file = files[path]
        # A protobuf that does not know the number of the edition reads no edition.
        if file.edition > MAXIMUM_EDITION or (file.syntax == "editions" and file.edition < MINIMUM_EDITION):
            newest = descriptor_pb2.Edition.Name(MAXIMUM_EDITION).removeprefix("EDITION_")
            cure = "update micro-rt"
            if MAXIMUM_EDITION < _NEWEST_EDITION:
                cure = f"update protobuf, which is {_runtime_version} where the plugin runs"
            raise EditionError(f"its edition is newer than {newest}, the newest one known: {cure}", path=path)


def check_modules(files: Iterable[descriptor_pb2.FileDescriptorProto], modules: Modules) -> None:
    """Refuses two files that would write one module, files that no import can be written for, and copies of our names.

    Raises:
        GenerateError: there is such a file.
    """
    by_module: dict[str, str] = {}
    for file in files:
        if file.name in MICRO_RT and file.package != MICRO_RT[file.name]:
            problem = "micro-rt has another file of this name, and protobuf takes one of them in a process; rename it"
            raise GenerateError(problem, path=file.name)
        elsewhere = modules.elsewhere(file.name)
        module = elsewhere or modules.name(file.name)
        other = file.name if elsewhere else by_module.setdefault(module, file.name)
        if other != file.name:
            problem = f"would write the Python module {module!r}, as {other} does; rename one of the two files"
            raise GenerateError(problem, path=file.name)
        part = unimportable(module)
        if part:
            problem = f"cannot be a Python module: {part!r} is not a name that import can be written with; rename it"
            raise GenerateError(problem, path=file.name)


def find_installed(request: plugin_pb2.CodeGeneratorRequest, modules: Modules, folders: Sequence[str]) -> Modules:
    """Returns the modules with those that installed distributions have for files which the run does not generate."""
    named = set(request.file_to_generate)
    others = [file.name for file in request.proto_file if file.name not in named and not modules.elsewhere(file.name)]
    return modules._replace(installed=installed_modules(others, modules.suffix, folders)) if others else modules


def files_to_write(request: plugin_pb2.CodeGeneratorRequest, modules: Modules, runtime: bool) -> list[str]:
    """Returns the files to write, in the order of the request.

    Beside the named files, these are protobuf's own ones that they import and that the runtime has no module for, such
    as ``google/protobuf/go_features.proto``: protoc brings them, so that a user has no file to name.

    Args:
        request: the request.
        modules: where the modules are.
        runtime: whether the files of micro_rt are generated too.
    """
    chosen = {
        path: None for path in request.file_to_generate if (runtime and path in MICRO_RT) or not modules.elsewhere(path)
    }
    if not modules.ours:
        return list(chosen)
    files = {file.name: file for file in request.proto_file}
    pending = list(chosen)
    while pending:
        for path in files[pending.pop()].dependency:
            if path.startswith(f"{WELL_KNOWN}/") and path not in chosen and not modules.elsewhere(path):
                chosen[path] = None
                pending.append(path)
    return list(chosen)


def left_out(request: plugin_pb2.CodeGeneratorRequest, modules: Modules, runtime: bool, nothing: bool) -> Iterator[str]:
    """Yields warnings about the named files that are not written, because their modules are elsewhere.

    In a run that writes something, the options of micro-rt are not mentioned: buf names them in each run, for a module
    that a user adds for them. Nor are the files that the user has named a module for.

    Args:
        request: the request.
        modules: where the modules are.
        runtime: whether the files of micro_rt are generated too.
        nothing: whether the run writes nothing.
    """
    mapped = [path for path in request.file_to_generate if modules.mapped(path)]
    if mapped and nothing:
        yield (
            f"{_listed(mapped)}: not written, because map= says where the modules are: leave out that entry to generate them"
        )
    paths = [
        path
        for path in request.file_to_generate
        if (path != ANNOTATIONS or nothing) and not runtime and not modules.mapped(path) and modules.shipped(path)
    ]
    if paths:
        owner = "micro-rt" if all(path in MICRO_RT for path in paths) else "the runtime of the messages"
        yield f"{_listed(paths)}: not written, because {owner} has the modules; map= names others"


def hidden(paths: Iterable[str], modules: Modules, folders: Sequence[str]) -> Iterator[str]:
    """Yields a warning for each package that hides generated modules at the import root.

    Args:
        paths: the files that are written.
        modules: where the modules are.
        folders: where distributions are installed.
    """
    if modules.package or modules.inside:
        return
    places: list[str] = []
    seen: set[str] = set()
    warned: set[str] = set()
    for path in paths:
        module = modules.name(path)
        packages = module.split(".")[:-1]
        folder = ".".join(packages)
        if not folder or folder in seen or path in MICRO_RT:
            continue
        if not seen:
            places = [*folders, *editable_folders(folders)]
        seen.add(folder)
        changed = [one for one, other in zip(packages, moved(packages), strict=True) if one != other]
        # Only protoc's own names (messages=none) can be those that we would move.
        package = changed[0] if changed and not modules.ours else hidden_by(module, places)
        if package and package not in warned:
            warned.add(package)
            yield (
                f"{path}: Python has a package {package!r} of its own, so it finds the module {module!r} only inside "
                "another package: name the one that holds the output with package=, or rename the folder"
            )


def replacing(paths: Iterable[str], modules: Modules) -> Iterator[str]:
    """Yields a warning for each file that gives a name to something which Python gives to the module itself.

    The runtime of the messages puts messages, enums and their values into the module under their own names, whichever plugin
    wrote it. In the betterproto dialect, values stay in their enums.

    Args:
        paths: the files that are written.
        modules: where the modules are.
    """
    if modules.suffix != "_pb2":
        return
    for path in paths:
        if found := modules.exports[path] & _MODULE_ATTRIBUTES:
            names = ", ".join(sorted(found))
            yield f"{path}: its module, and those that import it, may fail: Python itself uses what it defines ({names}); rename it"


def unchecked(request: plugin_pb2.CodeGeneratorRequest, paths: Iterable[str], folders: Sequence[str]) -> Iterator[str]:
    """Yields a warning about written files with rules of ``buf.validate``, if ``protovalidate`` is not installed here.

    Args:
        request: the request.
        paths: the files that are written.
        folders: where Python looks for modules.
    """
    files = {file.name: file for file in request.proto_file}
    if RULES_FILE not in files:
        return
    found = [path for path in paths if path != RULES_FILE and has_rules(files[path])]
    if found and not has_package("protovalidate", folders):
        yield (
            f"{_listed(found)}: has rules of buf.validate, which services and clients keep only where protovalidate is "
            "installed: pip install 'micro-rt[validate]'"
        )


def used_by(file: File, modules: Modules) -> list[str]:
    """Returns the files that the module of a file uses in the betterproto dialect."""
    used = {path for path in file.public_dependencies if modules.exports[path]}
    used.update(field.type_name.file for message in file.messages for field in message.fields if field.type_name)
    for service in file.services:
        for method in service.methods:
            used.update((method.request.file, method.reply.file))
    return list(used)


def without_classes(used: Iterable[str], modules: Modules, folders: Sequence[str]) -> Iterator[str]:
    """Yields a warning about files whose messages the betterproto dialect uses, and which are installed without it.

    Args:
        used: the files that the modules of the run use, and that the run does not write.
        modules: where the modules are.
        folders: where distributions are installed.
    """
    unknown = sorted(path for path in used if not modules.elsewhere(path))
    installed = installed_modules(unknown, "_pb2", folders)
    if installed:
        yield (
            f"{_listed(list(installed))}: not generated in this run, and what is installed has no classes for "
            "messages=betterproto: generate it too, or name its module with map="
        )


_MODULE_ATTRIBUTES = frozenset({
    "__all__", "__builtins__", "__dir__", "__file__", "__getattr__", "__loader__", "__name__", "__package__", "__path__",
    "__spec__",
})  # fmt: skip
"""What the import system reads of a module."""

_MOST = 5


def _listed(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MOST} more" if len(paths) > _MOST else ""
    return ", ".join(paths[:_MOST]) + more
