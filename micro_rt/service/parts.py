"""Backends by address: ``consul://host:8500`` names a backend by its scheme, and entry points say what implements it.

A third party's backend is found as ours are: by an entry point in the group of its part, such as
``micro_rt.registry``, named like the scheme.
"""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from micro_rt.errors import FailedPrecondition

__all__ = ["backend", "scheme_of", "without_secrets"]


def scheme_of(address: str, setting: str) -> str:
    """Returns the scheme of an address.

    Args:
        address: such as ``"local:"`` or ``"consul://127.0.0.1:8500"``.
        setting: where it was given, for the error.

    Raises:
        FailedPrecondition: it has none.
    """
    match = re.match(r"([a-z][a-z0-9+.\-]*):", address)
    if match is None:
        raise FailedPrecondition(
            f"{setting}={without_secrets(address)!r} is not an address: write its scheme and a colon, such as 'local:'"
        )
    return match[1]


def without_secrets(address: str) -> str:
    """Returns an address as it may be shown: without the password before the host, and without tokens among the options."""
    shown = re.sub(r"(//[^/@]*?:)[^/]*@", r"\1***@", address)
    return re.sub(r"([?&](?:token|password|secret)=)[^&#]*", r"\1***", shown, flags=re.IGNORECASE)


def backend(part: str, name: str, setting: str) -> Any:
    """Returns what implements a part under a name.

    Args:
        part: ``"registry"``, ``"transport"``, ``"selector"``, ``"codec"`` …
        name: the scheme of an address, or the plain name where there are no addresses.
        setting: where it was given, for the error.

    Raises:
        FailedPrecondition: nothing implements it, or what it needs is not installed.
    """
    found = {point.name: point for point in entry_points(group=f"micro_rt.{part}")}
    point = found.get(name)
    if point is None:
        known = ", ".join(sorted(found)) or "none: is micro-rt installed?"
        raise FailedPrecondition(f"{setting}={name!r}: there is no such {part}; known: {known}")
    return _load(part, point, setting)


def _load(part: str, point: EntryPoint, setting: str) -> Any:
    try:
        return point.load()
    except ModuleNotFoundError as error:
        # Each backend that needs more than the core has an extra of its own name.
        raise FailedPrecondition(
            f'{setting}={point.name!r} needs {error.name}, which is not installed: pip install "micro-rt[{point.name}]"'
        ) from error
