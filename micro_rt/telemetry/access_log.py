"""One line in the log for each call and each event, on either side."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

from micro_rt.context import Call, ClientCall, Context
from micro_rt.errors import Code
from micro_rt.interceptor import EventNext, Interceptor, PublishNext, StreamNext, UnaryNext
from micro_rt.kit.clock import monotonic
from micro_rt.logs import logger as runtime_logger
from micro_rt.telemetry.outcomes import code_of
from micro_rt.text import printable

__all__ = ["AccessLog"]

_WARNED = frozenset({Code.UNKNOWN, Code.INTERNAL, Code.UNAVAILABLE, Code.DATA_LOSS, Code.UNIMPLEMENTED})


class AccessLog(Interceptor):
    """Logs every call and every event when it ends: who, what, how it ended, how long it took.

        micro.Service("greeter", interceptors=[micro.AccessLog()], client_interceptors=[micro.AccessLog()])

    A line of a call reads ``server /greeter.Greeter/SayHello OK 0.4 ms 127.0.0.1:52044``. Messages, keys, metadata and headers
    are never logged. Calls that end with a fault of the server are warnings, others are at the level given. A call whose deadline
    passed is ``DEADLINE_EXCEEDED`` on both sides, also where the handler was cancelled for it.

    A line of an event reads ``subscriber orders.OrderPlaced OK 0.4 ms orders.placed/0@17 in group billing, attempt 1``, one for
    each attempt, or ``publisher orders.OrderPlaced OK 0.4 ms orders.placed/0@17``, without partition and offset if it
    was not published.

    Args:
        logger: where to; ``micro_rt.access`` if None.
        level: of calls and events that end without a fault of the server.
    """

    def __init__(self, logger: logging.Logger | None = None, level: int = logging.INFO) -> None:
        self._logger = logger or runtime_logger("micro_rt.access")
        self._level = level

    async def unary(self, request: Any, call: Call, proceed: UnaryNext) -> Any:
        """Logs a unary call."""
        started = monotonic()
        try:
            reply = await proceed(request, call)
        except BaseException as error:
            self._failed(error, call, started, "")
            raise
        self._log(Code.OK, call.side, call.method.path, started, "", _other_side(call))
        return reply

    async def stream(self, requests: AsyncIterator[Any], call: Call, proceed: StreamNext) -> AsyncIterator[Any]:
        """Logs a stream, with how many messages went each way."""
        started = monotonic()
        counted = _Counted(requests)
        replies = 0
        try:
            async for reply in proceed(counted, call):
                replies += 1
                yield reply
        except BaseException as error:
            self._failed(error, call, started, f" {counted.count} in, {replies} out")
            raise
        messages = f" {counted.count} in, {replies} out"
        self._log(Code.OK, call.side, call.method.path, started, messages, _other_side(call))

    async def publish(self, event: Any, publishing: Any, proceed: PublishNext) -> Any:
        """Logs an event that is published."""
        started = monotonic()
        side, what = publishing.side, publishing.event
        tombstone = ", tombstone" if publishing.tombstone else ""
        try:
            published = await proceed(event, publishing)
        except BaseException as error:
            code = code_of(error, side, None, monotonic() - started)
            self._log(code, side, what.name, started, "", f"{what.topic}{tombstone}")
            raise
        place = what.topic  # of an event that another interceptor did not publish
        if hasattr(published, "offset"):
            place = _place(published.topic, published.partition, published.offset)
        self._log(Code.OK, side, what.name, started, "", f"{place}{tombstone}")
        return published

    async def event(self, event: Any, context: Any, proceed: EventNext) -> None:
        """Logs one attempt at an event."""
        started = monotonic()
        code = Code.OK
        try:
            await proceed(event, context)
        except BaseException as error:
            code = code_of(error, context.side, context, monotonic() - started)
            raise
        finally:
            # The name of a tombstone is empty if it does not say its type.
            name = context.event.name or "-"
            place = _place(context.topic, context.partition, context.offset)
            tombstone = ", tombstone" if context.tombstone else ""
            where = f"{place} in group {context.group}, attempt {context.attempt}{tombstone}"
            self._log(code, context.side, name, started, "", where)

    def _failed(self, error: BaseException, call: Call, started: float, messages: str) -> None:
        code = code_of(error, call.side, call, monotonic() - started)
        self._log(code, call.side, call.method.path, started, messages, _other_side(call))

    def _log(self, code: Code, side: str, name: str, started: float, messages: str, where: str) -> None:
        level = logging.WARNING if code in _WARNED else self._level
        if self._logger.isEnabledFor(level):
            took = (monotonic() - started) * 1000
            # The id and the address of a node are what the registry holds, and the logger may be anybody's.
            where = printable(where)
            self._logger.log(level, "%s %s %s %.1f ms%s %s", side, printable(name), code.name, took, messages, where)


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


def _place(topic: str, partition: int, offset: int) -> str:
    return f"{topic}/{partition}@{offset}"


def _other_side(call: Call) -> str:
    if isinstance(call, Context):
        return call.peer
    if isinstance(call, ClientCall):
        return f"{call.info.node} {call.info.peer}" + (
            f" {call.info.attempts} attempts" if call.info.attempts > 1 else ""
        )
    return ""
