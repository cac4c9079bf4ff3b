"""The environment as a source: ``APP_LIMITS__RPS=10`` is ``limits.rps`` for the prefix ``APP``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from micro_rt.config.base import Reading, Source
from micro_rt.config.nesting import Entry, nested
from micro_rt.text import printable

__all__ = ["Env"]

_PREFIX = re.compile(r"[A-Za-z](?:_?[A-Za-z0-9]+)*")
_LONGEST = 100


class Env(Source):
    """The variables that begin with a prefix and an underscore.

    The rest of the name is the path: two underscores separate names, one is a part of a name. ``APP_LIMITS__MAX_RPS`` is
    ``limits.max_rps``. Case does not count: a name means the one of another source, or of the program, that differs in case alone.
    Values are texts, which are converted to the type that is asked for. An empty variable is the empty text. ``${NAME}`` in a
    value stays as it is.

    The environment of a process does not change by itself, so this source is read once.

    Args:
        prefix: without the underscore that follows it: ``"APP"``, or as an address: ``"env:APP"``.
        environ: the variables; those of this process if left out.
        secret: whether no output shows a value of it.

    Raises:
        ValueError: the prefix cannot begin the name of a variable.
    """

    text = True
    ignores_case = True

    def __init__(self, prefix: str, environ: Mapping[str, str] | None = None, *, secret: bool = False) -> None:
        prefix = prefix.removeprefix("env:")
        if not _PREFIX.fullmatch(prefix):
            raise ValueError(
                f"{printable(prefix, _LONGEST)!r} is no prefix of variables: use letters and digits, such as Env('APP') for APP_LIMITS__RPS"
            )
        self._prefix = prefix.upper()
        self._environ = os.environ if environ is None else environ
        self.secret = secret

    @property
    def name(self) -> str:
        """What it is called in errors and in ``explain``."""
        return f"environment {self._prefix}_*"

    async def read(self) -> Reading:
        """Returns the settings in the variables.

        Raises:
            FailedPrecondition: two variables set one path, one sets something inside another, or a name in one is empty.
        """
        return nested(self._entries(), self.name)

    def _entries(self) -> Iterator[Entry]:
        beginning = f"{self._prefix}_"
        for variable, value in sorted(self._environ.items()):
            if variable.upper().startswith(beginning):
                path = tuple(variable[len(beginning) :].lower().split("__"))
                yield Entry(path, value, printable(variable, _LONGEST))
