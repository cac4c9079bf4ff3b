"""``micro-rt config dump``: shows every setting, and where it comes from."""

from __future__ import annotations

import argparse
import asyncio

from micro_rt.cli.config_common import add_config, opened_config, settings_of_service, show
from micro_rt.config.showing import Setting
from micro_rt.service.configuration import SECTION

__all__ = ["configure", "run"]

_DESCRIPTION = """\
Shows every setting that a service with these sources has: those of the service itself, below micro, and those of its program. Each
line has the value, and in brackets the file and line, variable or source that it comes from. Values that are secrets by their name are
shown as ***. Arguments that a program gives to Service are not known here; they win over what is shown.

Exit status: 0; 1 if a source cannot be read, or the sources contradict each other; 2 if the command line makes no sense; 130 after
Ctrl-C."""


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    add_config(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints it."""
    show(asyncio.run(_settings(arguments)), as_json=arguments.json, marks=False)
    return 0


async def _settings(arguments: argparse.Namespace) -> list[Setting]:
    async with opened_config(arguments) as config:
        of_service = [each for each in settings_of_service(config) if each.wins]
        others = [each for each in config.dump() if not each.path.startswith(f"{SECTION}.")]
        return of_service + others
