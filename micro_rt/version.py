"""The version of the runtime, and whether it is new enough for generated code."""

from __future__ import annotations

__all__ = ["VERSION", "require_version"]

VERSION = "0.1.0"
"""The version of the runtime: that of the distribution."""


def require_version(needed: str, module: str) -> None:
    """Checks that the runtime is not older than a generated module needs. Generated modules call it when they are imported.

    The version that a module needs is not that of the plugin that wrote it: a newer plugin raises it only if what it
    writes uses something new of the runtime.

    Args:
        needed: the oldest version of micro-rt that the module works with, such as ``"0.1.0"``.
        module: the name of the module.

    Raises:
        ImportError: the runtime is older.
    """
    if needed != VERSION and _numbers(VERSION) < _numbers(needed):
        raise ImportError(
            f"{module} needs micro-rt {needed} or newer, and micro-rt {VERSION} is installed: "
            f'pip install --upgrade "micro-rt>={needed}"',
            name=module,
        )


def _numbers(version: str) -> list[int]:
    """Returns the three numbers of a version; a pre-release counts as its release.

    >>> _numbers("1.12rc1")
    [1, 12, 0]
    """
    parts = [*version.split("."), "0", "0"][:3]
    return [int(part[: len(part) - len(part.lstrip("0123456789"))] or "0") for part in parts]
