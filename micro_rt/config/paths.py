"""Paths of settings: as a program writes them, ``"limits.rps"``, and as errors show them."""

from __future__ import annotations

import re
from typing import TypeAlias

from micro_rt.config.base import Path
from micro_rt.text import printable

__all__ = ["AnyPath", "path_of", "shown_path"]

AnyPath: TypeAlias = str | Path
"""``"limits.rps"``, or ``("limits", "rps")``, which names with dots need; empty for all settings."""

_PLAIN = re.compile(r"[\w-]{1,100}")
_LONGEST = 100
"""Characters of a name that an error shows."""


def path_of(path: AnyPath) -> Path:
    """Returns the names of a path.

    Raises:
        ValueError: a name in it is empty.
    """
    names = path if isinstance(path, tuple) else tuple(path.split(".")) if path else ()
    if "" in names:
        raise ValueError(
            f"the path {shown_path(names)} has an empty name; write names with dots between, such as limits.rps"
        )
    return names


def shown_path(path: Path) -> str:
    """Returns a path as messages show it: a name that is more than a word is in quotes."""
    return ".".join(name if _PLAIN.fullmatch(name) else f'"{printable(name, _LONGEST)}"' for name in path) or "(root)"
