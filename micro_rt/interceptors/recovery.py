"""What becomes of the unexpected exceptions of handlers."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

from micro_rt.context import Context
from micro_rt.errors import Error, only_leaf
from micro_rt.events.context import EventContext
from micro_rt.interceptor import EventNext, StreamNext, UnaryNext
from micro_rt.interceptors.sides import ServerInterceptor
from micro_rt.logs import logger, sparsely

__all__ = ["Recovery"]

_log = logger("micro_rt.recovery")


class Recovery(ServerInterceptor):
    """Turns the exceptions of handlers that are no ``micro.Error`` into one: for calls, streams and events.

        def on_error(error: Exception, call: micro.Context | micro.EventContext) -> micro.Error | None:
            if isinstance(error, psycopg.OperationalError):
                return micro.Unavailable("the database is away")
            return None

        micro.Service("greeter", interceptors=[micro.Recovery(on_error)])

    An exception that it does not turn into an error ends the call as without it: ``Unknown`` for the caller, and the traceback in the
    server's log. One that it does turn is not logged; it is the ``__cause__`` of the error. Cancellation, ``SystemExit`` and other
    exceptions that are no ``Exception`` pass.

    For an event, the error says for how long it is tried again: ``Unavailable`` is one that passes by itself.

    Args:
        on_error: gets the exception, and the call or event; returns the error, or None to leave the exception alone. What it raises
            itself is logged, and the exception stands.

    Raises:
        TypeError: the function cannot be called, or is a coroutine function.
    """

    def __init__(self, on_error: Callable[[Exception, Context | EventContext], Error | None]) -> None:
        if not callable(on_error) or inspect.iscoroutinefunction(on_error):
            raise TypeError(f"Recovery(on_error={on_error!r}): it is a function, and no coroutine function")
        self._on_error = on_error

    async def unary(self, request: Any, call: Context, proceed: UnaryNext) -> Any:
        """Runs around a unary call."""
        try:
            return await proceed(request, call)
        except Exception as error:
            made = self._made(error, call, call.method.path)
            if made is None:
                raise
            raise made from error

    async def stream(self, requests: AsyncIterator[Any], call: Context, proceed: StreamNext) -> AsyncIterator[Any]:
        """Runs around a stream."""
        try:
            async for reply in proceed(requests, call):
                yield reply
        except Exception as error:
            made = self._made(error, call, call.method.path)
            if made is None:
                raise
            raise made from error

    async def event(self, event: Any, context: EventContext, proceed: EventNext) -> None:
        """Runs around one attempt at an event."""
        try:
            await proceed(event, context)
        except Exception as error:
            made = self._made(error, context, context.event.name)
            if made is None:
                raise
            raise made from error

    def _made(self, error: Exception, call: Context | EventContext, name: str) -> Error | None:
        """Returns the error to raise instead of an exception; None if that stands."""
        if isinstance(only_leaf(error), Error):
            return None
        try:
            made = self._on_error(error, call)
        except Exception as failure:
            _log.error("on_error of micro.Recovery raised for %s", name, exc_info=failure, extra=sparsely(name))
            return None
        if made is not None and not isinstance(cast("object", made), Error):
            what = "on_error of micro.Recovery gave %s for %s, not a micro.Error or None"
            _log.error(what, type(made).__name__, name, extra=sparsely(name))
            return None
        return made
