"""``micro-rt events check``: says whether a changed schema breaks the consumers of its events, and why."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from google.protobuf import descriptor_pb2
from google.protobuf.message import DecodeError

from micro_rt.cli.commands import path_argument
from micro_rt.cli.compiling import CommandError, check_roots, compile_protos
from micro_rt.cli.descriptor_sets import DescriptorSetError, read_descriptor_set
from micro_rt.cli.messages import report
from micro_rt.text import printable
from protoc_gen_micro.compatibility.check import Finding, compare
from protoc_gen_micro.compatibility.comparable import SchemaSet
from protoc_gen_micro.errors import GenerateError
from protoc_gen_micro.python.shipped import bundled

__all__ = ["check", "configure"]

_DESCRIPTION = """\
Says whether consumers with the old schema can read new records, and those with the new schema old ones: event by event
and field by field, for protobuf's binary encoding ("wire") and its JSON ("JSON"), whether records still reach their
consumers ("delivery"), and in order ("order").

OLD and NEW are each a folder of .proto files, a .proto file, or a descriptor set (protoc --include_imports
--include_source_info -o). To get the schema of a branch in git: git worktree add ../old main

Exit status: 0 if nothing breaks; 1 if something does; 2 if the command line makes no sense or a schema cannot be read."""


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("old", type=path_argument, metavar="OLD", help="the schema that records were written with")
    command.add_argument("new", type=path_argument, metavar="NEW", help="the schema that is to replace it")
    command.add_argument(
        "-I",
        dest="roots",
        action="append",
        type=path_argument,
        default=[],
        metavar="DIR",
        help="another folder that imports of both schemas start from; may be given more than once",
    )
    command.add_argument("--wire", action="store_true", help="ignore what breaks JSON only")
    command.add_argument("--all", action="store_true", help="compare all messages, not only those of events")
    command.add_argument("--json", action="store_true", help="print the findings as JSON")
    command.set_defaults(run=check)


def check(arguments: argparse.Namespace) -> int:
    """Prints the findings, one a line."""
    try:
        old = _read("OLD", arguments.old, arguments.roots)
        new = _read("NEW", arguments.new, arguments.roots)
        if not old.events and not arguments.all:
            raise CommandError(
                f"OLD ({arguments.old}) has no message with option (micro.event); --all compares all messages"
            )
    except CommandError as error:
        for problem in error.problems:
            report("events check", problem)
        return 2
    findings = compare(old, new, everything=arguments.all)
    if arguments.wire:
        findings = [finding.without_json() for finding in findings]
    breaking = sum(finding.breaks for finding in findings)
    compared = _count(len(old.names), "message") if arguments.all else _count(len(old.events), "event")
    if arguments.json:
        print(json.dumps({"breaks": breaking > 0, "findings": [_plain(finding) for finding in findings]}, indent=2))
    else:
        for finding in findings:
            print(printable(str(finding)))
        print(f"{compared} compared: {_count(len(findings), 'change')}, {breaking or 'none'} breaking")
    return 1 if breaking else 0


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number or 'no'} {what}s"


def _plain(finding: Finding) -> dict[str, object]:
    return {
        "path": finding.path,
        "line": finding.line,
        "symbol": finding.symbol,
        "message": finding.message,
        "breaks_old_consumers": list(finding.old_consumers),
        "breaks_new_consumers": list(finding.new_consumers),
    }


def _read(which: str, path: Path, roots: Sequence[Path]) -> SchemaSet:
    """Reads one of the two schemas.

    Args:
        which: ``"OLD"`` or ``"NEW"``.
        path: a folder, a .proto file or a descriptor set.
        roots: folders that imports start from, besides its own.
    """
    check_roots(roots)
    if path.is_dir():
        names = sorted(found.relative_to(path).as_posix() for found in path.rglob("*.proto"))
        if not names:
            raise CommandError(f"{which} ({path}) is a folder without .proto files")
        files = _compile(which, path, names, [path, *roots])
    elif not path.is_file():
        raise CommandError(f"{which} ({path}) is neither a file nor a folder")
    elif path.suffix == ".proto":
        names = [path.name]
        files = _compile(which, path, names, [path.parent, *roots])
    else:
        files = _descriptors(which, path)
        names = [file.name for file in files.file if not bundled(file.name)]
    try:
        return SchemaSet(files.file, [name for name in names if not bundled(name)])
    except GenerateError as error:
        raise CommandError(*(f"{which} ({path}): {line}" for line in str(error).split("\n"))) from error


def _compile(which: str, path: Path, names: Sequence[str], roots: Sequence[Path]) -> descriptor_pb2.FileDescriptorSet:
    try:
        return compile_protos(names, roots)
    except CommandError as error:
        if error.problems:
            raise CommandError(*(f"{which} ({path}): {problem}" for problem in error.problems)) from error
        hint = "-I names another folder that imports start from"
        raise CommandError(f"{which} ({path}) does not compile, as said above; {hint}") from error


def _descriptors(which: str, path: Path) -> descriptor_pb2.FileDescriptorSet:
    try:
        return read_descriptor_set(path).files
    except (DecodeError, OSError) as error:
        raise CommandError(f"{which} ({path}) is neither .proto nor a descriptor set: {error}") from error
    except DescriptorSetError as error:
        raise CommandError(f"{which} ({path}) {error}") from error
