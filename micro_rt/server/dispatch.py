"""From the path of a request to a handler's method, and from what the method does to a status.

The rules that it keeps, and why:

- A request is dispatched by its exact path. Only if there is no such path, its last segment counts (go-micro puts the
  registry's name where the package is), and only if exactly one handler has that segment. The policy and the
  interceptors are those of the method that was found, never of the path that was sent.
- A request that carries the id of another node is refused before anything runs, and says so: the process that had the address
  before is gone, and its clients still know it. A request without an id, as of a foreign client, is served.
- A call that is refused before a handler begins it says that it did not run, so the client tries another node. What a handler
  raises always says that it may have run, whatever it says itself: the error may be that of another call.
- What depends only on the method (interceptor chain, kind, functions of the service's own codec) is computed when the
  handler is added; for another codec, at the first call in it. A handler whose methods certainly do not fit their rpcs
  is refused when it is added, before the first call. So is one with a rule that does not compile.
- A call is answered in the codec of its request. A codec that this server does not have is ``UNIMPLEMENTED``, and the
  error names those that it has.
- The deadline is the earliest of the caller's, the one in go-micro's header, and the timeout of the method's policy.
  The transport enforces its own deadline; a shorter one is enforced here.
- What a call can cause is logged once per second for each method and cause, and then how many more there were.
- Every call ends with exactly one status. A ``micro.Error`` is passed on as it is, unless it ended a call that the handler
  made itself: then its cause is logged, and the caller gets a plain ``UNAVAILABLE``, ``DEADLINE_EXCEEDED`` or ``INTERNAL``.
  Its text may name services, addresses and names in the registry that are none of the caller's business, and would
  read as if they were about the service that was called. Anything else is logged with its
  traceback and becomes ``UNKNOWN`` without details, because its text may hold secrets.
- A handler that raises ``SystemExit``, ``KeyboardInterrupt`` or another ``BaseException`` ends its own call, with
  ``UNAVAILABLE``: it may have run, so only idempotent methods are called again elsewhere. In a task of asyncio's, the first
  two would end the event loop, and every other call in flight with it. ``exits`` is called with them, so that the
  service stops in good order.
- A task group with a single error counts as that error: handlers that use task groups need not unwrap it.
- A cancellation that is this call's own (the client has gone, the server stops) goes on. Any other one, which something
  the handler awaited raised, becomes ``CANCELLED``, and the task goes on to send its status. A call that the server cuts off
  at the end of its grace sends ``UNAVAILABLE`` with an id of its own.
- Headers that the handler set are sent before the first reply, and in any case before the status.
- A method whose policy says who may call it, with no interceptor around it that enforces this, is noted in ``unguarded``: the
  service then does not start.
- A request from go-micro gets its errors in go-micro's form, and the request of a server stream need not end. That is
  decided by the request, and changes nothing else.
- How a method runs on what comes is in ``routes``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Any

from micro_rt.codec.codecs import Codecs
from micro_rt.context import Context, current_context
from micro_rt.errors import (
    NOT_SERVED,
    Cancelled,
    Code,
    DeadlineExceeded,
    Error,
    Unavailable,
    Unimplemented,
    Unknown,
    code_for_caller,
    only_leaf,
)
from micro_rt.go_micro.errors import encode_error
from micro_rt.go_micro.headers import split_metadata
from micro_rt.handler import Handler, service_info
from micro_rt.interceptor import (
    InterceptorsByMethod,
    ServerSide,
    by_method_name,
    checked,
    enforce_auth,
)
from micro_rt.kit.threads import Threads
from micro_rt.logs import logger, sparsely
from micro_rt.metadata import EMPTY, NODE_KEY, Metadata, MetadataValue
from micro_rt.method import Kind, Method, ServiceInfo
from micro_rt.server.checks import check_handler, is_left_out
from micro_rt.server.draining import Draining
from micro_rt.server.routes import Route, StreamRoute, UnaryRoute
from micro_rt.server.threaded import blocks, threaded
from micro_rt.text import near
from micro_rt.transport.base import ServerStream
from micro_rt.transport.limits import MessageRules
from micro_rt.validation.checks import Validation

__all__ = ["Dispatcher"]

_log = logger("micro_rt.server")


class Dispatcher:
    """Serves calls by their path.

    Args:
        codecs: how messages are encoded: a call's as its content subtype says.
        interceptors: run around every call, outermost first.
        validate: whether requests are checked by the rules of their .proto files.

    Attributes:
        draining: how the server ends that serves at present; to be set before it starts.
        node: id of the node that is served at present; to be set before it starts. Empty to take calls for any.
        threads: where handlers run that are plain functions; how many is to be set before it starts.
    """

    def __init__(self, codecs: Codecs, interceptors: Sequence[ServerSide], *, validate: bool = True) -> None:
        self.draining = Draining()
        self.node = ""
        self.threads = Threads()
        self._codecs = codecs
        self._content_subtype = codecs.own.content_subtype
        self._in_other_codecs: dict[tuple[str, str], Route] = {}
        """Routes by content subtype and path, for calls that are not in our own codec."""
        self._interceptors = checked(interceptors, ServerSide)
        self.served: list[ServiceInfo] = []
        """The proto services that it serves, those of the runtime itself included."""
        self.exits: Callable[[BaseException], None] | None = None
        """Called with the ``SystemExit`` or ``KeyboardInterrupt`` of a handler."""
        self.largest_request = 0
        """Bytes of the largest request that the .proto of a method says it takes; 0 if no .proto says so."""
        self.has_sizes = False
        """Whether the .proto of any method says how large messages may be."""
        self.has_compression = False
        """Whether the .proto of any method says that messages are compressed."""
        self.validation = Validation() if validate else None
        """What checks requests, and which methods it cannot check; None if nothing is to be checked."""
        self._services: list[str] = []
        self._routes: dict[str, Route] = {}
        # go-micro puts the name in the registry where the package is: "/go.micro.srv.greeter.Greeter/SayHello". None stands
        # for a last segment that several handlers have, and that therefore names none of them.
        self._by_last_segment: dict[str, Route | None] = {}
        self.unguarded: list[str] = []
        """Paths of methods whose ``auth`` policy no interceptor enforces."""

    def add(
        self,
        handler: Handler,
        interceptors: Sequence[ServerSide],
        method_interceptors: InterceptorsByMethod[ServerSide] | None,
    ) -> None:
        """Adds the methods of a handler.

        Args:
            handler: serves a proto service.
            interceptors: run around its calls, inside those of the service.
            method_interceptors: run around the calls of single methods, by Python name.

        Raises:
            TypeError: the handler cannot be served as it is written.
            ValueError: the proto service is served already, a method to intercept does not exist, or a rule of its requests
                does not compile.
        """
        check_handler(handler)
        chain = (*self._interceptors, *checked(interceptors, ServerSide))
        by_method = by_method_name(service_info(handler), method_interceptors, ServerSide)
        for path, route in self._add(handler, chain, by_method).items():
            last = _last_segment(path)
            self._by_last_segment[last] = None if last in self._by_last_segment else route
        self._services.append(service_info(handler).name)

    def add_own(self, handler: Handler) -> None:
        """Adds a handler of the runtime itself: no interceptors see its calls, and only its exact paths lead to it.

        Does nothing if a user's handler serves the same proto service.
        """
        if service_info(handler).methods[0].path not in self._routes:
            self._add(handler, (), {})

    def _add(
        self, handler: Handler, interceptors: Sequence[ServerSide], by_method: Mapping[str, Sequence[ServerSide]]
    ) -> dict[str, Route]:
        info = service_info(handler)
        routes: dict[str, Route] = {}
        for method in info.methods:
            if method.path in self._routes:
                raise ValueError(f"{info.name} has a handler already: one service serves each proto service once")
            chain = (*interceptors, *by_method.get(method.python_name, ()))
            function = getattr(handler, method.python_name)
            if blocks(method, function) and not is_left_out(handler, method):
                function = threaded(method, function, self.threads)
            kind = UnaryRoute if method.kind is Kind.UNARY else StreamRoute
            check = None if self.validation is None else self.validation.check_of(info, method)
            routes[method.path] = kind(method, function, self._codecs.own, chain, check)
            rules = routes[method.path].sizes
            if rules is not None:
                self.has_sizes = self.has_sizes or rules.request is not None or rules.reply is not None
                self.has_compression = self.has_compression or bool(rules.compression)
                self.largest_request = max(self.largest_request, rules.request or 0)
            auth = method.policy.auth
            if auth is not None and not auth.public and not enforce_auth(chain, method):
                self.unguarded.append(method.path)
        self._routes.update(routes)
        self.served.append(info)
        return routes

    async def __call__(self, stream: ServerStream) -> None:
        """Serves one call, in the task that the transport gave it."""
        metadata, timeout, go_micro, wanted = stream.metadata, None, None, None
        if metadata.pairs:
            wanted = [value for key, value in metadata.pairs if key == NODE_KEY]
            if wanted:
                metadata = EMPTY if len(wanted) == len(metadata.pairs) else metadata.without(NODE_KEY)
            go_micro = split_metadata(metadata) if metadata.pairs else None
            if go_micro is not None:
                metadata, timeout = go_micro
        failure: Error | None = self._for_another_node(stream.path, wanted)
        trailers = EMPTY
        if failure is None:
            failure, trailers = await self._serve(stream, metadata, timeout, ends=go_micro is None)
        if failure is not None and go_micro is not None:
            failure = encode_error(failure, stream.path)
        await stream.finish(failure, trailers)

    def sizes(self, path: str) -> MessageRules | None:
        """Returns what the .proto says of the messages of the method that a request's path leads to; None if nothing."""
        route = self._routes.get(path) or self._by_last_segment.get(_last_segment(path))
        return None if route is None else route.sizes

    def method_of(self, path: str) -> str:
        """Returns the path of the method that a request's path leads to; empty if there is none."""
        route = self._routes.get(path) or self._by_last_segment.get(_last_segment(path))
        return "" if route is None else route.method.path

    def _for_another_node(self, path: str, wanted: Sequence[MetadataValue] | None) -> Unavailable | None:
        """Returns what a call ends with that is for another node; None for one that is served here.

        Args:
            path: of the call.
            wanted: ids of nodes that it names. A proxy may have added one for each node on the way.
        """
        if not wanted or not self.node or self.node in wanted:
            return None
        problem = f"{path} was not run: it is for another node, which had this address before; this is {self.node}"
        return Unavailable(problem, id="micro.wrong_node", may_have_run=False)

    async def _serve(
        self, stream: ServerStream, metadata: Metadata, timeout: float | None, *, ends: bool
    ) -> tuple[Error | None, Metadata]:
        """Serves a call up to its status.

        Args:
            stream: the call.
            metadata: what of its metadata is for the handler.
            timeout: seconds that the caller gives it, besides the deadline that the transport knows.
            ends: whether the client ends its requests; go-micro's does not after the one of a server stream.

        Returns:
            The error that it ends with, if any, and the trailers.
        """
        route = self._routes.get(stream.path) or self._by_last_segment.get(_last_segment(stream.path))
        if route is None:
            return self._unknown(stream.path), EMPTY
        if stream.content_subtype != self._content_subtype:
            try:
                route = self._in_other_codec(route, stream.content_subtype)
            except Unimplemented as error:
                return error, EMPTY
        deadline, limit = stream.deadline, None
        allowed = route.method.policy.timeout
        if allowed is not None and (timeout is None or allowed < timeout):
            timeout = allowed
        if timeout is not None:
            own = asyncio.get_running_loop().time() + timeout
            if deadline is None or own < deadline:
                deadline, limit = own, asyncio.timeout_at(own)
        draining = self.draining
        context = Context(
            route.method, metadata, deadline, stream.peer, stream.send_headers, draining.begun, stream.set_compression
        )
        current_context.set(context)
        failure: Error | None = None
        try:
            if limit is None:
                await route.serve(stream, context, ends)
            else:
                async with limit:
                    await route.serve(stream, context, ends)
        except BaseException as error:
            late = limit is not None and limit.expired()
            failure = self._failure(route.method, error, draining, timeout if late else None)
            if failure is None:
                raise
        headers = context.take_headers()
        if headers is not None:
            await stream.send_headers(headers)
        return failure, context.trailers

    def _failure(
        self, method: Method[Any, Any], error: BaseException, draining: Draining, timeout: float | None
    ) -> Error | None:
        """Returns the error of a call whose handler raised something; None if that must go on.

        Args:
            method: the rpc.
            error: what was raised.
            draining: how the server ends that took the call.
            timeout: the seconds that the call had, if it has taken longer than that.
        """
        if isinstance(error, Error):
            return _for_caller(method, error)
        if isinstance(error, asyncio.CancelledError):
            return _cancelled(method, draining)
        if isinstance(error, GeneratorExit):
            return None  # The event loop is gone, and this task is thrown away.
        if not isinstance(error, Exception):
            return self._exited(method.path, error)
        if isinstance(leaf := only_leaf(error), Error):
            return _for_caller(method, leaf)
        if timeout is not None and isinstance(error, TimeoutError):
            whose = "its policy" if timeout == method.policy.timeout else "the caller"
            problem = f"{method.path}: {whose} gives a handler {timeout:g} s, and it took longer"
            return DeadlineExceeded(problem, id="micro.deadline")
        _log.error("%s raised an unexpected exception", method.path, exc_info=error, extra=sparsely(method.path))
        return Unknown(f"{method.path} failed with {type(error).__name__}; the server's log has the rest")

    def _exited(self, path: str, error: BaseException) -> Unavailable:
        """Returns what a call ends with whose handler raised what ends a program."""
        name = type(error).__name__
        _log.error("%s raised %s; the other calls go on", path, name, exc_info=error, extra=sparsely(path))
        if self.exits is not None and isinstance(error, SystemExit | KeyboardInterrupt):
            self.exits(error)
        return Unavailable(f"{path} ended with {name}; the server's log has the rest", id="micro.handler_exited")

    def _in_other_codec(self, route: Route, content_subtype: str) -> Route:
        """Returns a route for calls in a codec that is not our own.

        Raises:
            Unimplemented: there is no such codec, or it cannot encode the messages of the method.
        """
        path = route.method.path
        known = self._in_other_codecs.get((content_subtype, path))
        if known is not None:
            return known
        codec = self._codecs.find(content_subtype)
        if codec is None:
            names = ", ".join(self._codecs.names())
            problem = f"there is no codec {content_subtype!r} here; this server has {names}"
            raise Unimplemented(problem, may_have_run=False)
        try:
            made = self._in_other_codecs[content_subtype, path] = route.in_codec(codec)
        except TypeError as error:
            problem = f"{path} is not served in {content_subtype!r}: {error}"
            raise Unimplemented(problem, may_have_run=False) from error
        return made

    def _unknown(self, path: str) -> Unimplemented:
        similar = near(path, self._routes, 1)
        hint = f"did you mean {similar[0]}?" if similar else f"this server has {', '.join(sorted(self._services))}"
        problem = f"there is no {path} here: {hint}"
        service = f"{path.rpartition('/')[0]}/"
        id = "" if any(known.startswith(service) for known in self._routes) else NOT_SERVED
        return Unimplemented(problem, id=id, may_have_run=False)


