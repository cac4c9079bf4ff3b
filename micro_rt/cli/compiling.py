"""Compiling .proto files in this process, for the commands that take them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from importlib import import_module
from importlib.resources import files
from pathlib import Path, PurePath

from google.protobuf import descriptor_pb2

__all__ = ["CommandError", "compile_protos", "proto_name"]


class CommandError(Exception):
    """What the user is told; empty when protoc has said it."""


def proto_name(path: Path, roots: Iterable[Path]) -> str:
    """Returns the name by which protoc knows a file: its path from the folder that imports start from.

    Args:
        path: the .proto file.
        roots: the folders that imports start from.

    Raises:
        CommandError: it is no file, or in none of the folders.
    """
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


def compile_protos(names: Iterable[str], roots: Iterable[Path]) -> descriptor_pb2.FileDescriptorSet:
    """Runs protoc in this process; it prints what is wrong itself.

    Args:
        names: the files, as protoc knows them.
        roots: the folders that imports start from; those of protobuf's own files and of micro-rt's come behind.

    Raises:
        CommandError: grpcio-tools is not installed, or a file does not compile.
    """
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
