"""The ``micro-rt`` command: one file per sub-command."""

from __future__ import annotations

import argparse
import sys
from importlib.metadata import version

from micro_rt.cli import events, generate, proto

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: the command line without the program's name; that of the process when None.

    Returns:
        The exit status: 0, 1 for an error that was printed, 2 for a command line that was not understood; ``events check`` has its own.
    """
    parser = argparse.ArgumentParser(prog="micro-rt", description="Microservices from .proto files.")
    parser.add_argument("--version", action="version", version=f"micro-rt {version('micro-rt')}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    generate.configure(commands.add_parser("generate", help=generate.HELP, description=generate.DESCRIPTION))
    proto.configure(
        commands.add_parser(
            "proto",
            help=proto.HELP,
            description=proto.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    events.configure(commands.add_parser("events", help=events.HELP, description=events.DESCRIPTION))
    parsed = parser.parse_args(arguments)
    return int(parsed.run(parsed))


if __name__ == "__main__":
    sys.exit(main())
