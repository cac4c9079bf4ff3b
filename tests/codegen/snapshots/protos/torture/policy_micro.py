"""Clients, service bases and events of torture/policy.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime

import micro_rt as _micro

from google.protobuf.empty_pb2 import Empty
from .policy_pb2 import Happened

__all__ = ["PoliciesBase", "PoliciesClient", "PolicyPublisher", "PolicySubscriberBase"]

_POLICIES_PLAIN = _micro.Method("torture.policy.Policies", "Plain", "plain", _micro.Kind.UNARY, Empty, Empty)
_POLICIES_EMPTY = _micro.Method(
    "torture.policy.Policies", "Empty", "empty", _micro.Kind.UNARY, Empty, Empty, policy=_micro.Policy()
)
_POLICIES_TIMEOUT = _micro.Method(
    "torture.policy.Policies",
    "Timeout",
    "timeout",
    _micro.Kind.UNARY,
    Empty,
    Empty,
    policy=_micro.Policy(timeout=3600.000000001),
)
_POLICIES_EVERYTHING = _micro.Method(
    "torture.policy.Policies",
    "Everything",
    "everything",
    _micro.Kind.BIDI_STREAM,
    Empty,
    Empty,
    _micro.Idempotency.IDEMPOTENT,
    policy=_micro.Policy(
        timeout=30.0,
        retry=_micro.RetryPolicy(
            attempts=7,
            backoff=1e-06,
            max_backoff=10.0,
            codes=frozenset(
                {
                    _micro.Code.CANCELLED,
                    _micro.Code.UNKNOWN,
                    _micro.Code.DEADLINE_EXCEEDED,
                    _micro.Code.RESOURCE_EXHAUSTED,
                    _micro.Code.ABORTED,
                    _micro.Code.INTERNAL,
                    _micro.Code.UNAVAILABLE,
                }
            ),
            idempotent=False,
            attempt_timeout=0.25,
        ),
        auth=_micro.AuthPolicy(
            scopes=(
                "torture:a scope with a long name, number one",
                "torture:a scope with a long name, number two",
                'torture:a "quoted" scope',
            )
        ),
    ),
)
_POLICIES = _micro.ServiceInfo(
    "torture.policy.Policies",
    'torture "policies"',
    (_POLICIES_PLAIN, _POLICIES_EMPTY, _POLICIES_TIMEOUT, _POLICIES_EVERYTHING),
)


class PoliciesClient(_micro.Client):
    _info_ = _POLICIES

    async def plain(
        self,
        request: Empty,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Empty:
        return await self._unary(_POLICIES_PLAIN, request, timeout, metadata, info)

    async def empty(
        self,
        request: Empty,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Empty:
        return await self._unary(_POLICIES_EMPTY, request, timeout, metadata, info)

    async def timeout(
        self,
        request: Empty,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> Empty:
        return await self._unary(_POLICIES_TIMEOUT, request, timeout, metadata, info)

    @_micro.deprecated("torture.policy.Policies.Everything is deprecated")
    def everything(
        self,
        requests: _micro.Messages[Empty] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[Empty, Empty]:
        """Deprecated."""
        return self._bidi_stream(_POLICIES_EVERYTHING, requests, timeout, metadata, info)


class PoliciesBase(_micro.Handler):
    _info_ = _POLICIES

    async def plain(self, request: Empty, context: _micro.Context) -> Empty:
        raise self._unimplemented(_POLICIES_PLAIN)

    async def empty(self, request: Empty, context: _micro.Context) -> Empty:
        raise self._unimplemented(_POLICIES_EMPTY)

    async def timeout(self, request: Empty, context: _micro.Context) -> Empty:
        raise self._unimplemented(_POLICIES_TIMEOUT)

    def everything(self, requests: AsyncIterator[Empty], context: _micro.Context) -> AsyncIterator[Empty]:
        """Deprecated."""
        raise self._unimplemented(_POLICIES_EVERYTHING)


_HAPPENED = _micro.Event("torture.policy.Happened", "happened", "torture.happened", Happened, key="id")
_POLICY_EVENTS = _micro.EventsInfo("torture/policy.proto", (_HAPPENED,))


class PolicyPublisher(_micro.Publisher):
    """Publishes the events of torture/policy.proto."""

    _info_ = _POLICY_EVENTS

    async def happened(
        self,
        event: Happened,
        *,
        key: str | bytes | None = None,
        headers: _micro.HeadersLike | None = None,
        time: datetime | None = None,
        timeout: float | None = None,
    ) -> _micro.Published:
        """An event."""
        return await self._publish(_HAPPENED, event, key, headers, time, timeout)

    async def publish_all(
        self, events: Iterable[Happened], *, headers: _micro.HeadersLike | None = None, timeout: float | None = None
    ) -> list[_micro.Published]:
        """Publishes many events of this file at once; what comes back is in their order."""
        return await self._publish_all(events, headers, timeout)


class PolicySubscriberBase(_micro.Subscriber):
    """Handles the events of torture/policy.proto; a method that is left out is not subscribed."""

    _info_ = _POLICY_EVENTS

    async def happened(self, event: Happened, context: _micro.EventContext) -> None:
        """An event."""
        raise self._not_subscribed(_HAPPENED)
