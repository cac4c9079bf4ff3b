"""Clients and service bases of micro_rt/backends/etcd/services.proto, written by protoc-gen-micro: change the .proto instead."""

from __future__ import annotations

from collections.abc import AsyncIterator

import micro_rt as _micro

from micro_rt.backends.etcd.messages_pb2 import (
    AuthenticateRequest,
    AuthenticateResponse,
    CompactionRequest,
    CompactionResponse,
    DeleteRangeRequest,
    DeleteRangeResponse,
    LeaseGrantRequest,
    LeaseGrantResponse,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
    MemberListRequest,
    MemberListResponse,
    PutRequest,
    PutResponse,
    RangeRequest,
    RangeResponse,
    TxnRequest,
    TxnResponse,
    WatchRequest,
    WatchResponse,
)

__all__ = [
    "AuthBase",
    "AuthClient",
    "ClusterBase",
    "ClusterClient",
    "KVBase",
    "KVClient",
    "LeaseBase",
    "LeaseClient",
    "WatchBase",
    "WatchClient",
]

_KV_RANGE = _micro.Method(
    "etcdserverpb.KV",
    "Range",
    "range",
    _micro.Kind.UNARY,
    RangeRequest,
    RangeResponse,
    _micro.Idempotency.NO_SIDE_EFFECTS,
)
_KV_PUT = _micro.Method("etcdserverpb.KV", "Put", "put", _micro.Kind.UNARY, PutRequest, PutResponse)
_KV_DELETE_RANGE = _micro.Method(
    "etcdserverpb.KV", "DeleteRange", "delete_range", _micro.Kind.UNARY, DeleteRangeRequest, DeleteRangeResponse
)
_KV_TXN = _micro.Method("etcdserverpb.KV", "Txn", "txn", _micro.Kind.UNARY, TxnRequest, TxnResponse)
_KV_COMPACT = _micro.Method(
    "etcdserverpb.KV", "Compact", "compact", _micro.Kind.UNARY, CompactionRequest, CompactionResponse
)
_KV = _micro.ServiceInfo(
    "etcdserverpb.KV", "etcdserverpb", (_KV_RANGE, _KV_PUT, _KV_DELETE_RANGE, _KV_TXN, _KV_COMPACT)
)


