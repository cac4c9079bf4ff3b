"""The ``micro-rt`` command: one file per sub-command."""

from __future__ import annotations

import contextlib
import os
import sys
from importlib.metadata import version
from pathlib import Path

from micro_rt.cli.commands import Command, CommandParser, add_commands
from micro_rt.cli.messages import report
from micro_rt.errors import Error

__all__ = ["main"]

_COMMANDS = (
    Command("generate", "micro_rt.cli.generate", "write message classes and stubs for .proto files"),
    Command("proto", "micro_rt.cli.proto", "the .proto files that come with micro-rt"),
    Command("config", "micro_rt.cli.config", "show settings, and where they come from"),
    Command("events", "micro_rt.cli.events", "show, publish and replay events, and check changed schemas"),
)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command.

    Args:
        arguments: the command line without the program's name; that of the process when None.

    Returns:
        The exit status: 0, 1 for an error that was printed, 2 for a command line that was not understood; ``events check`` has its own.
    """
    parser = CommandParser(prog="micro-rt", description="Microservices from .proto files.")
    parser.add_argument("--version", action="version", version=f"micro-rt {version('micro-rt')}")
    add_commands(parser, _COMMANDS)
    parsed = parser.parse_args(arguments)
    try:
        status = int(parsed.run(parsed))
        print(end="", flush=True)  # Also where the process has no standard output.
    except BrokenPipeError:
        _discard_output()
        return 1
    except (Error, OSError) as error:
        _discard_output()
        problem = error.message if isinstance(error, Error) else str(error)
        report("", " ".join(problem.split()))
        return 1
    except KeyboardInterrupt:
        return 130
    return status


def _discard_output() -> None:
    """Drops what is still to be written to standard output, so that Python does not fail to write it at its end."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
