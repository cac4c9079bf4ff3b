"""The base of every generated client."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar

from micro_rt.client.bound import BoundMethod, Host, check_timeout
from micro_rt.client.exchange import bind_interceptors
from micro_rt.client.streams import BidiStreamCall, ClientStreamCall, Messages, ServerStreamCall
from micro_rt.client.wanted import wanted_nodes
from micro_rt.context import CallInfo
from micro_rt.interceptor import ClientSide, InterceptorsByMethod, by_method_name, checked
from micro_rt.metadata import EMPTY, Metadata, MetadataLike
from micro_rt.method import Method, RetryPolicy, ServiceInfo
from micro_rt.node import NodeFilter
from micro_rt.transport.compression import compression_of
from micro_rt.transport.limits import UNSAID, ServiceLimits, rules_of
from micro_rt.validation.checks import Check, Validation

__all__ = ["Client"]

RequestT = TypeVar("RequestT")
ReplyT = TypeVar("ReplyT")

_DEFAULT_RETRY = RetryPolicy()
_NO_CHECKS: Mapping[Method[Any, Any], Check | None] = MappingProxyType({})


class Client:
    """Calls one proto service. Generated classes derive from it: ``GreeterClient(service)``.

    Args:
        service: whose registry, transport and identity the calls use; started before the first call. A call raises
            ``RuntimeError`` in another event loop than the service's, and in a forked child of its process.
        target: the name to look up, if not the one from the .proto.
        timeout: seconds for each call that does not say, ``math.inf`` for no limit; None for what the method's policy in the
            .proto says, and without one for what ``timeout=`` of the service says, which bounds no streams.
        retry: how failed calls are tried again, or None for what the method's policy in the .proto says.
        metadata: sent with every call.
        nodes: which nodes it calls, by version, metadata and zone, or None for what ``nodes=`` of the service says.
        max_message: bytes that a request or a reply may have, or None for what the method's limits in the .proto say, and
            without them ``max_message=`` of the service. A larger one is ``ResourceExhausted``.
        compression: how requests are compressed, ``"gzip"``, ``"deflate"`` or ``"zstd"``, or ``""`` for not at all; None for
            what the method says in the .proto, and without that ``compression=`` of the service. ``compression`` of a
            ``CallInfo`` counts for one call. Replies are compressed as the server says.
        validate: whether requests are checked before they are sent, by the rules of ``buf.validate`` in their .proto files. One that
            breaks a rule raises ``InvalidArgument``, and is not sent. This needs ``micro-rt[validate]``.
        interceptors: run around every call, inside those of the service.
        method_interceptors: run around the calls of single methods, by Python name, inside the others.

    Raises:
        TypeError: the first argument is not a service, ``nodes`` is not a ``micro.NodeFilter``, or an entry of the interceptors
            is not one, or is for servers.
        ValueError: a method name that the service does not have, a ``max_message`` below 1, a ``compression`` that
            there is not, nodes of the same zone for a service without a zone, or a rule that does not compile.
        FailedPrecondition: ``validate=True``, and ``protovalidate`` is not installed.
    """

    _info_: ClassVar[ServiceInfo]

    def __init__(
        self,
        service: Host,
        *,
        target: str | None = None,
        timeout: float | None = None,
        retry: RetryPolicy | None = None,
        metadata: MetadataLike | None = None,
        nodes: NodeFilter | None = None,
        max_message: int | None = None,
        compression: str | None = None,
        validate: bool = False,
        interceptors: Sequence[ClientSide] = (),
        method_interceptors: InterceptorsByMethod[ClientSide] | None = None,
    ) -> None:
        if not hasattr(service, "client_interceptors"):
            raise TypeError(
                f"{type(self).__name__}({service!r}): the argument is a micro.Service; the name to look up is target="
            )
        self._service = service
        self._target = target or self._info_.target
        self._timeout = None if timeout is None else check_timeout(timeout)
        self._retry = retry
        self._metadata = EMPTY if metadata is None else Metadata(metadata)
        self._nodes = None if nodes is None else wanted_nodes(nodes, service.zone)
        self._max_message = ServiceLimits(max_message=max_message).max_message
        self._compression = None if compression is None else compression_of(compression)
        self._interceptors = checked(interceptors, ClientSide)
        self._method_interceptors = by_method_name(self._info_, method_interceptors, ClientSide)
        self._checks = _checks(type(self).__name__, self._info_) if validate else _NO_CHECKS
        self._served: str | None = None
        """The service whose nodes are called, if not the one of the method; empty for every node of the target."""
        self._bound: dict[Method[Any, Any], BoundMethod] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._target!r}>"

    def _unary(
        self,
        method: Method[RequestT, ReplyT],
        request: RequestT,
        timeout: float | None,
        metadata: MetadataLike | None,
        info: CallInfo | None,
    ) -> Coroutine[Any, Any, ReplyT]:
        # Not a coroutine of its own: the generated method that awaits this is one.
        bound = self._bound.get(method) or self._bind(method)
        return bound.unary(request, timeout, metadata, info)

    def _server_stream(
        self,
        method: Method[RequestT, ReplyT],
        request: RequestT,
        timeout: float | None,
        metadata: MetadataLike | None,
        info: CallInfo | None,
    ) -> ServerStreamCall[ReplyT]:
        bound = self._bound.get(method) or self._bind(method)
        return ServerStreamCall(bound, request, timeout, metadata, info)

    def _client_stream(
        self,
        method: Method[RequestT, ReplyT],
        requests: Messages[RequestT] | None,
        timeout: float | None,
        metadata: MetadataLike | None,
        info: CallInfo | None,
    ) -> ClientStreamCall[RequestT, ReplyT]:
        bound = self._bound.get(method) or self._bind(method)
        return ClientStreamCall(bound, requests, timeout, metadata, info)

    def _bidi_stream(
        self,
        method: Method[RequestT, ReplyT],
        requests: Messages[RequestT] | None,
        timeout: float | None,
        metadata: MetadataLike | None,
        info: CallInfo | None,
    ) -> BidiStreamCall[RequestT, ReplyT]:
        bound = self._bound.get(method) or self._bind(method)
        return BidiStreamCall(bound, requests, timeout, metadata, info)

    def _bind(self, method: Method[Any, Any]) -> BoundMethod:
        interceptors = (
            *self._service.client_interceptors,
            *self._interceptors,
            *self._method_interceptors.get(method.python_name, ()),
        )
        timeout = method.policy.timeout if self._timeout is None else self._timeout
        retry = self._retry or method.policy.retry or _DEFAULT_RETRY
        rules = rules_of(method)
        if self._max_message is not None:
            rules = (rules or UNSAID)._replace(request=self._max_message, reply=self._max_message)
        if self._compression is not None:
            rules = (rules or UNSAID)._replace(compression=self._compression)
        check = self._checks.get(method)
        bound = BoundMethod(
            *(self._service, method, self._target, interceptors, retry, timeout, self._metadata, rules),
            wanted=self._nodes,
            check=check,
            served=self._served,
        )
        bind_interceptors(bound, interceptors)
        self._bound[method] = bound
        return bound


def _checks(name: str, info: ServiceInfo) -> dict[Method[Any, Any], Check | None]:
    """Returns what checks the requests of each method.

    Args:
        name: of the client's class, for errors.
        info: its service.
    """
    validation = Validation()
    validation.required(f"{name}(validate=True)")
    return {method: validation.check_of(info, method) for method in info.methods}
