"""``micro-rt config explain``: shows what every source says of a setting."""

from __future__ import annotations

import argparse
import asyncio

from micro_rt.cli.commands import no_address
from micro_rt.cli.config_common import add_config, opened_config, settings_of_service, show
from micro_rt.cli.messages import report
from micro_rt.config.showing import Setting
from micro_rt.service.configuration import SECTION

__all__ = ["configure", "run"]

_DESCRIPTION = """\
Shows what every source says of a setting and of what is below it, the source that counts least first. The line that begins with *
is what a program gets.

Exit status: 0; 1 if no source says anything of it, a source cannot be read, or the sources contradict each other; 2 if the command
line makes no sense; 130 after Ctrl-C."""


def configure(command: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    command.description = _DESCRIPTION
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.add_argument("path", type=no_address, metavar="PATH", help="the setting, such as limits.rps")
    add_config(command)
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints it."""
    try:
        settings = asyncio.run(_settings(arguments))
    except ValueError as error:  # Of the path.
        report("config explain", str(error))
        return 1
    if not settings and not arguments.json:
        report("config explain", f"no source says anything of {arguments.path}")
        return 1
    show(settings, as_json=arguments.json, marks=True)
    return 0


async def _settings(arguments: argparse.Namespace) -> list[Setting]:
    path: str = arguments.path
    async with opened_config(arguments) as config:
        if path == SECTION or path.startswith(f"{SECTION}."):
            inside = f"{path}."
            return [each for each in settings_of_service(config) if f"{each.path}.".startswith(inside)]
        return config.explain(path)
