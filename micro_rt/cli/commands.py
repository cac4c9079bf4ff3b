"""Sub-commands that are imported when they are used.

A command that only reads an address must not wait for the compiler to be loaded, which takes a fifth of its time. So the
table of commands names modules, and the parser of a command imports its module when the command line reaches it.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol, cast

from micro_rt.kit.secrets import scrubbed, without_secrets
from micro_rt.text import printable

__all__ = ["Command", "CommandParser", "add_commands", "no_address", "path_argument"]

_OF_ADDRESS = re.compile(r"[^/]+:.*(?://|@|\?)|//.*@", re.DOTALL).match
"""Matches a text that looks like an address and not like a path."""
_MARKS = frozenset(":/@?")
"""Characters that addresses have and plain words do not."""


class Command(NamedTuple):
    """A sub-command."""

    name: str
    module: str
    """The module that defines it, with a function ``configure`` that takes its parser."""
    help: str
    """One line, for the list of commands."""


class CommandParser(argparse.ArgumentParser):
    """A parser that a module configures when there is something to parse.

    Args:
        module: the module; empty for none.
        options: those of ``ArgumentParser``.
    """

    def __init__(self, *, module: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._module = module

    def parse_known_args(self, *arguments: Any, **options: Any) -> Any:
        """Imports the module and has it add its arguments, then parses as every parser does."""
        module, self._module = self._module, ""
        if module:
            cast("_Module", import_module(module)).configure(self)
        return super().parse_known_args(*arguments, **options)

    def parse_args(self, *arguments: Any, **options: Any) -> Any:
        """Parses as every parser does; arguments that no command has are shown without the secrets of addresses."""
        parsed, unknown = self.parse_known_args(*arguments, **options)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(map(_shown, unknown))}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong with a command line, without the secrets of an address in it, and ends with 2.

        Characters that cannot be printed are escaped.
        """
        super().error(printable(scrubbed(message)))


def path_argument(text: str) -> Path:
    """Reads an argument that names a file or a folder.

    Raises:
        argparse.ArgumentTypeError: it looks like an address, which may hold a password. As a path it would lose a slash, and
            no message could recognize it as an address any more.
    """
    return Path(text if os.path.lexists(text) else no_address(text))


def no_address(text: str) -> str:
    """Reads an argument that no address can be, such as a topic.

    Raises:
        argparse.ArgumentTypeError: it looks like an address, which may hold a password.
    """
    if _OF_ADDRESS(text):
        raise argparse.ArgumentTypeError(
            f"{without_secrets(text)!r} looks like an address; this argument does not take one"
        )
    return text


def _shown(argument: str) -> str:
    """Returns an unknown argument as it may be shown: its name, and its value without secrets if it may be an address."""
    name, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    return f"{name}{equals}{without_secrets(value) if _MARKS.intersection(value) else value}"


def add_commands(parser: argparse.ArgumentParser, commands: Sequence[Command]) -> None:
    """Adds commands to a parser. A command line without one shows the help and ends with 2."""

    def show_help(_: argparse.Namespace) -> NoReturn:
        parser.print_help(sys.stderr)
        parser.exit(2)

    parser.set_defaults(run=show_help)
    group = parser.add_subparsers(metavar="COMMAND", parser_class=CommandParser)
    for command in commands:
        group.add_parser(command.name, module=command.module, help=command.help)


class _Module(Protocol):
    def configure(self, parser: argparse.ArgumentParser, /) -> None: ...
