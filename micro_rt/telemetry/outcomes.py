"""How calls and events end, as an interceptor around them sees it."""

from __future__ import annotations

import asyncio

from micro_rt.context import Scope
from micro_rt.errors import Code, Error, code_for_caller, only_leaf

__all__ = ["code_of"]

_SLACK = 0.1
"""Seconds; the clock of a server's call starts later than that of its client, which cancels the call when its own has run out."""


def code_of(error: BaseException, side: str, scope: Scope | None, took: float) -> Code:
    """Returns the code that a call or an event ends with: on a server, the one that the caller gets.

    Args:
        error: what was raised.
        side: ``side`` of the call, the event, or what is published.
        scope: the call or the event; None for what is published, which has no deadline that could be looked at.
        took: seconds.
    """
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return Code.DEADLINE_EXCEEDED if scope is not None and _is_late(scope, took) else Code.CANCELLED
    leaf = only_leaf(error)
    if isinstance(leaf, Error):
        return code_for_caller(leaf) if side == "server" else leaf.code
    if not isinstance(error, Exception):
        return Code.UNAVAILABLE if side == "server" else Code.UNKNOWN  # It would end the program.
    if side != "client" and isinstance(error, TimeoutError) and scope is not None and scope.remaining() == 0:
        return Code.DEADLINE_EXCEEDED
    return Code.UNKNOWN


def _is_late(scope: Scope, took: float) -> bool:
    """Returns whether what was cancelled ended because its deadline passed."""
    remaining = scope.remaining()
    return remaining is not None and remaining <= min(_SLACK, took / 4)