class KVClient(_micro.Client):
    """Keys and values."""

    _info_ = _KV

    async def range(
        self,
        request: RangeRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> RangeResponse:
        """Reads keys."""
        return await self._unary(_KV_RANGE, request, timeout, metadata, info)

    async def put(
        self,
        request: PutRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> PutResponse:
        """Writes a key."""
        return await self._unary(_KV_PUT, request, timeout, metadata, info)

    async def delete_range(
        self,
        request: DeleteRangeRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> DeleteRangeResponse:
        """Deletes keys."""
        return await self._unary(_KV_DELETE_RANGE, request, timeout, metadata, info)

    async def txn(
        self,
        request: TxnRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> TxnResponse:
        """Does several operations at once, one set of them if all conditions hold and another one if not."""
        return await self._unary(_KV_TXN, request, timeout, metadata, info)

    async def compact(
        self,
        request: CompactionRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> CompactionResponse:
        """Forgets what was before a revision."""
        return await self._unary(_KV_COMPACT, request, timeout, metadata, info)


class KVBase(_micro.Handler):
    """Keys and values."""

    _info_ = _KV

    async def range(self, request: RangeRequest, context: _micro.Context) -> RangeResponse:
        """Reads keys."""
        raise self._unimplemented(_KV_RANGE)

    async def put(self, request: PutRequest, context: _micro.Context) -> PutResponse:
        """Writes a key."""
        raise self._unimplemented(_KV_PUT)

    async def delete_range(self, request: DeleteRangeRequest, context: _micro.Context) -> DeleteRangeResponse:
        """Deletes keys."""
        raise self._unimplemented(_KV_DELETE_RANGE)

    async def txn(self, request: TxnRequest, context: _micro.Context) -> TxnResponse:
        """Does several operations at once, one set of them if all conditions hold and another one if not."""
        raise self._unimplemented(_KV_TXN)

    async def compact(self, request: CompactionRequest, context: _micro.Context) -> CompactionResponse:
        """Forgets what was before a revision."""
        raise self._unimplemented(_KV_COMPACT)


_WATCH_WATCH = _micro.Method(
    "etcdserverpb.Watch", "Watch", "watch", _micro.Kind.BIDI_STREAM, WatchRequest, WatchResponse
)
_WATCH = _micro.ServiceInfo("etcdserverpb.Watch", "etcdserverpb", (_WATCH_WATCH,))


class WatchClient(_micro.Client):
    """Changes, as they come."""

    _info_ = _WATCH

    def watch(
        self,
        requests: _micro.Messages[WatchRequest] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[WatchRequest, WatchResponse]:
        """Carries any number of watches on one stream."""
        return self._bidi_stream(_WATCH_WATCH, requests, timeout, metadata, info)


class WatchBase(_micro.Handler):
    """Changes, as they come."""

    _info_ = _WATCH

    def watch(self, requests: AsyncIterator[WatchRequest], context: _micro.Context) -> AsyncIterator[WatchResponse]:
        """Carries any number of watches on one stream."""
        raise self._unimplemented(_WATCH_WATCH)


_LEASE_LEASE_GRANT = _micro.Method(
    "etcdserverpb.Lease", "LeaseGrant", "lease_grant", _micro.Kind.UNARY, LeaseGrantRequest, LeaseGrantResponse
)
_LEASE_LEASE_REVOKE = _micro.Method(
    "etcdserverpb.Lease",
    "LeaseRevoke",
    "lease_revoke",
    _micro.Kind.UNARY,
    LeaseRevokeRequest,
    LeaseRevokeResponse,
    _micro.Idempotency.IDEMPOTENT,
)
_LEASE_LEASE_KEEP_ALIVE = _micro.Method(
    "etcdserverpb.Lease",
    "LeaseKeepAlive",
    "lease_keep_alive",
    _micro.Kind.BIDI_STREAM,
    LeaseKeepAliveRequest,
    LeaseKeepAliveResponse,
    _micro.Idempotency.IDEMPOTENT,
)
_LEASE_LEASE_TIME_TO_LIVE = _micro.Method(
    "etcdserverpb.Lease",
    "LeaseTimeToLive",
    "lease_time_to_live",
    _micro.Kind.UNARY,
    LeaseTimeToLiveRequest,
    LeaseTimeToLiveResponse,
    _micro.Idempotency.NO_SIDE_EFFECTS,
)
_LEASE = _micro.ServiceInfo(
    "etcdserverpb.Lease",
    "etcdserverpb",
    (_LEASE_LEASE_GRANT, _LEASE_LEASE_REVOKE, _LEASE_LEASE_KEEP_ALIVE, _LEASE_LEASE_TIME_TO_LIVE),
)


class LeaseClient(_micro.Client):
    """What keys go with."""

    _info_ = _LEASE

    async def lease_grant(
        self,
        request: LeaseGrantRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> LeaseGrantResponse:
        """Makes a lease."""
        return await self._unary(_LEASE_LEASE_GRANT, request, timeout, metadata, info)

    async def lease_revoke(
        self,
        request: LeaseRevokeRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> LeaseRevokeResponse:
        """Ends a lease, and deletes its keys."""
        return await self._unary(_LEASE_LEASE_REVOKE, request, timeout, metadata, info)

    def lease_keep_alive(
        self,
        requests: _micro.Messages[LeaseKeepAliveRequest] | None = None,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> _micro.BidiStreamCall[LeaseKeepAliveRequest, LeaseKeepAliveResponse]:
        """Starts the time of leases anew, each time that one is named."""
        return self._bidi_stream(_LEASE_LEASE_KEEP_ALIVE, requests, timeout, metadata, info)

    async def lease_time_to_live(
        self,
        request: LeaseTimeToLiveRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> LeaseTimeToLiveResponse:
        """Tells how long a lease lasts."""
        return await self._unary(_LEASE_LEASE_TIME_TO_LIVE, request, timeout, metadata, info)


class LeaseBase(_micro.Handler):
    """What keys go with."""

    _info_ = _LEASE

    async def lease_grant(self, request: LeaseGrantRequest, context: _micro.Context) -> LeaseGrantResponse:
        """Makes a lease."""
        raise self._unimplemented(_LEASE_LEASE_GRANT)

    async def lease_revoke(self, request: LeaseRevokeRequest, context: _micro.Context) -> LeaseRevokeResponse:
        """Ends a lease, and deletes its keys."""
        raise self._unimplemented(_LEASE_LEASE_REVOKE)

    def lease_keep_alive(
        self, requests: AsyncIterator[LeaseKeepAliveRequest], context: _micro.Context
    ) -> AsyncIterator[LeaseKeepAliveResponse]:
        """Starts the time of leases anew, each time that one is named."""
        raise self._unimplemented(_LEASE_LEASE_KEEP_ALIVE)

    async def lease_time_to_live(
        self, request: LeaseTimeToLiveRequest, context: _micro.Context
    ) -> LeaseTimeToLiveResponse:
        """Tells how long a lease lasts."""
        raise self._unimplemented(_LEASE_LEASE_TIME_TO_LIVE)


_AUTH_AUTHENTICATE = _micro.Method(
    "etcdserverpb.Auth",
    "Authenticate",
    "authenticate",
    _micro.Kind.UNARY,
    AuthenticateRequest,
    AuthenticateResponse,
    _micro.Idempotency.IDEMPOTENT,
)
_AUTH = _micro.ServiceInfo("etcdserverpb.Auth", "etcdserverpb", (_AUTH_AUTHENTICATE,))


class AuthClient(_micro.Client):
    """Who may do what."""

    _info_ = _AUTH

    async def authenticate(
        self,
        request: AuthenticateRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> AuthenticateResponse:
        """Gives a token for a name and a password."""
        return await self._unary(_AUTH_AUTHENTICATE, request, timeout, metadata, info)


class AuthBase(_micro.Handler):
    """Who may do what."""

    _info_ = _AUTH

    async def authenticate(self, request: AuthenticateRequest, context: _micro.Context) -> AuthenticateResponse:
        """Gives a token for a name and a password."""
        raise self._unimplemented(_AUTH_AUTHENTICATE)


_CLUSTER_MEMBER_LIST = _micro.Method(
    "etcdserverpb.Cluster",
    "MemberList",
    "member_list",
    _micro.Kind.UNARY,
    MemberListRequest,
    MemberListResponse,
    _micro.Idempotency.NO_SIDE_EFFECTS,
)
_CLUSTER = _micro.ServiceInfo("etcdserverpb.Cluster", "etcdserverpb", (_CLUSTER_MEMBER_LIST,))


class ClusterClient(_micro.Client):
    """Who the servers are."""

    _info_ = _CLUSTER

    async def member_list(
        self,
        request: MemberListRequest,
        *,
        timeout: float | None = None,
        metadata: _micro.MetadataLike | None = None,
        info: _micro.CallInfo | None = None,
    ) -> MemberListResponse:
        """Lists the members."""
        return await self._unary(_CLUSTER_MEMBER_LIST, request, timeout, metadata, info)


class ClusterBase(_micro.Handler):
    """Who the servers are."""

    _info_ = _CLUSTER

    async def member_list(self, request: MemberListRequest, context: _micro.Context) -> MemberListResponse:
        """Lists the members."""
        raise self._unimplemented(_CLUSTER_MEMBER_LIST)
