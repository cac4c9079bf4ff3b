"""Interceptors: code that runs around calls, with one shape for unary calls and one for streams, on both sides.

An interceptor overrides what it needs; what it leaves alone costs nothing. It goes on passing what it was
given, changed or not, to ``proceed``, or answers on its own, or raises a ``micro.Error``:

    class Audit(micro.Interceptor):
        async def unary(self, request, call, proceed):
            reply = await proceed(request, call)
            print(call.method.path, "answered")
            return reply

        async def stream(self, requests, call, proceed):
            async for reply in proceed(requests, call):
                yield reply

Around events there are two more shapes: ``publish`` where they go out, ``event`` where they are handled.

``Interceptor`` is for both sides. ``ServerInterceptor`` and ``ClientInterceptor`` (``micro_rt.interceptors.sides``) are for one, and know
its types. What takes a list says with ``ServerSide`` or ``ClientSide`` which side it is, and refuses interceptors of the other one.

The first interceptor of a list is the outermost one.

When a stream ends, however it ends, the task of the call closes what each interceptor returned, and what it got from
``proceed`` or passed to it, from the outside in. So the ``finally`` of an async generator runs at once and in that task,
although ``async for`` closes nothing that is left early.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from micro_rt.context import Call
from micro_rt.method import Kind, Method, ServiceInfo

if TYPE_CHECKING:
    from typing_extensions import TypeVar
else:
    from typing import TypeVar

__all__ = [
    "AnyInterceptor",
    "ClientSide",
    "EventNext",
    "Interceptor",
    "InterceptorsByMethod",
    "PublishNext",
    "ReplyT",
    "RequestT",
    "ServerSide",
    "StreamNext",
    "UnaryNext",
    "by_method_name",
    "chain_event",
    "chain_publish",
    "chain_stream",
    "chain_unary",
    "checked",
    "close",
    "enforce_auth",
]

if TYPE_CHECKING:
    RequestT = TypeVar("RequestT", default=Any)
    ReplyT = TypeVar("ReplyT", default=Any)
    SideT = TypeVar("SideT", bound="AnyInterceptor", default="Interceptor")
else:  # Before Python 3.13, a TypeVar has no default at run time.
    RequestT = TypeVar("RequestT")
    ReplyT = TypeVar("ReplyT")
    SideT = TypeVar("SideT", bound="AnyInterceptor")

UnaryNext: TypeAlias = Callable[[RequestT, Any], Awaitable[ReplyT]]
"""The rest of a unary call: takes the request and the call, gives the reply. ``UnaryNext[HelloRequest, HelloReply]`` says of which
messages."""
StreamNext: TypeAlias = Callable[[AsyncIterator[RequestT], Any], AsyncIterator[ReplyT]]
"""The rest of a stream: takes the requests and the call, gives the replies. A side that is not a stream has one message.
``StreamNext[HelloRequest, HelloReply]`` says of which messages."""
PublishNext: TypeAlias = Callable[[Any, Any], Awaitable[Any]]
"""The rest of publishing an event: takes the event and the ``Publishing``, gives the ``Published``."""
EventNext: TypeAlias = Callable[[Any, Any], Awaitable[None]]
"""The rest of handling an event: takes the event and its ``EventContext``."""
InterceptorsByMethod: TypeAlias = Mapping[str, Sequence[SideT]]
"""Interceptors for single methods, by their Python name."""


class AnyInterceptor:
    """What all interceptors have in common. Derive yours from ``Interceptor``, ``ServerInterceptor`` or ``ClientInterceptor``."""

    _only_passes_ = True
    """Says that the hooks which this class defines do nothing. It counts only for the class that has it in its own body."""

    async def unary(self, request: Any, call: Any, proceed: UnaryNext) -> Any:
        """Runs around a unary call."""
        return await proceed(request, call)

    def stream(self, requests: AsyncIterator[Any], call: Any, proceed: StreamNext) -> AsyncIterator[Any]:
        """Runs around a call of any streaming kind."""
        return proceed(requests, call)


class ServerSide(AnyInterceptor):
    """What can run around the calls that a service serves, and around the events that it handles."""

    _only_passes_ = True
    enforces_auth: bool = False
    """Whether it refuses calls that the method's ``policy.auth`` does not allow. A service with such a method starts only if an
    interceptor around that method says so, and overrides ``unary`` or ``stream``, whichever the method is."""

    async def event(self, event: Any, context: Any, proceed: EventNext) -> None:
        """Runs around the handling of an event, once for each attempt.

        Args:
            event: the message; None for a tombstone.
            context: what is known of it, an ``EventContext``.
            proceed: the rest of handling; what it raises is a failure of the attempt.
        """
        await proceed(event, context)


class ClientSide(AnyInterceptor):
    """What can run around the calls that clients make, and around the events that publishers publish."""

    _only_passes_ = True

    async def publish(self, event: Any, publishing: Any, proceed: PublishNext) -> Any:
        """Runs around an event that is published.

        Args:
            event: the message; None for a tombstone.
            publishing: what is known of it, a ``Publishing``: its headers can be changed.
            proceed: the rest of publishing.

        Returns:
            The ``Published``.
        """
        return await proceed(event, publishing)


class Interceptor(ServerSide, ClientSide):
    """An interceptor for both sides; passes everything through.

    One for one side derives from ``ServerInterceptor`` or ``ClientInterceptor``, which know more of the call.
    """

    _only_passes_ = True

    async def unary(self, request: Any, call: Call, proceed: UnaryNext) -> Any:
        """Runs around a unary call.

        Args:
            request: the request message.
            call: what is known of the call; a ``Context`` on the server, a ``ClientCall`` on the client.
            proceed: the rest of the call.

        Returns:
            The reply message.
        """
        return await proceed(request, call)

    def stream(self, requests: AsyncIterator[Any], call: Call, proceed: StreamNext) -> AsyncIterator[Any]:
        """Runs around a call of any streaming kind; usually overridden as an async generator.

        Args:
            requests: the request messages; exactly one if the client does not stream.
            call: what is known of the call.
            proceed: the rest of the call.

        Returns:
            The reply messages; exactly one if the server does not stream.
        """
        return proceed(requests, call)


def checked(interceptors: Sequence[SideT], side: type[SideT]) -> tuple[SideT, ...]:
    """Checks a list of interceptors.

    Args:
        interceptors: the list.
        side: ``ServerSide`` or ``ClientSide``.

    Raises:
        TypeError: an entry is not an interceptor, such as a class instead of an object, or belongs to the other side.
    """
    for interceptor in cast("Sequence[object]", interceptors):
        if isinstance(interceptor, side):
            continue
        if isinstance(interceptor, ClientSide):
            raise TypeError(
                f"{type(interceptor).__name__} is a micro.ClientInterceptor, for calls and events that go out: it belongs in "
                "client_interceptors= of micro.Service, or in interceptors= of a client or of a publisher"
            )
        if isinstance(interceptor, ServerSide):
            raise TypeError(
                f"{type(interceptor).__name__} is a micro.ServerInterceptor, for calls and events that come in: it belongs in "
                "interceptors= of micro.Service, of service.handle() or of service.subscribe()"
            )
        raise TypeError(f"{interceptor!r} is not an interceptor: an object of a class derived from micro.Interceptor")
    return tuple(interceptors)


def enforce_auth(interceptors: Sequence[ServerSide], method: Method[Any, Any]) -> bool:
    """Returns whether one of the interceptors around a method enforces who may call it."""
    hook = "unary" if method.kind is Kind.UNARY else "stream"
    return any(interceptor.enforces_auth and _overrides(interceptor, hook) for interceptor in interceptors)


def by_method_name(
    service: ServiceInfo, given: InterceptorsByMethod[SideT] | None, side: type[SideT]
) -> dict[str, tuple[SideT, ...]]:
    """Checks interceptors given by method name.

    Raises:
        TypeError: an entry is not an interceptor, or belongs to the other side.
        ValueError: a name that the service does not have, with those that it has.
    """
    if not given:
        return {}
    known = {method.python_name for method in service.methods}
    for name in given:
        if name not in known:
            raise ValueError(f"{service.name} has no method {name!r} to intercept; it has: {', '.join(sorted(known))}")
    return {name: checked(interceptors, side) for name, interceptors in given.items()}


def chain_unary(interceptors: Sequence[AnyInterceptor], innermost: UnaryNext) -> UnaryNext:
    """Puts interceptors around the end of a unary call, once per method; those that pass through are left out."""
    proceed = innermost
    for interceptor in reversed(interceptors):
        if _overrides(interceptor, "unary"):
            proceed = partial(_unary_step, interceptor.unary, proceed)
    return proceed


def chain_stream(interceptors: Sequence[AnyInterceptor], innermost: StreamNext) -> StreamNext:
    """Puts interceptors around the end of a stream, once per method; those that pass through are left out."""
    proceed = innermost
    for interceptor in reversed(interceptors):
        if _overrides(interceptor, "stream"):
            proceed = partial(_StreamStep, interceptor.stream, proceed)
    return proceed


def chain_publish(interceptors: Sequence[ClientSide]) -> Callable[[PublishNext], PublishNext] | None:
    """Returns what puts interceptors around the end of publishing; None if none of them wants to be there."""
    steps = [each.publish for each in interceptors if _overrides(each, "publish")]
    return partial(_chained, steps) if steps else None


def chain_event(interceptors: Sequence[ServerSide], innermost: EventNext) -> EventNext:
    """Puts interceptors around a handler of events, once per event; those that pass through are left out."""
    steps = [each.event for each in interceptors if _overrides(each, "event")]
    return _chained(steps, innermost)


def _overrides(interceptor: AnyInterceptor, hook: str) -> bool:
    """Returns whether an interceptor has a hook of its own, and not only the one that passes everything through."""
    owner = next(cls for cls in type(interceptor).__mro__ if hook in vars(cls))
    return "_only_passes_" not in vars(owner)


def _chained(steps: Sequence[Callable[[Any, Any, Any], Awaitable[Any]]], innermost: UnaryNext) -> UnaryNext:
    proceed = innermost
    for step in reversed(steps):
        proceed = partial(_unary_step, step, proceed)
    return proceed


def _unary_step(
    step: Callable[[Any, Any, UnaryNext], Awaitable[Any]], proceed: UnaryNext, request: Any, call: Any
) -> Awaitable[Any]:
    return step(request, call, proceed)


class _StreamStep(AsyncIterator[Any]):
    """The replies of one stream interceptor, and what must be closed with them.

    Args:
        step: the interceptor's method.
        proceed: the rest of the stream.
        requests: the request messages.
        call: what is known of the call.
    """

    __slots__ = ("_given", "_replies")

    def __init__(
        self,
        step: Callable[[AsyncIterator[Any], Any, StreamNext], AsyncIterator[Any]],
        proceed: StreamNext,
        requests: AsyncIterator[Any],
        call: Any,
    ) -> None:
        # The interceptor gets a function that knows this list and not this object: no cycle is left to the garbage collector.
        self._given: list[AsyncIterator[Any]] = []
        self._replies = aiter(step(requests, call, partial(_proceed, proceed, requests, self._given)))

    def __anext__(self) -> Awaitable[Any]:
        return self._replies.__anext__()

    async def aclose(self) -> None:
        """Closes the replies, then what the interceptor was given; each of them, even if closing another one raises."""
        async with AsyncExitStack() as stack:
            for each in reversed((self._replies, *self._given)):
                stack.push_async_callback(close, each)


def _proceed(
    proceed: StreamNext,
    given: AsyncIterator[Any],
    notes: list[AsyncIterator[Any]],
    requests: AsyncIterator[Any],
    call: Any,
) -> AsyncIterator[Any]:
    """Goes on with a stream, and notes what is to be closed after it.

    Args:
        proceed: the rest of the stream.
        given: the requests that the interceptor got.
        notes: gets the replies, and the requests if they are others than those.
        requests: the requests that the interceptor passes on.
        call: what is known of the call.
    """
    replies = proceed(requests, call)
    notes.append(replies)
    if requests is not given:
        notes.append(requests)
    return replies


async def close(iterator: object) -> None:
    """Closes an async iterator that can be closed, except for a generator that another task runs: that task closes it."""
    closing = getattr(iterator, "aclose", None)
    if closing is not None and not getattr(iterator, "ag_running", False):
        await closing()
