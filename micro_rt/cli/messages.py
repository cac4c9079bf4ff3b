"""What the commands tell a person on standard error: without secrets, and without what controls a terminal or forges a line."""

from __future__ import annotations

import sys

from micro_rt.kit.secrets import scrubbed
from micro_rt.text import printable

__all__ = ["report", "say"]


def report(command: str, problem: str) -> None:
    """Prints what is wrong, on one line that begins with the command.

    Args:
        command: its name, without ``micro-rt``; empty for ``micro-rt`` itself.
        problem: what is wrong; may hold text from anywhere, also an address with a password.
    """
    say(f"{f'micro-rt {command}'.rstrip()}: {problem}")


def say(text: str) -> None:
    """Prints a line.

    Args:
        text: may hold text from anywhere. The secrets of an address in it are hidden, and characters that cannot be printed are
            escaped.
    """
    print(printable(scrubbed(text)), file=sys.stderr, flush=True)
