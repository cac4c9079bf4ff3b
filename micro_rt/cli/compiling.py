"""Finding and compiling .proto files in this process, for the commands that take them."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from importlib.resources import files
from pathlib import Path, PurePath

from google.protobuf import descriptor_pb2

from micro_rt.cli.messages import say
from micro_rt.text import utf8
from micro_rt.validation.rules_file import RULES_FILE, rules_file

__all__ = ["CommandError", "check_roots", "compile_protos", "proto_names"]


_PLACED = re.compile(r"[^\s:]+\.proto:").match
"""Matches a line of protoc that names a file. Text from a .proto may contain a line break, so other lines get a prefix."""


class CommandError(Exception):
    """Ends a command.

    Args:
        problems: the messages for the user, a line each; empty if protoc has written its own.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def check_roots(roots: Iterable[Path]) -> None:
    """Checks the folders that imports start from.

    Raises:
        CommandError: one of them is not a folder.
    """
    problems = [f"-I {root} is not a folder" for root in roots if not root.is_dir()]
    if problems:
        raise CommandError(*problems)


def proto_names(path: Path, roots: Sequence[Path]) -> list[str]:
    """Returns the names by which protoc knows the files at a path: their paths from the folder that imports start from.

    As with protoc, what does not exist below the current folder is looked for below those folders, and so is a file that is
    outside them.

    Args:
        path: a .proto file, or a folder: of that, every .proto file in it and in its folders, except hidden folders and
            virtual environments.
        roots: the folders that imports start from; they exist.

    Raises:
        CommandError: there is no such file or folder, it is in none of the folders, or it holds nothing.
    """
    if path.is_dir():
        return _names_in(path, path, roots)
    if path.is_file():
        try:
            return [_name(path, roots)]
        except _OutsideError:
            if any((root / path).is_file() for root in roots):
                return [path.as_posix()]
            raise
    if not path.is_absolute():
        for root in roots:
            if (root / path).is_file():
                return [PurePath(os.path.normpath(path)).as_posix()]
            if (root / path).is_dir():
                return _names_in(root / path, path, roots)
    raise CommandError(f"{path} is not a file")


class _OutsideError(CommandError):
    """A file is in none of the folders that imports start from."""

    def __init__(self, path: Path, folder: Path, roots: Iterable[Path]) -> None:
        listed = ", ".join(str(root) for root in roots)
        super().__init__(f"{path} is outside the folders that imports start from ({listed}); add -I {folder}")


def _name(path: Path, roots: Sequence[Path]) -> str:
    absolute = PurePath(os.path.abspath(path))  # noqa: PTH100 - resolve() would leave the root through a symbolic link
    for root in roots:
        top = PurePath(os.path.abspath(root))  # noqa: PTH100
        if absolute.is_relative_to(top):
            name = absolute.relative_to(top)
            for earlier in roots[: roots.index(root)]:
                if (earlier / name).is_file():
                    raise CommandError(
                        f"{path} is hidden by {earlier / name}: of several -I, the first that has a file counts"
                    )
            return name.as_posix()
    raise _OutsideError(path, path.parent, roots)


def _names_in(folder: Path, shown: Path, roots: Sequence[Path]) -> list[str]:
    names: list[str] = []
    problems: list[CommandError] = []
    for path in _protos_in(folder):
        try:
            names.append(_name(path, roots))
        except CommandError as error:
            problems.append(error)
    if not names and not problems:
        raise CommandError(f"{shown} is a folder without .proto files")
    if not names and all(isinstance(problem, _OutsideError) for problem in problems):
        raise _OutsideError(shown, shown, roots)
    if problems:
        raise CommandError(*(text for problem in problems for text in problem.problems))
    return names


def _protos_in(folder: Path) -> Iterator[Path]:
    for top, folders, names in os.walk(folder):
        here = Path(top)
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and not (here / name / "pyvenv.cfg").exists()
        )
        yield from (here / name for name in sorted(names) if name.endswith(".proto"))


