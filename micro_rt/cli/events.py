"""``micro-rt events``: the commands that concern events."""

from __future__ import annotations

import argparse

from micro_rt.cli.commands import Command, add_commands

__all__ = ["configure"]

_COMMANDS = (
    Command("check", "micro_rt.cli.events_check", "check whether a changed schema breaks consumers"),
    Command("replay", "micro_rt.cli.events_replay", "replay dead letters"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands to the parser of the group."""
    parser.description = "What concerns events."
    add_commands(parser, _COMMANDS)
