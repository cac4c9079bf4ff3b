"""``micro-rt config``: the commands that concern settings."""

from __future__ import annotations

import argparse

from micro_rt.cli.commands import Command, add_commands

__all__ = ["configure"]

_COMMANDS = (
    Command("dump", "micro_rt.cli.config_dump", "show every setting, and where it comes from"),
    Command("explain", "micro_rt.cli.config_explain", "show what every source says of a setting"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands to the parser of the group."""
    parser.description = "Commands for settings and their sources."
    add_commands(parser, _COMMANDS)
