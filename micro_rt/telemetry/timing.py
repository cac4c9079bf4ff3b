"""How long calls and events take, told to a function: for the metrics of a program."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Literal

from micro_rt.context import Call, ClientCall, Scope
from micro_rt.errors import Code
from micro_rt.interceptor import EventNext, Interceptor, PublishNext, StreamNext, UnaryNext
from micro_rt.kit.clock import monotonic
from micro_rt.logs import logger, sparsely
from micro_rt.method import Kind
from micro_rt.telemetry.outcomes import code_of

__all__ = ["Timed", "Timing"]

_log = logger("micro_rt.timing")


@dataclass(frozen=True, slots=True)
class Timed:
    """A call or an event that has ended.

    Attributes:
        side: ``"server"`` or ``"client"`` for a call, ``"subscriber"`` or ``"publisher"`` for an event.
        name: the path of the method, ``"/greeter.Greeter/SayHello"``, or the name of the event, ``"orders.OrderPlaced"``; empty for
            a tombstone that does not say its type.
        kind: of the method; None for an event.
        code: how it ended; on a server, the code that the caller gets.
        seconds: from the begin of the interceptor to its end; of a stream, up to its last message.
        attempts: how many times a client has sent the call, all of them within ``seconds``; which attempt of a subscriber this was;
            else 1.
    """

    side: Literal["server", "client", "subscriber", "publisher"]
    name: str
    kind: Kind | None
    code: Code
    seconds: float
    attempts: int


class Timing(Interceptor):
    """Tells a function of each call, each stream and each event that ends: on both sides.

        def report(timed: micro.Timed) -> None:
            histogram.labels(timed.side, timed.name, timed.code.name).observe(timed.seconds)

        micro.Service("greeter", interceptors=[micro.Timing(report)], client_interceptors=[micro.Timing(report)])

    What the function raises is logged, and the call or the event goes on without it.

    Args:
        report: called in the event loop, so it must not wait for anything.

    Raises:
        TypeError: the function cannot be called, or is a coroutine function.
    """

    def __init__(self, report: Callable[[Timed], object]) -> None:
        if not callable(report) or inspect.iscoroutinefunction(report):
            raise TypeError(
                f"Timing(report={report!r}): it is a function that takes a micro.Timed, not a coroutine function"
            )
        self._report = report

    async def unary(self, request: Any, call: Call, proceed: UnaryNext) -> Any:
        """Times a unary call."""
        started, before = monotonic(), _attempts(call)
        code = Code.OK
        try:
            return await proceed(request, call)
        except BaseException as error:
            code = code_of(error, call.side, call, monotonic() - started)
            raise
        finally:
            self._tell_call(call, code, started, before)

    async def stream(self, requests: AsyncIterator[Any], call: Call, proceed: StreamNext) -> AsyncIterator[Any]:
        """Times a stream."""
        started, before = monotonic(), _attempts(call)
        code = Code.OK
        try:
            async for reply in proceed(requests, call):
                yield reply
        except BaseException as error:
            code = code_of(error, call.side, call, monotonic() - started)
            raise
        finally:
            self._tell_call(call, code, started, before)

    async def publish(self, event: Any, publishing: Any, proceed: PublishNext) -> Any:
        """Times an event that is published."""
        return await self._timed(event, publishing, None, 1, proceed)

    async def event(self, event: Any, context: Any, proceed: EventNext) -> None:
        """Times one attempt at an event."""
        await self._timed(event, context, context, context.attempt, proceed)

    async def _timed(self, event: Any, about: Any, scope: Scope | None, attempts: int, proceed: PublishNext) -> Any:
        started = monotonic()
        code = Code.OK
        try:
            return await proceed(event, about)
        except BaseException as error:
            code = code_of(error, about.side, scope, monotonic() - started)
            raise
        finally:
            self._tell(Timed(about.side, about.event.name, None, code, monotonic() - started, attempts))

    def _tell_call(self, call: Call, code: Code, started: float, before: int) -> None:
        attempts = _attempts(call) - before if isinstance(call, ClientCall) else 1
        method = call.method
        self._tell(Timed(call.side, method.path, method.kind, code, monotonic() - started, attempts))

    def _tell(self, timed: Timed) -> None:
        try:
            self._report(timed)
        except Exception as error:
            _log.error(
                "the function of micro.Timing raised for %s", timed.name, exc_info=error, extra=sparsely("report")
            )


def _attempts(call: Call) -> int:
    """Returns how often a call was sent so far: a caller may use one ``CallInfo`` for several calls."""
    return call.info.attempts if isinstance(call, ClientCall) else 0
