"""The variables ``MICRO_…`` that backends read by themselves, and what stands in for them.

A backend gets an address and nothing else. What does not belong into an address, such as the state folder or a password, it reads from
the environment. While a service makes and opens its parts, what its config says stands in for variables that are not set.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["standing_in", "variable"]

_STANDING_IN: ContextVar[Mapping[str, str] | None] = ContextVar("micro_rt_variables", default=None)


def variable(name: str) -> str:
    """Returns a variable, or what stands in for it; empty if there is neither.

    Args:
        name: such as ``"MICRO_HOME"``.
    """
    return os.environ.get(name) or (_STANDING_IN.get() or {}).get(name, "")


@contextmanager
def standing_in(variables: Mapping[str, str]) -> Generator[None]:
    """Has values stand in for variables that are not set, for what this task does in the block, and for tasks that begin there.

    Args:
        variables: by name.
    """
    token = _STANDING_IN.set(variables)
    try:
        yield
    finally:
        _STANDING_IN.reset(token)
