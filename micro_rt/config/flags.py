"""The command line as a source: ``--limits.rps=5``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

from micro_rt.config.base import Reading, Source
from micro_rt.config.nesting import Entry, nested
from micro_rt.config.paths import shown_path
from micro_rt.errors import FailedPrecondition

__all__ = ["Flags"]


class Flags(Source):
    """The arguments of a command line, each ``--path=value``, ``--path value`` or ``--path``.

    A flag takes the next argument as its value, unless that begins with two dashes. Without a value it is ``true``. Values are
    texts, which are converted to the type that is asked for.

    Args:
        argv: the arguments without the name of the program; those of this process if left out.
        secret: whether no output shows a value of it.
    """

    text = True

    def __init__(self, argv: Sequence[str] | None = None, *, secret: bool = False) -> None:
        self._argv = tuple(sys.argv[1:] if argv is None else argv)
        self.secret = secret

    @property
    def name(self) -> str:
        """What it is called in errors and in ``explain``."""
        return "command line"

    async def read(self) -> Reading:
        """Returns the settings in the arguments.

        Raises:
            FailedPrecondition: an argument is not a flag, two flags set one path, one sets something inside another, or a name in
                one is empty.
        """
        return nested(self._entries(), self.name)

    def _entries(self) -> Iterator[Entry]:
        argv, position = self._argv, 0
        while position < len(argv):
            flag = argv[position]
            position += 1
            name, equals, value = flag.removeprefix("--").partition("=")
            if not flag.startswith("--") or not name:
                # It may be a value, and so a secret.
                raise FailedPrecondition(
                    f"{self.name}: argument {position} is no flag, such as --limits.rps=5; give Flags only the arguments that are settings"
                )
            path = tuple(name.split("."))
            place = f"--{shown_path(path)}"
            if not equals:
                if position < len(argv) and not argv[position].startswith("--"):
                    value = argv[position]
                    position += 1
                else:
                    value = "true"
            yield Entry(path, value, place)
