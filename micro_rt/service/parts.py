"""Backends by address: ``consul://host:8500`` names a backend by its scheme, and entry points say what implements it.

A third party's backend is found as ours are: by an entry point in the group of its part, such as
``micro_rt.registry``, named like the scheme.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from micro_rt.errors import FailedPrecondition

__all__ = ["backend"]


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
