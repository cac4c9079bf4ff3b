"""``micro-rt events``: the commands that concern events."""

from __future__ import annotations

import argparse

from micro_rt.cli.commands import Command, add_commands

__all__ = ["configure"]

_COMMANDS = (
    Command("check", "micro_rt.cli.events_check", "check whether a changed schema breaks consumers"),
    Command("lag", "micro_rt.cli.events_lag", "show the lag of a group"),
    Command("publish", "micro_rt.cli.events_publish", "publish events that are written as JSON"),
    Command("replay", "micro_rt.cli.events_replay", "replay dead letters"),
    Command("tail", "micro_rt.cli.events_tail", "show the events of a topic as they arrive"),
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the commands to the parser of the group."""
    parser.description = "Commands for events and their schemas."
    add_commands(parser, _COMMANDS)
