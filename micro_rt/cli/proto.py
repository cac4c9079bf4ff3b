"""``micro-rt proto``: the .proto files that come with micro-rt."""

from __future__ import annotations

import argparse

from micro_rt.cli.commands import Command, add_commands

__all__ = ["configure"]

_DESCRIPTION = """\
protoc finds them with -I "$(protoc-gen-micro --include)", and micro-rt generate on its own. For buf, write them into a
folder of their own, and name it among the modules of buf.yaml:

  micro-rt proto export third_party/micro
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command to its parser."""
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_commands(parser, (Command("export", "micro_rt.cli.proto_export", "write them into a folder"),))