def compile_protos(names: Sequence[str], roots: Sequence[Path]) -> descriptor_pb2.FileDescriptorSet:
    """Runs protoc in this process, and shows what it says.

    protoc stops at the first file that does not compile. The others are then compiled one by one, so that the mistakes of
    all of them are shown.

    Args:
        names: the files, as protoc knows them.
        roots: the folders that imports start from; those of protobuf's own files and of micro-rt's come behind, and then
            ``buf/validate/validate.proto``, if ``protovalidate`` is installed.

    Raises:
        CommandError: grpcio-tools is not installed, protoc would read the name of a file as something else or print what
            controls a terminal, or a file does not compile.
    """
    _check_names(names, roots)
    try:
        protoc = import_module("grpc_tools.protoc")
    except ModuleNotFoundError as error:
        raise CommandError('needs the compiler of grpcio-tools: pip install "micro-rt[tools]"') from error
    # Ours come last, so that a file of the user's goes before one of the same name.
    shipped = [Path(str(files("grpc_tools"))) / "_proto", Path(str(files("micro_rt"))).parent]
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "descriptors"
        command = ["protoc", "--include_imports", "--include_source_info", f"--descriptor_set_out={target}"]
        command += [f"-I{path}" for path in (*roots, *shipped)]
        status, said = _compiled(protoc.main, command, names)
        if status != 0 and any(RULES_FILE in line for line in said) and (rules := rules_file()) is not None:
            known = Path(folder) / "rules"
            known.write_bytes(descriptor_pb2.FileDescriptorSet(file=[rules]).SerializeToString())
            # protoc looks there for what is in none of the folders.
            status, said = _compiled(protoc.main, [*command, f"--descriptor_set_in={known}"], names)
        # An import that several files share is compiled with each of them.
        for line in dict.fromkeys(said):
            if _EDITION.search(line):
                line = f"{line.removesuffix('.')}: {_NEW_EDITION}"
            say(line if _PLACED(line) else f"protoc: {line}")
        if status != 0:
            raise CommandError
        return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


_EDITION = re.compile(r": (Edition \w+ is later than the maximum supported edition|Unknown edition \"20\d\d\")")
_NEW_EDITION = "the compiler of grpcio-tools does not know it; run protoc-gen-micro with a protoc or buf that does"


def _check_names(names: Sequence[str], roots: Iterable[Path]) -> None:
    """Refuses names that protoc cannot take, or reads as something else.

    protoc takes options and files in one list: ``--x_out=.`` is an option, and ``@file`` reads a file of options. So a file in
    a folder of somebody else could name a program for protoc to run, or a folder for it to write into. protoc prints a name as
    it is, so a line break or an escape in one would forge a line or control a terminal.
    """
    problems = [
        f"{name}: has characters that cannot be printed in its name; rename it"
        for name in names
        if not name.isprintable()
    ]
    problems += [
        f"-I {root}: its path is not UTF-8, and protoc takes no other; rename it"
        for root in roots
        if utf8(str(root)) != str(root)
    ]
    problems += [
        f"{name}: protoc takes a name that begins with {name[0]} for an option; rename it, or start imports elsewhere with -I"
        for name in names
        if name.startswith(("-", "@"))
    ]
    if problems:
        raise CommandError(*problems)


def _compiled(run: Callable[[list[str]], int], command: Sequence[str], names: Sequence[str]) -> tuple[int, list[str]]:
    """Runs protoc; returns its result, and what it says: of all files, if one does not compile."""
    status, said = _captured(run, [*command, *names])
    if status != 0 and len(names) > 1:
        for name in names:
            said += _captured(run, [*command, name])[1]
    return status, said


def _captured(run: Callable[[list[str]], int], arguments: list[str]) -> tuple[int, list[str]]:
    """Calls code that is not Python's; returns its result and the lines that it writes to standard error."""
    sys.stderr.flush()
    before = os.dup(2)
    with tempfile.TemporaryFile() as output:
        os.dup2(output.fileno(), 2)
        try:
            status = run(arguments)
        finally:
            os.dup2(before, 2)
            os.close(before)
        output.seek(0)
        said = output.read().decode(errors="replace").replace("\r\n", "\n")
        return status, [line for line in said.split("\n") if line]
