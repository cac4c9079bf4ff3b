"""``micro-rt generate``: from .proto files to Python, with no protoc installed and no plugin to configure."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib import import_module
from importlib.resources import files
from pathlib import Path, PurePath

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2

from protoc_gen_micro.generate import respond

__all__ = ["DESCRIPTION", "HELP", "CommandError", "configure", "generate", "run"]

HELP = "write message classes and stubs for .proto files"
DESCRIPTION = """\
Writes greeter_pb2.py, greeter_pb2.pyi and, if it has services, greeter_micro.py for greeter.proto.
micro_rt/annotations.proto and protobuf's own files are found without -I."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a .proto file")
    parser.add_argument(
        "-I",
        dest="roots",
        action="append",
        type=Path,
        metavar="DIR",
        help="a folder that imports start from; may be given more than once (default: the current folder)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where to write (default: the current folder)"
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
        if str(error):
            print(f"micro-rt generate: {error}", file=sys.stderr)
        return 1
    for path in written:
        print(path)
    return 0


class CommandError(Exception):
    """What the user is told; empty when protoc has said it."""


def generate(
    paths: Sequence[Path], roots: Sequence[Path], out: Path, options: str = "", *, runtime: bool = False
) -> list[Path]:
    """Generates the code of .proto files, and returns the paths of the files written.

    Args:
        paths: the .proto files.
        roots: the folders that imports start from.
        out: where to write.
        options: those of protoc-gen-micro, ``"key=value,key=value"``.
        runtime: whether to write the modules of micro-rt's own files too, which nobody else needs.

    Raises:
        CommandError: something is wrong; nothing was written.
    """
    names = [_name(path, roots) for path in paths]
    request = plugin_pb2.CodeGeneratorRequest(file_to_generate=names, parameter=options)
    request.proto_file.extend(_compile(names, roots).file)
    response = respond(request, runtime=runtime)
    if response.error:
        raise CommandError(response.error)
    try:
        return _write([(out / file.name, file.content) for file in response.file])
    except OSError as error:
        raise CommandError(f"cannot write {error.filename}: {error.strerror}") from error


def _name(path: Path, roots: Iterable[Path]) -> str:
    """Returns the name by which protoc knows a file: its path from the folder that imports start from."""
    if not path.is_file():
        raise CommandError(f"{path} is {'a folder; name its .proto files' if path.is_dir() else 'no file'}")
    absolute = PurePath(os.path.abspath(path))  # noqa: PTH100 - resolve() would leave the root through a symbolic link
    for root in roots:
        if not root.is_dir():
            raise CommandError(f"-I {root} is no folder")
        top = PurePath(os.path.abspath(root))  # noqa: PTH100
        if absolute.is_relative_to(top):
            return absolute.relative_to(top).as_posix()
    listed = ", ".join(str(root) for root in roots)
    raise CommandError(f"{path} is outside the folders that imports start from ({listed}); add -I {path.parent}")


def _compile(names: Iterable[str], roots: Iterable[Path]) -> descriptor_pb2.FileDescriptorSet:
    """Runs protoc in this process; it prints what is wrong itself."""
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
        if protoc.main([*command, *names]) != 0:
            raise CommandError
        return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


def _write(contents: Iterable[tuple[Path, str]]) -> list[Path]:
    """Writes files beside their targets first, and moves them only when all could be written."""
    prepared: list[tuple[Path, Path]] = []
    try:
        for target, content in contents:
            target.parent.mkdir(parents=True, exist_ok=True)
            draft = target.with_name(f".{target.name}.{os.getpid()}")
            prepared.append((draft, target))
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
            draft.write_text(content, encoding="utf-8", newline="\n")
        for draft, target in prepared:
            draft.replace(target)
    finally:
        for draft, _ in prepared:
            draft.unlink(missing_ok=True)
    return [target for _, target in prepared]
