"""One line in the log for each call, on either side."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from micro_rt.context import Call, ClientCall, Context
from micro_rt.errors import Code, Error
from micro_rt.interceptor import Interceptor, StreamNext, UnaryNext
from micro_rt.kit.clock import monotonic

__all__ = ["AccessLog"]

_WARNED = frozenset({"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNIMPLEMENTED"})


class AccessLog(Interceptor):
    """Logs every call when it ends: who, what, how it ended, how long it took.

        micro.Service("greeter", interceptors=[micro.AccessLog()], client_interceptors=[micro.AccessLog()])

    A line reads ``server /greeter.Greeter/SayHello OK 0.4 ms 127.0.0.1:52044``. Metadata and messages are never
    logged. Calls that end with a fault of the server are warnings, others are at the level given.

    Args:
        logger: where to; ``micro_rt.access`` if None.
        level: of calls that end without a fault of the server.
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.INFO) -> None:
        self._logger = logger or logging.getLogger("micro_rt.access")
        self._level = level

    async def unary(self, request: Any, call: Call, proceed: UnaryNext) -> Any:
        """Logs a unary call."""
        started = monotonic()
        outcome = "CANCELLED"
        try:
            reply = await proceed(request, call)
            outcome = "OK"
            return reply
        except Exception as error:
            outcome = _name(error)
            raise
        finally:
            self._log(call, outcome, started, "")

    async def stream(self, requests: AsyncIterator[Any], call: Call, proceed: StreamNext) -> AsyncIterator[Any]:
        """Logs a stream, with how many messages went each way."""
        started = monotonic()
        counted = _Counted(requests)
        replies = 0
        outcome = "CANCELLED"
        try:
            async for reply in proceed(counted, call):
                replies += 1
                yield reply
            outcome = "OK"
        except Exception as error:
            outcome = _name(error)
            raise
        finally:
            self._log(call, outcome, started, f" {counted.count} in, {replies} out")

    def _log(self, call: Call, outcome: str, started: float, messages: str) -> None:
        level = logging.WARNING if outcome in _WARNED else self._level
        if self._logger.isEnabledFor(level):
            took = (monotonic() - started) * 1000
            self._logger.log(
                level, "%s %s %s %.1f ms%s %s", call.side, call.method.path, outcome, took, messages, _other_side(call)
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


def _name(error: Exception) -> str:
    return error.code.name if isinstance(error, Error) else Code.UNKNOWN.name


def _other_side(call: Call) -> str:
    if isinstance(call, Context):
        return call.peer
    if isinstance(call, ClientCall):
        return f"{call.info.node} {call.info.peer}" + (
            f" {call.info.attempts} attempts" if call.info.attempts > 1 else ""
        )
    return ""
