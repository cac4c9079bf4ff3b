"""``micro-rt proto export``: the .proto files that come with micro-rt, for compilers that do not find them here."""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

from micro_rt.cli.commands import path_argument
from micro_rt.cli.drafts import write_files
from micro_rt.cli.messages import report
from micro_rt.text import printable

__all__ = ["configure", "export"]


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = "Writes them into a folder."
    command.add_argument("folder", type=path_argument, metavar="DIR", help="the folder; made when it is not there")
    command.set_defaults(run=export)


def export(arguments: argparse.Namespace) -> int:
    """Writes the files, and prints the path of each."""
    folder: Path = arguments.folder
    shipped = files("micro_rt")
    try:
        for name in _EXPORTED:
            target = folder / name
            write_files([(target, shipped.joinpath(target.name).read_bytes())])
            print(printable(str(target)))
    except OSError as error:
        report("proto export", f"cannot write {error.filename}: {error.strerror}")
        return 1
    return 0


_EXPORTED = ("micro_rt/annotations.proto",)
