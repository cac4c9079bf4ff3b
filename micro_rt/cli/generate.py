"""``micro-rt generate``: from .proto files to Python, with no protoc installed and no plugin to configure."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

from micro_rt.cli.commands import path_argument
from micro_rt.cli.compiling import CommandError, check_roots, compile_protos, proto_names
from micro_rt.cli.drafts import write_files
from micro_rt.cli.messages import report, say
from micro_rt.text import printable, utf8
from micro_rt.validation.rules_file import RULES_FILE
from protoc_gen_micro.python.installed import installed_modules, site_folders
from protoc_gen_micro.run.generate import respond

__all__ = ["CommandError", "configure", "generate", "run"]

_DESCRIPTION = """\
Writes greeter_pb2.py, greeter_pb2.pyi and, if it has services or events, greeter_micro.py for greeter.proto; events are
described in greeter.asyncapi.json too.
micro_rt/annotations.proto and protobuf's own files are found without -I, and buf/validate/validate.proto where protovalidate is
installed; its module is written too."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.description = _DESCRIPTION
    parser.add_argument(
        "files",
        nargs="+",
        type=path_argument,
        metavar="PATH",
        help="a .proto file, or a folder: every .proto file in it",
    )
    parser.add_argument(
        "-I",
        dest="roots",
        action="append",
        type=path_argument,
        metavar="DIR",
        help="a folder that imports start from; may be given more than once (default: the current folder)",
    )
    parser.add_argument(
        "--out",
        type=path_argument,
        default=Path(),
        metavar="DIR",
        help="where to write (default: the current folder); if it has an __init__.py, imports are relative, as with --opt package=.",
    )
    parser.add_argument(
        "--opt", action="append", default=[], metavar="KEY=VALUE", help="an option of protoc-gen-micro, as --micro_opt"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the command; prints the path of each file written, or what is wrong."""
    try:
        written = generate(arguments.files, arguments.roots or [Path()], arguments.out, ",".join(arguments.opt))
    except CommandError as error:
        for problem in error.problems:
            report("generate", problem)
        return 1
    for path in written:
        print(printable(str(path)))
    return 0


def generate(
    paths: Sequence[Path], roots: Sequence[Path], out: Path, options: str = "", *, runtime: bool = False
) -> list[Path]:
    """Generates the code of .proto files, and returns the paths of the files written.

    Args:
        paths: .proto files, and folders of them.
        roots: the folders that imports start from.
        out: where to write; if it is a Python package (it has an ``__init__.py``), that is ``package=.``.
        options: those of protoc-gen-micro, ``"key=value,key=value"``.
        runtime: whether to write the modules of micro-rt's own files too, which nobody else needs.

    Raises:
        CommandError: something is wrong, with all that is; nothing was written.
    """
    check_roots(roots)
    if (out / "__init__.py").is_file() and not any(part.strip().startswith("package=") for part in options.split(",")):
        options = f"{options},package=."
    names: dict[str, None] = {}
    problems: list[str] = []
    for path in paths:
        try:
            names.update(dict.fromkeys(proto_names(path, roots)))
        except CommandError as error:
            problems += error.problems
    if not names:
        raise CommandError(*problems)
    try:
        files = compile_protos(list(names), roots).file
    except CommandError as error:
        raise CommandError(*error.problems, *problems) from error
    names.update(dict.fromkeys(_rules(files, roots, options)))
    request = plugin_pb2.CodeGeneratorRequest(file_to_generate=names, parameter=utf8(options), proto_file=files)
    response = respond(request, runtime=runtime, warn=_warn)
    if response.error or problems:
        raise CommandError(*filter(None, response.error.split("\n")), *problems)
    try:
        return write_files([(out / file.name, file.content.encode()) for file in response.file])
    except OSError as error:
        raise CommandError(f"cannot write {error.filename}: {error.strerror}") from error


def _rules(files: Iterable[descriptor_pb2.FileDescriptorProto], roots: Sequence[Path], options: str) -> Iterator[str]:
    """Yields the file of the rules, if the run needs its module, and neither the user nor a distribution has it.

    Args:
        files: of the run.
        roots: the folders that imports start from.
        options: of the run. The dialect betterproto needs no such module.
    """
    needed = any(RULES_FILE in file.dependency for file in files) and "messages=betterproto" not in options
    given = any((root / RULES_FILE).is_file() for root in roots)
    if needed and not given and not installed_modules([RULES_FILE], "_pb2", site_folders()):
        yield RULES_FILE


def _warn(text: str) -> None:
    first, *more = text.split("\n")
    report("generate", f"warning: {first}")
    for line in more:
        say(f"  {line.strip()}")  # Nothing but the first line begins like one of the command.
