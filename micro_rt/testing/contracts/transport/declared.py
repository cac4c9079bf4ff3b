"""Capabilities that a transport declares, or does not: tests hold it to both."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import pytest

from micro_rt.errors import Error
from micro_rt.transport.base import Transport, capabilities_of

__all__ = ["declared"]


@contextmanager
def declared(transport: Transport, capability: str) -> Generator[None]:
    """Holds what is inside to what a transport declares.

    With the capability, nothing changes. Without it, what is inside must fail with an assertion or an error of ours: the
    test then counts as an expected failure. If it passes, the test fails, because the gap exists no longer.

    Args:
        transport: whose capability it is.
        capability: a field of ``Capabilities``.
    """
    if getattr(capabilities_of(transport), capability):
        yield
        return
    who = f"{type(transport).__name__} declares that it lacks {capability}"
    try:
        yield
    except (AssertionError, Error, pytest.fail.Exception) as gap:
        reason = (str(gap).splitlines() or [type(gap).__name__])[0]
    else:
        pytest.fail(f"{who}, and has it: declare it in its capabilities")
    pytest.xfail(f"{who}: {reason}")