def _last_segment(path: str) -> str:
    """Returns ``"Greeter/SayHello"`` of ``"/greeter.v1.Greeter/SayHello"``; nothing of what is not a path of a method."""
    empty, *parts = path.split("/")
    return "" if empty or len(parts) != 2 else f"{parts[0].rpartition('.')[2]}/{parts[1]}"


def _for_caller(method: Method[Any, Any], error: Error) -> Error:
    """Returns what a handler's caller gets: an error of the handler's own calls tells it nothing of where they went."""
    if not error.outgoing:
        if not error.may_have_run:
            error = copy(error)
            error.may_have_run = True
        return error
    code = code_for_caller(error)
    unexpected = code is Code.INTERNAL
    _log.log(
        logging.ERROR if unexpected else logging.WARNING,
        "%s ends with %s, because a call that its handler made failed: %s",
        method.path,
        code.name,
        error,
        exc_info=error if unexpected else None,
        extra=sparsely(f"{method.path} {code.name}"),
    )
    return Error.of(code, f"{method.path}: {_OUTGOING[code]}; the server's log has the cause", id="micro.outgoing")


def _cancelled(method: Method[Any, Any], draining: Draining) -> Error | None:
    """Returns the error of a call that ended with a cancellation; None if it is this call's own, and goes on."""
    task = asyncio.current_task()
    if task is None:
        return None
    if draining.cut_off and task.cancelling() == 1:
        task.uncancel()  # by the server alone: the call goes on to send its status
        return _cut_off(method)
    if task.cancelling():
        return None
    return Cancelled(f"{method.path}: something that the handler waited for was cancelled")


def _cut_off(method: Method[Any, Any]) -> Unavailable:
    """What a call ends with that the server does not wait for any longer."""
    problem = f"{method.path} was cut off: the server stops, and the call took longer than the grace; it may have run"
    if not method.idempotent:
        problem += ", and is not declared idempotent"
    return Unavailable(problem, id="micro.cut_off")


_OUTGOING: Mapping[Code, str] = {
    Code.UNAVAILABLE: "a service that it needs is not available",
    Code.DEADLINE_EXCEEDED: "a call that it made was not answered in time",
    Code.INTERNAL: "a call that it made failed",
}
