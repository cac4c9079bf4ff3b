"""One line in the log for each call, on either side."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from micro_rt.context import Call, ClientCall, Context
from micro_rt.errors import Code, Error, code_for_caller, only_leaf
from micro_rt.interceptor import Interceptor, StreamNext, UnaryNext
from micro_rt.kit.clock import monotonic
from micro_rt.logs import logger as runtime_logger
from micro_rt.text import printable

__all__ = ["AccessLog"]

_CANCELLED = Code.CANCELLED.name
_DEADLINE_EXCEEDED = Code.DEADLINE_EXCEEDED.name
_SLACK = 0.1
"""Seconds; the clock of a server's call starts later than that of its client, which cancels the call when its own has run out."""
_WARNED = frozenset({"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNIMPLEMENTED"})


class AccessLog(Interceptor):
    """Logs every call when it ends: who, what, how it ended, how long it took.

        micro.Service("greeter", interceptors=[micro.AccessLog()], client_interceptors=[micro.AccessLog()])

    A line reads ``server /greeter.Greeter/SayHello OK 0.4 ms 127.0.0.1:52044``. Metadata and messages are never
    logged. Calls that end with a fault of the server are warnings, others are at the level given. A call whose deadline
    passed is ``DEADLINE_EXCEEDED`` on both sides, also where the handler was cancelled for it.

    Args:
        logger: where to; ``micro_rt.access`` if None.
        level: of calls that end without a fault of the server.
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.INFO) -> None:
        self._logger = logger or runtime_logger("micro_rt.access")
        self._level = level

    async def unary(self, request: Any, call: Call, proceed: UnaryNext) -> Any:
        """Logs a unary call."""
        started = monotonic()
        outcome = _CANCELLED
        try:
            reply = await proceed(request, call)
            outcome = "OK"
            return reply
        except Exception as error:
            outcome = _name(error, call)
            raise
        finally:
            self._log(call, outcome, started, "")

    async def stream(self, requests: AsyncIterator[Any], call: Call, proceed: StreamNext) -> AsyncIterator[Any]:
        """Logs a stream, with how many messages went each way."""
        started = monotonic()
        counted = _Counted(requests)
        replies = 0
        outcome = _CANCELLED
        try:
            async for reply in proceed(counted, call):
                replies += 1
                yield reply
            outcome = "OK"
        except Exception as error:
            outcome = _name(error, call)
            raise
        finally:
            self._log(call, outcome, started, f" {counted.count} in, {replies} out")

    def _log(self, call: Call, outcome: str, started: float, messages: str) -> None:
        if outcome is _CANCELLED and _is_late(call, monotonic() - started):
            outcome = _DEADLINE_EXCEEDED
        level = logging.WARNING if outcome in _WARNED else self._level
        if self._logger.isEnabledFor(level):
            took = (monotonic() - started) * 1000
            # The id and the address of a node are what the registry holds, and the logger may be anybody's.
            other = printable(_other_side(call))
            self._logger.log(
                level, "%s %s %s %.1f ms%s %s", call.side, call.method.path, outcome, took, messages, other
            )


class _Counted(AsyncIterator[Any]):
    """Requests, counted as they pass."""

    __slots__ = ("_requests", "count")

    def __init__(self, requests: AsyncIterator[Any]) -> None:
        self._requests = requests
        self.count = 0

    async def __anext__(self) -> Any:
        request = await anext(self._requests)
        self.count += 1
        return request


def _name(error: Exception, call: Call) -> str:
    """Returns the code that the caller gets."""
    leaf = only_leaf(error)
    if isinstance(leaf, Error):
        return (code_for_caller(leaf) if call.side == "server" else leaf.code).name
    late = call.side == "server" and isinstance(error, TimeoutError) and call.remaining() == 0
    return _DEADLINE_EXCEEDED if late else Code.UNKNOWN.name


def _is_late(call: Call, took: float) -> bool:
    """Returns whether a call that was cancelled ended because its deadline passed."""
    remaining = call.remaining()
    return remaining is not None and remaining <= min(_SLACK, took / 4)


def _other_side(call: Call) -> str:
    if isinstance(call, Context):
        return call.peer
    if isinstance(call, ClientCall):
        return f"{call.info.node} {call.info.peer}" + (
            f" {call.info.attempts} attempts" if call.info.attempts > 1 else ""
        )
    return ""
